/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "unit.h"

#include "decision/facts.h"

#define SECONDS(n) ((n) *USEC_PER_SEC)

static const Digest A = {{1}}, B = {{2}};

static SyncReport sync_report(SyncOutcome outcome, const Digest *digest) {
        return (SyncReport){.outcome = outcome, .digest_known = digest, .digest = digest ? *digest : (Digest){{0}}};
}

static ObserveReport agent_report(AgentState agent, const char *id, const Digest *digest) {
        ObserveReport r = {.agent = agent, .digest = *digest};

        (void) snprintf(r.container_id, sizeof(r.container_id), "%s", id);
        return r;
}

static void observe(Facts *f, const ObserveReport *agent, UnitState unit, unsigned now) {
        const UnitReport report = {.state = unit};

        facts_end_observe(f, agent, &report, SECONDS(now));
}

static void test_waking(void **state _unused_) {
        Facts f = {0};

        f.file.stale = f.agent_stale = true;
        facts_begin_write(&f);
        assert_true(!f.file.stale && f.file.writing);
        facts_begin_observe(&f);
        assert_true(!f.agent_stale && f.observing);
}

static void test_one_look(void **state _unused_) {
        const ObserveReport agent = agent_report(AGENT_RUNNING, "one", &A);
        const RestartRecord record = {.restart_usec = 3, .open = true};
        const SyncReport file = sync_report(SYNC_WRITTEN, &B);
        const UnitReport unit = {.state = UNIT_ACTIVE};
        Facts f = {0};

        facts_look_once(&f, &record, &file, &agent, &unit, SECONDS(7));
        assert_true(f.record.open && f.record.restart_usec == 3 && f.overtaken);
        assert_true(f.file.known && !f.file.writing && !f.file.stale && digest_equal(&f.file.sync.digest, &B));
        assert_true(!f.observing && !f.agent_stale && f.observed_usec == SECONDS(7));
        assert_true(f.unit.state == UNIT_ACTIVE && streq(f.agent.container_id, "one"));
        assert_true(f.file.right && !facts_agent_has_credentials(&f));
}

static void test_another_file(void **state _unused_) {
        Facts f = {.file = {.known = true, .right = true, .sync = {.digest_known = true, .digest = A}}};

        facts_forget_file(&f);
        assert_true(f.file.stale && !f.file.known && !f.file.right && !f.file.sync.digest_known);
}

static void test_retry(void **state _unused_) {
        Facts f = {.not_recorded_usec = 7, .file.pause_usec = 9, .record.fruitless = true};

        facts_retry(&f);
        assert_true(f.file.stale && f.file.ask_all && f.agent_stale && !f.record.fruitless);
        assert_int_equal(f.not_recorded_usec, 0);
        assert_int_equal(f.file.pause_usec, 0);
}

/* A job that is gone, and nobody knows what it did. */
static void test_lost_jobs(void **state _unused_) {
        for (unsigned all = 0; all < 2; all++) {
                Facts f = {.file = {.writing = true, .asking = true, .asking_all = all}};

                (void) facts_end_write(&f, NULL, 0);
                assert_true(!f.file.writing && f.file.stale && f.file.asking);
                f.file.stale = false;
                (void) facts_end_ask(&f, NULL, 0);
                assert_true(!f.file.asking && !f.file.asking_all && f.file.stale);
                assert_int_equal(f.file.ask_all, all);
        }
}

/* --- helpers are asked --- */

