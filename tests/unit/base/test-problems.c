/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

static void test_text_and_level(void **state _unused_) {
        Problems p = {0};

        problems_add(&p, LOG_WARNING, "%s:%d: %s", "file", 3, "odd");
        problems_add(&p, LOG_ERR, "second");
        assert_int_equal(p.n_items, 2);
        assert_int_equal(p.n_dropped, 0);
        assert_int_equal(p.items[0].level, LOG_WARNING);
        assert_string_equal(p.items[0].text, "file:3: odd");
        assert_int_equal(p.items[1].level, LOG_ERR);
}

static void test_control_characters_are_not_shown(void **state _unused_) {
        Problems p = {0};

        problems_add(&p, LOG_ERR, "%s", "a\nb\x1b[31m\x7f\t\xc3\xa9");
        assert_string_equal(p.items[0].text, "a?b?[31m??\xc3\xa9");
}

static void test_long_text_is_cut(void **state _unused_) {
        Problems p = {0};
        char longer[PROBLEM_TEXT_MAX * 2];

        memset(longer, 'x', sizeof(longer) - 1);
        longer[sizeof(longer) - 1] = 0;
        problems_add(&p, LOG_ERR, "%s", longer);
        assert_int_equal(strlen(p.items[0].text), PROBLEM_TEXT_MAX - 1);
}

static void test_what_does_not_fit_is_counted(void **state _unused_) {
        Problems p = {0};

        for (int i = 0; i < PROBLEMS_MAX + 3; i++)
                problems_add(&p, LOG_ERR, "number %d", i);
        assert_int_equal(p.n_items, PROBLEMS_MAX);
        assert_int_equal(p.n_dropped, 3);
        assert_string_equal(p.items[PROBLEMS_MAX - 1].text, "number 15");
}

static void test_the_worst_are_kept(void **state _unused_) {
        Problems p = {0};

        for (int i = 0; i < PROBLEMS_MAX; i++)
                problems_add(&p, i == 3 ? LOG_WARNING : LOG_INFO, "number %d", i);

        /* It takes the place of the last of the least; one that is no worse takes nobody's. */
        problems_add(&p, LOG_ERR, "worse");
        problems_add(&p, LOG_INFO, "another note");
        assert_int_equal(problems_worst_level(&p), LOG_ERR);
        assert_int_equal(p.n_items, PROBLEMS_MAX);
        assert_int_equal(p.n_dropped, 2);
        assert_string_equal(p.items[PROBLEMS_MAX - 1].text, "worse");
        assert_string_equal(p.items[PROBLEMS_MAX - 2].text, "number 14");

        /* The notes go first, and of the errors none. */
        for (int i = 0; i < PROBLEMS_MAX; i++)
                problems_add(&p, LOG_ERR, "error %d", i);
        for (int i = 0; i < PROBLEMS_MAX; i++)
                assert_int_equal(p.items[i].level, LOG_ERR);
        assert_string_equal(p.items[PROBLEMS_MAX - 1].text, "worse");
        assert_string_equal(p.items[3].text, "error 14");
        assert_int_equal(p.n_dropped, 2 + PROBLEMS_MAX);
}

static void test_equal(void **state _unused_) {
        Problems a = {0}, b = {0};

        assert_true(problems_equal(&a, &b));
        problems_add(&a, LOG_ERR, "x");
        assert_false(problems_equal(&a, &b));
        problems_add(&b, LOG_WARNING, "x");
        assert_false(problems_equal(&a, &b));
        b.items[0].level = LOG_ERR;
        assert_true(problems_equal(&a, &b));
        b.items[0].text[0] = 'y';
        assert_false(problems_equal(&a, &b));
        b.items[0].text[0] = 'x';
        b.n_dropped = 1;
        assert_false(problems_equal(&a, &b));
}

static void test_worst_level(void **state _unused_) {
        Problems p = {0};

        assert_int_equal(problems_worst_level(&p), LOG_DEBUG);
        problems_add(&p, LOG_INFO, "x");
        assert_int_equal(problems_worst_level(&p), LOG_INFO);
        problems_add(&p, LOG_ERR, "y");
        problems_add(&p, LOG_WARNING, "z");
        assert_int_equal(problems_worst_level(&p), LOG_ERR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_text_and_level),     cmocka_unit_test(test_control_characters_are_not_shown),
                cmocka_unit_test(test_long_text_is_cut),   cmocka_unit_test(test_what_does_not_fit_is_counted),
                cmocka_unit_test(test_the_worst_are_kept), cmocka_unit_test(test_equal),
                cmocka_unit_test(test_worst_level),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
