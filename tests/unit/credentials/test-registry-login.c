/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <signal.h>
#include <sys/wait.h>

#include "base/secret.h"
#include "credentials/registry-server.h"
#include "credentials/registry-login.h"

static void test_challenge(void **state _unused_) {
        static const char header[] =
                "Bearer realm=\"https://auth.docker.io/token\",service=\"registry.docker.io\", scope=\"a,b\"";
        char value[64];

        assert_true(challenge_parameter(header, "realm", value, sizeof(value)));
        assert_string_equal(value, "https://auth.docker.io/token");
        assert_true(challenge_parameter(header, "service", value, sizeof(value)));
        assert_string_equal(value, "registry.docker.io");
        assert_false(challenge_parameter(header, "other", value, sizeof(value)));
        assert_false(challenge_parameter("Bearer", "realm", value, sizeof(value)));
        assert_false(challenge_parameter("Bearer realm=\"cut", "realm", value, sizeof(value)));
        assert_false(challenge_parameter("Bearer realm=bare", "realm", value, sizeof(value)));
        assert_false(challenge_parameter(header, "realm", value, strlen("https://auth.docker.io/token")));
        assert_true(challenge_parameter(header, "realm", value, sizeof("https://auth.docker.io/token")));
        assert_false(challenge_parameter("Bearer realm=\"\"", "real", value, sizeof(value)));
        assert_false(challenge_parameter("Bearer realm-\"x\"", "realm", value, sizeof(value)));
}

static void test_local(void **state _unused_) {
        static const struct {
                const char *host;
                bool local;
        } table[] = {
                {"localhost", true},
                {"localhost:5000/a", true},
                {"LOCALHOST:5000", true},
                {"127.0.0.1", true},
                {"127.1.2.3:443/x", true},
                {"[::1]:5000", true},
                {"[::1]", true},
                {"localhost-registry.example.com", false},
                {"localhost.example.com:5000", false},
                {"127.evil", false},
                {"127.0.0.1.example.com", false},
                {"128.0.0.1", false},
                {"[::2]:5000", false},
                {"registry.example.com", false},
                {"", false},
        };
        char host[300];

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(registry_is_local(table[i].host), table[i].local);
        /* However long it is. */
        memset(host, '1', sizeof(host));
        for (size_t n = sizeof(host) - 1; n > 0; n--) {
                host[n] = 0;
                assert_false(registry_is_local(host));
        }
}

static const Credential password = {.username = (char *) "user", .password = (char *) "password"};
static const Credential token = {
        .username = (char *) "user", .password = (char *) "password", .identity_token = (char *) "a+token~"};

/* user:password */
#define BASIC "Authorization: Basic dXNlcjpwYXNzd29yZA=="

/* With these answers, of a registry whose name begins so; ret_asked: what it was asked. */
static int log_in(const char *directory, const char *host, const Credential *with, const char *const *answers,
                  char *why, size_t size, char ret_asked[static 8192]) {
        _cleanup_free_ char *log = unit_path(directory, "log");
        Credential c = *with;
        char registry[64];
        unsigned port = 0;
        pid_t pid = serve(answers, log, &port);
        FILE *f;
        int r;

        (void) snprintf(registry, sizeof(registry), "%s:%u/team", host, port);
        c.registry = registry;
        r = registry_login(&c, why, size);
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        f = fopen(log, "re");
        assert_non_null(f);
        ret_asked[fread(ret_asked, 1, 8191, f)] = 0;
        (void) fclose(f);
        return r;
}

