/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <sys/stat.h>

#include "base/state-file.h"
#include "ecsconfig/written-record.h"

static const DigestKey key = {{7}};
static const DigestKey other_key = {{8}};

static int set_up(void **state) {
        return unit_make_directory(state) < 0 || setenv("STATE_DIRECTORY", *state, true) < 0 ? -1 : 0;
}

static int tear_down(void **state) {
        (void) unsetenv("STATE_DIRECTORY");
        return unit_remove_directory(state);
}

static void add(Credentials *list, const char *registry, const char *password, bool foreign) {
        _cleanup_(credential_done) Credential c = {.registry = strdup(registry),
                                                   .username = strdup("user"),
                                                   .password = strdup(password),
                                                   .foreign = foreign};

        assert_true(c.registry && c.username && c.password);
        credentials_put(list, &c);
}

static void save(const char *file, const Credentials *before, const Credentials *after) {
        _cleanup_(written_record_done) WrittenRecord record = {0};

        written_record_load(file, &record);
        assert_int_equal(written_record_save(&record, before, after, &key), 0);
}

static bool has(const char *file, const DigestKey *k, const char *registry, const char *password) {
        _cleanup_(written_record_done) WrittenRecord record = {0};
        _cleanup_(credentials_done) Credentials list = {0};
        int r;

        add(&list, registry, password, false);
        written_record_load(file, &record);
        r = written_record_has(&record, list.items[0], k);
        assert_true(r >= 0);
        return r > 0;
}

static void test_entries_before_and_after(void **state _unused_) {
        _cleanup_(credentials_done) Credentials none = {0}, before = {0}, after = {0};

        assert_false(has("/etc/a file", &key, "a.example", "old"));
        add(&before, "a.example", "old", false);
        add(&before, "b.example", "same", false);
        add(&before, "f.example", "theirs", true);
        add(&after, "a.example", "new", false);
        add(&after, "b.example", "same", false);
        save("/etc/a file", &before, &after);

        /* Whichever of the two files a crash leaves in place. */
        assert_true(has("/etc/a file", &key, "a.example", "old"));
        assert_true(has("/etc/a file", &key, "a.example", "new"));
        assert_true(has("/etc/a file", &key, "b.example", "same"));
        assert_false(has("/etc/a file", &key, "f.example", "theirs"));
        assert_false(has("/etc/a file", &key, "b.example", "other"));
        assert_false(has("/etc/a file", &other_key, "b.example", "same"));
        assert_false(has("/etc/another", &key, "b.example", "same"));

        save("/etc/a file", &after, &after);
        assert_false(has("/etc/a file", &key, "a.example", "old"));
        assert_true(has("/etc/a file", &key, "a.example", "new"));

        save("/etc/a file", &none, &none);
        assert_false(has("/etc/a file", &key, "a.example", "new"));
}

static void test_other_environment_files(void **state) {
        _cleanup_free_ char *one = unit_path(*state, "one"), *two = unit_path(*state, "two");
        _cleanup_(credentials_done) Credentials list = {0}, none = {0};

        unit_write_file(one, "");
        add(&list, "a.example", "x", false);
        save(one, &none, &list);
        save(two, &none, &list);
        save(two, &none, &none);
        assert_true(has(one, &key, "a.example", "x"));
        assert_false(has(two, &key, "a.example", "x"));

        assert_int_equal(unlink(one), 0);
        save(two, &none, &list);
        assert_false(has(one, &key, "a.example", "x"));
}

static void test_one_file_has_one_name(void **state) {
        _cleanup_free_ char *file = unit_path(*state, "f"), *dotted = unit_path(*state, "./f"),
                            *link = unit_path(*state, "l");
        _cleanup_(credentials_done) Credentials list = {0}, none = {0};

        add(&list, "a.example", "x", false);
        assert_int_equal(symlink("f", link), 0);
        save(dotted, &none, &list); /* before the file exists */
        unit_write_file(file, "");
        assert_true(has(file, &key, "a.example", "x"));
        assert_true(has(dotted, &key, "a.example", "x"));
        assert_true(has(link, &key, "a.example", "x"));
        /* The directory of another one may be hidden from this process. */
        save("/nowhere/to/be/seen", &none, &list);
        save(file, &list, &list);
        assert_true(has("/nowhere/to/be/seen", &key, "a.example", "x"));
}

static void test_damaged_record(void **state) {
        static const char digest[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        const struct {
                const char *before, *after;
                int r;
        } table[] = {{"", " a.example /f\n", 0},   {"\n", " a.example /f\n\n", 0},  {"", " a.example\n", -EBADMSG},
                     {"", "  /f\n", -EBADMSG},     {"", " a.example \n", -EBADMSG}, {"0", " a.example /f\n", -EBADMSG},
                     {"garbage ", "\n", -EBADMSG}, {"", " a.example /f", 0}};
        _cleanup_free_ char *path = unit_path(*state, "written");
        _cleanup_(written_record_done) WrittenRecord damaged = {0};
        const Credentials none = {0};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(written_record_done) WrittenRecord record = {0};
                char text[200];

                (void) snprintf(text, sizeof(text), "%s%s%s", table[i].before, digest, table[i].after);
                assert_int_equal(state_file_write("written", text), 0);
                written_record_load("/f", &record);
                assert_int_equal(record.error, table[i].r);
                assert_int_equal(record.n_entries, table[i].r == 0 ? 1 : 0);
        }

        assert_int_equal(chmod(path, 0666), 0);
        written_record_load("/f", &damaged);
        assert_int_equal(damaged.error, -EBADMSG);

        /* The next save replaces it, even if nothing is on record then. */
        assert_int_equal(written_record_save(&damaged, &none, &none, &key), 0);
        assert_int_equal(access(path, F_OK), -1);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_entries_before_and_after, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_other_environment_files, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_one_file_has_one_name, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_damaged_record, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
