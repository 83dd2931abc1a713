/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "decision/agent.h"

#define SECONDS(n) ((n) *USEC_PER_SEC)

enum { NOW = 1000 }; /* seconds */

static const Digest OLD = {{1}}, NEW = {{2}};

static Policy usual_policy(void) {
        return (Policy){
                .settings.settle_usec = SECONDS(2),
                .settings.min_interval_usec = SECONDS(60),
                .settings.verify_usec = SECONDS(120),
        };
}

/* A host where everything is as it should be. */
static Facts usual_facts(void) {
        return (Facts){
                .sync = {.outcome = SYNC_UNCHANGED, .digest_known = true, .digest = NEW},
                .agent = {.agent = AGENT_RUNNING, .container_id = "new", .digest = NEW, .answers = true},
                .unit = UNIT_ACTIVE,
        };
}

/* The same, with new credentials in the file that the agent does not have. */
static Facts owed_facts(void) {
        Facts f = usual_facts();

        f.agent.digest = OLD;
        (void) snprintf(f.agent.container_id, sizeof(f.agent.container_id), "old");
        return f;
}

/* Our restart is done, and its effect is looked for. */
static Facts verifying_facts(void) {
        Facts f = usual_facts();

        f.attempt = (Attempt){
                .state = ATTEMPT_VERIFYING,
                .started_usec = SECONDS(NOW - 5),
                .verifying_usec = SECONDS(NOW - 3),
                .digest = NEW,
                .old_container_id = "old",
        };
        return f;
}

static void expect(const Facts *f, const Policy *p, Action action, Reason reason, uint64_t look_again) {
        Decision d = decide(f, p, SECONDS(NOW));

        assert_int_equal(d.action, action);
        assert_int_equal(d.reason, reason);
        assert_int_equal(d.look_again_usec, look_again);
}

static void test_order_of_looking(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = usual_facts();

        f.files_stale = f.agent_stale = f.job_running = true;
        expect(&f, &p, ACTION_WAIT, REASON_JOB_RUNNING, 0);
        f.job_running = false;
        expect(&f, &p, ACTION_WRITE, REASON_NONE, 0);
        f.files_stale = false;
        expect(&f, &p, ACTION_OBSERVE, REASON_NONE, 0);
        f.agent_stale = false;
        expect(&f, &p, ACTION_DONE, REASON_LIVE, 0);
}

static void test_write_only(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        p.settings.method = RESTART_METHOD_NONE;
        f.agent_stale = true; /* nobody has to be asked */
        expect(&f, &p, ACTION_DONE, REASON_WRITE_ONLY, 0);
}

static void test_unreadable_environment_file(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        f.sync.digest_known = false;
        f.sync.outcome = SYNC_FAILED;
        expect(&f, &p, ACTION_DONE, REASON_FILE_UNKNOWN, SECONDS(NOW + 30));
}

static void test_failed_write_is_tried_again(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = usual_facts();

        f.sync.outcome = SYNC_FAILED;
        expect(&f, &p, ACTION_DONE, REASON_LIVE, SECONDS(NOW + 30));
}

static void test_owed_restart(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        expect(&f, &p, ACTION_RESTART, REASON_NONE, 0);
}

static void test_settle(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        f.changed_usec = SECONDS(NOW - 1);
        expect(&f, &p, ACTION_WAIT, REASON_SETTLE, SECONDS(NOW + 1));
        f.changed_usec = SECONDS(NOW - 2);
        expect(&f, &p, ACTION_RESTART, REASON_NONE, 0);

        /* Taken back within the window. */
        f.changed_usec = SECONDS(NOW - 1);
        f.sync.digest = OLD;
        expect(&f, &p, ACTION_DONE, REASON_LIVE, 0);
}

