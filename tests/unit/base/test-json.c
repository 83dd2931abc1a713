/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/json.h"

/* With sanitizers each allocation takes more, and what is freed stays for a while. */
#ifdef __SANITIZE_ADDRESS__
#define MEMORY_FACTOR 4
#else
#define MEMORY_FACTOR 1
#endif

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

/* [x,x,x,...] of about so many bytes. */
static char *repeat(const char *element, size_t size) {
        const size_t length = strlen(element), n = size / (length + 1);
        char *text = malloc(n * (length + 1) + 2), *end = text;

        assert_non_null(text);
        *end++ = '[';
        for (size_t i = 0; i < n; i++) {
                memcpy(end, element, length);
                end += length;
                *end++ = i + 1 < n ? ',' : ']';
        }
        *end = 0;
        return text;
}

static size_t allocated(void) {
        struct mallinfo2 m = mallinfo2();

        return m.uordblks + m.hblkhd;
}

/* In a process of its own: the whole 8 MB, and as much of it as is taken. */
static _Noreturn void parse_much(const char *element) {
        char *text = repeat(element, 8 * 1024 * 1024 - 16);
        size_t length = strlen(element) + 1, n = strlen(text) / length, before = allocated();
        json_object *o = NULL;
        struct rusage usage;
        int r;

        while ((r = json_parse_answer(text, &o)) == -EFBIG) {
                n -= n / 4 + 1;
                (void) strcpy(text + n * length, "]"); /* NOLINT */
        }
        if (r != 0)
                _exit(2);
        if (allocated() > before + JSON_ANSWER_MEMORY_MAX)
                _exit(3);
        if (getrusage(RUSAGE_SELF, &usage) < 0 || usage.ru_maxrss > MEMORY_FACTOR * 64L * 1024) {
                (void) fprintf(stderr, "%s: %ld KB\n", element, usage.ru_maxrss);
                _exit(4);
        }
        _exit(0);
}

/* 8 MB of "{}," took 1 GB. */
static void test_memory(void **state _unused_) {
        /* NOLINTBEGIN(bugprone-suspicious-missing-comma) */
        static const char *const table[] = {
                "{}",
                "[]",
                "1",
                "null",
                "1.5",
                "\"a\"",
                "[[[[[[[[[[[[]]]]]]]]]]]]",
                "{\"a\":{\"a\":{\"a\":{}}}}",
                "{\"a\":1}",
                "[1]",
                "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":1,\"k\":1}",
                ("{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8,\"i\":9,\"j\":1,\"k\":1,\"l\":1,"
                 "\"m\":1,\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1,\"s\":1,\"t\":1,\"u\":1,\"v\":1}"),
                "\"0123456789012345678901234567890123456789012345678901234567890123456789\"",
        };
        /* NOLINTEND(bugprone-suspicious-missing-comma) */

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                int status;
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0)
                        parse_much(table[i]);
                assert_int_equal(waitpid(pid, &status, 0), pid);
                if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                        fail_msg("%s: %d", table[i], status);
        }
}

/* Without the memory for all of it there is nothing: json-c would leave out what it finds none for. AddressSanitizer
 * maps more than the limit allows for: `make coverage` runs this one. */
static void test_no_memory(void **state _unused_) {
#ifndef __SANITIZE_ADDRESS__
        int status;
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
                const struct rlimit little = {16 * 1024 * 1024, 16 * 1024 * 1024};
                char *text = repeat("{\"a\":1}", 256 * 1024);
                json_object *o = NULL;

                if (setrlimit(RLIMIT_DATA, &little) < 0)
                        _exit(2);
                _exit(json_parse_answer(text, &o) == -ENOMEM && !o ? 0 : 1);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
#endif
}

static void test_answers(void **state _unused_) {
        static const char *const taken[] = {"{}", " [1] x", "{} {", "1,", "\"a\"b", "null\n"};
        static const char *const refused[] = {"", "{", "{'a':1}", "[1,]", "[\"a", "{\"a\" 1}", "// x\n{}"};
        json_object *o = NULL;

        for (size_t i = 0; i < ELEMENTSOF(taken); i++) {
                if (json_parse_answer(taken[i], &o) != 0)
                        fail_msg("refused: %s", taken[i]);
                json_object_put(STEAL_POINTER(o));
        }
        for (size_t i = 0; i < ELEMENTSOF(refused); i++)
                if (json_parse_answer(refused[i], &o) != -EBADMSG)
                        fail_msg("taken: %s", refused[i]);
}

/* The longest credential file that is read, of registries as they are called, is taken; one of nothing but brackets is
 * not, and the place is named. */
