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

static void test_looking_keeps_no_key(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "digest.key");
        static const DigestKey zero;
        DigestKey first = {{0}}, second = {{0}};

        assert_int_equal(digest_key_look(&first), 0);
        assert_memory_not_equal(&first, &zero, sizeof(first));
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(digest_key_load(&first), 0);
        assert_int_equal(digest_key_look(&second), 0);
        assert_memory_equal(&first, &second, sizeof(first));
}

static void test_key_outlives_us(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "digest.key"), *lock = unit_path(*state, "digest.lock");
        static const DigestKey zero;
        DigestKey first = {{0}}, second = {{0}};
        struct stat st;

        assert_int_equal(digest_key_load(&first), 0);
        assert_memory_not_equal(&first, &zero, sizeof(first));
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        assert_int_equal(st.st_size, 2 * sizeof(first)); /* hexadecimal */
        assert_int_equal(digest_key_load(&second), 0);
        assert_memory_equal(&first, &second, sizeof(first));
        /* Only the lock is beside it. */
        assert_int_equal(unlink(path), 0);
        assert_int_equal(unlink(lock), 0);
        assert_int_equal(rmdir(*state), 0);
        assert_int_equal(mkdir(*state, 0700), 0);
}

/* One that others know, or that is none, is replaced. */
static void test_key_that_is_none(void **state) {
        static const struct {
                const char *text;
                mode_t mode;
        } table[] = {
                {"0123456789abcdef0123456789abcdef", 0644}, /* long enough */
                {"0123456789abcdef0123456789abcde", 0600},  /* a byte short */
                {"", 0600},
        };
        _cleanup_free_ char *path = unit_path(*state, "digest.key");

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                DigestKey first = {{0}}, second = {{0}};
                struct stat st;

                (void) unlink(path);
                unit_write_file(path, table[i].text);
                assert_int_equal(chmod(path, table[i].mode), 0);
                assert_int_equal(digest_key_load(&first), 0);
                assert_memory_not_equal(&first, "0123456789abcdef0123456789abcdef", sizeof(first));
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode, S_IFREG | 0600);
                assert_int_equal(digest_key_load(&second), 0);
                assert_memory_equal(&first, &second, sizeof(first));
        }
}

/* It lives as long as the process. */
static void test_key_that_cannot_be_kept(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "file"), *below = unit_path(*state, "file/state");
        DigestKey first = {{0}}, second = {{0}};

        unit_write_file(path, "");
        assert_int_equal(setenv("STATE_DIRECTORY", below, true), 0);
        assert_int_equal(digest_key_load(&first), 0);
        assert_int_equal(digest_key_load(&second), 0);
        assert_memory_not_equal(&first, &second, sizeof(first));
}

static void test_hexadecimal(void **state _unused_) {
        static const char good[] = "00ff7f80000000000000000000000000000000000000000000000000000000a1";
        static const char *const bad[] = {"",
                                          "00",
                                          "00ff7f80000000000000000000000000000000000000000000000000000000a",
                                          "00ff7f80000000000000000000000000000000000000000000000000000000a1f",
                                          "00ff7f80000000000000000000000000000000000000000000000000000000A1",
                                          "00ff7f8000000000000000000000000000000000000000000000000000000 a1"};
        char text[2 * sizeof(Digest) + 1];
        Digest d = {{0}}, untouched;

        assert_int_equal(digest_from_hex(good, &d), 0);
        assert_int_equal(d.bytes[1], 0xff);
        assert_int_equal(d.bytes[31], 0xa1);
        digest_to_hex(&d, text);
        assert_string_equal(text, good);
        untouched = d;
        for (size_t i = 0; i < ELEMENTSOF(bad); i++)
                assert_int_equal(digest_from_hex(bad[i], &d), -EBADMSG);
        assert_true(digest_equal(&d, &untouched));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_make_state_directory, unit_remove_state_directory)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_is_hmac_sha256),
                cmocka_unit_test(test_depends_on_key_and_data),
                cmocka_unit_test(test_last_byte_counts),
                cmocka_unit_test(test_keys_are_random),
                TEST(test_looking_keeps_no_key),
                TEST(test_key_outlives_us),
                TEST(test_key_that_is_none),
                TEST(test_key_that_cannot_be_kept),
                cmocka_unit_test(test_hexadecimal),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