static void test_settling_has_an_end(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        f.changed_usec = SECONDS(NOW);
        f.needed_usec = SECONDS(NOW - 299);
        expect(&f, &p, ACTION_WAIT, REASON_SETTLE, SECONDS(NOW + 1));
        f.needed_usec = SECONDS(NOW - 300);
        expect(&f, &p, ACTION_RESTART, REASON_NONE, 0);
}

static void test_distance_and_backoff(void **state _unused_) {
        static const struct {
                unsigned failures;
                unsigned started_ago, pause;
                Reason reason;
        } table[] = {
                {0, 59, 60, REASON_MIN_INTERVAL}, {1, 59, 60, REASON_BACKOFF},
                {2, 119, 120, REASON_BACKOFF},    {3, 239, 240, REASON_BACKOFF},
                {20, 3599, 3600, REASON_BACKOFF}, {1000000, 3599, 3600, REASON_BACKOFF},
        };
        Policy p = usual_policy();

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = owed_facts();
                uint64_t started = SECONDS(5000);
                Decision d;

                f.attempt.started_usec = started;
                f.attempt.failures = table[i].failures;
                d = decide(&f, &p, started + SECONDS(table[i].started_ago));
                assert_int_equal(d.action, ACTION_WAIT);
                assert_int_equal(d.reason, table[i].reason);
                assert_int_equal(d.look_again_usec, started + SECONDS(table[i].pause));
                d = decide(&f, &p, started + SECONDS(table[i].pause));
                assert_int_equal(d.action, ACTION_RESTART);
        }

        /* Without a distance, failures still keep one. */
        p.settings.min_interval_usec = 0;
        Facts f = owed_facts();
        f.attempt = (Attempt){.started_usec = SECONDS(NOW - 9), .failures = 1};
        expect(&f, &p, ACTION_WAIT, REASON_BACKOFF, SECONDS(NOW + 1));
}

static void test_unit_states(void **state _unused_) {
        static const struct {
                UnitState unit;
                Action action;
                Reason reason;
                unsigned look_again;
        } table[] = {
                {UNIT_UNKNOWN, ACTION_HOLD, REASON_BUS, NOW + 5},
                {UNIT_NOT_FOUND, ACTION_HOLD, REASON_UNIT_NOT_FOUND, 0},
                {UNIT_MASKED, ACTION_HOLD, REASON_UNIT_MASKED, 0},
                {UNIT_INACTIVE, ACTION_HOLD, REASON_UNIT_INACTIVE, 0},
                {UNIT_FAILED, ACTION_HOLD, REASON_UNIT_FAILED, 0},
                {UNIT_BAD_SETTING, ACTION_HOLD, REASON_UNIT_BAD_SETTING, 0},
                {UNIT_START_LIMIT, ACTION_HOLD, REASON_UNIT_START_LIMIT, 0},
                {UNIT_REFUSED, ACTION_HOLD, REASON_AGENT_REFUSED, 0},
                {UNIT_CHANGING, ACTION_WAIT, REASON_UNIT_CHANGING, NOW + 5},
                {UNIT_ACTIVE, ACTION_RESTART, REASON_NONE, 0},
        };
        Policy p = usual_policy();

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = owed_facts();

                f.unit = table[i].unit;
                expect(&f, &p, table[i].action, table[i].reason, SECONDS(table[i].look_again));
        }
}

static void test_agent_states(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        f.agent.agent = AGENT_UNKNOWN;
        expect(&f, &p, ACTION_HOLD, REASON_ENGINE, SECONDS(NOW + 5));
        f.agent.agent = AGENT_ABSENT;
        expect(&f, &p, ACTION_WAIT, REASON_AGENT_COMING, SECONDS(NOW + 5));
        f.agent.agent = AGENT_STOPPED;
        expect(&f, &p, ACTION_WAIT, REASON_AGENT_COMING, SECONDS(NOW + 5));

        f = usual_facts();
        f.agent.answers = false;
        expect(&f, &p, ACTION_WAIT, REASON_AGENT_SILENT, SECONDS(NOW + 5));
}

