/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/secret.h"

static void test_dup_and_free(void **state _unused_) {
        _cleanup_secret_ char *s = secret_dup("secret", 3);

        assert_string_equal(s, "sec");
        assert_null(secret_free(NULL));
        assert_null(secret_free_sized(NULL, 0));
        assert_null(secret_free(secret_dup("", 0)));
}

/* A file of n bytes, each of its own value. */
static int open_pattern(const char *directory, size_t n) {
        _cleanup_free_ char *path = unit_path(directory, "pattern");
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        for (size_t i = 0; i < n; i++)
                (void) fputc((int) (i * 7 % 251), f);
        assert_int_equal(fclose(f), 0);
        return open(path, O_RDONLY | O_CLOEXEC);
}

static void test_read_sizes(void **state) {
        static const size_t sizes[] = {0, 1, 4094, 4095, 4096, 4097, 8191, 8192, 100000};

        for (size_t i = 0; i < ELEMENTSOF(sizes); i++) {
                _cleanup_close_ int fd = open_pattern(*state, sizes[i]);
                char *text = NULL;
                size_t size = 1;

                assert_int_equal(secret_read_fd(fd, 100000, &text, &size), 0);
                assert_int_equal(size, sizes[i]);
                assert_int_equal(text[size], 0);
                for (size_t k = 0; k < size; k++)
                        assert_int_equal((unsigned char) text[k], k * 7 % 251);
                secret_free_sized(text, size);
        }
}

static void test_read_bound(void **state) {
        static const size_t bounds[] = {0, 1, 4095, 4096, 5000};

        for (size_t i = 0; i < ELEMENTSOF(bounds); i++) {
                _cleanup_close_ int fits = open_pattern(*state, bounds[i]);
                _cleanup_close_ int over = -1;
                char *text = NULL;
                size_t size = 77;

                assert_int_equal(secret_read_fd(fits, bounds[i], &text, &size), 0);
                secret_free_sized(text, size);

                over = open_pattern(*state, bounds[i] + 1);
                text = NULL;
                size = 77;
                assert_int_equal(secret_read_fd(over, bounds[i], &text, &size), -EFBIG);
                assert_null(text);
                assert_int_equal(size, 77);
        }
}

static void test_read_error(void **state) {
        _cleanup_close_ int fd = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        char *text = NULL;
        size_t size;

        assert_int_equal(secret_read_fd(fd, 10, &text, &size), -EISDIR);
        assert_null(text);
}

/* A pipe gives its bytes in pieces. */
static void test_read_pieces(void **state _unused_) {
        char *text = NULL;
        size_t size = 0;
        int fds[2], status;
        pid_t pid;

        assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                for (int i = 0; i < 5; i++) {
                        if (write(fds[1], "piece", 5) != 5)
                                _exit(1);
                        (void) usleep(1000);
                }
                _exit(0);
        }
        assert_int_equal(close(fds[1]), 0);
        assert_int_equal(secret_read_fd(fds[0], 100, &text, &size), 0);
        assert_string_equal(text, "piecepiecepiecepiecepiece");
        secret_free_sized(text, size);
        assert_int_equal(close(fds[0]), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
}

static bool is_protected(void) {
        struct rlimit limit;

        return secret_protect_process() == 0 && prctl(PR_GET_DUMPABLE) == 0 && getrlimit(RLIMIT_CORE, &limit) == 0 &&
               limit.rlim_cur == 0 && limit.rlim_max == 0;
}

static void test_protect_process(void **state _unused_) {
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0)
                _exit(is_protected() ? 0 : 1);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_dup_and_free),
                cmocka_unit_test_setup_teardown(test_read_sizes, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_read_bound, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_read_error, unit_make_directory, unit_remove_directory),
                cmocka_unit_test(test_read_pieces),
                cmocka_unit_test(test_protect_process),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
