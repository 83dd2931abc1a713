/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "decision/apply-outcome.h"

#define SECONDS(n) ((n) *USEC_PER_SEC)

enum { DEADLINE = 500 };

static bool tells_of_agent_down(Reason reason) {
        static const Reason reasons[] = {REASON_UNIT_NOT_FOUND,   REASON_UNIT_MASKED, REASON_UNIT_INACTIVE,
                                         REASON_UNIT_BAD_SETTING, REASON_UNIT_FAILED, REASON_UNIT_START_LIMIT,
                                         REASON_AGENT_REFUSED};

        for (size_t i = 0; i < ELEMENTSOF(reasons); i++)
                if (reasons[i] == reason)
                        return true;
        return false;
}

/* For a file that is as it should be, and for one that could not be written; o: open, d: done, f: failed, h: held. */
static void test_outcomes(void **state _unused_) {
        static const struct {
                Action action;
                Reason reason;
                unsigned look_again;
                const char *not_tried, *tried; /* written, failed */
        } table[] = {
                {ACTION_DONE, REASON_LIVE, 0, "df", "df"},
                {ACTION_DONE, REASON_WRITE_ONLY, 0, "df", "df"},
                {ACTION_WAIT, REASON_SILENT, 1, "df", "df"},
                {ACTION_WAIT, REASON_EXITS, 1, "df", "df"},
                {ACTION_WAIT, REASON_IMPOSTOR, 1, "df", "df"},
                /* The agent does not run, and has the credentials when it starts. */
                {ACTION_HOLD, REASON_UNIT_NOT_FOUND, 0, "df", "df"},
                {ACTION_HOLD, REASON_UNIT_MASKED, 0, "df", "df"},
                {ACTION_HOLD, REASON_UNIT_INACTIVE, 0, "df", "df"},
                {ACTION_HOLD, REASON_UNIT_BAD_SETTING, 0, "df", "df"},
                {ACTION_HOLD, REASON_UNIT_FAILED, 0, "df", "df"},
                {ACTION_HOLD, REASON_UNIT_START_LIMIT, 0, "df", "df"},
                {ACTION_HOLD, REASON_AGENT_REFUSED, 1, "df", "df"},
                /* It is held; where the restart was ours, it came to nothing. */
                {ACTION_HOLD, REASON_FILE_UNKNOWN, 0, "hf", "ff"},
                {ACTION_HOLD, REASON_FILE_WRONG, 0, "hf", "ff"},
                {ACTION_HOLD, REASON_ENGINE, 1, "hf", "ff"},
                {ACTION_HOLD, REASON_BUS, 1, "hf", "ff"},
                {ACTION_HOLD, REASON_TASKS, 1, "hf", "ff"},
                {ACTION_HOLD, REASON_TASKS_UNKNOWN, 1, "hf", "ff"},
                {ACTION_HOLD, REASON_UNSAVED_NEVER, 0, "hf", "ff"},
                {ACTION_HOLD, REASON_FRUITLESS, 0, "hf", "ff"},
                {ACTION_HOLD, REASON_NO_RECORD, 1, "ff", "ff"},
                {ACTION_WAIT, REASON_BACKOFF, 1, "hf", "ff"},
                /* It goes on, unless that is beyond the deadline. */
                {ACTION_WAIT, REASON_MIN_INTERVAL, DEADLINE, "oo", "oo"},
                {ACTION_WAIT, REASON_MIN_INTERVAL, DEADLINE + 1, "hf", "hf"},
                {ACTION_WAIT, REASON_SETTLE, DEADLINE + 1, "hf", "hf"},
                {ACTION_WAIT, REASON_LOOKING, 0, "oo", "oo"},
                {ACTION_WAIT, REASON_VERIFYING, 1, "oo", "oo"},
                {ACTION_WAIT, REASON_REGISTERING, 1, "df", "oo"},
                {ACTION_WAIT, REASON_TASKS_ENDED, 1, "oo", "oo"},
                {ACTION_WAIT, REASON_OWED, 1, "oo", "oo"},
                {ACTION_WAIT, REASON_OTHER_INSTANCE, 1, "oo", "oo"},
                {ACTION_WAIT, REASON_UNIT_CHANGING, 1, "oo", "oo"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (unsigned j = 0; j < 4; j++) {
                        bool tried = j >= 2, failed = j % 2 == 1;
                        Decision d = {.action = table[i].action,
                                      .reason = table[i].reason,
                                      .look_again_usec = SECONDS(table[i].look_again)};
                        Facts f = {.file = {.known = true},
                                   .agent.agent = tells_of_agent_down(table[i].reason) ? AGENT_STOPPED : AGENT_RUNNING};
                        const char *expected = tried ? table[i].tried : table[i].not_tried;

                        f.file.sync.outcome = failed ? SYNC_FAILED : SYNC_WRITTEN;
                        assert_int_equal("odfh"[outcome_of(&f, &d, tried, SECONDS(DEADLINE))], expected[failed]);
                }
}

static void test_runs_outside_its_unit(void **state _unused_) {
        const Decision d = {.action = ACTION_HOLD, .reason = REASON_UNIT_INACTIVE};
        const Facts f = {.file = {.known = true, .sync.outcome = SYNC_WRITTEN}, .agent.agent = AGENT_RUNNING};

        assert_int_equal(outcome_of(&f, &d, false, 1), OUTCOME_HELD);
}

static void test_not_over_before_the_jobs_are(void **state _unused_) {
        const Decision d = {.action = ACTION_DONE, .reason = REASON_LIVE};
        Facts f = {.file = {.known = true, .sync.outcome = SYNC_UNCHANGED}};

        assert_int_equal(outcome_of(&f, &d, false, 1), OUTCOME_DONE);
        f.file.known = false;
        assert_int_equal(outcome_of(&f, &d, false, 1), OUTCOME_OPEN);
        f.file.known = f.file.writing = true;
        assert_int_equal(outcome_of(&f, &d, false, 1), OUTCOME_OPEN);
        f.file.writing = false;
        f.file.stale = true;
        assert_int_equal(outcome_of(&f, &d, false, 1), OUTCOME_OPEN);
        f.file.stale = false;
        f.job = true;
        assert_int_equal(outcome_of(&f, &d, false, 1), OUTCOME_OPEN);
}

/* A start that is queued, as in user data before the boot is over, would wait for us. */
static void test_queued_start(void **state _unused_) {
        const Decision d = {.action = ACTION_WAIT, .reason = REASON_UNIT_CHANGING, .look_again_usec = 1};
        Facts f = {.file = {.known = true, .sync.outcome = SYNC_WRITTEN}, .agent.agent = AGENT_ABSENT};

        assert_int_equal(outcome_of(&f, &d, false, SECONDS(9)), OUTCOME_DONE);
        f.record.open = true;
        assert_int_equal(outcome_of(&f, &d, false, SECONDS(9)), OUTCOME_OPEN);
        f.record.open = false;
        f.agent.agent = AGENT_RUNNING;
        assert_int_equal(outcome_of(&f, &d, false, SECONDS(9)), OUTCOME_OPEN);
}

/* An agent that our restart took down is waited for. */
static void test_registration(void **state _unused_) {
        const Decision d = {.action = ACTION_WAIT, .reason = REASON_REGISTERING, .look_again_usec = 1};
        Facts f = {.file = {.known = true, .sync.outcome = SYNC_WRITTEN}, .agent.agent = AGENT_ABSENT};

        assert_int_equal(outcome_of(&f, &d, false, SECONDS(9)), OUTCOME_DONE);
        f.record.open = true;
        assert_int_equal(outcome_of(&f, &d, false, SECONDS(9)), OUTCOME_OPEN);
}

/* Helpers are asked, or are to be; but for one that died over it nobody waits. */
static void test_asking(void **state _unused_) {
        const Decision done = {.action = ACTION_DONE, .reason = REASON_LIVE};
        Facts f = {.file = {.known = true, .sync.outcome = SYNC_UNCHANGED}};

        assert_int_equal(outcome_of(&f, &done, false, UINT64_MAX), OUTCOME_DONE);
        f.file.asking = true;
        assert_int_equal(outcome_of(&f, &done, false, UINT64_MAX), OUTCOME_OPEN);
        f.file.asking = false;
        f.file.ask_all = true;
        assert_int_equal(outcome_of(&f, &done, false, UINT64_MAX), OUTCOME_OPEN);
        f.file.pause_usec = 1;
        assert_int_equal(outcome_of(&f, &done, false, UINT64_MAX), OUTCOME_DONE);
}

static void test_deadline(void **state _unused_) {
        Facts f = {.file.sync.outcome = SYNC_UNCHANGED, .agent.agent = AGENT_RUNNING};

        assert_int_equal(outcome_at_deadline(&f), OUTCOME_HELD);
        f.agent.agent = AGENT_STOPPED;
        assert_int_equal(outcome_at_deadline(&f), OUTCOME_HELD);
        f.record.open = true; /* then it is down because of us */
        assert_int_equal(outcome_at_deadline(&f), OUTCOME_FAILED);
        f.agent.agent = AGENT_ABSENT;
        assert_int_equal(outcome_at_deadline(&f), OUTCOME_FAILED);
        f.agent.agent = AGENT_RUNNING;
        assert_int_equal(outcome_at_deadline(&f), OUTCOME_HELD);
        f = (Facts){.file.sync.outcome = SYNC_FAILED};
        assert_int_equal(outcome_at_deadline(&f), OUTCOME_FAILED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_outcomes),
                cmocka_unit_test(test_asking),
                cmocka_unit_test(test_deadline),
                cmocka_unit_test(test_runs_outside_its_unit),
                cmocka_unit_test(test_not_over_before_the_jobs_are),
                cmocka_unit_test(test_queued_start),
                cmocka_unit_test(test_registration),
        };

        return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
