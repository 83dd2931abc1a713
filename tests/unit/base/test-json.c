/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json.h"

static void test_what_go_takes(void **state _unused_) {
        static const char *const table[] = {"{}",           " {} ",  "{}\n",
                                            "[1, 2]\r\n\t", "\"x\"", "{\"it's\": \"o'clock \\\"'\"}"};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_object *o = NULL;

                assert_int_equal(json_parse_strict(table[i], strlen(table[i]), 0, &o, NULL, NULL), 0);
                assert_non_null(o);
        }
}

static void test_what_go_refuses(void **state _unused_) {
        static const struct {
                const char *text;
                size_t offset;
        } table[] = {
                {"", 0},
                {" \n", 0},
                {"{", 1},
                {"{\"a\":1} x", 8},
                {"{} {}", 3},
                {"{\"a\":1,}", 7},
                {"/* */ {}", 0},
                {"{'a':1}", 1},
                {"{\"a\":'b'}", 5},
                {"{\"a\" 1}", 5},
                {"{\"a\":tru}", 5},
                {"{\"a\":01}", 5},
                {"{\"a\":1,\"b\\u0000c\" :2}", 7},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                json_object *o = NULL;
                const char *why = NULL;
                size_t offset = 99;

                assert_int_equal(json_parse_strict(table[i].text, strlen(table[i].text), 0, &o, &offset, &why),
                                 -EBADMSG);
                assert_null(o);
                assert_non_null(why);
                /* Within a number or a word json-c tells where it ended, not where it began. */
                if (offset < table[i].offset || offset > table[i].offset + 3)
                        fail_msg("%s: at %zu", table[i].text, offset);
        }
}

static void test_flags_and_bounds(void **state _unused_) {
        static const char broken[] = "{\"a\":\"\xff\"}", nul[] = "{\"a\":1}\0x";
        char deep[101];
        json_object *o = NULL;

        assert_int_equal(json_parse_strict(broken, sizeof(broken) - 1, JSON_TOKENER_VALIDATE_UTF8, &o, NULL, NULL),
                         -EBADMSG);
        assert_int_equal(json_parse_strict(nul, sizeof(nul) - 1, 0, &o, NULL, NULL), -EBADMSG);
        memset(deep, '[', 50);
        memset(deep + 50, ']', 50);
        assert_int_equal(json_parse_strict(deep, 100, 0, &o, NULL, NULL), -EBADMSG);
        assert_null(o);
}

static void test_utf8(void **state _unused_) {
        assert_true(json_is_utf8(NULL));
        assert_true(json_is_utf8(""));
        assert_true(json_is_utf8("p\xc3\xa4ss \xe2\x82\xac \xf0\x9f\x94\x91"));
        assert_false(json_is_utf8("\xff"));
        assert_false(json_is_utf8("a\xc3"));
        assert_false(json_is_utf8("\xc0\xaf"));
        assert_false(json_is_utf8("\xed\xa0\x80"));
}

static void test_members(void **state _unused_) {
        _cleanup_json_ json_object *o = json_tokener_parse("{\"s\":\"x\",\"e\":\"\",\"n\":1,\"z\":\"a\\u0000b\"}");

        assert_string_equal(json_get_string(o, "s"), "x");
        assert_null(json_get_string(o, "e"));
        assert_null(json_get_string(o, "n"));
        assert_null(json_get_string(o, "z"));
        assert_null(json_get_string(o, "missing"));
        assert_null(json_get_string(NULL, "s"));
        assert_non_null(json_get(o, "n", json_type_int));
        assert_null(json_get(o, "n", json_type_string));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_go_takes),    cmocka_unit_test(test_what_go_refuses),
                cmocka_unit_test(test_flags_and_bounds), cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_members),
        };

        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