static void test_unsaved_state(void **state _unused_) {
        static const struct {
                StateKept kept;
                unsigned n_tasks;
                UnsavedState policy;
                Action action;
                Reason reason;
        } table[] = {
                {STATE_KEPT, 3, UNSAVED_STATE_WAIT, ACTION_RESTART, REASON_NONE},
                {STATE_KEPT, 3, UNSAVED_STATE_NEVER, ACTION_RESTART, REASON_NONE},
                {STATE_NO_DATADIR, 1, UNSAVED_STATE_WAIT, ACTION_HOLD, REASON_TASKS},
                {STATE_NO_CHECKPOINT, 1, UNSAVED_STATE_WAIT, ACTION_HOLD, REASON_TASKS},
                {STATE_NO_MOUNT, 1, UNSAVED_STATE_WAIT, ACTION_HOLD, REASON_TASKS},
                {STATE_NO_MOUNT, 0, UNSAVED_STATE_WAIT, ACTION_RESTART, REASON_NONE},
                {STATE_NO_MOUNT, 1, UNSAVED_STATE_FORCE, ACTION_RESTART, REASON_NONE},
                {STATE_NO_MOUNT, 0, UNSAVED_STATE_NEVER, ACTION_HOLD, REASON_UNSAVED_NEVER},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Policy p = usual_policy();
                Facts f = owed_facts();

                p.settings.unsaved_state = table[i].policy;
                f.agent.state_kept = table[i].kept;
                f.agent.n_tasks = table[i].n_tasks;
                expect(&f, &p, table[i].action, table[i].reason,
                       table[i].reason == REASON_TASKS ? SECONDS(NOW + 30) : 0);
        }
}

static void test_fruitless_restart_is_not_repeated(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        f.attempt = (Attempt){
                .started_usec = SECONDS(NOW - 500), .digest = NEW, .failures = 1, .outcome = OUTCOME_FRUITLESS};
        expect(&f, &p, ACTION_HOLD, REASON_FRUITLESS, 0);

        /* Other credentials may fare better. */
        f.sync.digest = (Digest){{3}};
        expect(&f, &p, ACTION_RESTART, REASON_NONE, 0);
}

static void test_jitter(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        p.settings.jitter_usec = SECONDS(100);
        f.changed_usec = f.needed_usec = SECONDS(NOW - 50);
        expect(&f, &p, ACTION_WAIT, REASON_SETTLE, SECONDS(NOW + 52));
        f.changed_usec = f.needed_usec = SECONDS(NOW - 102);
        expect(&f, &p, ACTION_RESTART, REASON_NONE, 0);

        /* Also where nobody saw the change, as after an update of ourselves on a whole fleet. */
        f.changed_usec = 0;
        f.needed_usec = SECONDS(NOW - 50);
        expect(&f, &p, ACTION_WAIT, REASON_SETTLE, SECONDS(NOW + 50));
}

static void test_pending_tasks(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        p.settings.pending_usec = SECONDS(10);
        f.agent.n_pending = 1;
        expect(&f, &p, ACTION_WAIT, REASON_TASKS_PENDING, SECONDS(NOW + 1));
        f.waiting_for = REASON_TASKS_PENDING;
        f.waiting_since_usec = SECONDS(NOW - 9) - SECONDS(1) / 2;
        expect(&f, &p, ACTION_WAIT, REASON_TASKS_PENDING, SECONDS(NOW) + SECONDS(1) / 2);
        f.waiting_since_usec = SECONDS(NOW - 10);
        expect(&f, &p, ACTION_RESTART, REASON_NONE, 0);
        f.agent.n_pending = 0;
        f.waiting_since_usec = SECONDS(NOW);
        expect(&f, &p, ACTION_RESTART, REASON_NONE, 0);
}