static void test_registries(void **state) {
        static const struct {
                const Credential *credential;
                const char *answers[3];
                int expected;
                const char *why, *asked[3]; /* all of it is said */
                const char *never;
        } table[] = {
                {&password, {ANSWER("200 OK")}, 1, "status 200", {"GET /v2/ HTTP", BASIC}, NULL},
                {&password, {ANSWER("204 No Content")}, 1, "status 204", {NULL}, NULL},
                {&password, {ANSWER("299 Odd")}, 1, "status 299", {NULL}, NULL},
                {&password, {UNAUTHORIZED "\r\n"}, 0, "status 401", {NULL}, NULL},
                {&password,
                 {UNAUTHORIZED "WWW-Authenticate: Basic realm=\"x\"\r\n\r\n"},
                 0,
                 "status 401",
                 {NULL},
                 NULL},
                {&password, {ANSWER("400 Bad Request")}, 0, "status 400", {NULL}, NULL},
                {&password, {ANSWER("403 Forbidden")}, 0, "status 403", {NULL}, NULL},
                {&password, {ANSWER("404 Not Found")}, -EREMOTEIO, "status 404", {NULL}, NULL},
                {&password, {ANSWER("503 Unavailable")}, -EREMOTEIO, "status 503", {NULL}, NULL},
                {&password, {"SSH-2.0-x\r\n"}, -EBADMSG, "Bad message", {NULL}, NULL},
                /* A token, with the password. */
                {&password,
                 {BEARER, ANSWER("200 OK")},
                 1,
                 "status 200",
                 {"GET /token?service=a:service HTTP", BASIC},
                 NULL},
                {&password, {BEARER, ANSWER("403 Forbidden")}, 0, "status 403", {NULL}, NULL},
                {&password, {BEARER, "SSH-2.0-x\r\n"}, -EBADMSG, "Bad message", {NULL}, NULL},
                {&password,
                 {UNAUTHORIZED "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:@/token?x=1\"\r\n\r\n",
                  ANSWER("200 OK")},
                 1,
                 "status 200",
                 {"GET /token?x=1&service= "},
                 NULL},
                {&password,
                 {UNAUTHORIZED "WWW-Authenticate: Bearer service=\"x\"\r\n\r\n"},
                 -EBADMSG,
                 "names no place",
                 {NULL},
                 NULL},
                {&password,
                 {UNAUTHORIZED "WWW-Authenticate: Bearer realm=\"ftp://127.0.0.1/\"\r\n\r\n"},
                 -EBADMSG,
                 "names no place",
                 {NULL},
                 NULL},
                {&password,
                 {UNAUTHORIZED "WWW-Authenticate: Bearer realm=\"http://elsewhere.example/token\"\r\n\r\n"},
                 -EPERM,
                 "without TLS, at http://elsewhere.example/token",
                 {NULL},
                 NULL},
                {&password,
                 {UNAUTHORIZED "WWW-Authenticate: Bearer realm=\"http://localhost:@@0.0.0.0:9/\"\r\n\r\n"},
                 -EPERM,
                 "without TLS",
                 {NULL},
                 NULL},
                /* With an identity token, which goes nowhere else. */
                {&token,
                 {BEARER, ANSWER("200 OK")},
                 1,
                 "status 200",
                 {"POST /token HTTP",
                  "\r\n\r\ngrant_type=refresh_token&service=a%3Aservice&client_id=ecs-authd&refresh_token=a%2Btoken~&",
                  "application/x-www-form-urlencoded"},
                 "Authorization"},
                {&token, {BEARER, ANSWER("401 Unauthorized")}, 0, "status 401", {NULL}, NULL},
                {&token, {ANSWER("200 OK")}, -EOPNOTSUPP, "it asks for no token", {NULL}, "Authorization"},
                {&token,
                 {ANSWER("200 OK") "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:@/token\"\r\n\r\n"},
                 -EOPNOTSUPP,
                 "it asks for no token",
                 {NULL},
                 NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char asked[8192], why[128] = "";
                int r = log_in(*state, "127.0.0.1", table[i].credential, table[i].answers, why, sizeof(why), asked);

                if (r != table[i].expected || !strstr(why, table[i].why))
                        fail_msg("%zu: %d, %s", i, r, why);
                for (size_t j = 0; j < ELEMENTSOF(table[i].asked); j++)
                        if (table[i].asked[j] && !strstr(asked, table[i].asked[j]))
                                fail_msg("%zu: '%s' does not stand in\n%s", i, table[i].asked[j], asked);
                if (table[i].never && strstr(asked, table[i].never))
                        fail_msg("%zu: '%s' stands in\n%s", i, table[i].never, asked);
        }
}

/* Each byte of it takes three. */
static void test_long_identity_token(void **state) {
        static const char *const answers[] = {BEARER, ANSWER("200 OK"), NULL};
        char asked[8192], why[128] = "", secret[701] = "";

        memset(secret, '+', sizeof(secret) - 1);
        assert_int_equal(
                log_in(*state, "127.0.0.1", &(Credential){.identity_token = secret}, answers, why, sizeof(why), asked),
                1);
        assert_non_null(strstr(asked, "&refresh_token=%2B%2B"));
}

/* It is this host, and not by its name: a password goes there only over TLS, which this registry does not have. */
static void test_no_secret_without_tls(void **state) {
        static const char *const answers[] = {BEARER, ANSWER("200 OK"), NULL};
        const Credential *const secrets[] = {&password, &token};

        for (size_t i = 0; i < ELEMENTSOF(secrets); i++) {
                char asked[8192], why[128] = "";

                assert_true(log_in(*state, "0.0.0.0", secrets[i], answers, why, sizeof(why), asked) < 0);
                assert_int_equal(asked[0], TLS_HANDSHAKE);
                assert_null(strstr(asked, "Authorization"));
                assert_null(strstr(asked, "refresh_token"));
        }
}

static void test_nobody_there(void **state) {
        static const char *const answers[] = {NULL};
        _cleanup_free_ char *log = unit_path(*state, "log");
        char registry[64], why[128] = "";
        Credential c = password;
        unsigned port = 0;
        pid_t pid = serve(answers, log, &port);

        assert_int_equal(waitpid(pid, NULL, 0), pid);
        (void) snprintf(registry, sizeof(registry), "localhost:%u", port);
        c.registry = registry;
        assert_int_equal(registry_login(&c, why, sizeof(why)), -ECONNREFUSED);
        assert_string_equal(why, "Connection refused");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_challenge),
                cmocka_unit_test(test_local),
                cmocka_unit_test_setup_teardown(test_registries, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_long_identity_token, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_no_secret_without_tls, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_nobody_there, unit_make_directory, unit_remove_directory),
        };

        return cmocka_run_group_tests_name("registrylogin", tests, NULL, NULL);
}
