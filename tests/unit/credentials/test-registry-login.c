/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/registry-login.h"

/* The registries themselves are in tests/bus/test_check.py. */

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
        assert_false(challenge_parameter(header, "realm", value, 10));
}

static void test_token_is_not_tried(void **state _unused_) {
        char registry[] = "registry.example", token[] = "t", why[64];
        const Credential c = {.registry = registry, .identity_token = token};

        assert_int_equal(registry_login(&c, why, sizeof(why)), -EOPNOTSUPP);
        assert_string_equal(why, "an identity token is not tried");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_challenge),
                cmocka_unit_test(test_token_is_not_tried),
        };

        return cmocka_run_group_tests_name("registrylogin", tests, NULL, NULL);
}