static void test_another_instance_restarts(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        p.other_instance = true;
        expect(&f, &p, ACTION_WAIT, REASON_OTHER_INSTANCE, SECONDS(NOW + 1));
        f.files_stale = true;
        expect(&f, &p, ACTION_WRITE, REASON_NONE, 0);
        f = usual_facts();
        expect(&f, &p, ACTION_DONE, REASON_LIVE, 0);
}

static void test_repair(void **state _unused_) {
        static const Digest OTHER = {{3}};
        static const struct {
                AgentState agent;
                UnitState unit;
                bool rollback, known;
                AttemptOutcome outcome;
                const Digest *file, *last_good;
                Action action;
                Reason reason;
        } table[] = {
                {AGENT_ABSENT, UNIT_ACTIVE, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_ROLL_BACK, REASON_NONE},
                {AGENT_STOPPED, UNIT_FAILED, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_ROLL_BACK, REASON_NONE},
                {AGENT_ABSENT, UNIT_START_LIMIT, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_ROLL_BACK, REASON_NONE},
                {AGENT_ABSENT, UNIT_CHANGING, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_ROLL_BACK, REASON_NONE},
                /* It is in the file already, or something newer is. */
                {AGENT_ABSENT, UNIT_FAILED, true, true, OUTCOME_BROKE, &OLD, &OLD, ACTION_RESTART, REASON_REPAIR},
                {AGENT_ABSENT, UNIT_FAILED, false, false, OUTCOME_BROKE, &OTHER, &OLD, ACTION_RESTART, REASON_REPAIR},
                /* There is no way back. */
                {AGENT_ABSENT, UNIT_FAILED, false, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_HOLD, REASON_BROKE},
                {AGENT_ABSENT, UNIT_FAILED, true, false, OUTCOME_BROKE, &NEW, &OLD, ACTION_HOLD, REASON_BROKE},
                {AGENT_ABSENT, UNIT_FAILED, true, true, OUTCOME_BROKE, &NEW, &NEW, ACTION_HOLD, REASON_BROKE},
                {AGENT_ABSENT, UNIT_FAILED, true, true, OUTCOME_GAVE_UP, &OLD, &OLD, ACTION_HOLD, REASON_GAVE_UP},
                {AGENT_ABSENT, UNIT_FAILED, true, true, OUTCOME_GAVE_UP, &OTHER, &OLD, ACTION_HOLD, REASON_GAVE_UP},
                /* It is not ours to mend. */
                {AGENT_ABSENT, UNIT_INACTIVE, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_HOLD, REASON_UNIT_INACTIVE},
                {AGENT_ABSENT, UNIT_MASKED, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_HOLD, REASON_UNIT_MASKED},
                {AGENT_STOPPED, UNIT_REFUSED, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_HOLD, REASON_AGENT_REFUSED},
                {AGENT_ABSENT, UNIT_UNKNOWN, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_HOLD, REASON_BUS},
                {AGENT_UNKNOWN, UNIT_FAILED, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_HOLD, REASON_ENGINE},
                {AGENT_ABSENT, UNIT_FAILED, true, true, OUTCOME_NONE, &NEW, &OLD, ACTION_HOLD, REASON_UNIT_FAILED},
                /* Somebody else has mended it. */
                {AGENT_RUNNING, UNIT_ACTIVE, true, true, OUTCOME_BROKE, &NEW, &OLD, ACTION_DONE, REASON_LIVE},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Policy p = usual_policy();
                Facts f = usual_facts();
                Decision d;

                p.settings.rollback = table[i].rollback;
                f.agent.agent = table[i].agent;
                f.unit = table[i].unit;
                f.sync.digest = *table[i].file;
                f.sync.last_good = *table[i].last_good;
                f.sync.last_good_known = table[i].known;
                f.attempt = (Attempt){.outcome = table[i].outcome, .digest = NEW, .started_usec = SECONDS(NOW - 5)};
                d = decide(&f, &p, SECONDS(NOW));
                if (d.action != table[i].action || d.reason != table[i].reason)
                        fail_msg("%zu: action %d, reason %d", i, (int) d.action, (int) d.reason);
        }
}

