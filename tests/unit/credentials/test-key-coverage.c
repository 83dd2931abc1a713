/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/key-coverage.h"
#include "credentials/registry-name.h"

static void put(Credentials *c, const char *registry, const char *helper, bool usable) {
        Credential one = {.registry = strdup(registry),
                          .key = strdup(registry),
                          .source = strdup("/f"),
                          .helper = helper ? strdup(helper) : NULL,
                          .username = usable ? strdup("user") : NULL,
                          .password = usable ? strdup("hunter2") : NULL};

        credentials_put(c, &one);
        credentials_sort(c);
}

typedef struct Case {
        const char *key;
        const char *others[3]; /* the other keys that are written */
        KeyCoverage expected;
} Case;

/* tests/conformance/test_key_coverage.py compares the same with the agent's own lookup. */
static const Case cases[] = {
        {REGISTRY_DOCKER_HUB, {0}, KEY_COVERS_HOST},
        {"index.docker.io/v1/", {0}, KEY_COVERS_HOST},
        {"http://index.docker.io/v1/", {0}, KEY_COVERS_HOST},
        {"docker.io", {0}, KEY_COVERS_NOTHING},
        {"docker.io/myorg", {0}, KEY_COVERS_NOTHING},
        {"index.docker.io", {0}, KEY_COVERS_NOTHING},
        {"index.docker.io/v1", {0}, KEY_COVERS_NOTHING},
        {"index.docker.io/v1/user", {REGISTRY_DOCKER_HUB}, KEY_COVERS_NOTHING},
        {"registry-1.docker.io/myorg", {0}, KEY_COVERS_NOTHING},
        {"registry.hub.docker.com", {0}, KEY_COVERS_HOST},
        {"docker.io:443", {0}, KEY_COVERS_HOST},

        {"r.example", {0}, KEY_COVERS_HOST},
        {"r.example", {"r.example/team"}, KEY_COVERS_HOST},
        {"R.Example", {0}, KEY_COVERS_HOST},
        {"r-1.example:5000", {0}, KEY_COVERS_HOST},
        {"r.1-a", {0}, KEY_COVERS_HOST},
        {"localhost", {0}, KEY_COVERS_HOST},
        {"localhost:5000", {0}, KEY_COVERS_HOST},
        {"myserver:5000", {0}, KEY_COVERS_HOST},
        {"127.0.0.1", {0}, KEY_COVERS_HOST},
        {"[2001:db8::1]", {0}, KEY_COVERS_HOST},
        {"[2001:db8::1]:5000", {0}, KEY_COVERS_HOST},

        {"myserver", {0}, KEY_COVERS_NOTHING},
        {"myserver/team", {0}, KEY_COVERS_NOTHING},
        {"localhos", {0}, KEY_COVERS_NOTHING},
        {"localhost1", {0}, KEY_COVERS_NOTHING},
        {"*.example.com", {0}, KEY_COVERS_NOTHING},
        {"*", {0}, KEY_COVERS_NOTHING},
        {"a_b.example", {0}, KEY_COVERS_NOTHING},
        {".example", {0}, KEY_COVERS_NOTHING},
        {"r.example.", {0}, KEY_COVERS_NOTHING},
        {"r..example", {0}, KEY_COVERS_NOTHING},
        {"-r.example", {0}, KEY_COVERS_NOTHING},
        {"r.example-", {0}, KEY_COVERS_NOTHING},
        {"r-.example", {0}, KEY_COVERS_NOTHING},
        {"r.-example", {0}, KEY_COVERS_NOTHING},
        {"r.example:", {0}, KEY_COVERS_NOTHING},
        {"r.example:/x", {0}, KEY_COVERS_NOTHING},
        {"r.example:port", {0}, KEY_COVERS_NOTHING},
        {"r.example:1:2", {0}, KEY_COVERS_NOTHING},
        {":5000", {0}, KEY_COVERS_NOTHING},
        {"2001:db8::1", {0}, KEY_COVERS_NOTHING},
        {"[", {0}, KEY_COVERS_NOTHING},
        {"[]", {0}, KEY_COVERS_NOTHING},
        {"[]:1", {0}, KEY_COVERS_NOTHING},
        {"[::1", {0}, KEY_COVERS_NOTHING},
        {"[::1]x", {0}, KEY_COVERS_NOTHING},
        {"m\xc3\xbcller.example", {0}, KEY_COVERS_NOTHING},

        {"r.example/team", {"r.example"}, KEY_COVERS_PATH},
        {"http://r.example/team", {"r.example"}, KEY_COVERS_PATH},
        {"r.example/team/app:1", {"r.example"}, KEY_COVERS_PATH},
        {"r.example/team/app:Tag", {"r.example"}, KEY_COVERS_PATH},
        {"r.example/a_b.c-d/", {"r.example"}, KEY_COVERS_PATH},
        {"r.example/Team", {"r.example"}, KEY_COVERS_NOTHING},
        {"r.example/a//b", {"r.example"}, KEY_COVERS_NOTHING},
        {"r.example/a*", {"r.example"}, KEY_COVERS_NOTHING},

        {"r.example/team", {0}, KEY_COVERS_AS_ONLY},
        {"r.example/Team", {0}, KEY_COVERS_AS_ONLY},
        {"r.example/team", {"s.example", "r.example:1", "r.example.com/team"}, KEY_COVERS_AS_ONLY},

        {"r.example/aa", {"r.example/bb"}, KEY_COVERS_CHANCE},
        {"r.example/a", {"r.example/bb"}, KEY_COVERS_CHANCE},
        {"r.example/a", {"r.example/a/b"}, KEY_COVERS_CHANCE},
        {"r.example/aaa", {"r.example/b", "r.example/ccc"}, KEY_COVERS_CHANCE},
        {"r.example/Team", {"r.example/a"}, KEY_COVERS_CHANCE},
        {"r.example/team", {"r.example/a", "r.example/b"}, KEY_COVERS_PATH_OR_CHANCE},
};

