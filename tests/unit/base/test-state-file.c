/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>

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

/* Returns 0 if the lock can be opened. */
static int open_lock(const char *name) {
        _cleanup_close_ int fd = state_file_open_lock(name);

        return fd < 0 ? fd : 0;
}

/* The file and its directory are created, for root alone. */
static void test_lock_is_made(void **state) {
        _cleanup_free_ char *below = unit_path(*state, "below"), *path = unit_path(*state, "below/lock");
        struct stat st;

        assert_int_equal(setenv("STATE_DIRECTORY", below, true), 0);
        assert_int_equal(open_lock("lock"), 0);
        assert_int_equal(stat(below, &st), 0);
        assert_int_equal(st.st_mode, S_IFDIR | 0700);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
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
                if (table[i].mode != 0400 && table[i].mode != 0600) {
                        struct stat st;

                        assert_int_equal(open_lock("some"), 0);
                        assert_int_equal(stat(path, &st), 0);
                        assert_int_equal(st.st_mode & 07777, 0600);
                }
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
        assert_int_equal(open_lock("some"), -ELOOP);
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
static void test_directory_of_others(void **state) {
        static const struct {
                mode_t mode;
                uid_t uid;
                int expected;
        } table[] = {{0700, 0, 0},      {0755, 0, 0},       {0777, 0, -EPERM},    {0770, 0, -EPERM},
                     {0702, 0, -EPERM}, {01777, 0, -EPERM}, {0700, 12345, -EPERM}};
        _cleanup_free_ char *path = unit_path(*state, "some");

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char *text = NULL;
                int r;

                if (table[i].uid != 0 && geteuid() != 0)
                        continue; /* only root can give it away */
                assert_int_equal(state_file_write("some", "x"), 0);
                assert_int_equal(chmod(*state, table[i].mode), 0);
                if (table[i].uid != 0)
                        assert_int_equal(chown(*state, table[i].uid, 0), 0);
                r = state_file_read("some", 10, &text);
                if (r != table[i].expected || !text != (r < 0))
                        fail_msg("%zu: %d, %s", i, r, text ? text : "");
                free(text);
                assert_int_equal(open_lock("some"), table[i].expected);
                assert_int_equal(state_file_write("some", "y"), table[i].expected);
                unit_assert_file(path, table[i].expected < 0 ? "x" : "y");
                assert_int_equal(state_file_remove("some"), table[i].expected);
                assert_int_equal(access(path, F_OK), table[i].expected < 0 ? 0 : -1);
                assert_int_equal(chown(*state, geteuid(), (gid_t) -1), 0);
                assert_int_equal(chmod(*state, 0700), 0);
        }
}

/* A killed process has left its temporary file, or another user has put one there. */
static void test_leftover(void **state) {
        _cleanup_free_ char *left = unit_path(*state, "some.new"), *path = unit_path(*state, "some");

        unit_write_file(left, "x");
        assert_int_equal(chmod(left, 0666), 0);
        assert_int_equal(state_file_write("some", "y"), 0);
        unit_assert_file(path, "y");
        assert_int_equal(symlink(path, left), 0);
        assert_int_equal(state_file_write("some", "z"), 0);
        unit_assert_file(path, "z");
        assert_int_equal(access(left, F_OK), -1);
}

/* The file has the mode that was asked for, whatever the umask is. */
static void test_public(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "some");
        const mode_t mask = umask(0077);
        FileIdentity written, found;
        struct stat st;

        assert_int_equal(file_replace(AT_FDCWD, path, "x", 0644, false, &written), 0);
        (void) umask(mask);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0644);
        found = file_identity_at(path);
        assert_true(file_identity_equal(&written, &found));
        unit_assert_file(path, "x");
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_make_state_directory, unit_remove_state_directory)
        const struct CMUnitTest tests[] = {
                TEST(test_written_and_read),   TEST(test_longest),
                TEST(test_lock_is_made),       TEST(test_not_ours),
                TEST(test_holds_a_nul),        TEST(test_no_such_file),
                TEST(test_cannot_be_replaced), TEST(test_directory_of_others),
                TEST(test_leftover),           TEST(test_public),
        };

        return cmocka_run_group_tests_name("state file", tests, NULL, NULL);
}
