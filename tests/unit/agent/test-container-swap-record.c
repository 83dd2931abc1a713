/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <errno.h>

#include "agent/container-swap-record.h"
#include "agent/container-swap.h"

#define LONG_ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const SwapRecord example = {
        .stage = SWAP_STOPPING,
        .container = "ecs-agent",
        .old_id = LONG_ID,
        .new_id = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210",
        .restart_policy = "on-failure",
        .retries = 3,
};

static int setup(void **state) {
        return unit_make_directory(state) < 0 ? -1 : setenv("STATE_DIRECTORY", *state, 1);
}

static void test_there_and_back(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "swap");
        SwapRecord record;
        struct stat st;

        assert_int_equal(swap_record_load(&record), 0);
        assert_false(container_swap_is_pending());

        assert_int_equal(swap_record_save(&example), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(swap_record_load(&record), 1);
        assert_int_equal(record.stage, SWAP_STOPPING);
        assert_string_equal(record.container, example.container);
        assert_string_equal(record.old_id, example.old_id);
        assert_string_equal(record.new_id, example.new_id);
        assert_string_equal(record.restart_policy, "on-failure");
        assert_int_equal(record.retries, 3);

        assert_int_equal(swap_record_remove(), 0);
        assert_int_equal(swap_record_remove(), 0);
        assert_int_equal(swap_record_load(&record), 0);
}

static void test_pending(void **state _unused_) {
        for (int stage = 0; stage < _SWAP_STAGE_MAX; stage++) {
                SwapRecord record = example;

                record.stage = (SwapStage) stage;
                assert_int_equal(swap_record_save(&record), 0);
                assert_int_equal(swap_record_load(&record), 1);
                assert_int_equal(record.stage, stage);
                assert_int_equal(container_swap_is_pending(), stage <= SWAP_UNDOING);
        }
}

static void test_not_a_record(void **state) {
        static const char too_long[] = "{\"stage\":\"stopping\",\"container\":\"a\",\"old\":\"" LONG_ID "0\"}";
        static const char *const table[] = {
                "",
                "{",
                "[]",
                "{\"stage\":\"stopping\"}",
                "{\"stage\":\"later\",\"container\":\"a\"}",
                "{\"stage\":\"stopping\",\"container\":\"a/../b\"}",
                "{\"stage\":\"stopping\",\"container\":\"a\",\"old\":\"x?y\"}",
                too_long,
        };
        _cleanup_free_ char *path = unit_path(*state, "swap");
        SwapRecord record;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                unit_write_file(path, table[i]);
                assert_int_equal(chmod(path, 0600), 0); /* it is what it says, and not who may read it */
                assert_int_equal(swap_record_load(&record), -EBADMSG);
                /* The containers have to be looked at. */
                assert_true(container_swap_is_pending());
        }
}

/* Times can be taken from each other. */
static void test_time_before_all_time(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "swap");
        SwapRecord record;

        unit_write_file(path, "{\"stage\":\"started\",\"container\":\"a\",\"since\":-9223372036854775808}");
        assert_int_equal(chmod(path, 0600), 0);
        assert_int_equal(swap_record_load(&record), 1);
        assert_true(record.since_usec == 0);
}

/* A full disk, a directory that is not there: the one before stays, and nothing is left of the new one. */
static void test_cannot_be_written(void **state) {
        _cleanup_free_ char *in_the_way = unit_path(*state, "swap"), *file = unit_path(*state, "file"),
                            *inside = unit_path(file, "x");

        assert_int_equal(mkdir(in_the_way, 0700), 0);
        assert_true(swap_record_save(&example) < 0);
        assert_int_equal(rmdir(in_the_way), 0);

        unit_write_file(file, "");
        assert_int_equal(setenv("STATE_DIRECTORY", inside, 1), 0);
        assert_int_equal(swap_record_save(&example), -ENOTDIR);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_there_and_back, setup, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_pending, setup, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_not_a_record, setup, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_time_before_all_time, setup, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_cannot_be_written, setup, unit_remove_directory),
        };

        return cmocka_run_group_tests_name("swap-record", tests, NULL, NULL);
}
