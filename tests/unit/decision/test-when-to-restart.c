/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "unit.h"

#include "decision/when-to-restart.h"

#define SECONDS(n) ((n) *USEC_PER_SEC)

enum { NOW = 10000 }; /* seconds */

static const Digest OLD = {{1}}, NEW = {{2}}, OTHER = {{3}};

static Policy usual_policy(void) {
        return (Policy){
                .settings.settle_usec = SECONDS(2),
                .settings.min_interval_usec = SECONDS(60),
                .settings.verify_usec = SECONDS(120),
        };
}

static void set_id(char *id, const char *s) {
        (void) snprintf(id, 65, "%s", s);
}

/* A host where everything is as it should be. */
static Facts usual_facts(void) {
        return (Facts){
                .file = {.known = true,
                         .sync = {.outcome = SYNC_UNCHANGED, .digest_known = true, .digest = NEW},
                         .right = true},
                .observed_usec = SECONDS(NOW),
                .agent = {.agent = AGENT_RUNNING, .container_id = "new", .digest = NEW, .answers = true},
                .unit = {.state = UNIT_ACTIVE},
                .silent_usec = SECONDS(NOW - 32),
        };
}

/* The same, with new credentials in the file that the agent does not have. */
static Facts needy_facts(void) {
        Facts f = usual_facts();

        f.agent.digest = OLD;
        set_id(f.agent.container_id, "old");
        return f;
}

/* A restart is open, and the agent still the old one. */
static Facts open_facts(void) {
        Facts f = needy_facts();

        f.record = (RestartRecord){.restart_usec = SECONDS(NOW - 10),
                                   .tried_usec = SECONDS(NOW - 10),
                                   .failures = 1,
                                   .open = true,
                                   .done = true,
                                   .digest = NEW};
        set_id(f.record.old_container_id, "old");
        return f;
}

/* It took the agent down. */
static Facts owed_facts(UnitState unit) {
        Facts f = open_facts();

        f.agent = (ObserveReport){.agent = AGENT_ABSENT};
        f.unit = (UnitReport){.state = unit, .started_usec = SECONDS(5), .stopped_usec = SECONDS(NOW - 9)};
        return f;
}

static void expect(const Facts *f, const Policy *p, Action action, Reason reason, uint64_t look_again) {
        Decision d = decide_agent(f, p, SECONDS(NOW));

        assert_int_equal(d.action, action);
        assert_int_equal(d.reason, reason);
        assert_int_equal(d.look_again_usec, look_again);
}

static void expect_usual(const Facts *f, Action action, Reason reason, unsigned look_again) {
        const Policy p = usual_policy();

        expect(f, &p, action, reason, SECONDS(look_again));
}

static void test_order_of_looking(void **state _unused_) {
        Facts f = usual_facts();

        f.observing = f.agent_stale = true;
        expect_usual(&f, ACTION_WAIT, REASON_LOOKING, 0);
        f.observing = false;
        expect_usual(&f, ACTION_OBSERVE, REASON_NONE, 0);
        f.agent_stale = false;
        f.observed_usec = 0;
        expect_usual(&f, ACTION_OBSERVE, REASON_NONE, 0);
        f.observed_usec = 1;
        f.file.known = false;
        expect_usual(&f, ACTION_WAIT, REASON_LOOKING, 0);
        f.file.known = true;
        expect_usual(&f, ACTION_DONE, REASON_LIVE, 0);
        f.file.sync.digest_known = false;
        expect_usual(&f, ACTION_HOLD, REASON_FILE_UNKNOWN, 0);
}

static void test_write_only(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = needy_facts();

        p.settings.method = RESTART_METHOD_NONE;
        f.agent_stale = true; /* nobody has to be asked */
        expect(&f, &p, ACTION_DONE, REASON_WRITE_ONLY, 0);
}