static void test_coverage(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                KeyCoverage coverage;

                put(&c, cases[i].key, NULL, true);
                for (size_t k = 0; k < ELEMENTSOF(cases[i].others) && cases[i].others[k]; k++)
                        put(&c, cases[i].others[k], NULL, true);
                coverage = key_coverage(cases[i].key, &c);
                if (coverage != cases[i].expected)
                        fail_msg("%s: %s", cases[i].key, key_coverage_to_string(coverage));
                assert_int_equal(key_covers_nothing(cases[i].key, &c), coverage == KEY_COVERS_NOTHING);
        }
}

static void test_entry_without_a_secret_does_not_count(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        put(&c, "r.example", NULL, false);
        put(&c, "r.example/other", NULL, false);
        put(&c, "r.example/team", NULL, true);
        assert_int_equal(key_coverage("r.example/team", &c), KEY_COVERS_AS_ONLY);
        assert_int_equal(key_coverage("r.example/other", &c), KEY_COVERS_PATH_OR_CHANCE);
}

static void test_host_that_is_too_long(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        char key[302];

        memset(key, 'a', sizeof(key));
        memcpy(key + 200, ".b", 2);
        key[299] = '/';
        key[301] = 0;
        put(&c, key, NULL, true);
        assert_int_equal(key_coverage(key, &c), KEY_COVERS_AS_ONLY);
}

