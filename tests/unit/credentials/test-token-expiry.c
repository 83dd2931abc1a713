/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <openssl/evp.h>

#include "credentials/gather.h"

/* A token with these claims, base64url without padding. */
static char *token_with(const char *claims) {
        size_t n = strlen(claims);
        _cleanup_free_ char *body = calloc(1, 4 * n + 8);
        char *text = NULL;

        assert_non_null(body);
        (void) EVP_EncodeBlock((unsigned char *) body, (const unsigned char *) claims, (int) n);
        body[strcspn(body, "=")] = 0;
        for (char *s = body; *s; s++)
                *s = *s == '+' ? '-' : *s == '/' ? '_' : *s;
        assert_true(asprintf(&text, "eyJhbGciOiJub25lIn0.%s.c2ln", body) > 0);
        return text;
}

static void test_claims(void **state _unused_) {
        static const struct {
                const char *claims;
                int64_t expected; /* 0: it does not say */
        } table[] = {
                {"{\"exp\":1}", 1},
                {"{\"exp\":1764000000}", 1764000000},
                {"{\"exp\":1764000000.75}", 1764000000},
                {"{\"iss\":\"x\",\"exp\":17,\"aud\":[1]}", 17},
                {"{\"exp\":0}", 0},
                {"{\"exp\":-1}", 0},
                {"{\"exp\":0.5}", 0}, /* in the second zero */
                {"{\"exp\":\"17\"}", 0},
                {"{\"exp\":null}", 0},
                {"{\"exp\":[17]}", 0},
                {"{\"Exp\":17}", 0},
                {"{}", 0},
                {"[17]", 0},
                {"{\"exp\":17", 0},
                {"{\"exp\":17}x", 0},
                /* In microseconds it is still a number. */
                {"{\"exp\":1000000000000}", 1000000000000},
                {"{\"exp\":1000000000001}", 0},
                {"{\"exp\":1e300}", 0},
                {"{\"exp\":9223372036854775807}", 0},
                /* Each length of padding, and both characters that base64url has of its own. */
                {"{\"exp\":17,\"a\":\"\"}", 17},
                {"{\"exp\":17,\"a\":\"b\"}", 17},
                {"{\"exp\":17,\"a\":\"bc\"}", 17},
                {"{\"exp\":17,\"a\":\"\xc3\xbe\xc3\xbf?>?>~~~\"}", 17},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *token = token_with(table[i].claims);
                int64_t end = 0;
                int r = jwt_expiry(token, &end);

                if (r != (table[i].expected > 0 ? 0 : -ENODATA) || end != table[i].expected)
                        fail_msg("%s: %d, %lld", table[i].claims, r, (long long) end);
        }
}

/* eyJleHAiOjE3fQ is {"exp":17}. */
static void test_shapes(void **state _unused_) {
        static const struct {
                const char *token;
                int expected;
        } table[] = {
                {"eyJhbGciOiJub25lIn0.eyJleHAiOjE3fQ.c2ln", 0},
                {"eyJhbGciOiJub25lIn0.eyJleHAiOjE3fQ.", 0},     /* unsigned */
                {"eyJhbGciOiJub25lIn0.eyJleHAiOjE3fR.c2ln", 0}, /* with bits at the end that are of no byte */
                {"eyJhbGciOiJub25lIn0.eyJleHAiOjE3fQ", -ENODATA},
                {"eyJhbGciOiJub25lIn0..c2ln", -ENODATA},
                {"a.eyJleHAiOjE3fQ==.c2ln", -ENODATA},
                {"a.eyJleHAiOjE3f.c2ln", -ENODATA}, /* no base64 has such a length */
                {"a.eyJleHAi OjE3fQ.c2ln", -ENODATA},
                {"a.eyJleHAi+jE3fQ.c2ln", -ENODATA},
                {"password", -ENODATA},
                {"pass.word", -ENODATA},
                {"1.2.3", -ENODATA},
                {"a.MT.c2ln", -ENODATA},
                {"a.MTIz.c2ln", -ENODATA}, /* 123 */
                {".", -ENODATA},
                {"", -ENODATA},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                int64_t end = 0;
                int r = jwt_expiry(table[i].token, &end);

                if (r != table[i].expected || end != (r < 0 ? 0 : 17))
                        fail_msg("%s: %d, %lld", table[i].token, r, (long long) end);
        }
}

/* 64 KiB of claims are read; 4 characters more are not. */
static void test_length(void **state _unused_) {
        static const struct {
                size_t characters;
                int expected;
        } table[] = {{65536, 0}, {65540, -ENODATA}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                size_t n = table[i].characters / 4 * 3;
                _cleanup_free_ char *claims = calloc(1, n + 1), *token = NULL;
                int64_t end = 0;

                assert_non_null(claims);
                (void) snprintf(claims, n + 1, "%-*s", (int) n, "{\"exp\":17}");
                token = token_with(claims);
                assert_int_equal(jwt_expiry(token, &end), table[i].expected);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_claims),
                cmocka_unit_test(test_shapes),
                cmocka_unit_test(test_length),
        };

        return cmocka_run_group_tests_name("jwt", tests, NULL, NULL);
}