static void test_only_what_was_just_seen_is_acted_on(void **state _unused_) {
        Facts restart = needy_facts(), start = owed_facts(UNIT_FAILED), close = open_facts(), job = open_facts();

        start.record.failures = 0;
        set_id(close.agent.container_id, "new");
        job.job = true;
        job.record.tried_usec = SECONDS(1);
        expect_usual(&restart, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        expect_usual(&start, ACTION_START, REASON_OWED, 0);
        expect_usual(&close, ACTION_CLOSE, REASON_WITHOUT_THEM, 0);
        expect_usual(&job, ACTION_ABANDON, REASON_NONE, 0);
        restart.observed_usec = SECONDS(NOW) - 500 * USEC_PER_MSEC;
        expect_usual(&restart, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        restart.observed_usec--;
        start.observed_usec = close.observed_usec = job.observed_usec = restart.observed_usec;
        expect_usual(&restart, ACTION_OBSERVE, REASON_NONE, 0);
        expect_usual(&start, ACTION_OBSERVE, REASON_NONE, 0);
        expect_usual(&close, ACTION_OBSERVE, REASON_NONE, 0);
        expect_usual(&job, ACTION_OBSERVE, REASON_NONE, 0);
        /* To wait and to hold need no fresh look: it comes with their end. */
        restart.agent.agent = AGENT_UNKNOWN;
        expect_usual(&restart, ACTION_HOLD, REASON_ENGINE, NOW + 5);
}

static void test_beside_another_instance(void **state _unused_) {
        Policy p = usual_policy();
        Facts restart = needy_facts(), start = owed_facts(UNIT_FAILED), close = open_facts(), job = open_facts();
        Facts live = usual_facts();

        p.other_instance = true;
        start.record.failures = 0;
        set_id(close.agent.container_id, "new");
        job.job = true;
        job.record.tried_usec = SECONDS(1);
        expect(&restart, &p, ACTION_WAIT, REASON_OTHER_INSTANCE, SECONDS(NOW + 1));
        expect(&start, &p, ACTION_WAIT, REASON_OTHER_INSTANCE, SECONDS(NOW + 1));
        expect(&close, &p, ACTION_WAIT, REASON_OTHER_INSTANCE, SECONDS(NOW + 1));
        expect(&job, &p, ACTION_ABANDON, REASON_NONE, 0);
        expect(&live, &p, ACTION_DONE, REASON_LIVE, 0);
}

/* --- our job, and what came of it --- */

static void test_job(void **state _unused_) {
        Facts f = open_facts();

        f.job = true;
        expect_usual(&f, ACTION_WAIT, REASON_RESTART_JOB, NOW + 110);
        f.record.tried_usec = SECONDS(NOW - 119);
        expect_usual(&f, ACTION_WAIT, REASON_RESTART_JOB, NOW + 1);
        f.record.tried_usec = SECONDS(NOW - 120);
        expect_usual(&f, ACTION_ABANDON, REASON_NONE, 0);
        f.unit.state = UNIT_CHANGING;
        expect_usual(&f, ACTION_WAIT, REASON_RESTART_JOB, NOW + 5);
}

static void test_new_container(void **state _unused_) {
        static const struct {
                const Digest *has, *file, *was_for;
                bool overtaken, right, writing, stale;
                Action action;
                Reason reason;
        } table[] = {
                {&NEW, &NEW, &NEW, false, true, false, false, ACTION_CLOSE, REASON_RESTARTED},
                {&NEW, &NEW, &NEW, false, true, true, true, ACTION_CLOSE, REASON_RESTARTED},
                /* What it was for, or what came since. */
                {&NEW, &OTHER, &NEW, false, true, false, false, ACTION_CLOSE, REASON_RESTARTED},
                {&OTHER, &OTHER, &NEW, false, true, false, false, ACTION_CLOSE, REASON_RESTARTED},
                {&OLD, &NEW, &NEW, true, true, false, false, ACTION_CLOSE, REASON_RESTARTED},
                {&OLD, &NEW, &NEW, false, false, false, false, ACTION_CLOSE, REASON_RESTARTED},
                {&OLD, &NEW, &NEW, false, true, false, false, ACTION_CLOSE, REASON_WITHOUT_THEM},
                {&OLD, &NEW, &NEW, false, true, true, false, ACTION_WAIT, REASON_VERIFYING},
                {&OLD, &NEW, &NEW, false, true, false, true, ACTION_WAIT, REASON_VERIFYING},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                for (unsigned done = 0; done < 2; done++) {
                        Facts f = open_facts();

                        set_id(f.agent.container_id, "new");
                        f.record.done = done;
                        f.record.restart_usec = SECONDS(NOW - 130);
                        f.record.digest = *table[i].was_for;
                        f.agent.digest = *table[i].has;
                        f.file.sync.digest = *table[i].file;
                        f.file.right = table[i].right;
                        f.file.writing = table[i].writing;
                        f.file.stale = table[i].stale;
                        f.overtaken = table[i].overtaken;
                        f.unit.started_usec = done ? 0 : SECONDS(NOW - 125);
                        expect_usual(&f, table[i].action, table[i].reason,
                                     table[i].action == ACTION_WAIT ? NOW + 1 : 0);
                }
}

static void test_old_container(void **state _unused_) {
        static const struct {
                bool done;
                UnitState unit;
                unsigned restart_ago, started_ago;
                Action action;
                Reason reason;
                unsigned look_again;
        } table[] = {
                {true, UNIT_ACTIVE, 10, 500, ACTION_WAIT, REASON_VERIFYING, NOW + 1},
                {true, UNIT_ACTIVE, 119, 500, ACTION_WAIT, REASON_VERIFYING, NOW + 1},
                {true, UNIT_ACTIVE, 120, 500, ACTION_CLOSE, REASON_NO_EFFECT, 0},
                {true, UNIT_INACTIVE, 10, 500, ACTION_WAIT, REASON_VERIFYING, NOW + 1},
                /* A job that is not done has done nothing, once nothing is queued. */
                {false, UNIT_ACTIVE, 10, 500, ACTION_CLOSE, REASON_NO_EFFECT, 0},
                {false, UNIT_ACTIVE, 10, 10, ACTION_CLOSE, REASON_NO_EFFECT, 0},
                {false, UNIT_ACTIVE, 10, 9, ACTION_WAIT, REASON_VERIFYING, NOW + 1},
                {false, UNIT_FAILED, 10, 500, ACTION_WAIT, REASON_VERIFYING, NOW + 1},
                /* But it may be. */
                {false, UNIT_CHANGING, 500, 500, ACTION_WAIT, REASON_UNIT_CHANGING, NOW + 5},
                {true, UNIT_CHANGING, 500, 500, ACTION_WAIT, REASON_UNIT_CHANGING, NOW + 5},
                {false, UNIT_UNKNOWN, 500, 500, ACTION_HOLD, REASON_BUS, NOW + 5},
        };
        Facts f;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                f = open_facts();
                f.record.done = table[i].done;
                f.record.restart_usec = SECONDS(NOW - table[i].restart_ago);
                f.unit = (UnitReport){.state = table[i].unit, .started_usec = SECONDS(NOW - table[i].started_ago)};
                expect_usual(&f, table[i].action, table[i].reason, table[i].look_again);
        }

        f = open_facts();
        f.record.restart_usec = SECONDS(NOW - 120) + 1;
        const Policy p = usual_policy();
        expect(&f, &p, ACTION_WAIT, REASON_VERIFYING, SECONDS(NOW) + 1);
        f.agent.agent = AGENT_UNKNOWN;
        expect_usual(&f, ACTION_HOLD, REASON_ENGINE, NOW + 5);
}

static void test_agent_that_we_took_down(void **state _unused_) {
        static const struct {
                UnitState unit;
                Action action;
                Reason reason;
                unsigned look_again;
        } table[] = {
                {UNIT_INACTIVE, ACTION_START, REASON_OWED, 0},
                {UNIT_FAILED, ACTION_START, REASON_OWED, 0},
                {UNIT_START_LIMIT, ACTION_START, REASON_OWED, 0},
                {UNIT_UNKNOWN, ACTION_HOLD, REASON_BUS, NOW + 5},
                {UNIT_NOT_FOUND, ACTION_HOLD, REASON_UNIT_NOT_FOUND, 0},
                {UNIT_BAD_SETTING, ACTION_HOLD, REASON_UNIT_BAD_SETTING, 0},
                {UNIT_MASKED, ACTION_HOLD, REASON_UNIT_MASKED, 0},
                {UNIT_CHANGING, ACTION_WAIT, REASON_UNIT_CHANGING, NOW + 5},
                {UNIT_ACTIVE, ACTION_WAIT, REASON_REGISTERING, NOW + 1},
        };
        Facts f;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                f = owed_facts(table[i].unit);
                expect_usual(&f, table[i].action, table[i].reason, table[i].look_again);
                f.refused = true;
                if (table[i].unit == UNIT_FAILED || table[i].unit == UNIT_ACTIVE)
                        expect_usual(&f, ACTION_HOLD, REASON_AGENT_REFUSED, NOW + 5);
        }

        /* Its unit never went down. */
        f = owed_facts(UNIT_ACTIVE);
        f.record.done = false;
        expect_usual(&f, ACTION_CLOSE, REASON_NO_EFFECT, 0);
}

static void test_agent_that_somebody_stopped(void **state _unused_) {
        static const struct {
                unsigned started_ago, stopped_ago, tried_ago; /* the restart was 10 s ago; 0: never */
                int exit_status;
                bool ours;
        } table[] = {
                {500, 9, 10, 0, true},  {500, 10, 10, 0, true}, {0, 0, 10, 0, true}, {500, 11, 10, 0, false},
                {10, 9, 10, 0, true},   {9, 8, 10, 0, false},   {9, 8, 8, 0, true},  {9, 8, 9, 0, true},
                {500, 9, 10, 5, false}, {500, 9, 10, 1, true},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = owed_facts(UNIT_INACTIVE);

                f.agent = (ObserveReport){.agent = AGENT_STOPPED, .exit_status = table[i].exit_status};
                f.record.failures = 0;
                f.record.tried_usec = SECONDS(NOW - table[i].tried_ago);
                f.unit.started_usec = table[i].started_ago ? SECONDS(NOW - table[i].started_ago) : 0;
                f.unit.stopped_usec = table[i].stopped_ago ? SECONDS(NOW - table[i].stopped_ago) : 0;
                if (table[i].ours)
                        expect_usual(&f, ACTION_START, REASON_OWED, 0);
                else
                        expect_usual(&f, ACTION_CLOSE, REASON_STOPPED, 0);
                f.agent = (ObserveReport){.agent = AGENT_ABSENT, .exit_status = 5};
                if (table[i].ours)
                        expect_usual(&f, ACTION_START, REASON_OWED, 0);
        }
}

static void test_pace_of_starts(void **state _unused_) {
        static const unsigned pauses[] = {0, 5, 10, 20, 40, 80, 160, 300, 300};
        Facts f = owed_facts(UNIT_FAILED);

        for (unsigned i = 0; i < ELEMENTSOF(pauses); i++) {
                f.record.failures = i;
                f.record.tried_usec = SECONDS(NOW - pauses[i]);
                expect_usual(&f, ACTION_START, REASON_OWED, 0);
                f.record.tried_usec = SECONDS(NOW - pauses[i] + 1);
                if (i > 0)
                        expect_usual(&f, ACTION_WAIT, REASON_OWED, NOW + 1);
        }
}

static void test_half_a_container(void **state _unused_) {
        Facts f = owed_facts(UNIT_HALF_DONE);

        /* A restart that was cut off is no failure; a start that failed is one. */
        f.record.done = false;
        f.record.restart_usec = f.record.tried_usec = SECONDS(NOW - 1);
        expect_usual(&f, ACTION_START, REASON_OWED, 0);
        f.record.restart_usec = SECONDS(NOW - 2);
        expect_usual(&f, ACTION_WAIT, REASON_OWED, NOW + 4);
        f.record = (RestartRecord){0}; /* also one that nobody wrote down */
        expect_usual(&f, ACTION_START, REASON_OWED, 0);
        f.agent.agent = AGENT_UNKNOWN;
        expect_usual(&f, ACTION_HOLD, REASON_ENGINE, NOW + 5);
}

/* It was cut off before the old one had ended: then nothing is down, and no task may be lost for it. */
static void test_half_a_container_beside_the_agent(void **state _unused_) {
        Policy p = usual_policy();
        Facts f = needy_facts();

        p.settings.method = RESTART_METHOD_DOCKER;
        f.unit.state = UNIT_HALF_DONE;
        expect(&f, &p, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        f.agent.state_kept = STATE_NO_DATADIR;
        f.agent.n_tasks = 1;
        expect(&f, &p, ACTION_HOLD, REASON_TASKS, SECONDS(NOW + 5));

        f.record = (RestartRecord){.open = true, .restart_usec = SECONDS(NOW - 1), .tried_usec = SECONDS(NOW - 1)};
        memcpy(f.record.old_container_id, f.agent.container_id, sizeof(f.record.old_container_id));
        expect(&f, &p, ACTION_CLOSE, REASON_CUT_OFF, 0);
        f.unit.state = UNIT_ACTIVE; /* before anything was begun */
        expect(&f, &p, ACTION_CLOSE, REASON_CUT_OFF, 0);
        /* One that had ended, and was put back, is another matter. */
        f.record.tried_usec = SECONDS(NOW);
        expect(&f, &p, ACTION_CLOSE, REASON_NO_EFFECT, 0);
        /* And one that is not there at all was taken away by somebody. */
        f.unit.state = UNIT_INACTIVE;
        f.agent.agent = AGENT_ABSENT;
        expect(&f, &p, ACTION_CLOSE, REASON_STOPPED, 0);
}

/* --- whether a restart is needed, and may be --- */

/* One restart for what stands there and for what a helper is about to say; which may take too long for that. */
static void test_settling_while_helpers_are_asked(void **state _unused_) {
        static const struct {
                unsigned needed_ago; /* 0: not known */
                unsigned until;      /* 0: it has settled */
        } table[] = {{0, 0}, {9, 1}, {10, 0}, {3, 7}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = needy_facts();

                f.file.asking = true;
                f.needed_usec = table[i].needed_ago ? SECONDS(NOW - table[i].needed_ago) : 0;
                if (table[i].until)
                        expect_usual(&f, ACTION_WAIT, REASON_SETTLE, NOW + table[i].until);
                else
                        expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
                f.file.asking = false;
                expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        }
        /* It does not shorten what is longer. */
        {
                Policy p = usual_policy();
                Facts f = needy_facts();

                p.settings.jitter_usec = SECONDS(100);
                f.file.asking = true;
                f.needed_usec = SECONDS(NOW - 1);
                expect(&f, &p, ACTION_WAIT, REASON_SETTLE, SECONDS(NOW + 99));
        }
}

static void test_settling(void **state _unused_) {
        static const struct {
                unsigned changed_ago, needed_ago; /* 0: not known */
                unsigned jitter;
                unsigned settles_in; /* 0: it has */
        } table[] = {
                {0, 0, 0, 0},       {1, 0, 0, 1},      {2, 0, 0, 0},     {1, 1, 0, 1},
                {2, 2, 0, 0},       {1, 299, 0, 1},    {1, 300, 0, 0},   {1, 299, 10, 11},
                {102, 102, 100, 0}, {50, 50, 100, 52}, {0, 50, 100, 50}, {0, 100, 100, 0},
                {500, 50, 100, 50}, {1, 0, 100, 1},    {2, 301, 1, 0},   {1, 300, 1, 1},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Policy p = usual_policy();
                Facts f = needy_facts();

                p.settings.jitter_usec = SECONDS(table[i].jitter);
                f.file.changed_usec = table[i].changed_ago ? SECONDS(NOW - table[i].changed_ago) : 0;
                f.needed_usec = table[i].needed_ago ? SECONDS(NOW - table[i].needed_ago) : 0;
                if (table[i].settles_in > 0)
                        expect(&f, &p, ACTION_WAIT, REASON_SETTLE, SECONDS(NOW + table[i].settles_in));
                else
                        expect(&f, &p, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        }
}

static void test_unit_in_the_way(void **state _unused_) {
        static const struct {
                UnitState unit;
                Action action;
                Reason reason;
                unsigned look_again;
        } table[] = {
                {UNIT_UNKNOWN, ACTION_HOLD, REASON_BUS, NOW + 5},
                {UNIT_NOT_FOUND, ACTION_HOLD, REASON_UNIT_NOT_FOUND, 0},
                {UNIT_BAD_SETTING, ACTION_HOLD, REASON_UNIT_BAD_SETTING, 0},
                {UNIT_MASKED, ACTION_HOLD, REASON_UNIT_MASKED, 0},
                {UNIT_INACTIVE, ACTION_HOLD, REASON_UNIT_INACTIVE, 0},
                {UNIT_FAILED, ACTION_HOLD, REASON_UNIT_FAILED, 0},
                {UNIT_START_LIMIT, ACTION_HOLD, REASON_UNIT_START_LIMIT, 0},
                {UNIT_CHANGING, ACTION_WAIT, REASON_UNIT_CHANGING, NOW + 5},
                {UNIT_ACTIVE, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = needy_facts();

                f.unit.state = table[i].unit;
                expect_usual(&f, table[i].action, table[i].reason, table[i].look_again);
                f.refused = true;
                if (table[i].unit >= UNIT_FAILED)
                        expect_usual(&f, ACTION_HOLD, REASON_AGENT_REFUSED, NOW + 5);
                else
                        expect_usual(&f, table[i].action, table[i].reason, table[i].look_again);
                f.agent.agent = AGENT_UNKNOWN;
                if (table[i].unit == UNIT_ACTIVE)
                        expect_usual(&f, ACTION_HOLD, REASON_ENGINE, NOW + 5);

                /* One that has them already, and does not answer. */
                f = usual_facts();
                f.unit.state = table[i].unit;
                f.agent.answers = false;
                if (table[i].unit == UNIT_ACTIVE)
                        expect_usual(&f, ACTION_WAIT, REASON_REGISTERING, NOW + 1);
                else
                        expect_usual(&f, table[i].action, table[i].reason, table[i].look_again);
        }
}

static void test_unit_that_is_inactive(void **state _unused_) {
        static const struct {
                UnitEnd end;
                int exit_status;
                Reason reason;
        } table[] = {
                {UNIT_END_UNKNOWN, 0, REASON_UNIT_INACTIVE},
                {UNIT_END_NEVER_RAN, 0, REASON_UNIT_INACTIVE},
                {UNIT_END_STOP, 0, REASON_UNIT_INACTIVE},
                {UNIT_END_STOP, SIGTERM, REASON_UNIT_INACTIVE},
                {UNIT_END_EXIT, 0, REASON_UNIT_EXITED},
                {UNIT_END_EXIT, 1, REASON_UNIT_EXITED},
                {UNIT_END_EXIT, AGENT_EXIT_TERMINAL, REASON_UNIT_INACTIVE}, /* after systemctl reset-failed */
                {UNIT_END_SIGNAL, SIGTERM, REASON_UNIT_EXITED},
                {UNIT_END_SIGNAL, AGENT_EXIT_TERMINAL, REASON_UNIT_EXITED},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const UnitReport unit = {
                        .state = UNIT_INACTIVE, .end = table[i].end, .exit_status = table[i].exit_status};
                Facts f = needy_facts();

                f.unit = unit;
                expect_usual(&f, ACTION_HOLD, table[i].reason, 0);
                /* Our restart takes an agent down by a stop. */
                f = owed_facts(UNIT_INACTIVE);
                f.unit.end = table[i].end;
                f.unit.exit_status = table[i].exit_status;
                if (table[i].reason == REASON_UNIT_EXITED)
                        expect_usual(&f, ACTION_CLOSE, REASON_STOPPED, 0);
                else
                        expect_usual(&f, ACTION_START, REASON_OWED, 0);
        }
}

static void test_silent_agent(void **state _unused_) {
        static const struct {
                unsigned silent_msec;
                Reason reason;
                unsigned look_after_msec;
        } table[] = {
                {0, REASON_REGISTERING, 50},        {1600, REASON_REGISTERING, 50},
                {3200, REASON_REGISTERING, 100},    {16000, REASON_REGISTERING, 500},
                {31968, REASON_REGISTERING, 999},   {32000, REASON_REGISTERING, 1000},
                {118000, REASON_REGISTERING, 1000}, {119500, REASON_REGISTERING, 500},
                {120000, REASON_SILENT, 5000},      {5000000, REASON_SILENT, 5000},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const uint64_t look_again = SECONDS(NOW) + table[i].look_after_msec * USEC_PER_MSEC;
                const Policy p = usual_policy();
                Facts f = usual_facts();

                f.silent_usec = SECONDS(NOW) - table[i].silent_msec * USEC_PER_MSEC;
                f.agent.answers = false;
                expect(&f, &p, ACTION_WAIT, table[i].reason, look_again);
                /* Not there, it has the file's when it comes. */
                f.agent.agent = AGENT_ABSENT;
                expect(&f, &p, ACTION_WAIT, table[i].reason, look_again);
                f.agent.agent = AGENT_STOPPED;
                expect(&f, &p, ACTION_WAIT, table[i].reason, look_again);

                f.exits = 1;
                expect(&f, &p, ACTION_WAIT, table[i].reason == REASON_SILENT ? REASON_EXITS : table[i].reason,
                       look_again);

                /* At once, since waiting does not help. */
                f.agent =
                        (ObserveReport){.agent = AGENT_RUNNING, .digest = f.agent.digest, .impostor = "user x (uid 1)"};
                expect_usual(&f, ACTION_WAIT, REASON_IMPOSTOR, NOW + 5);
        }
}

/* No host stands in another's place because both ids are of one kind. */
static void test_place_in_a_fleet(void **state _unused_) {
        uint8_t id[16] = {[6] = 0x40, [8] = 0x80};

        assert_int_equal(jitter_of_host(0, id), 0);
        for (unsigned i = 0; i < 256; i++) {
                id[15] = (uint8_t) i;
                assert_int_equal(jitter_of_host(256, id), i);
                assert_int_equal(jitter_of_host(SECONDS(3600), id) * 256 / SECONDS(3600), i);
        }
        memset(id, 0xff, sizeof(id));
        assert_int_equal(jitter_of_host(SECONDS(3600), id), SECONDS(3600) - 1);
}

static void test_file_in_the_way(void **state _unused_) {
        Facts f = needy_facts();

        f.file.right = false;
        expect_usual(&f, ACTION_HOLD, REASON_FILE_WRONG, 0);
        /* A failure that says nothing of the file does not count. */
        f.file.right = true;
        f.file.sync.outcome = SYNC_FAILED;
        expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
}

static void test_fruitless(void **state _unused_) {
        Facts f = needy_facts();

        f.record = (RestartRecord){.restart_usec = SECONDS(1), .fruitless = true, .digest = NEW};
        expect_usual(&f, ACTION_HOLD, REASON_FRUITLESS, 0);
        f.record.digest = OLD; /* these may fare better */
        expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        f.record = (RestartRecord){.restart_usec = SECONDS(1), .digest = NEW};
        expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
}

static void test_not_recorded(void **state _unused_) {
        Facts f = needy_facts();

        f.not_recorded_usec = SECONDS(NOW - 29);
        expect_usual(&f, ACTION_HOLD, REASON_NO_RECORD, NOW + 1);
        f.not_recorded_usec = SECONDS(NOW - 30);
        expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
}

static void test_tasks(void **state _unused_) {
        static const struct {
                StateKept kept;
                UnsavedState policy;
                unsigned n_tasks, n_containers;
                int error;
                Action action;
                Reason reason;
                unsigned look_again;
        } table[] = {
                {STATE_KEPT, UNSAVED_STATE_WAIT, 3, 3, 0, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0},
                {STATE_KEPT, UNSAVED_STATE_NEVER, 3, 3, 0, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0},
                {STATE_NO_MOUNT, UNSAVED_STATE_FORCE, 3, 3, -1, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0},
                {STATE_NO_MOUNT, UNSAVED_STATE_NEVER, 0, 0, 0, ACTION_HOLD, REASON_UNSAVED_NEVER, 0},
                {STATE_NO_DATADIR, UNSAVED_STATE_WAIT, 1, 0, 0, ACTION_HOLD, REASON_TASKS, NOW + 5},
                {STATE_NO_CHECKPOINT, UNSAVED_STATE_WAIT, 0, 1, 0, ACTION_HOLD, REASON_TASKS, NOW + 5},
                {STATE_NO_MOUNT, UNSAVED_STATE_WAIT, 1, 1, -1, ACTION_HOLD, REASON_TASKS, NOW + 5},
                {STATE_NO_MOUNT, UNSAVED_STATE_WAIT, 0, 0, -1, ACTION_HOLD, REASON_TASKS_UNKNOWN, NOW + 5},
                {STATE_NO_MOUNT, UNSAVED_STATE_WAIT, 0, 0, 0, ACTION_WAIT, REASON_TASKS_ENDED, NOW + 1},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Policy p = usual_policy();
                Facts f = needy_facts();

                p.settings.unsaved_state = table[i].policy;
                f.agent.state_kept = table[i].kept;
                f.agent.n_tasks = table[i].n_tasks;
                f.agent.n_containers = table[i].n_containers;
                f.agent.tasks_error = table[i].error;
                expect(&f, &p, table[i].action, table[i].reason, SECONDS(table[i].look_again));
        }
}

static void test_end_of_tasks_is_reported_first(void **state _unused_) {
        const Policy p = usual_policy();
        Facts f = needy_facts();

        /* However long it seems to be idle: so far nobody looked closely. */
        f.agent.state_kept = STATE_NO_DATADIR;
        f.idle_usec = SECONDS(1);
        expect_usual(&f, ACTION_WAIT, REASON_TASKS_ENDED, NOW + 1);
        f.waiting_for = REASON_TASKS_ENDED;
        f.waiting_since_usec = SECONDS(NOW - 4);
        expect_usual(&f, ACTION_WAIT, REASON_TASKS_ENDED, NOW + 1);
        f.waiting_since_usec = SECONDS(NOW - 5) + 7;
        expect(&f, &p, ACTION_WAIT, REASON_TASKS_ENDED, SECONDS(NOW) + 7);
        f.waiting_since_usec = SECONDS(NOW - 5);
        expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        f.idle_usec = SECONDS(NOW - 3);
        expect_usual(&f, ACTION_WAIT, REASON_TASKS_ENDED, NOW + 1);
        f.idle_usec = SECONDS(NOW - 5);
        expect_usual(&f, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
}

static void test_distance(void **state _unused_) {
        static const struct {
                unsigned failures, min_interval, pause;
                Reason reason;
        } table[] = {
                {0, 60, 60, REASON_MIN_INTERVAL},    {1, 60, 60, REASON_MIN_INTERVAL}, {3, 60, 60, REASON_MIN_INTERVAL},
                {4, 60, 80, REASON_BACKOFF},         {1, 10, 10, REASON_MIN_INTERVAL}, {1, 9, 10, REASON_BACKOFF},
                {2, 0, 20, REASON_BACKOFF},          {9, 60, 2560, REASON_BACKOFF},    {10, 60, 3600, REASON_BACKOFF},
                {1000000, 60, 3600, REASON_BACKOFF},
        };
        Policy p = usual_policy();
        Facts f = needy_facts();

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                f.record = (RestartRecord){.failures = table[i].failures};
                p.settings.min_interval_usec = SECONDS(table[i].min_interval);
                f.record.restart_usec = SECONDS(NOW - table[i].pause + 1);
                expect(&f, &p, ACTION_WAIT, table[i].reason, SECONDS(NOW + 1));
                f.record.restart_usec = SECONDS(NOW - table[i].pause);
                expect(&f, &p, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        }

        /* Without failures there is no backoff, and without a restart no distance. */
        f.record = (RestartRecord){.restart_usec = SECONDS(NOW - 1)};
        p.settings.min_interval_usec = 0;
        expect(&f, &p, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        f.record = (RestartRecord){.failures = 1000};
        p.settings.min_interval_usec = SECONDS(2L * NOW);
        expect(&f, &p, ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
}

static void test_what_docker_tells(void **state _unused_) {
        static const bool awaits[_REASON_MAX] = {[REASON_TASKS] = true, [REASON_TASKS_ENDED] = true};

        for (Reason reason = 0; reason < _REASON_MAX; reason++) {
                const Decision d = {.reason = reason};

                assert_int_equal(decision_awaits_tasks(&d), awaits[reason]);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order_of_looking),
                cmocka_unit_test(test_write_only),
                cmocka_unit_test(test_only_what_was_just_seen_is_acted_on),
                cmocka_unit_test(test_beside_another_instance),
                cmocka_unit_test(test_job),
                cmocka_unit_test(test_new_container),
                cmocka_unit_test(test_old_container),
                cmocka_unit_test(test_agent_that_we_took_down),
                cmocka_unit_test(test_agent_that_somebody_stopped),
                cmocka_unit_test(test_pace_of_starts),
                cmocka_unit_test(test_half_a_container),
                cmocka_unit_test(test_half_a_container_beside_the_agent),
                cmocka_unit_test(test_settling_while_helpers_are_asked),
                cmocka_unit_test(test_settling),
                cmocka_unit_test(test_unit_in_the_way),
                cmocka_unit_test(test_unit_that_is_inactive),
                cmocka_unit_test(test_silent_agent),
                cmocka_unit_test(test_place_in_a_fleet),
                cmocka_unit_test(test_file_in_the_way),
                cmocka_unit_test(test_fruitless),
                cmocka_unit_test(test_not_recorded),
                cmocka_unit_test(test_tasks),
                cmocka_unit_test(test_end_of_tasks_is_reported_first),
                cmocka_unit_test(test_distance),
                cmocka_unit_test(test_what_docker_tells),
        };

        return cmocka_run_group_tests_name("agent", tests, NULL, NULL);
}
