/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/registry-name.h"

typedef struct Case {
        const char *key;
        const char *expected; /* NULL: refused */
} Case;

static void check(const Case *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                _cleanup_free_ char *name = NULL, *again = NULL;
                int r = registry_normalize(cases[i].key, &name);

                if (r != (cases[i].expected ? 0 : -EINVAL))
                        fail_msg("'%s': %d", cases[i].key, r);
                if (!cases[i].expected) {
                        assert_null(name);
                        continue;
                }
                assert_string_equal(name, cases[i].expected);

                /* What goes out is read back, and is the same registry then. */
                assert_int_equal(registry_normalize(name, &again), 0);
                assert_string_equal(again, name);
        }
}

static void test_docker_hub(void **state _unused_) {
        static const Case cases[] = {
                {"https:/r.example/", "https:/r.example"}, /* that is no scheme */
                {"https://index.docker.io/v1/", REGISTRY_DOCKER_HUB},
                {"https://index.docker.io/v1", REGISTRY_DOCKER_HUB},
                {"https://index.docker.io/v2/", REGISTRY_DOCKER_HUB},
                {"http://index.docker.io/v1/", REGISTRY_DOCKER_HUB},
                {"index.docker.io/v1/", REGISTRY_DOCKER_HUB},
                {"index.docker.io", REGISTRY_DOCKER_HUB},
                {"docker.io", REGISTRY_DOCKER_HUB},
                {"https://docker.io", REGISTRY_DOCKER_HUB},
                {"https://docker.io/", REGISTRY_DOCKER_HUB},
                {"registry-1.docker.io", REGISTRY_DOCKER_HUB},
                {"https://registry-1.docker.io/v2/", REGISTRY_DOCKER_HUB},
                /* Not Docker Hub. */
                {"docker.io.example", "docker.io.example"},
                {"mydocker.io", "mydocker.io"},
                {"docker.io:5000", "docker.io:5000"},
                {"docker.io/team", "docker.io/team"},
        };

        check(cases, ELEMENTSOF(cases));
}

static void test_others(void **state _unused_) {
        static const Case cases[] = {
                {"registry.example", "registry.example"},
                {"https://registry.example", "registry.example"},
                {"http://registry.example", "registry.example"},
                {"HTTPS://Registry.Example", "Registry.Example"},
                {"registry.example/", "registry.example"},
                {"registry.example///", "registry.example"},
                {"https://registry.example/v1/", "registry.example"},
                {"https://registry.example/v2/", "registry.example"},
                {"https://registry.example/v2", "registry.example"},
                {"registry.example/v3/", "registry.example/v3"},
                {"registry.example:5000", "registry.example:5000"},
                {"https://registry.example:5000/v2/", "registry.example:5000"},
                {"Registry.Example/Team", "Registry.Example/Team"},
                {"registry.example/team/v2/app", "registry.example/team/v2/app"},
                {"registry.example/team/v2", "registry.example/team/v2"},
                {"registry.example/v1/v2", "registry.example/v1/v2"},
                {"registry.example/v2//v1/", "registry.example/v2//v1"},
                /* Its own name in an image is registry.hub.docker.com/..., which the agent looks up by host. */
                {"registry.hub.docker.com", "registry.hub.docker.com"},
                {"registry.example/teamv2", "registry.example/teamv2"},
                {"localhost:5000", "localhost:5000"},
                {"127.0.0.1:5000", "127.0.0.1:5000"},
                {"[::1]:5000", "[::1]:5000"},
                {"https://[2001:DB8::1]:5000/v2/", "[2001:DB8::1]:5000"},
                {"v2", "v2"},
                {"v1.example", "v1.example"},
                {"b\xc3\xbc"
                 "cher.example",
                 "b\xc3\xbc"
                 "cher.example"},
        };

        check(cases, ELEMENTSOF(cases));
}

