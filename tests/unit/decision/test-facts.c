/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "decision/facts.h"

#define SECONDS(n) ((n) *USEC_PER_SEC)

/* test-every-history plays whole histories; here is what single events change. */

static const Digest A = {{1}}, B = {{2}};

static SyncReport written(const Digest *digest) {
        return (SyncReport){.outcome = SYNC_WRITTEN, .digest_known = true, .digest = *digest};
}

static void test_wake(void **state _unused_) {
        Facts f = {0};

        facts_wake(&f, true);
        facts_wake(&f, false);
        assert_true(f.files_stale && f.agent_stale);
        assert_int_equal(facts_begin_write(&f), SYNC_USUAL);
        assert_true(!f.files_stale && f.agent_stale && f.job_running);
        facts_begin_observe(&f);
        assert_false(f.agent_stale);
}

static void test_failed_write_keeps_what_is_known(void **state _unused_) {
        SyncReport good = written(&A), failed = {.outcome = SYNC_FAILED};
        Facts f = {0};

        good.n_registries = 3;
        good.rejected = true;
        (void) snprintf(good.registries, sizeof(good.registries), "x");
        facts_end_write(&f, &good, SECONDS(5));
        assert_int_equal(f.changed_usec, SECONDS(5));
        assert_int_equal(f.needed_usec, SECONDS(5));

        facts_end_write(&f, &failed, SECONDS(9));
        assert_int_equal(f.sync.outcome, SYNC_FAILED);
        assert_true(f.sync.digest_known && f.sync.rejected && digest_equal(&f.sync.digest, &A));
        assert_int_equal(f.sync.n_registries, 3);
        assert_string_equal(f.sync.registries, "x");
        assert_int_equal(f.changed_usec, SECONDS(5));
}

static void test_change_by_somebody_else(void **state _unused_) {
        SyncReport first = written(&A), second = written(&B);
        Facts f = {0};

        facts_end_write(&f, &first, SECONDS(5));
        f.attempt.failures = 3;
        second.outcome = SYNC_UNCHANGED;
        facts_end_write(&f, &second, SECONDS(9));
        assert_int_equal(f.changed_usec, SECONDS(9));
        assert_int_equal(f.needed_usec, SECONDS(5));
        assert_int_equal(f.attempt.failures, 0);
}

static void test_need_is_seen(void **state _unused_) {
        ObserveReport agent = {.agent = AGENT_RUNNING, .digest = A, .answers = true};
        Facts f = {.sync = {.digest_known = true, .digest = B}};

        facts_end_observe(&f, &agent, UNIT_ACTIVE, SECONDS(7));
        assert_int_equal(f.needed_usec, SECONDS(7));
        facts_end_observe(&f, &agent, UNIT_ACTIVE, SECONDS(8));
        assert_int_equal(f.needed_usec, SECONDS(7));
        assert_true(f.sync.last_good_known && digest_equal(&f.sync.last_good, &A));

        /* One that could not be kept is not known. */
        f = (Facts){.sync = {.digest_known = true, .digest = A}};
        agent.keep_error = -ENOSPC;
        facts_end_observe(&f, &agent, UNIT_ACTIVE, SECONDS(7));
        assert_int_equal(f.needed_usec, 0);
        assert_false(f.sync.last_good_known);
}

static void test_ends_of_a_restart(void **state _unused_) {
        static const struct {
                JobOutcome job;
                bool rolls_back;
                AttemptState state;
                AttemptOutcome outcome;
                unsigned failures;
        } table[] = {
                {JOB_DONE, false, ATTEMPT_VERIFYING, OUTCOME_NONE, 0},
                {JOB_UNKNOWN, false, ATTEMPT_VERIFYING, OUTCOME_NONE, 0},
                {JOB_REFUSED, false, ATTEMPT_NONE, OUTCOME_NONE, 1},
                {JOB_REFUSED, true, ATTEMPT_NONE, OUTCOME_NONE, 1},
                {JOB_FAILED, false, ATTEMPT_NONE, OUTCOME_BROKE, 1},
                {JOB_FAILED, true, ATTEMPT_NONE, OUTCOME_GAVE_UP, 1},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Decision d = {.action = ACTION_RESTART, .reason = table[i].rolls_back ? REASON_REPAIR : REASON_NONE};
                Facts f = {.sync = {.digest = B, .rejected = table[i].rolls_back}, .agent = {.container_id = "old"}};

                f.attempt.outcome = OUTCOME_FRUITLESS;
                facts_begin_restart(&f, &d, SECONDS(3));
                assert_int_equal(f.attempt.state, ATTEMPT_JOB);
                assert_int_equal(f.attempt.outcome, OUTCOME_NONE);
                assert_int_equal(f.attempt.started_usec, SECONDS(3));
                assert_true(digest_equal(&f.attempt.digest, &B));
                assert_string_equal(f.attempt.old_container_id, "old");

                facts_end_restart(&f, table[i].job, SECONDS(4));
                assert_int_equal(f.attempt.state, table[i].state);
                assert_int_equal(f.attempt.outcome, table[i].outcome);
                assert_int_equal(f.attempt.failures, table[i].failures);
                assert_true(f.agent_stale);
        }
}