static void test_ends_of_asking(void **state _unused_) {
        static const struct {
                bool all, asked, forgotten;
                uint64_t ask_in_usec;
                unsigned pause; /* in seconds from then */
                bool all_after;
                unsigned next; /* in seconds from then; 0: never */
        } table[] = {
                {false, true, false, 0, 0, false, 0},
                {true, true, false, SECONDS(9) + SYNC_ASK_NOW, 0, false, 9},
                /* What would have it asked again right after it was. */
                {true, true, false, SYNC_ASK_NOW, 5, false, 0},
                {true, true, true, SECONDS(9) + SYNC_ASK_NOW, 30, false, 9},
                {false, false, false, SYNC_ASK_NOW, 30, false, 0},
                {true, false, false, 0, 30, true, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                SyncReport report = sync_report(SYNC_UNCHANGED, &A);
                Facts f = {.file.ask_all = table[i].all};
                uint64_t next = SECONDS(100 + table[i].next);

                assert_int_equal(facts_begin_ask(&f), table[i].all);
                assert_true(f.file.asking && !f.file.ask_all && f.file.asking_all == table[i].all);
                report.asked = table[i].asked;
                report.forgotten = table[i].forgotten;
                report.ask_in_usec = table[i].ask_in_usec;
                assert_true(facts_end_ask(&f, &report, SECONDS(100)));
                assert_true(!f.file.asking && !f.file.asking_all && f.file.known);
                assert_int_equal(f.file.pause_usec, table[i].pause ? SECONDS(100 + table[i].pause) : 0);
                assert_int_equal(f.file.ask_all, table[i].all_after);
                assert_int_equal(f.file.ask_usec, table[i].ask_in_usec ? next : 0);
        }
}

/* Of two jobs at a time, the one that looked last counts. */
static void test_overtaken_job(void **state _unused_) {
        static const struct {
                uint64_t seen, known; /* 0: it did not look */
                bool counts;
        } table[] = {{5, 6, false}, {6, 6, true}, {7, 6, true}, {0, 6, true}, {5, 0, true}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                SyncReport report = sync_report(SYNC_WRITTEN, &B);
                Facts f = {.file = {.writing = true, .sync = {.digest_known = true, .digest = A}}};

                f.file.sync.seen_usec = table[i].known;
                report.seen_usec = table[i].seen;
                assert_int_equal(facts_end_write(&f, &report, SECONDS(3)), table[i].counts);
                assert_false(f.file.writing);
                assert_true(digest_equal(&f.file.sync.digest, table[i].counts ? &B : &A));
        }
}

/* --- what a write tells --- */

static void test_reports_of_a_write(void **state _unused_) {
        static const struct {
                bool known, right; /* before, with A in the file */
                SyncOutcome outcome;
                const Digest *digest;
                bool behind;
                bool changed, right_after;
        } table[] = {
                {false, false, SYNC_UNCHANGED, &A, false, false, true},
                {false, false, SYNC_WRITTEN, &A, false, true, true},
                {false, false, SYNC_REMOVED, &A, false, true, true},
                {false, false, SYNC_FAILED, &A, false, false, false},
                {true, true, SYNC_UNCHANGED, &A, false, false, true},
                {true, true, SYNC_WRITTEN, &B, false, true, true},
                /* By somebody else. */
                {true, true, SYNC_UNCHANGED, &B, false, true, true},
                {true, true, SYNC_FAILED, &B, false, true, false},
                /* A credential file that cannot be read changes nothing. */
                {true, true, SYNC_FAILED, &A, false, false, true},
                {true, false, SYNC_FAILED, &A, false, false, false},
                /* A disk that is full, and an environment file that cannot be read: something newer may belong there.
                 */
                {true, true, SYNC_FAILED, &A, true, false, false},
                {true, true, SYNC_FAILED, NULL, false, false, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                SyncReport report = sync_report(table[i].outcome, table[i].digest);
                Facts f = {.file = {.writing = true, .right = table[i].right}};

                f.file.sync.digest_known = table[i].known;
                f.file.sync.digest = A;
                report.behind = table[i].behind;
                report.problems.n_items = 3;
                report.n_registries = 2;
                facts_end_write(&f, &report, SECONDS(7));
                assert_false(f.file.writing);
                assert_true(f.file.known);
                assert_int_equal(f.file.written_usec, SECONDS(7));
                assert_int_equal(f.file.changed_usec, table[i].changed ? SECONDS(7) : 0);
                assert_int_equal(f.agent_stale, table[i].changed);
                assert_int_equal(f.file.right, table[i].right_after);
                assert_int_equal(f.file.sync.outcome, table[i].outcome);
                assert_int_equal(f.file.sync.problems.n_items, 3);
                /* What is known of a file that could not be read still stands. */
                assert_true(f.file.sync.digest_known);
                assert_true(digest_equal(&f.file.sync.digest, table[i].digest ? table[i].digest : &A));
                assert_int_equal(f.file.sync.n_registries, table[i].digest ? 2 : 0);
        }
}

static void test_failures_of_helpers_add_up(void **state _unused_) {
        SyncReport report = sync_report(SYNC_UNCHANGED, &A);
        Facts f = {0};

        report.n_failed = 2;
        facts_end_write(&f, &report, SECONDS(5));
        facts_end_ask(&f, &report, SECONDS(6));
        assert_int_equal(f.counters.helper_failures, 4);
}

static void test_writes_add_up(void **state _unused_) {
        static const SyncOutcome outcomes[] = {SYNC_WRITTEN, SYNC_UNCHANGED, SYNC_REMOVED, SYNC_FAILED, SYNC_WRITTEN};
        Facts f = {0};

        for (size_t i = 0; i < ELEMENTSOF(outcomes); i++) {
                const SyncReport report = sync_report(outcomes[i], &A);

                facts_end_write(&f, &report, SECONDS(5));
        }
        assert_int_equal(f.counters.writes, 3);
}

/* The worst of what was noted, if it is one; what is wrong with the settings comes before a warning. */
static void test_problem_that_is_shown(void **state _unused_) {
        static const struct {
                int level; /* of the second of two problems; the first is a notice */
                const char *of_settings, *shown;
        } table[] = {
                {LOG_ERR, "", "noted"},     {LOG_ERR, "settings", "noted"},
                {LOG_WARNING, "", "noted"}, {LOG_WARNING, "settings", "settings"},
                {LOG_NOTICE, "", NULL},     {LOG_NOTICE, "settings", "settings"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = {0};

                problems_add(&f.file.sync.problems, LOG_NOTICE, "a notice");
                problems_add(&f.file.sync.problems, table[i].level, "noted");
                (void) snprintf(f.settings_problem, sizeof(f.settings_problem), "%s", table[i].of_settings);
                if (table[i].shown)
                        assert_string_equal(facts_problem(&f), table[i].shown);
                else
                        assert_null(facts_problem(&f));
        }
}

static void test_change_is_a_new_cause(void **state _unused_) {
        SyncReport report = sync_report(SYNC_WRITTEN, &B);
        Facts f = {.record.failures = 3};

        facts_end_write(&f, &report, SECONDS(5));
        assert_int_equal(f.needed_usec, SECONDS(5));
        assert_int_equal(f.record.failures, 0);
        assert_false(f.overtaken);
        facts_end_write(&f, &report, SECONDS(9));
        assert_int_equal(f.needed_usec, SECONDS(5));
        assert_int_equal(f.file.changed_usec, SECONDS(9));

        /* A restart that is under way was for something older. */
        f = (Facts){.record = {.open = true, .failures = 3}};
        facts_end_write(&f, &report, SECONDS(5));
        assert_true(f.overtaken);
        assert_int_equal(f.record.failures, 3);
}

static void test_agent_has_credentials(void **state _unused_) {
        Facts f = {.agent = {.agent = AGENT_RUNNING, .digest = A}, .file.sync = {.digest_known = true, .digest = A}};

        assert_true(facts_agent_has_credentials(&f));
        f.agent.digest = B;
        assert_false(facts_agent_has_credentials(&f));
        f.agent.digest = A;
        f.agent.agent = AGENT_STOPPED;
        assert_false(facts_agent_has_credentials(&f));
        f.agent.agent = AGENT_RUNNING;
        f.file.sync.digest_known = false;
        assert_false(facts_agent_has_credentials(&f));
}

/* --- what a look tells --- */

static void test_look(void **state _unused_) {
        const ObserveReport agent = agent_report(AGENT_RUNNING, "1", &A);
        const UnitReport unit = {.state = UNIT_ACTIVE, .started_usec = 3, .stopped_usec = 2};
        Facts f = {.observing = true};

        facts_end_observe(&f, &agent, &unit, SECONDS(7));
        assert_false(f.observing);
        assert_int_equal(f.observed_usec, SECONDS(7));
        assert_string_equal(f.agent.container_id, "1");
        assert_int_equal(f.unit.state, UNIT_ACTIVE);
        assert_int_equal(f.unit.started_usec, 3);
        assert_int_equal(f.unit.stopped_usec, 2);
}

static void test_since_when_it_runs(void **state _unused_) {
        const ObserveReport first = agent_report(AGENT_RUNNING, "1", &A), second = agent_report(AGENT_RUNNING, "2", &A);
        const ObserveReport stopped = agent_report(AGENT_STOPPED, "2", &A);
        Facts f = {0};

        observe(&f, &first, UNIT_ACTIVE, 1);
        observe(&f, &first, UNIT_ACTIVE, 2);
        assert_int_equal(f.running_usec, SECONDS(1));
        observe(&f, &second, UNIT_ACTIVE, 3);
        assert_int_equal(f.running_usec, SECONDS(3));
        observe(&f, &stopped, UNIT_ACTIVE, 4);
        assert_int_equal(f.running_usec, 0);
        observe(&f, &second, UNIT_ACTIVE, 5);
        assert_int_equal(f.running_usec, SECONDS(5));
}

static void test_since_when_it_is_idle(void **state _unused_) {
        static const struct {
                AgentState agent;
                unsigned n_tasks, n_containers;
                int error;
                bool idle;
        } table[] = {
                {AGENT_RUNNING, 0, 0, 0, true},           {AGENT_STOPPED, 0, 0, 0, true},
                {AGENT_UNKNOWN, 0, 0, 0, false},          {AGENT_RUNNING, 1, 0, 0, false},
                {AGENT_RUNNING, 0, 1, 0, false},          {AGENT_RUNNING, 0, 0, -ETIMEDOUT, false},
                {AGENT_RUNNING, 1, 1, -ETIMEDOUT, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ObserveReport agent = agent_report(table[i].agent, "1", &A);
                Facts f = {0};

                agent.n_tasks = table[i].n_tasks;
                agent.n_containers = table[i].n_containers;
                agent.tasks_error = table[i].error;
                observe(&f, &agent, UNIT_ACTIVE, 1);
                observe(&f, &agent, UNIT_ACTIVE, 2);
                assert_int_equal(f.idle_usec, table[i].idle ? SECONDS(1) : 0);
                f.idle_usec = SECONDS(1);
                observe(&f, &agent, UNIT_ACTIVE, 3);
                assert_int_equal(f.idle_usec, table[i].idle ? SECONDS(1) : 0);
        }
}

static void test_since_when_it_is_silent(void **state _unused_) {
        static const struct {
                AgentState agent;
                UnitState unit;
                bool answers;
                char silent; /* y, n, or as before */
        } table[] = {
                {AGENT_RUNNING, UNIT_ACTIVE, false, 'y'},   {AGENT_RUNNING, UNIT_ACTIVE, true, 'n'},
                {AGENT_STOPPED, UNIT_ACTIVE, false, 'y'},   {AGENT_ABSENT, UNIT_CHANGING, false, 'y'},
                {AGENT_ABSENT, UNIT_INACTIVE, false, 'n'},  {AGENT_STOPPED, UNIT_FAILED, false, 'n'},
                {AGENT_RUNNING, UNIT_UNKNOWN, false, 'y'},  {AGENT_UNKNOWN, UNIT_ACTIVE, false, '='},
                {AGENT_UNKNOWN, UNIT_INACTIVE, false, '='},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ObserveReport agent = agent_report(table[i].agent, "1", &A);
                Facts f = {0};

                agent.answers = table[i].answers;
                observe(&f, &agent, table[i].unit, 5);
                assert_int_equal(f.silent_usec, table[i].silent == 'y' ? SECONDS(5) : 0);
                f.silent_usec = SECONDS(2);
                observe(&f, &agent, table[i].unit, 6);
                assert_int_equal(f.silent_usec, table[i].silent == 'n' ? 0 : SECONDS(2));
        }
}

static void test_refusal(void **state _unused_) {
        static const struct {
                bool before;
                AgentState agent;
                int exit_status;
                UnitState unit;
                bool answers;
                unsigned ran_for;
                bool after;
        } table[] = {
                {false, AGENT_STOPPED, 5, UNIT_REFUSED, false, 0, true},
                {false, AGENT_ABSENT, 0, UNIT_REFUSED, false, 0, true},
                {false, AGENT_UNKNOWN, 0, UNIT_REFUSED, false, 0, true},
                /* Debian's unit starts it again all the same. */
                {false, AGENT_STOPPED, 5, UNIT_ACTIVE, false, 0, true},
                {false, AGENT_STOPPED, 5, UNIT_CHANGING, false, 0, true},
                {true, AGENT_RUNNING, 0, UNIT_ACTIVE, false, 29, true},
                {true, AGENT_ABSENT, 0, UNIT_ACTIVE, false, 0, true},
                {true, AGENT_UNKNOWN, 0, UNIT_ACTIVE, false, 0, true},
                {true, AGENT_RUNNING, 5, UNIT_ACTIVE, false, 0, true},
                /* It is over. */
                {true, AGENT_RUNNING, 0, UNIT_ACTIVE, false, 30, false},
                {true, AGENT_RUNNING, 0, UNIT_ACTIVE, true, 0, false},
                {true, AGENT_STOPPED, 1, UNIT_ACTIVE, false, 0, false},
                {true, AGENT_STOPPED, 5, UNIT_INACTIVE, false, 0, false},
                {true, AGENT_ABSENT, 0, UNIT_INACTIVE, false, 0, false},
                {true, AGENT_ABSENT, 0, UNIT_FAILED, false, 0, false},
                {false, AGENT_STOPPED, 1, UNIT_ACTIVE, false, 0, false},
                {false, AGENT_RUNNING, 5, UNIT_ACTIVE, false, 0, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ObserveReport agent = agent_report(table[i].agent, "1", &A);
                Facts f = {.refused = table[i].before};

                agent.exit_status = table[i].exit_status;
                agent.answers = table[i].answers;
                if (table[i].ran_for > 0) {
                        f.agent = agent;
                        f.running_usec = SECONDS(100 - table[i].ran_for);
                }
                observe(&f, &agent, table[i].unit, 100);
                assert_int_equal(f.refused, table[i].after);
        }
}

static void test_exits_are_counted(void **state _unused_) {
        ObserveReport ended = agent_report(AGENT_STOPPED, "1", &A), runs = agent_report(AGENT_RUNNING, "2", &A);
        Facts f = {0};

        ended.exit_status = 1;
        for (unsigned i = 0; i < 2; i++)
                observe(&f, &ended, UNIT_ACTIVE, 100 + i);
        assert_int_equal(f.exits, 1);
        observe(&f, &runs, UNIT_ACTIVE, 102);
        (void) strcpy(ended.container_id, "2");
        ended.exit_status = 139;
        observe(&f, &ended, UNIT_ACTIVE, 103);
        assert_int_equal(f.exits, 2);
        assert_int_equal(f.exit_status, 139);

        /* Neither a stop by the unit nor one that ended well counts. */
        (void) strcpy(ended.container_id, "3");
        observe(&f, &ended, UNIT_CHANGING, 104);
        (void) strcpy(ended.container_id, "4");
        ended.exit_status = 0;
        observe(&f, &ended, UNIT_ACTIVE, 105);
        assert_int_equal(f.exits, 2);

        (void) strcpy(runs.container_id, "5");
        observe(&f, &runs, UNIT_ACTIVE, 110);
        observe(&f, &runs, UNIT_ACTIVE, 169);
        assert_int_equal(f.exits, 2);
        observe(&f, &runs, UNIT_ACTIVE, 170);
        assert_int_equal(f.exits, 0);
}

static void test_exits_end_with_an_answer(void **state _unused_) {
        ObserveReport runs = agent_report(AGENT_RUNNING, "2", &A);
        Facts f = {.exits = 3};

        runs.answers = true;
        observe(&f, &runs, UNIT_ACTIVE, 100);
        assert_int_equal(f.exits, 0);
}

/* A container that runs after an operator's start is like any other, even before it answers. */
static void test_refusal_is_repaired(void **state _unused_) {
        static const UnitState on_the_way[] = {UNIT_CHANGING, UNIT_INACTIVE, UNIT_ACTIVE};
        ObserveReport agent = agent_report(AGENT_STOPPED, "1", &A);
        UnitReport unit = {.state = UNIT_REFUSED, .stopped_usec = SECONDS(99)};
        Facts f = {0};

        agent.exit_status = AGENT_EXIT_TERMINAL;
        facts_end_observe(&f, &agent, &unit, SECONDS(100));
        for (size_t i = 0; i < ELEMENTSOF(on_the_way); i++)
                observe(&f, &agent, on_the_way[i], 101);
        assert_true(f.refused);
        agent = agent_report(AGENT_RUNNING, "2", &A);
        observe(&f, &agent, UNIT_ACTIVE, 102);
        assert_false(f.refused);
}

static void test_need(void **state _unused_) {
        static const struct {
                AgentState agent;
                const Digest *has;
                bool file_known, open;
                unsigned needed; /* where it was needed since 1 */
                unsigned needed_first, failures;
                bool fruitless;
        } table[] = {
                {AGENT_RUNNING, &B, true, false, 1, 7, 3, true},
                {AGENT_RUNNING, &B, false, false, 1, 0, 3, true},
                {AGENT_STOPPED, &B, true, false, 1, 0, 3, true},
                {AGENT_RUNNING, &A, true, false, 0, 0, 0, false},
                /* What came of it is not settled yet. */
                {AGENT_RUNNING, &A, true, true, 0, 0, 3, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const ObserveReport agent = agent_report(table[i].agent, "1", table[i].has);

                for (unsigned since = 0; since < 2; since++) {
                        Facts f = {.needed_usec = SECONDS(since),
                                   .file.sync = {.digest_known = table[i].file_known, .digest = A},
                                   .record = {.open = table[i].open, .failures = 3, .fruitless = true}};

                        observe(&f, &agent, UNIT_ACTIVE, 7);
                        assert_int_equal(f.needed_usec, SECONDS(since ? table[i].needed : table[i].needed_first));
                        assert_int_equal(f.record.failures, table[i].failures);
                        assert_int_equal(f.record.fruitless, table[i].fruitless);
                }
        }
}

static void test_unit_of_container(void **state _unused_) {
        static const struct {
                AgentState agent;
                int exit_status;
                UnitState unit;
        } table[] = {
                {AGENT_RUNNING, 0, UNIT_ACTIVE},  {AGENT_RUNNING, 5, UNIT_ACTIVE},   {AGENT_UNKNOWN, 0, UNIT_ACTIVE},
                {AGENT_STOPPED, 5, UNIT_REFUSED}, {AGENT_STOPPED, 1, UNIT_INACTIVE}, {AGENT_ABSENT, 0, UNIT_INACTIVE},
                {AGENT_ABSENT, 5, UNIT_INACTIVE},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const ObserveReport agent = {.agent = table[i].agent, .exit_status = table[i].exit_status};

                assert_int_equal(facts_unit_of_container(&agent), table[i].unit);
        }
}

/* --- our job --- */

static void test_begin_restart(void **state _unused_) {
        const Decision d = {.action = ACTION_RESTART};
        Facts f = {.needed_usec = 1,
                   .overtaken = true,
                   .file.sync = {.digest_known = true, .digest = B},
                   .agent = {.container_id = "1"},
                   .record = {.done = true, .fruitless = true, .failures = 1}};

        facts_begin_job(&f, &d, SECONDS(3));
        assert_true(f.job && f.record.open && !f.record.done && !f.record.fruitless && !f.overtaken);
        assert_int_equal(f.needed_usec, 0);
        assert_int_equal(f.record.restart_usec, SECONDS(3));
        assert_int_equal(f.record.tried_usec, SECONDS(3));
        assert_int_equal(f.record.failures, 2);
        assert_string_equal(f.record.old_container_id, "1");
        assert_true(digest_equal(&f.record.digest, &B));
}

/* One that was cut off: it is finished with a new container in place, or taken back. */
static void test_swap_can_end(void **state _unused_) {
        static const struct {
                bool open, job;
                AgentState agent;
                UnitState unit;
                SwapState swap;
                const Digest *has;
                bool can;
        } table[] = {
                {false, false, AGENT_RUNNING, UNIT_HALF_DONE, SWAP_HALF_DONE, &B, true},
                {false, false, AGENT_RUNNING, UNIT_ACTIVE, SWAP_LEFTOVER, &A, true},
                {false, false, AGENT_RUNNING, UNIT_ACTIVE, SWAP_LEFTOVER, &B, false},
                {false, false, AGENT_RUNNING, UNIT_ACTIVE, SWAP_NONE, &A, false},
                {true, false, AGENT_RUNNING, UNIT_HALF_DONE, SWAP_HALF_DONE, &A, false},
                {false, true, AGENT_RUNNING, UNIT_HALF_DONE, SWAP_HALF_DONE, &A, false},
                {false, false, AGENT_STOPPED, UNIT_HALF_DONE, SWAP_HALF_DONE, &A, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const Facts f = {.job = table[i].job,
                                 .record.open = table[i].open,
                                 .agent = {.agent = table[i].agent, .swap = table[i].swap, .digest = *table[i].has},
                                 .unit.state = table[i].unit,
                                 .file.sync = {.digest_known = true, .digest = A}};

                assert_int_equal(facts_swap_can_end(&f), table[i].can);
        }
}

/* The start of what it took down is another try of the same. */
static void test_begin_start(void **state _unused_) {
        const Decision d = {.action = ACTION_START};
        Facts f = {.overtaken = true,
                   .needed_usec = 1,
                   .record = {.restart_usec = 2, .tried_usec = 2, .open = true, .failures = 1, .digest = A}};

        facts_begin_job(&f, &d, SECONDS(3));
        assert_true(f.job && f.record.open && f.overtaken);
        assert_int_equal(f.needed_usec, 1);
        assert_int_equal(f.record.restart_usec, 2);
        assert_int_equal(f.record.tried_usec, SECONDS(3));
        assert_int_equal(f.record.failures, 2);
        assert_true(digest_equal(&f.record.digest, &A));
}

static void test_ends_of_a_job(void **state _unused_) {
        static const struct {
                JobOutcome outcome;
                bool start;
                bool done, open;
                unsigned failed, canceled; /* as they are counted */
        } table[] = {
                {JOB_DONE, false, true, true, 0, 0},      {JOB_FAILED, false, false, true, 0, 0},
                {JOB_REFUSED, false, false, false, 1, 0}, {JOB_CANCELED, false, false, false, 0, 1},
                {JOB_UNKNOWN, false, false, true, 0, 0},  {JOB_DONE, true, false, true, 0, 0},
                {JOB_FAILED, true, false, true, 0, 0},    {JOB_REFUSED, true, false, true, 0, 0},
                {JOB_CANCELED, true, false, false, 0, 1}, {JOB_UNKNOWN, true, false, true, 0, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Facts f = {.job = true, .record = {.open = true, .restart_usec = 5, .tried_usec = 5}};

                if (table[i].start)
                        f.record.tried_usec = 9;
                facts_end_job(&f, table[i].outcome);
                assert_false(f.job);
                assert_true(f.agent_stale);
                assert_int_equal(f.record.done, table[i].done);
                assert_int_equal(f.record.open, table[i].open);
                assert_int_equal(f.counters.restarts[RESTART_DONE], 0);
                assert_int_equal(f.counters.restarts[RESTART_FAILED], table[i].failed);
                assert_int_equal(f.counters.restarts[RESTART_CANCELED], table[i].canceled);
        }
}

static void test_abandoned_job(void **state _unused_) {
        Facts f = {.job = true, .record.open = true};

        facts_abandon_job(&f);
        assert_true(!f.job && f.agent_stale && f.record.open);

        f = (Facts){.job = true, .record.open = true};
        facts_forget_restart(&f);
        assert_true(!f.job && f.agent_stale && !f.record.open);
}

static void test_close(void **state _unused_) {
        static const struct {
                Reason reason;
                bool done;
                bool fruitless;
                unsigned failures, after;
                RestartOutcome outcome;
        } table[] = {
                {REASON_RESTARTED, true, false, 3, 0, RESTART_DONE},
                {REASON_STOPPED, true, false, 3, 0, RESTART_CANCELED},
                {REASON_WITHOUT_THEM, true, true, 3, 3, RESTART_FAILED},
                {REASON_WITHOUT_THEM, false, true, 3, 3, RESTART_FAILED},
                {REASON_NO_EFFECT, true, true, 3, 3, RESTART_FAILED},
                {REASON_NO_EFFECT, false, false, 3, 3, RESTART_FAILED},
                {REASON_NO_EFFECT, false, false, 1, 1, RESTART_FAILED},
                {REASON_RESTARTED, false, false, 3, 0, RESTART_DONE},
                /* For the first that is cut off nobody waits. */
                {REASON_CUT_OFF, false, false, 1, 0, RESTART_FAILED},
                {REASON_CUT_OFF, false, false, 2, 2, RESTART_FAILED},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const Decision d = {.action = ACTION_CLOSE, .reason = table[i].reason};
                Facts f = {.overtaken = true, .record = {.open = true, .done = table[i].done}};

                f.record.failures = table[i].failures;
                facts_close(&f, &d);
                assert_true(!f.record.open && !f.overtaken);
                assert_int_equal(f.record.fruitless, table[i].fruitless);
                assert_int_equal(f.record.failures, table[i].after);
                for (unsigned k = 0; k < _RESTART_OUTCOME_MAX; k++)
                        assert_int_equal(f.counters.restarts[k], k == table[i].outcome);
        }
}

static void test_record_of_another(void **state _unused_) {
        RestartRecord record = {.open = true, .failures = 3};
        Facts f = {0};

        facts_take_record(&f, &record);
        assert_true(f.record.open && f.overtaken);
        assert_int_equal(f.record.failures, 3);
        record.open = false;
        facts_take_record(&f, &record);
        assert_false(f.overtaken);
}

static void test_record_that_cannot_be_written(void **state _unused_) {
        const RestartRecord before = {.restart_usec = 3};
        Facts f = {.job = true, .record = {.restart_usec = 9, .open = true}};

        facts_fail_to_record(&f, &before, SECONDS(7));
        assert_true(!f.job && !f.record.open);
        assert_int_equal(f.record.restart_usec, 3);
        assert_int_equal(f.not_recorded_usec, SECONDS(7));
}

static void test_since_when_it_waits(void **state _unused_) {
        static const struct {
                Action action;
                Reason reason;
                Reason waits_for; /* from then on */
                unsigned since;
        } history[] = {
                {ACTION_WAIT, REASON_SETTLE, REASON_SETTLE, 0},
                {ACTION_OBSERVE, REASON_NONE, REASON_SETTLE, 0},
                {ACTION_WAIT, REASON_LOOKING, REASON_SETTLE, 0},
                {ACTION_WAIT, REASON_SETTLE, REASON_SETTLE, 0},
                {ACTION_HOLD, REASON_TASKS, REASON_TASKS, 4},
                {ACTION_RESTART, REASON_OTHER_CREDENTIALS, REASON_TASKS, 4},
                {ACTION_DONE, REASON_LIVE, REASON_LIVE, 6},
                {ACTION_CLOSE, REASON_STOPPED, REASON_LIVE, 6},
        };
        Facts f = {0};

        for (unsigned i = 0; i < ELEMENTSOF(history); i++) {
                const Decision d = {.action = history[i].action, .reason = history[i].reason};

                facts_note_waiting(&f, &d, SECONDS(i));
                assert_int_equal(f.waiting_for, history[i].waits_for);
                assert_int_equal(f.waiting_since_usec, SECONDS(history[i].since));
        }
}

/* What is live, or written, is another state with a problem than without; whoever waits, waits on. */
static void test_problem_while_nothing_is_done(void **state _unused_) {
        static const struct {
                Action action;
                Reason reason;
                bool problem;
                unsigned since;
        } history[] = {
                {ACTION_DONE, REASON_LIVE, false, 1},  {ACTION_DONE, REASON_LIVE, true, 2},
                {ACTION_DONE, REASON_LIVE, true, 2},   {ACTION_DONE, REASON_LIVE, false, 4},
                {ACTION_HOLD, REASON_TASKS, false, 5}, {ACTION_HOLD, REASON_TASKS, true, 5},
        };
        Facts f = {.file = {.known = true, .sync = {.outcome = SYNC_UNCHANGED}}};

        for (unsigned i = 0; i < ELEMENTSOF(history); i++) {
                const Decision d = {.action = history[i].action, .reason = history[i].reason};

                (void) snprintf(f.settings_problem, sizeof(f.settings_problem), "%s", history[i].problem ? "x" : "");
                facts_note_waiting(&f, &d, SECONDS(i + 1));
                assert_int_equal(f.waiting_since_usec, SECONDS(history[i].since));
        }
}

/* Times as measured with systemd 252: each row is the end of a unit that ran from 100 on. */
static void test_end_of_a_unit(void **state _unused_) {
        static const struct {
                UnitRun run; /* started, end of "active", exit of the main process; code, status */
                UnitEnd end;
        } table[] = {
                {{0, 0, 0, 0, 0, false}, UNIT_END_NEVER_RAN},
                {{100, 205, 210, CLD_EXITED, 0, false}, UNIT_END_STOP},       /* systemctl stop; PartOf=; ExecStop= */
                {{100, 205, 210, CLD_KILLED, SIGTERM, false}, UNIT_END_STOP}, /* the same, without ExecStop= */
                {{100, 205, 210, CLD_EXITED, 0, true}, UNIT_END_STOP},
                {{100, 210, 205, CLD_EXITED, 0, false}, UNIT_END_EXIT},         /* docker restart ecs-agent */
                {{100, 210, 205, CLD_EXITED, 143, false}, UNIT_END_EXIT},       /* SuccessExitStatus= */
                {{100, 210, 205, CLD_KILLED, SIGTERM, false}, UNIT_END_SIGNAL}, /* kill PID, systemctl kill */
                {{100, 210, 205, CLD_DUMPED, SIGABRT, false}, UNIT_END_SIGNAL},
                {{100, 210, 205, CLD_EXITED, 0, true}, UNIT_END_UNKNOWN}, /* RemainAfterExit=: stopped later, or not */
                {{100, 205, 205, CLD_EXITED, 0, false}, UNIT_END_UNKNOWN},
                {{100, 90, 210, CLD_EXITED, 0, false}, UNIT_END_UNKNOWN}, /* never active in this run */
                {{100, 0, 210, CLD_EXITED, 0, false}, UNIT_END_UNKNOWN},
                {{100, 210, 90, CLD_EXITED, 0, false}, UNIT_END_UNKNOWN}, /* ExecCondition=, a stop in ExecStartPre= */
                {{100, 210, 0, 0, 0, false}, UNIT_END_UNKNOWN},           /* no main process */
                {{100, 80, 80, CLD_KILLED, SIGKILL, false},
                 UNIT_END_UNKNOWN}, /* stopped between two automatic restarts */
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_int_equal(facts_judge_end(&table[i].run), table[i].end);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_end_of_a_unit),
                cmocka_unit_test(test_waking),
                cmocka_unit_test(test_one_look),
                cmocka_unit_test(test_another_file),
                cmocka_unit_test(test_retry),
                cmocka_unit_test(test_lost_jobs),
                cmocka_unit_test(test_ends_of_asking),
                cmocka_unit_test(test_overtaken_job),
                cmocka_unit_test(test_reports_of_a_write),
                cmocka_unit_test(test_failures_of_helpers_add_up),
                cmocka_unit_test(test_writes_add_up),
                cmocka_unit_test(test_problem_that_is_shown),
                cmocka_unit_test(test_change_is_a_new_cause),
                cmocka_unit_test(test_agent_has_credentials),
                cmocka_unit_test(test_look),
                cmocka_unit_test(test_since_when_it_runs),
                cmocka_unit_test(test_since_when_it_is_idle),
                cmocka_unit_test(test_since_when_it_is_silent),
                cmocka_unit_test(test_refusal),
                cmocka_unit_test(test_refusal_is_repaired),
                cmocka_unit_test(test_exits_are_counted),
                cmocka_unit_test(test_exits_end_with_an_answer),
                cmocka_unit_test(test_need),
                cmocka_unit_test(test_unit_of_container),
                cmocka_unit_test(test_begin_restart),
                cmocka_unit_test(test_swap_can_end),
                cmocka_unit_test(test_begin_start),
                cmocka_unit_test(test_ends_of_a_job),
                cmocka_unit_test(test_abandoned_job),
                cmocka_unit_test(test_close),
                cmocka_unit_test(test_record_of_another),
                cmocka_unit_test(test_record_that_cannot_be_written),
                cmocka_unit_test(test_since_when_it_waits),
                cmocka_unit_test(test_problem_while_nothing_is_done),
        };

        return cmocka_run_group_tests_name("facts", tests, NULL, NULL);
}
