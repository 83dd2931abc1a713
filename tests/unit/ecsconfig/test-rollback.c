/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "ecsconfig/rollback.h"

static int set_up(void **state) {
        return unit_make_directory(state) < 0 || setenv("STATE_DIRECTORY", *state, 1) < 0 ? -1 : 0;
}

static int tear_down(void **state) {
        (void) unsetenv("STATE_DIRECTORY");
        return unit_remove_directory(state);
}

static AuthEntries some(void) {
        static char type[] = "dockercfg", data[] = "{\"r.example\":{\"auth\":\"dTpw\"}}";

        return (AuthEntries){.type = type, .data = data};
}

static void test_saved_and_loaded(void **state) {
        const AuthEntries entries = some();
        _cleanup_(auth_entries_done) AuthEntries loaded = {0}, other = {0};
        _cleanup_free_ char *path = unit_path(*state, "last-good.env");
        Problems problems = {0};
        struct stat st, again;

        assert_int_equal(rollback_load(ROLLBACK_LAST_GOOD, &loaded), 0);
        assert_int_equal(rollback_save(ROLLBACK_LAST_GOOD, &entries, &problems), 0);
        assert_int_equal(rollback_load(ROLLBACK_LAST_GOOD, &loaded), 1);
        assert_string_equal(loaded.type, entries.type);
        assert_string_equal(loaded.data, entries.data);
        assert_int_equal(rollback_load(ROLLBACK_REJECTED, &other), 0);

        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(rollback_save(ROLLBACK_LAST_GOOD, &entries, &problems), 0);
        assert_int_equal(stat(path, &again), 0);
        assert_int_equal(st.st_ino, again.st_ino);
        assert_int_equal(problems.n_items, 0);
}

/* "None" is something to go back to; "not known" is not. */
static void test_none(void **state _unused_) {
        const AuthEntries none = {0};
        const AuthEntries entries = some();
        _cleanup_(auth_entries_done) AuthEntries loaded = {0};
        Problems problems = {0};

        assert_int_equal(rollback_save(ROLLBACK_REJECTED, &entries, &problems), 0);
        assert_int_equal(rollback_save(ROLLBACK_REJECTED, &none, &problems), 0);
        assert_int_equal(rollback_load(ROLLBACK_REJECTED, &loaded), 1);
        assert_null(loaded.type);
        assert_null(loaded.data);

        assert_int_equal(rollback_remove(ROLLBACK_REJECTED), 0);
        assert_int_equal(rollback_load(ROLLBACK_REJECTED, &loaded), 0);
        assert_int_equal(rollback_remove(ROLLBACK_REJECTED), 0);
}

static void test_first_none(void **state _unused_) {
        const AuthEntries none = {0};
        _cleanup_(auth_entries_done) AuthEntries loaded = {0};
        Problems problems = {0};

        assert_int_equal(rollback_save(ROLLBACK_LAST_GOOD, &none, &problems), 0);
        assert_int_equal(rollback_load(ROLLBACK_LAST_GOOD, &loaded), 1);
        assert_null(loaded.type);
}

static void test_no_place(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "file");
        const AuthEntries entries = some();
        AuthEntries loaded = {0};
        Problems problems = {0};

        unit_write_file(path, "");
        assert_int_equal(setenv("STATE_DIRECTORY", path, 1), 0);
        assert_int_equal(rollback_save(ROLLBACK_LAST_GOOD, &entries, &problems), -ENOTDIR);
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(rollback_load(ROLLBACK_LAST_GOOD, &loaded), 0);
        assert_int_equal(rollback_remove(ROLLBACK_LAST_GOOD), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_saved_and_loaded, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_first_none, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_place, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("rollback", tests, NULL, NULL);
}