static void test_not_verified(void **state _unused_) {
        static const struct {
                AgentState agent;
                Reason missing;
                bool overtaken;
                AttemptOutcome outcome;
        } table[] = {
                {AGENT_RUNNING, REASON_NO_NEW_CONTAINER, false, OUTCOME_FRUITLESS},
                {AGENT_RUNNING, REASON_OTHER_CREDENTIALS, false, OUTCOME_FRUITLESS},
                {AGENT_RUNNING, REASON_OTHER_CREDENTIALS, true, OUTCOME_NONE},
                {AGENT_STOPPED, REASON_NO_NEW_CONTAINER, false, OUTCOME_BROKE},
                {AGENT_STOPPED, REASON_NOT_RUNNING, true, OUTCOME_BROKE},
                {AGENT_RUNNING, REASON_SILENT, false, OUTCOME_BROKE},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Decision d = {.action = ACTION_NOT_VERIFIED, .reason = table[i].missing};
                Facts f = {.agent = {.agent = table[i].agent}, .attempt = {.state = ATTEMPT_VERIFYING}};

                f.attempt.overtaken = table[i].overtaken;
                assert_true(facts_take_decision(&f, &d, SECONDS(1)));
                assert_int_equal(f.attempt.state, ATTEMPT_NONE);
                assert_int_equal(f.attempt.outcome, table[i].outcome);
                assert_int_equal(f.attempt.failures, 1);
        }
}

static void test_well_again(void **state _unused_) {
        Decision d = {.action = ACTION_DONE, .reason = REASON_ROLLED_BACK};
        Facts f = {.needed_usec = 1, .attempt = {.state = ATTEMPT_VERIFYING, .rolls_back = true, .failures = 2}};

        assert_true(facts_take_decision(&f, &d, SECONDS(1)));
        assert_int_equal(f.attempt.state, ATTEMPT_NONE);
        assert_int_equal(f.attempt.failures, 0);
        assert_false(f.attempt.rolls_back);
        assert_int_equal(f.needed_usec, 0);
        assert_false(facts_take_decision(&f, &d, SECONDS(1)));
}

static void test_retry(void **state _unused_) {
        Facts f = {.attempt = {.outcome = OUTCOME_FRUITLESS}};

        facts_retry(&f);
        assert_int_equal(f.attempt.outcome, OUTCOME_NONE);
        assert_true(f.files_stale);
        assert_int_equal(facts_begin_write(&f), SYNC_RETRY);
        assert_int_equal(facts_begin_write(&f), SYNC_USUAL);

        f = (Facts){.attempt = {.outcome = OUTCOME_GAVE_UP}};
        facts_retry(&f);
        assert_int_equal(f.attempt.outcome, OUTCOME_GAVE_UP);
        assert_int_equal(facts_begin_write(&f), SYNC_USUAL);
}

static void test_since_when_it_waits(void **state _unused_) {
        Decision pending = {.action = ACTION_WAIT, .reason = REASON_TASKS_PENDING};
        Decision job = {.action = ACTION_WAIT, .reason = REASON_JOB_RUNNING}, look = {.action = ACTION_OBSERVE};
        Decision settle = {.action = ACTION_WAIT, .reason = REASON_SETTLE};
        Facts f = {0};

        (void) facts_take_decision(&f, &pending, SECONDS(1));
        (void) facts_take_decision(&f, &look, SECONDS(2));
        (void) facts_take_decision(&f, &job, SECONDS(3));
        (void) facts_take_decision(&f, &pending, SECONDS(4));
        assert_int_equal(f.waiting_since_usec, SECONDS(1));
        (void) facts_take_decision(&f, &settle, SECONDS(5));
        (void) facts_take_decision(&f, &pending, SECONDS(6));
        assert_int_equal(f.waiting_since_usec, SECONDS(6));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_wake),
                cmocka_unit_test(test_failed_write_keeps_what_is_known),
                cmocka_unit_test(test_change_by_somebody_else),
                cmocka_unit_test(test_need_is_seen),
                cmocka_unit_test(test_ends_of_a_restart),
                cmocka_unit_test(test_not_verified),
                cmocka_unit_test(test_well_again),
                cmocka_unit_test(test_retry),
                cmocka_unit_test(test_since_when_it_waits),
        };

        return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
