/* SPDX-License-Identifier: Apache-2.0 */
#include "http-server.h"

#include "agent/engine-connection.h"

#define TIMEOUT (10 * USEC_PER_SEC)

static void test_asked_in_its_own_version(void **state) {
        static const Exchange script[] = {
                {"GET /_ping HTTP", NULL, "200 OK"},
                {"GET /v1.41/containers/json?all=1 HTTP", NULL, "200 []"},
                {"POST /v1.41/containers/create?name=x HTTP", "{\"Image\":\"y\"}", "201 {}"},
                {"POST /v1.41/containers/x/start HTTP", NULL, "204 "},
                {"DELETE /v1.41/containers/x HTTP", NULL, "404 {\"message\":\"no\"}"},
                {NULL, NULL, NULL},
        };
        static const struct {
                const char *method, *path, *body;
                long status;
        } table[] = {
                {"GET", "/containers/json?all=1", NULL, 200},
                {"POST", "/containers/create?name=x", "{\"Image\":\"y\"}", 201},
                {"POST", "/containers/x/start", NULL, 204},
                {"DELETE", "/containers/x", NULL, 404},
        };
        _cleanup_free_ char *path = unit_path(*state, "socket");
        pid_t server = server_start(path, script);
        Engine engine = {0};

        assert_int_equal(engine_open(path, TIMEOUT, NULL, &engine), 0);
        assert_string_equal(engine.api_version, "1.41");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_http_ HttpResponse response = {0};

                assert_int_equal(engine_request(&engine, table[i].method, table[i].path, table[i].body, &response), 0);
                assert_int_equal(response.status, table[i].status);
        }
        server_assert_done(server);
}

static void test_no_engine(void **state) {
        static const Exchange script[] = {{"GET /_ping", NULL, "500 x"}, {NULL, NULL, NULL}};
        _cleanup_free_ char *path = unit_path(*state, "socket");
        Engine engine = {0};
        pid_t server;

        assert_int_equal(engine_open(path, TIMEOUT, NULL, &engine), -ENOENT);
        server = server_start(path, script);
        assert_int_equal(engine_open(path, TIMEOUT, NULL, &engine), -EBADMSG);
        assert_null(engine.socket);
        server_assert_done(server);
}

static void test_path_that_is_too_long(void **state _unused_) {
        const Engine engine = {.socket = "/nowhere", .api_version = "1.41", .timeout_usec = TIMEOUT};
        char path[2048] = {0};
        HttpResponse response = {0};

        memset(path, '/', sizeof(path) - 1);
        assert_int_equal(engine_request(&engine, "DELETE", path, NULL, &response), -ENAMETOOLONG);
}

static void test_version(void **state _unused_) {
        static const struct {
                const char *version;
                bool expected;
        } table[] = {{"1.44", true}, {"1.50", true}, {"2.0", true}, {"1.43", false},
                     {"1.9", false}, {"", false},    {"x", false}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Engine e = {0};

                (void) snprintf(e.api_version, sizeof(e.api_version), "%s", table[i].version);
                assert_int_equal(engine_is_at_least(&e, 1, 44), table[i].expected);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_version),
                cmocka_unit_test_setup_teardown(test_asked_in_its_own_version, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_no_engine, unit_make_directory, unit_remove_directory),
                cmocka_unit_test(test_path_that_is_too_long),
        };

        return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
