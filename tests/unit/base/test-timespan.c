/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/timespan.h"

static void test_parse(void **state _unused_) {
        static const struct {
                const char *text;
                int r;
                uint64_t usec;
        } table[] = {
                {"0", 0, 0},
                {"2", 0, 2 * USEC_PER_SEC},
                {"2s", 0, 2 * USEC_PER_SEC},
                {" 2 s ", 0, 2 * USEC_PER_SEC},
                {"1min 30s", 0, 90 * USEC_PER_SEC},
                {"1h30min", 0, 5400 * USEC_PER_SEC},
                {"500ms", 0, 500 * USEC_PER_MSEC},
                {"7us", 0, 7},
                {"2d", 0, 172800 * USEC_PER_SEC},
                {"1w", 0, 604800 * USEC_PER_SEC},
                {"", -EINVAL, 0},
                {"s", -EINVAL, 0},
                {"2x", -EINVAL, 0},
                {"2.5s", -EINVAL, 0},
                {"-2s", -EINVAL, 0},
                {"infinity", -EINVAL, 0},
                {"99999999999999999999", -ERANGE, 0},
                {"9999999w", -ERANGE, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t usec = 0;

                assert_int_equal(timespan_parse(table[i].text, &usec), table[i].r);
                assert_int_equal(usec, table[i].usec);
        }
}

static void test_format(void **state _unused_) {
        static const struct {
                uint64_t usec;
                const char *text;
        } table[] = {
                {0, "0"},
                {7, "7us"},
                {500 * USEC_PER_MSEC, "500ms"},
                {1500 * USEC_PER_MSEC, "1s 500ms"},
                {USEC_PER_SEC - 1, "999ms 999us"},
                {USEC_PER_SEC, "1s"},
                {60 * USEC_PER_SEC, "1min"},
                {90 * USEC_PER_SEC, "1min 30s"},
                {3600 * USEC_PER_SEC, "1h"},
                {3601 * USEC_PER_SEC, "1h 1s"},
                {86460 * USEC_PER_SEC, "1d 1min"},
                {3650 * 86400 * USEC_PER_SEC, "3650d"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char text[TIMESPAN_MAX];
                uint64_t again;

                timespan_format(text, sizeof(text), table[i].usec);
                assert_string_equal(text, table[i].text);
                assert_int_equal(timespan_parse(text, &again), 0);
                assert_int_equal(again, table[i].usec);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_format),
        };

        return cmocka_run_group_tests_name("timespan", tests, NULL, NULL);
}
