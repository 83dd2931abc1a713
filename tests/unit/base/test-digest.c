/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/digest.h"

static void test_is_hmac_sha256(void **state _unused_) {
        /* printf '' | openssl dgst -sha256 -mac HMAC -macopt hexkey:(64 zeros) */
        static const Digest expected = {{0xb6, 0x13, 0x67, 0x9a, 0x08, 0x14, 0xd9, 0xec, 0x77, 0x2f, 0x95,
                                         0xd7, 0x78, 0xc3, 0x5f, 0xc5, 0xff, 0x16, 0x97, 0xc4, 0x93, 0x71,
                                         0x56, 0x53, 0xc6, 0xc7, 0x12, 0x14, 0x42, 0x92, 0xc5, 0xad}};
        static const DigestKey zero;
        Digest d;

        assert_int_equal(digest_compute(&zero, "", 0, &d), 0);
        assert_true(digest_equal(&d, &expected));
}

static void test_depends_on_key_and_data(void **state _unused_) {
        static const DigestKey one = {{1}}, two = {{2}};
        Digest a, b, c, d;

        assert_int_equal(digest_compute(&one, "ab", 2, &a), 0);
        assert_int_equal(digest_compute(&one, "ab", 2, &b), 0);
        assert_int_equal(digest_compute(&one, "ac", 2, &c), 0);
        assert_int_equal(digest_compute(&two, "ab", 2, &d), 0);
        assert_true(digest_equal(&a, &b));
        assert_false(digest_equal(&a, &c));
        assert_false(digest_equal(&a, &d));
}

static void test_last_byte_counts(void **state _unused_) {
        Digest a = {{0}}, b = {{0}};

        b.bytes[sizeof(b.bytes) - 1] = 1;
        assert_false(digest_equal(&a, &b));
}

static void test_keys_are_random(void **state _unused_) {
        static const DigestKey zero;
        DigestKey a = {{0}}, b = {{0}};

        assert_int_equal(digest_key_generate(&a), 0);
        assert_int_equal(digest_key_generate(&b), 0);
        assert_memory_not_equal(&a, &b, sizeof(a));
        assert_memory_not_equal(&a, &zero, sizeof(a));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_is_hmac_sha256),
                cmocka_unit_test(test_depends_on_key_and_data),
                cmocka_unit_test(test_last_byte_counts),
                cmocka_unit_test(test_keys_are_random),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
