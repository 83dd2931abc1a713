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

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(registry_is_local(table[i].host), table[i].local);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_challenge),
                cmocka_unit_test(test_local),
        };

        return cmocka_run_group_tests_name("registrylogin", tests, NULL, NULL);
}
