/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/clock.h"

/* In milliseconds: how far an offset that is that much wrong is off after it was measured. */
static long measured(int64_t wrong_by_ms) {
        int64_t right = 0, offset;

        clock_measure_offset(&right);
        offset = right + wrong_by_ms * (int64_t) USEC_PER_MSEC;
        clock_measure_offset(&offset);
        return labs((long) (offset - right) / (long) USEC_PER_MSEC);
}

static void test_what_is_nearly_right_stays(void **state _unused_) {
        assert_int_equal(measured(0), 0);
        assert_int_equal(measured(100), 100);
        assert_int_equal(measured(-100), 100);
}

static void test_a_clock_that_was_set_counts(void **state _unused_) {
        assert_true(measured(3600 * 1000) < 100);
        assert_true(measured(-1000) < 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_nearly_right_stays),
                cmocka_unit_test(test_a_clock_that_was_set_counts),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
