/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json.h"

static void test_what_go_takes(void **state _unused_) {
        static const char *const table[] = {
                "{}",
                " {} ",
                "{}\n",
                "[1, 2]\r\n\t",
                "\"x\"",
                "{\"it's\": \"o'clock \\\"'\"}",
                "1",
                "-0",
                "0.5",
                "[-1.5E-3, 1e+5, 20]",
                "[true,false,null]",
                "true",
                "[[],[[]],{\"a\":{}}]",
                "\"\\/\\b\\f\\n\\r\\t\\u00e4\\ud83d\\udd11\"",
                /* json-c 0.18 takes no byte beyond ASCII where it is strict. */
                "{\"auths\":{\"r.example\":{\"username\":\"p\xc3\xa4ul\",\"password\":\"\xe2\x82\xac \xf0\x9f\x94\x91\"}}}",
                "{\"\xc3\xa4\":\"\x7f\"}",
                "{\"a\":1,\"a\":2}",
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_object *o = NULL;

                if (json_parse_strict(table[i], strlen(table[i]), JSON_TOKENER_VALIDATE_UTF8, &o, NULL, NULL) != 0)
                        fail_msg("refused: %s", table[i]);
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
                {"[", 1},
                {"\"a", 2},
                {"{\"a\":1", 6},
                {"{\"a\"", 4},
                {"{\"a\":", 5},
                {"{\"a\":1} x", 8},
                {"{} {}", 3},
                {"{}}", 2},
                {"{]", 1},
                {"[}", 1},
                {"[1}", 2},
                {"{\"a\":1]", 6},
                {"{\"a\":1,}", 7},
                {"{,}", 1},
                {"[1,]", 3},
                {"[,1]", 1},
                {"[1 2]", 3},
                {"{\"a\":1 \"b\":2}", 7},
                {"/* */ {}", 0},
                {"// x\n{}", 0},
                {"{} // x", 3},
                {"[1, /* x */ 2]", 4},
                {"# x\n{}", 0},
                {"{'a':1}", 1},
                {"{a:1}", 1},
                {"{1:1}", 1},
                {"{\"a\":'b'}", 5},
                {"{\"a\" 1}", 5},
                {"{\"a\"=1}", 4},
                {"{\"a\":tru}", 5},
                {"[True]", 1},
                {"[TRUE]", 1},
                {"[NULL]", 1},
                {"[nul]", 1},
                {"[nullx]", 5},
                {"[NaN]", 1},
                {"[nan]", 1},
                {"[Infinity]", 1},
                {"[-Infinity]", 2},
                {"{\"a\":01}", 6},
                {"[-01]", 3},
                {"[1.]", 3},
                {"[.5]", 1},
                {"[+1]", 1},
                {"[-]", 2},
                {"[1e]", 3},
                {"[1e+]", 4},
                {"[1.e5]", 3},
                {"[0x10]", 2},
                {"[1.5.2]", 4},
                {"\"a\nb\"", 2},
                {"\"a\tb\"", 2},
                {"\"a\x01\"", 2},
                {"\"\\x41\"", 2},
                {"\"\\'\"", 2},
                {"\"\\u12\"", 5},
                {"\"\\u12g4\"", 5},
                {"\"\\", 2},
                {"\xef\xbb\xbf{}", 0},
                {"\x0b{}", 0},
                {"{\"a\":1,\"b\\u0000c\" :2}", 10},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                json_object *o = NULL;
                const char *why = NULL;
                size_t offset = 99;

                if (json_parse_strict(table[i].text, strlen(table[i].text), 0, &o, &offset, &why) != -EBADMSG)
                        fail_msg("taken: %s", table[i].text);
                assert_null(o);
                assert_non_null(why);
                if (offset != table[i].offset)
                        fail_msg("%s: at %zu: %s", table[i].text, offset, why);
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
        assert_int_equal(json_parse_strict(deep + 18, 64, 0, &o, NULL, NULL), 0);
        json_object_put(o);
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

static void test_fields(void **state _unused_) {
        _cleanup_json_ json_object *o = json_tokener_parse(
                "{\"auth\":\"1\",\"Auth\":\"2\",\"AUTH\":null,\"Email\":\"\",\"email\":\"x\",\"EMAIL\":\"\",\"n\":1,\"N\":null}");
        json_object *value;

        assert_string_equal(json_field_string(o, "auth"), "2");
        assert_null(json_field_string(o, "email"));
        assert_null(json_field_string(o, "n"));
        assert_null(json_field_string(o, "aut"));
        assert_null(json_field_string(NULL, "auth"));
        assert_int_equal(json_object_get_int(json_field(o, "n", json_type_int)), 1);
        assert_true(json_field_last(o, "n", &value));
        assert_null(value);
        assert_false(json_field_last(o, "m", &value));
        assert_false(json_field_last(NULL, "m", &value));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_go_takes),    cmocka_unit_test(test_what_go_refuses),
                cmocka_unit_test(test_flags_and_bounds), cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_members),          cmocka_unit_test(test_fields),
        };

        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
