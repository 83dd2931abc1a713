/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/gather.h"
#include "credentials/registry-name.h"

static void test_which_counts(void **state _unused_) {
        static HelperLifetime items[] = {
                {(char *) "*.azurecr.io", 1},    {NULL, 2},
                {(char *) "team.azurecr.io", 3}, {(char *) "*", 4},
                {(char *) "gcr.io/project*", 5}, {(char *) "*.gcr.io", 6},
                {(char *) "docker.io", 7},       {(char *) "r[0-9].example", 8},
                {(char *) "r?.example*", 9},     {(char *) "r.example:5000", 10},
                {(char *) "twice.example", 11},  {(char *) "twice.example", 12},
                {(char *) "zero.example", 0},    {(char *) "https://url.example/v2/", 13},
                {(char *) "eu.few.example", 14}, {(char *) "e?.few.example", 15},
        };
        static const CredentialSettings settings = {.helper_lifetimes = {items, ELEMENTSOF(items)}};
        static const struct {
                const char *registry;
                uint64_t usec;
        } table[] = {
                {"other.azurecr.io", 1},     {"team.azurecr.io", 3},    {"team.azurecr.io/x", 3},
                {"anything.example", 4},     {"gcr.io/project-x/y", 5}, {"eu.gcr.io", 6},
                {REGISTRY_DOCKER_HUB, 7},    {"r1.example", 8},         {"rx.example", 9},
                {"r.example:5000/team", 10}, {"twice.example", 12},     {"zero.example", 0},
                {"url.example", 13},         {"eu.few.example", 14},    {"eu.few.example/x", 14},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (helper_lifetime_usec(&settings, table[i].registry) != table[i].usec)
                        fail_msg("%s: %d", table[i].registry, (int) helper_lifetime_usec(&settings, table[i].registry));
}

/* Its name is a URL. */
static void test_docker_hub(void **state _unused_) {
        static const char *const patterns[] = {"docker.io", "*docker.io", "index.docker.io/v*", REGISTRY_DOCKER_HUB};

        for (size_t i = 0; i < ELEMENTSOF(patterns); i++) {
                HelperLifetime item = {(char *) patterns[i], 1};
                const CredentialSettings settings = {.helper_lifetimes = {&item, 1}};

                if (helper_lifetime_usec(&settings, REGISTRY_DOCKER_HUB) != 1)
                        fail_msg("%s", patterns[i]);
        }
}

static void test_the_one_for_all(void **state _unused_) {
        static HelperLifetime items[] = {{NULL, 1}, {(char *) "a", 2}, {NULL, 3}};
        static const CredentialSettings settings = {.helper_lifetimes = {items, ELEMENTSOF(items)}}, none = {0};

        assert_int_equal(helper_lifetime_usec(&settings, "r.example"), 3);
        assert_int_equal(helper_lifetime_usec(&settings, "a"), 2);
        assert_int_equal(helper_lifetime_usec(&none, "r.example"), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_which_counts),
                cmocka_unit_test(test_docker_hub),
                cmocka_unit_test(test_the_one_for_all),
        };

        return cmocka_run_group_tests_name("helper-lifetime", tests, NULL, NULL);
}