static void test_docker_own(void **state _unused_) {
        static const char *const own[] = {"https://index.docker.io/v1/access-token",
                                          "https://index.docker.io/v1/refresh-token",
                                          "http://index.docker.io/v1/access-token/",
                                          "index.docker.io/v1/access-token",
                                          "HTTPS://index.docker.io/v1/refresh-token",
                                          "hub-tool",
                                          "hub-tool-token",
                                          "hub-tool-refresh-token"};
        static const char *const others[] = {REGISTRY_DOCKER_HUB, "https://index.docker.io/v1/user",
                                             "r.example/v1/access-token", "hub-tool.example"};

        for (size_t i = 0; i < ELEMENTSOF(own) + ELEMENTSOF(others); i++) {
                const bool expected = i < ELEMENTSOF(own);
                _cleanup_free_ char *name = NULL;

                assert_int_equal(registry_normalize(expected ? own[i] : others[i - ELEMENTSOF(own)], &name), 0);
                assert_int_equal(registry_is_docker_own(name), expected);
        }
}

static void test_patterns(void **state _unused_) {
        static const struct {
                const char *registry, *pattern;
                int matches;
        } cases[] = {
                {"r.example", "r.example", 1},
                {"r.example", "*.example", 1},
                {"r.example", "R.Example", 1},
                {"r.example", "https://r.example/v2/", 1},
                {"r.example/team", "r.example", 1},
                {"r.example/team", "r.example/team", 1},
                {"r.example/team", "r.example/t*", 1},
                {"r.example", "r.example/team", 0},
                {"r.example:5000", "r.example", 0},
                {"r.example/x.amazonaws.com", "*.amazonaws.*", 0},
                {REGISTRY_DOCKER_HUB, "docker.io", 1},
                {REGISTRY_DOCKER_HUB, "index.docker.io", 1},
                {REGISTRY_DOCKER_HUB, "https://index.docker.io/v1/", 1},
                {"index.docker.io/v1/user", "docker.io", 0},
                {"r.example", "me:pw@r.example", 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char *const exclude[] = {(char *) "other.example", (char *) cases[i].pattern, NULL};

                if (registry_matches(cases[i].registry, cases[i].pattern) != cases[i].matches)
                        fail_msg("%s, %s", cases[i].registry, cases[i].pattern);
                assert_int_equal(registry_is_excluded(cases[i].registry, exclude), cases[i].matches);
        }
        assert_int_equal(registry_is_excluded("r.example", NULL), 0);
}

static void test_refused(void **state _unused_) {
        static const Case cases[] = {
                {"", NULL},
                {"/", NULL},
                {"https://", NULL},
                {"https:///", NULL},
                {"https:///v2/", NULL},
                {"/team", NULL},
                {":5000", NULL},
                {"https://:5000/x", NULL},
                {"http://https://x", NULL},
                {"https://me:hunter2@registry.example", NULL},
                {"https://me:hunter/2@registry.example", NULL}, /* a slash in a password */
                {"registry.example/team@x", NULL},
                {"\xe0\x80\x80", NULL},
                {"\xed\xa0\x80", NULL},
                {"\xf4\x90\x80\x80", NULL},
                {"\xf5\x80\x80\x80", NULL},
                {" registry.example", NULL},
                {"registry.example ", NULL},
                {"registry example", NULL},
                {"registry.example\nECS_CLUSTER=x", NULL},
                {"registry.example\r", NULL},
                {"registry.example\t", NULL},
                {"registry.example\x7f", NULL},
                {"registry.example\x1b", NULL},
                {"registry\"example", NULL},
                {"registry'example", NULL},
                {"registry`example", NULL},
                {"registry\\example", NULL},
                /* Not UTF-8. */
                {"\xff", NULL},
                {"\x80", NULL},
                {"\xc0\xaf", NULL},
                {"\xc3", NULL},
                {"\xe2\x82", NULL},
                {"\xf0\x9f\x90", NULL},
                {"\xc3(", NULL},
        };

        check(cases, ELEMENTSOF(cases));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_docker_hub), cmocka_unit_test(test_others),   cmocka_unit_test(test_refused),
                cmocka_unit_test(test_docker_own), cmocka_unit_test(test_patterns),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