static void test_describe(void **state _unused_) {
        static const struct {
                const char *key;
                KeyCoverage coverage;
                const char *expected;
        } table[] = {
                {"*.x", KEY_COVERS_NOTHING, "no image"},
                {REGISTRY_DOCKER_HUB, KEY_COVERS_HOST, "all images of Docker Hub"},
                {"r.e:1", KEY_COVERS_HOST, "all images of r.e:1"},
                {"r.e/a", KEY_COVERS_PATH, "only images whose names begin with r.e/a, even r.e/a-x"},
                {"r.e/a", KEY_COVERS_AS_ONLY, "all images of r.e, because no other key has this host"},
                {"r.e/a", KEY_COVERS_CHANCE, "by chance any image of r.e, because no key is the host alone"},
                {"r.e/a", KEY_COVERS_PATH_OR_CHANCE,
                 "images whose names begin with r.e/a, and by chance others of r.e, because no key is the host alone"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char text[256];

                key_coverage_describe(table[i].key, table[i].coverage, text, sizeof(text));
                assert_string_equal(text, table[i].expected);
        }
}

static void test_useless_keys_are_removed(void **state _unused_) {
        static const struct {
                const char *key;
                const char *advice;
        } table[] = {
                {"docker.io/myorg", "Run 'docker logout docker.io/myorg', and then 'docker login' with an account"},
                {"myserver/team", "Run 'docker logout myserver/team' and 'docker login myserver:443'"},
                {"*.example.com", "Delete this entry, and run 'docker login' for each registry, such as "
                                  "'docker login name.example.com'"},
                {"r*", "such as 'docker login name.example.com'"},
                {"*.", "such as 'docker login name.example.com'"},
                {"a_b.example", "its host has only letters"},
                {"r.example/Team", "its path has only a-z"},
                {"a_b", "its host has only letters"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                Problems problems = {0};

                put(&c, "r.example", NULL, true);
                put(&c, table[i].key, NULL, true);
                key_coverage_remove_useless(&c, NULL, &problems);
                assert_int_equal(c.n_items, 1);
                assert_string_equal(c.items[0]->registry, "r.example");
                assert_int_equal(problems.n_items, 1);
                assert_int_equal(problems.items[0].level, LOG_ERR);
                unit_assert_problem(&problems, "/f: no image can use the login '");
                unit_assert_problem(&problems, table[i].advice);
                assert_null(strstr(problems.items[0].text, "hunter2"));
        }
}

static void test_pattern_of_a_helper(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0}, entered = {0};
        Problems problems = {0}, others = {0};

        put(&c, "*.example.com", "some", false);
        key_coverage_remove_useless(&c, NULL, &problems);
        assert_int_equal(c.n_items, 0);
        unit_assert_problem(&problems, "/f: credHelpers has the pattern '*.example.com', but");
        unit_assert_problem(&problems, "docker-credential-some is not asked");
        unit_assert_problem(&problems, "such as \"name.example.com\": \"some\"");

        /* The file has the entry, and a store its secret. */
        put(&entered, "*.example.com", "some", false);
        entered.items[0]->entered = true;
        key_coverage_remove_useless(&entered, NULL, &others);
        unit_assert_problem(&others, "/f: no image can use the login '*.example.com'");
}

static void expect_warnings(const Credentials *c, unsigned n, const char *part) {
        Problems problems = {0};

        key_coverage_warn(c, &problems);
        assert_int_equal(problems.n_items, n);
        if (n > 0)
                assert_int_equal(problems.items[0].level, LOG_WARNING);
        if (part)
                unit_assert_problem(&problems, part);
}

static void test_warnings(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0}, hub = {0};

        put(&c, REGISTRY_DOCKER_HUB, NULL, true);
        put(&c, "docker.io/myorg", NULL, true);
        put(&c, "docker.io/other", NULL, true);
        put(&c, "r.example/a", NULL, true);
        put(&c, "r.example/b", NULL, false);
        put(&c, "s.example/a", NULL, true);
        expect_warnings(&c, 0, NULL);
        put(&c, "r.example/c", NULL, true);
        expect_warnings(&c, 1,
                        "/f: for images of r.example chance decides between the logins r.example/a and r.example/c,");
        put(&c, "r.example/d", NULL, true);
        expect_warnings(&c, 1, "Run 'docker login r.example'");
        put(&c, "s.example/b", NULL, true);
        expect_warnings(&c, 2, "Run 'docker login s.example'");
        put(&c, "r.example", NULL, true);
        put(&c, "s.example", NULL, true);
        expect_warnings(&c, 0, NULL);

        put(&hub, "registry.hub.docker.com", NULL, true);
        expect_warnings(&hub, 1, "no other image of Docker Hub uses it");
        free(hub.items[0]->source);
        hub.items[0]->source = NULL;
        expect_warnings(&hub, 1, "the environment file: the login 'registry.hub.docker.com'");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_coverage),
                cmocka_unit_test(test_entry_without_a_secret_does_not_count),
                cmocka_unit_test(test_host_that_is_too_long),
                cmocka_unit_test(test_describe),
                cmocka_unit_test(test_useless_keys_are_removed),
                cmocka_unit_test(test_pattern_of_a_helper),
                cmocka_unit_test(test_warnings),
        };

        return cmocka_run_group_tests_name("key coverage", tests, NULL, NULL);
}