/* It is started again and again, and was seen in between. */
static void test_repair_of_a_crash_loop(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = usual_facts();

        p.settings.rollback = true;
        f.agent.answers = false;
        f.sync.digest = f.sync.last_good = OLD;
        f.sync.last_good_known = true;
        f.attempt = (Attempt){.outcome = OUTCOME_BROKE, .digest = NEW, .failures = 1, .started_usec = SECONDS(NOW - 1)};
        expect(&f, &p, ACTION_RESTART, REASON_REPAIR, 0);
}

static void test_going_back_has_a_pace(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = usual_facts();

        p.settings.rollback = true;
        f.agent.agent = AGENT_ABSENT;
        f.sync.last_good = OLD;
        f.sync.last_good_known = true;
        f.attempt = (Attempt){.outcome = OUTCOME_BROKE, .digest = NEW, .roll_back_usec = SECONDS(NOW - 29)};
        expect(&f, &p, ACTION_HOLD, REASON_BROKE, SECONDS(NOW + 1));
        f.attempt.roll_back_usec = SECONDS(NOW - 30);
        expect(&f, &p, ACTION_ROLL_BACK, REASON_NONE, 0);
}

static void test_silent_agent_with_tasks_is_not_repaired(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = usual_facts();

        p.settings.rollback = true;
        f.agent.answers = false;
        f.sync.last_good = OLD;
        f.sync.last_good_known = true;
        f.attempt = (Attempt){.outcome = OUTCOME_BROKE, .digest = NEW};
        expect(&f, &p, ACTION_ROLL_BACK, REASON_NONE, 0);
        f.agent.state_kept = STATE_NO_MOUNT;
        f.agent.n_tasks = 1;
        expect(&f, &p, ACTION_HOLD, REASON_TASKS, SECONDS(NOW + 30));
}

/* An agent that was started by hand has no unit. */
static void test_method_docker(void **state _unused_) {
        static const struct {
                AgentState agent;
                int exit_status;
                Action action;
                Reason reason;
                unsigned look_again;
        } table[] = {
                {AGENT_RUNNING, 0, ACTION_RESTART, REASON_NONE, 0},
                {AGENT_UNKNOWN, 0, ACTION_HOLD, REASON_ENGINE, NOW + 5},
                {AGENT_ABSENT, 0, ACTION_HOLD, REASON_UNIT_INACTIVE, 0},
                {AGENT_STOPPED, 0, ACTION_HOLD, REASON_UNIT_INACTIVE, 0},
                {AGENT_STOPPED, 5, ACTION_HOLD, REASON_AGENT_REFUSED, 0},
        };
        Policy p = usual_policy();

        p.settings.method = RESTART_METHOD_DOCKER;
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = owed_facts();

                f.unit = UNIT_UNKNOWN;
                f.agent.agent = table[i].agent;
                f.agent.exit_status = table[i].exit_status;
                expect(&f, &p, table[i].action, table[i].reason, SECONDS(table[i].look_again));
        }
}

static void test_restart_job(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = owed_facts();

        f.attempt = (Attempt){.state = ATTEMPT_JOB, .started_usec = SECONDS(NOW - 20)};
        f.unit = UNIT_CHANGING;
        expect(&f, &p, ACTION_WAIT, REASON_RESTART_JOB, SECONDS(NOW + 100));

        /* A job may wait behind another one for longer than any limit of ours. */
        f.attempt.started_usec = SECONDS(NOW - 500);
        expect(&f, &p, ACTION_WAIT, REASON_RESTART_JOB, SECONDS(NOW + 5));

        /* No job is left, and nobody told us. */
        f.unit = UNIT_ACTIVE;
        expect(&f, &p, ACTION_VERIFY, REASON_NONE, 0);
}

