/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/state-file.h"

static void test_written_and_read(void **state) {
        static const char *const texts[] = {"", "x", "several\nlines\n"};
        _cleanup_free_ char *path = unit_path(*state, "some");
        struct stat st;

        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                _cleanup_free_ char *text = NULL;

                assert_int_equal(state_file_write("some", texts[i]), 0);
                assert_int_equal(state_file_read("some", 100, &text), 0);
                assert_string_equal(text, texts[i]);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode, S_IFREG | 0600);
        }
        /* Nothing else is left there. */
        assert_int_equal(state_file_remove("some"), 0);
        assert_int_equal(rmdir(*state), 0);
        assert_int_equal(mkdir(*state, 0700), 0);
}

static void test_longest(void **state _unused_) {
        _cleanup_free_ char *text = NULL;

        assert_int_equal(state_file_write("some", "12345"), 0);
        assert_int_equal(state_file_read("some", 4, &text), -EBADMSG);
        assert_null(text);
        assert_int_equal(state_file_read("some", 5, &text), 0);
}

/* Others may write it, or have put it there. */
static void test_not_ours(void **state) {
        static const struct {
                mode_t mode;
                int expected;
        } table[] = {{0600, 0}, {0400, 0}, {0640, -EBADMSG}, {0620, -EBADMSG}, {0604, -EBADMSG}, {0602, -EBADMSG}};
        _cleanup_free_ char *path = unit_path(*state, "some"), *other = unit_path(*state, "other"), *text = NULL;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *found = NULL;

                assert_int_equal(state_file_write("some", "x"), 0);
                assert_int_equal(chmod(path, table[i].mode), 0);
                assert_int_equal(state_file_read("some", 10, &found), table[i].expected);
        }

        assert_int_equal(state_file_write("some", "x"), 0);
        if (geteuid() == 0) {
                assert_int_equal(chown(path, 12345, 12345), 0);
                assert_int_equal(state_file_read("some", 10, &text), -EBADMSG);
        }
        assert_int_equal(state_file_write("other", "x"), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(symlink(other, path), 0);
        assert_int_equal(state_file_read("some", 10, &text), -ELOOP);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(mkfifo(path, 0600), 0);
        assert_int_equal(state_file_read("some", 10, &text), -EBADMSG);
        assert_null(text);
}

static void test_holds_a_nul(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "some"), *text = NULL;
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_int_equal(fwrite("a\0b", 1, 3, f), 3);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(state_file_read("some", 10, &text), -EILSEQ);
}

static void test_no_such_file(void **state) {
        _cleanup_free_ char *below = unit_path(*state, "below"), *text = NULL;

        assert_int_equal(state_file_read("some", 10, &text), -ENOENT);
        assert_int_equal(state_file_remove("some"), 0);

        assert_int_equal(setenv("STATE_DIRECTORY", below, true), 0);
        assert_int_equal(state_file_read("some", 10, &text), -ENOENT);
        assert_int_equal(state_file_remove("some"), 0);
        /* It is made for what is written. */
        assert_int_equal(state_file_write("some", "x"), 0);
        assert_int_equal(state_file_read("some", 10, &text), 0);
}

/* The old one stays, and nothing is left beside it. */
static void test_cannot_be_replaced(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "some"), *below = unit_path(*state, "some/x"), *text = NULL;

        assert_int_equal(mkdir(path, 0700), 0);
        unit_write_file(below, "");
        assert_true(state_file_write("some", "x") < 0);
        assert_int_equal(state_file_read("some", 10, &text), -EBADMSG);
        assert_int_equal(unlink(below), 0);
        assert_int_equal(rmdir(path), 0);
        assert_int_equal(rmdir(*state), 0); /* empty */
        assert_int_equal(mkdir(*state, 0700), 0);
}

/* Where others may put files, nothing is believed, and nothing kept. */
static void test_directory_for_all(void **state) {
        char *text = NULL;

        assert_int_equal(state_file_write("some", "x"), 0);
        assert_int_equal(chmod(*state, 0777), 0);
        assert_int_equal(state_file_read("some", 10, &text), -EPERM);
        assert_int_equal(state_file_write("some", "y"), -EPERM);
        assert_null(text);
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_make_state_directory, unit_remove_state_directory)
        const struct CMUnitTest tests[] = {
                TEST(test_written_and_read),  TEST(test_longest),      TEST(test_not_ours),
                TEST(test_holds_a_nul),       TEST(test_no_such_file), TEST(test_cannot_be_replaced),
                TEST(test_directory_for_all),
        };

        return cmocka_run_group_tests_name("state file", tests, NULL, NULL);
}
