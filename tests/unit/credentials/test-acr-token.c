/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/credentials.h"

#define USER "00000000-0000-0000-0000-000000000000"
#define WORD(s) ((char *) (s))

static const DigestKey key = {{3}};

static void test_token(void **state _unused_) {
        static const struct {
                Credential c;
                bool found;
        } table[] = {
                {{.registry = WORD("x.azurecr.io"), .identity_token = WORD("t")}, true},
                {{.registry = WORD("x.azurecr.io:443/team"), .identity_token = WORD("t")}, true},
                {{.registry = WORD("x.azurecr.cn"), .identity_token = WORD("t")}, true},
                {{.registry = WORD("x.azurecr.us"), .username = WORD(USER), .password = WORD("t")}, true},
                {{.registry = WORD("x.azurecr.de"), .username = WORD("u"), .identity_token = WORD("t")}, true},
                {{.registry = WORD("x.azurecr.io"), .username = WORD(USER), .password = WORD("")}, false},
                {{.registry = WORD("x.azurecr.io"), .username = WORD("u"), .password = WORD("t")}, false},
                {{.registry = WORD("x.azurecr.io")}, false},
                {{.registry = WORD(".azurecr.io"), .identity_token = WORD("t")}, false},
                {{.registry = WORD("azurecr.io"), .identity_token = WORD("t")}, false},
                {{.registry = WORD("x.azurecr.io.example"), .identity_token = WORD("t")}, false},
                {{.registry = WORD("r.example/x.azurecr.io"), .identity_token = WORD("t")}, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *token = acr_token(&table[i].c);

                if (!table[i].found)
                        assert_null(token);
                else
                        assert_string_equal(token, "t");
        }
}

static void test_to_password(void **state _unused_) {
        Credential c = {.registry = strdup("x.azurecr.io"), .username = strdup("u"), .identity_token = strdup("t")};
        const Credential form = acr_token_as_password(&c),
                         other = {.registry = c.registry, .identity_token = WORD("x")};
        Digest before, after;

        assert_string_equal(form.username, USER);
        assert_string_equal(form.password, "t");
        assert_null(form.identity_token);
        credential_digest(&c, &key, &before);
        credential_digest(&form, &key, &after);
        assert_true(digest_equal(&before, &after));
        assert_true(acr_same_login(&c, &form));
        assert_false(acr_same_login(&c, &other));
        assert_false(acr_same_login(&form, &other));
        credential_done(&c);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_token),
                cmocka_unit_test(test_to_password),
        };

        return cmocka_run_group_tests_name("acr token", tests, NULL, NULL);
}
