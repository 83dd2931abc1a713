/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/log.h"

/* What goes to stderr while the journal is not there, caught in a file. */
static void log_into(const char *path, const char *journal_stream) {
        int saved = dup(STDERR_FILENO);
        FILE *f;

        if (journal_stream)
                assert_int_equal(setenv("JOURNAL_STREAM", journal_stream, 1), 0);

        f = freopen(path, "we", stderr);
        assert_non_null(f);
        log_event(LOG_NOTICE, MESSAGE_LIVE,
                  LOG_FIELDS({"UNIT", "ecs.service"}, {"CLUSTER", NULL}, {"REGISTRY_COUNT", "2"}), "%s runs",
                  "ecs-agent");
        (void) fflush(stderr);
        assert_true(dup2(saved, STDERR_FILENO) >= 0);
        (void) close(saved);
        assert_int_equal(unsetenv("JOURNAL_STREAM"), 0);
}

static void test_plain_line(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "stderr");

        log_into(path, NULL);
        unit_assert_file(path, "ecs-agent runs\n");
}

static void test_line_with_fields(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "stderr");

        assert_int_equal(setenv("ECS_AUTHD_LOG", "fields", 1), 0);
        log_into(path, NULL);
        assert_int_equal(unsetenv("ECS_AUTHD_LOG"), 0);
        unit_assert_file(path, "ecs-agent runs ECS_AUTHD_UNIT=ecs.service ECS_AUTHD_REGISTRY_COUNT=2\n");
}

/* Started below a service, with stderr sent elsewhere: the variable is inherited, the stream is not the journal's. */
static void test_stream_of_somebody_else(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "stderr");

        log_into(path, "1:2");
        unit_assert_file(path, "ecs-agent runs\n");
        log_into(path, "nonsense");
        unit_assert_file(path, "ecs-agent runs\n");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_plain_line, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_line_with_fields, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_stream_of_somebody_else, unit_make_directory,
                                                unit_remove_directory),
        };

        return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