static void test_memory_of_files(void **state _unused_) {
        const size_t size = 4 * 1024 * 1024;
        size_t offset = 0, used = 0;
        char *text = repeat("{}", size), *names = malloc(size + 128);
        const char *why = NULL;
        json_object *o = NULL;

        assert_int_equal(json_parse_strict(text, strlen(text), 0, &o, &offset, &why), -EFBIG);
        assert_non_null(why);
        assert_true(offset > 0 && offset < strlen(text));
        free(text);

        for (unsigned i = 0; used < size; i++)
                used += (size_t) sprintf(
                        names + used, /* NOLINT: there is room */
                        "%s\"registry-%u.example.com\":{\"auth\":\"dXNlcm5hbWU6cGFzc3dvcmQtb2YtMjAtYnl0ZXM=\"}",
                        i == 0 ? "{" : ",", i);
        (void) strcpy(names + used, "}"); /* NOLINT */
        assert_int_equal(json_parse_strict(names, used + 1, 0, &o, NULL, NULL), 0);
        free(names);
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

        assert_string_equal(json_field_string(o, "auth"), "2");
        assert_null(json_field_string(o, "email"));
        assert_null(json_field_string(o, "n"));
        assert_null(json_field_string(o, "aut"));
        assert_null(json_field_string(NULL, "auth"));
        assert_int_equal(json_object_get_int(json_field(o, "n", json_type_int)), 1);
}

static void test_find_member(void **state _unused_) {
        static const struct {
                const char *text, *name;
                unsigned nth;
                size_t offset; /* SIZE_MAX: not found */
        } cases[] = {
                {"{\"a\":1,\"b\":2}", "b", 1, 7},
                {"{\"a\":1,\"b\":2}", "B", 1, 7},
                {"{\"a\":1,\"A\":2}", "a", 2, 7},
                {"{\"a\":1,\"A\":2}", "a", 3, SIZE_MAX},
                {"{\"a\":1, \"\\u0041\":2}", "a", 2, 8},
                {"{\"x\\u0061y\":1}", "xay", 1, 1},
                {"{\"\\u00e4\":1}", "a", 1, SIZE_MAX},
                {"{\"\\n\":1}", "n", 1, SIZE_MAX},
                {"{\"ab\":1}", "a", 1, SIZE_MAX},
                {"{\"a\":1}", "ab", 1, SIZE_MAX},
                {"{\"a\\\"b\":1,\"b\":2}", "a\"b", 1, SIZE_MAX},
                {"{\"k\xc3\xa4\":1}", "k\xc3\xa4", 1, 1},
                /* Neither in an inner object nor in a list, nor as a value. */
                {"{\"x\":{\"a\":1},\"y\":[{\"a\":1}],\"z\":\"a\"}", "a", 1, SIZE_MAX},
                {"[{\"a\":1}]", "a", 1, SIZE_MAX},
                {"{", "a", 1, SIZE_MAX},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                size_t offset = SIZE_MAX;

                assert_int_equal(
                        json_find_member(cases[i].text, strlen(cases[i].text), cases[i].name, cases[i].nth, &offset),
                        cases[i].offset != SIZE_MAX);
                assert_true(offset == cases[i].offset);
        }
}

/* json-c prints what it has memory for, and says in errno alone that it is not all. */
static int printing_error;

const char *json_object_to_json_string_ext(json_object *o, int flags) {
        const char *text = json_object_to_json_string_length(o, flags, NULL);

        if (printing_error != 0)
                errno = printing_error;
        return text;
}

static void test_text(void **state _unused_) {
        _cleanup_json_ json_object *o = json_tokener_parse("{\"a\":[1,\"b\"]}");

        printing_error = ENOMEM;
        assert_null(json_to_text(o, JSON_C_TO_STRING_PLAIN));
        /* Any other is no matter of the text, and one of before says nothing. */
        printing_error = EINVAL;
        assert_string_equal(json_to_text(o, JSON_C_TO_STRING_PLAIN), "{\"a\":[1,\"b\"]}");
        printing_error = 0;
        errno = ENOMEM;
        assert_string_equal(json_to_text(o, JSON_C_TO_STRING_PLAIN), "{\"a\":[1,\"b\"]}");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_go_takes),    cmocka_unit_test(test_what_go_refuses),
                cmocka_unit_test(test_flags_and_bounds), cmocka_unit_test(test_utf8),
                cmocka_unit_test(test_members),          cmocka_unit_test(test_fields),
                cmocka_unit_test(test_find_member),      cmocka_unit_test(test_memory),
                cmocka_unit_test(test_no_memory),        cmocka_unit_test(test_answers),
                cmocka_unit_test(test_memory_of_files),  cmocka_unit_test(test_text),
        };

        return cmocka_run_group_tests_name("json", tests, NULL, NULL);
}