static void test_verification(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = verifying_facts();

        expect(&f, &p, ACTION_DONE, REASON_LIVE, 0);

        /* Restarted for one change; the next one came in time to be in the container, too. */
        f.attempt.digest = OLD;
        expect(&f, &p, ACTION_DONE, REASON_LIVE, 0);

        /* Restarted for one change; the next one came too late for the container. */
        f = verifying_facts();
        f.sync.digest = (Digest){{3}};
        expect(&f, &p, ACTION_DONE, REASON_LIVE, 0);
}

static void test_unit_goes_down_during_verification(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = verifying_facts();

        f.agent.agent = AGENT_ABSENT;
        f.unit = UNIT_INACTIVE; /* somebody stopped it */
        expect(&f, &p, ACTION_HOLD, REASON_UNIT_INACTIVE, 0);
        f.unit = UNIT_MASKED;
        expect(&f, &p, ACTION_HOLD, REASON_UNIT_MASKED, 0);
        f.unit = UNIT_FAILED; /* nothing will come any more */
        expect(&f, &p, ACTION_NOT_VERIFIED, REASON_NOT_RUNNING, 0);
        f.unit = UNIT_CHANGING; /* systemd tries again */
        expect(&f, &p, ACTION_WAIT, REASON_VERIFYING, SECONDS(NOW + 1));
}

static void test_verification_misses(void **state _unused_) {
        static const struct {
                const char *id;
                AgentState agent;
                bool other_digest, silent;
                Reason reason;
        } table[] = {
                {"old", AGENT_RUNNING, true, false, REASON_NO_NEW_CONTAINER},
                {"", AGENT_ABSENT, false, false, REASON_NOT_RUNNING},
                {"new", AGENT_STOPPED, false, false, REASON_NOT_RUNNING},
                {"", AGENT_UNKNOWN, false, false, REASON_NOT_RUNNING},
                {"new", AGENT_RUNNING, true, false, REASON_OTHER_CREDENTIALS},
                {"new", AGENT_RUNNING, false, true, REASON_SILENT},
        };
        Policy p = usual_policy();

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = verifying_facts();

                (void) snprintf(f.agent.container_id, sizeof(f.agent.container_id), "%s", table[i].id);
                f.agent.agent = table[i].agent;
                f.agent.digest = table[i].other_digest ? OLD : NEW;
                f.agent.answers = !table[i].silent;
                expect(&f, &p, ACTION_WAIT, REASON_VERIFYING, SECONDS(NOW + 1));

                f.attempt.verifying_usec = SECONDS(NOW - 120);
                expect(&f, &p, ACTION_NOT_VERIFIED, table[i].reason, 0);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order_of_looking),
                cmocka_unit_test(test_write_only),
                cmocka_unit_test(test_unreadable_environment_file),
                cmocka_unit_test(test_failed_write_is_tried_again),
                cmocka_unit_test(test_owed_restart),
                cmocka_unit_test(test_settle),
                cmocka_unit_test(test_settling_has_an_end),
                cmocka_unit_test(test_distance_and_backoff),
                cmocka_unit_test(test_unit_states),
                cmocka_unit_test(test_agent_states),
                cmocka_unit_test(test_unsaved_state),
                cmocka_unit_test(test_fruitless_restart_is_not_repeated),
                cmocka_unit_test(test_jitter),
                cmocka_unit_test(test_pending_tasks),
                cmocka_unit_test(test_another_instance_restarts),
                cmocka_unit_test(test_repair),
                cmocka_unit_test(test_repair_of_a_crash_loop),
                cmocka_unit_test(test_going_back_has_a_pace),
                cmocka_unit_test(test_silent_agent_with_tasks_is_not_repaired),
                cmocka_unit_test(test_method_docker),
                cmocka_unit_test(test_restart_job),
                cmocka_unit_test(test_verification),
                cmocka_unit_test(test_unit_goes_down_during_verification),
                cmocka_unit_test(test_verification_misses),
        };

        return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
