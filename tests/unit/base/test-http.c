/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/http.h"

/* A server on a Unix socket that gives one answer, whatever it is asked; NULL: it accepts and says nothing. */
static pid_t serve(const char *path, const char *answer) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), connection;
        char request[4096];
        pid_t pid;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 1), 0);

        pid = fork();
        assert_true(pid >= 0);
        if (pid > 0) {
                (void) close(fd);
                return pid;
        }

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        connection = accept(fd, NULL, NULL);
        if (connection < 0 || read(connection, request, sizeof(request)) <= 0)
                _exit(1);
        while (!answer)
                (void) pause();
        (void) !write(connection, answer, strlen(answer));
        (void) close(connection);
        _exit(0);
}

static int get(const char *directory, const char *answer, uint64_t timeout_usec, HttpResponse *response) {
        _cleanup_free_ char *path = unit_path(directory, "socket");
        pid_t pid = serve(path, answer);
        int r = http_get(path, "http://docker/_ping", timeout_usec, response);

        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        (void) unlink(path);
        return r;
}

static void test_answer(void **state) {
        _cleanup_http_ HttpResponse response = {0};

        assert_int_equal(get(*state, "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: 2\r\n\r\nOK",
                             USEC_PER_SEC * 10, &response),
                         0);
        assert_int_equal(response.status, 200);
        assert_string_equal(response.api_version, "1.41");
        assert_string_equal(response.body, "OK");
        assert_int_equal(response.size, 2);
}

static void test_any_status_is_an_answer(void **state) {
        _cleanup_http_ HttpResponse response = {0};

        assert_int_equal(
                get(*state, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", USEC_PER_SEC * 10, &response), 0);
        assert_int_equal(response.status, 404);
        assert_string_equal(response.api_version, "");
        assert_null(response.body);
}

static void test_a_version_cannot_reach_elsewhere(void **state) {
        _cleanup_http_ HttpResponse response = {0};

        assert_int_equal(get(*state, "HTTP/1.1 200 OK\r\napi-version: ../1.4x1/\r\nContent-Length: 0\r\n\r\n",
                             USEC_PER_SEC * 10, &response),
                         0);
        assert_string_equal(response.api_version, "..1.41");
}

static void test_not_http(void **state) {
        HttpResponse response = {0};

        assert_int_equal(get(*state, "SSH-2.0-x\r\n", USEC_PER_SEC * 10, &response), -EBADMSG);
        assert_int_equal(
                get(*state, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", USEC_PER_SEC * 10, &response),
                -EBADMSG);
}

static void test_silence(void **state) {
        HttpResponse response = {0};

        assert_int_equal(get(*state, NULL, 200 * USEC_PER_MSEC, &response), -ETIMEDOUT);
}

static void test_nobody_there(void **state) {
        _cleanup_free_ char *missing = unit_path(*state, "missing");
        HttpResponse response = {0};

        assert_int_equal(http_get(missing, "http://docker/", USEC_PER_SEC, &response), -ENOENT);

        unit_write_file(missing, "");
        assert_int_equal(http_get(missing, "http://docker/", USEC_PER_SEC, &response), -ECONNREFUSED);
}

static void test_body_is_bounded(void **state) {
        const size_t size = 9 * 1024 * 1024;
        _cleanup_free_ char *answer = malloc(size + 1);
        HttpResponse response = {0};

        assert_non_null(answer);
        memset(answer, 'x', size);
        answer[size] = 0;
        memcpy(answer, "HTTP/1.0 200 OK\r\n\r\n", 19);
        assert_int_equal(get(*state, answer, USEC_PER_SEC * 20, &response), -EFBIG);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_answer, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_any_status_is_an_answer, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_a_version_cannot_reach_elsewhere, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_not_http, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_silence, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_nobody_there, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_body_is_bounded, unit_make_directory, unit_remove_directory),
        };

        return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
