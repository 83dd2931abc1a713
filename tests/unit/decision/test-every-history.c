/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "decision/facts.h"

/* Every history up to DEPTH events on a small host: credentials change, something rewrites the file, the agent goes and
 * comes back, tasks come and go, an operator stops and starts the unit, jobs end in every way, the daemon is killed at
 * any step. What is true of all of them is checked at each restart and, once nothing happens any more, at the end. A
 * state that was reached before is not gone through again. */

#define SECONDS(n) ((n) *USEC_PER_SEC)

enum {
        DEPTH = 9,
        TABLE_SIZE = 1 << 22, /* a power of two, and much more than there are states */
        REST_STEPS_MAX = 400,
        NEVER = 255,
};

/* Versions of the credentials; an agent with BAD does not come up, if the host is of that kind. */
enum { NONE, GOOD, BAD, N_VERSIONS };

typedef enum Job { JOB_IDLE, JOB_TRY, JOB_ANYWAY } Job;

/* The host, and the kind of host that it is. */
typedef struct World {
        uint8_t credentials, file, last_good, rejected; /* last_good: NEVER = not known; rejected: NEVER = none */
        uint8_t agent_runs, agent_version, agent_id;
        uint8_t unit; /* UnitState, but for a job */
        uint8_t job;
        uint8_t tasks;
        uint8_t restarts; /* since something last happened */
        uint8_t retried;  /* a job was refused or failed since then: it may be tried again */
        uint8_t engine_down;
        uint8_t state_kept, bad_breaks, unit_fails;
} World;

/* The daemon, without what no decision looks at. All of it is bytes, so that states can be compared. */
typedef struct Daemon {
        uint8_t files_stale, agent_stale, next_sync;
        uint8_t sync_outcome, digest_known, digest, rejected, last_good_known, last_good;
        uint8_t agent, agent_id, agent_digest, agent_tasks, agent_answers, unit;
        uint8_t state, outcome, rolls_back, overtaken, attempt_digest, old_id, failures;
        uint8_t waiting_for, padding;
        uint16_t changed, needed, started, verifying, roll_back, waiting_since; /* seconds ago; 0 = never */
} Daemon;

typedef struct State {
        World world;
        Daemon daemon;
} State;

_Static_assert(sizeof(State) == 16 + 24 + 6 * sizeof(uint16_t), "no byte of it is undefined");

enum { NOW = 100000 }; /* seconds; each state lies at this moment */

/* How the state that is looked at was reached: the one before it, and what happened. */
typedef struct Origin {
        unsigned before;
        int event;
} Origin;

static Origin *origins;
static unsigned looked_at;
static int looked_at_event;

static void print_history(void);

#define broken(...)                    \
        do {                           \
                print_history();       \
                fail_msg(__VA_ARGS__); \
        } while (0)

/* --- the daemon between its bytes and its facts --- */

static Facts facts; /* large, and used by one step at a time */

static Digest digest_of(uint8_t version) {
        return (Digest){{(uint8_t) (version + 1)}};
}

static uint64_t moment(uint16_t seconds_ago) {
        return seconds_ago == 0 ? 0 : SECONDS((uint64_t) NOW + 1 - seconds_ago);
}

static uint16_t seconds_ago(uint64_t usec, uint64_t now) {
        uint64_t ago = usec == 0 ? 0 : (now - usec) / USEC_PER_SEC + 1;

        return (uint16_t) (ago > 5000 ? 5000 : ago); /* longer than any limit of the policy */
}

static void id_to_text(uint8_t id, char *ret) {
        if (id == NEVER)
                ret[0] = 0;
        else
                (void) snprintf(ret, 8, "c%u", id);
}

static uint8_t id_from_text(const char *s) {
        return *s ? (uint8_t) (s[1] - '0') : NEVER;
}

static void unpack(const Daemon *d, bool state_kept) {
        facts.files_stale = d->files_stale;
        facts.agent_stale = d->agent_stale;
        facts.job_running = false;
        facts.next_sync = d->next_sync;
        facts.sync.outcome = d->sync_outcome;
        facts.sync.digest_known = d->digest_known;
        facts.sync.digest = digest_of(d->digest);
        facts.sync.rejected = d->rejected;
        facts.sync.last_good_known = d->last_good_known;
        facts.sync.last_good = digest_of(d->last_good);
        facts.changed_usec = moment(d->changed);
        facts.needed_usec = moment(d->needed);
        facts.agent.agent = d->agent;
        id_to_text(d->agent_id, facts.agent.container_id);
        facts.agent.digest = digest_of(d->agent_digest);
        facts.agent.n_tasks = d->agent_tasks;
        facts.agent.answers = d->agent_answers;
        facts.agent.state_kept = state_kept ? STATE_KEPT : STATE_NO_DATADIR;
        facts.unit = d->unit;
        facts.attempt.state = d->state;
        facts.attempt.outcome = d->outcome;
        facts.attempt.rolls_back = d->rolls_back;
        facts.attempt.overtaken = d->overtaken;
        facts.attempt.started_usec = moment(d->started);
        facts.attempt.verifying_usec = moment(d->verifying);
        facts.attempt.roll_back_usec = moment(d->roll_back);
        facts.attempt.digest = digest_of(d->attempt_digest);
        id_to_text(d->old_id, facts.attempt.old_container_id);
        facts.attempt.failures = d->failures;
        facts.waiting_for = d->waiting_for;
        facts.waiting_since_usec = moment(d->waiting_since);
}

static void pack(Daemon *d, uint64_t now) {
        *d = (Daemon){
                .files_stale = facts.files_stale,
                .agent_stale = facts.agent_stale,
                .next_sync = (uint8_t) facts.next_sync,
                .sync_outcome = (uint8_t) facts.sync.outcome,
                .digest_known = facts.sync.digest_known,
                .digest = (uint8_t) (facts.sync.digest.bytes[0] - 1),
                .rejected = facts.sync.rejected,
                .last_good_known = facts.sync.last_good_known,
                .last_good = (uint8_t) (facts.sync.last_good.bytes[0] - 1),
                .agent = (uint8_t) facts.agent.agent,
                .agent_id = id_from_text(facts.agent.container_id),
                .agent_digest = (uint8_t) (facts.agent.digest.bytes[0] - 1),
                .agent_tasks = (uint8_t) facts.agent.n_tasks,
                .agent_answers = facts.agent.answers,
                .unit = (uint8_t) facts.unit,
                .state = (uint8_t) facts.attempt.state,
                .outcome = (uint8_t) facts.attempt.outcome,
                .rolls_back = facts.attempt.rolls_back,
                .overtaken = facts.attempt.overtaken,
                .attempt_digest = (uint8_t) (facts.attempt.digest.bytes[0] - 1),
                .old_id = id_from_text(facts.attempt.old_container_id),
                .failures = (uint8_t) (facts.attempt.failures > 9 ? 9 : facts.attempt.failures),
                .waiting_for = (uint8_t) facts.waiting_for,
                .changed = seconds_ago(facts.changed_usec, now),
                .needed = seconds_ago(facts.needed_usec, now),
                .started = seconds_ago(facts.attempt.started_usec, now),
                .verifying = seconds_ago(facts.attempt.verifying_usec, now),
                .roll_back = seconds_ago(facts.attempt.roll_back_usec, now),
                .waiting_since = seconds_ago(facts.waiting_since_usec, now),
        };
}

static void start_daemon(State *s) {
        facts = (Facts){.files_stale = true, .agent_stale = true};
        pack(&s->daemon, SECONDS(NOW));
}

/* --- what the jobs do to the host --- */

static void write_file(World *w, SyncMode mode, bool killed) {
        SyncReport report = {.outcome = SYNC_UNCHANGED, .digest_known = true};
        uint8_t target = w->credentials;

        if (mode == SYNC_REJECT)
                w->rejected = w->file;
        else if (mode == SYNC_RETRY)
                w->rejected = NEVER;
        if (killed)
                return;

        if (w->rejected != target)
                w->rejected = NEVER;
        else if (w->last_good != NEVER) {
                report.rejected = true;
                target = w->last_good;
        }

        if (w->file != target)
                report.outcome = SYNC_WRITTEN;
        if (w->file != target && !report.rejected)
                w->restarts = w->retried = 0; /* a new cause */
        w->file = target;
        report.digest = digest_of(target);
        report.last_good_known = w->last_good != NEVER;
        report.last_good = digest_of(w->last_good);
        facts_end_write(&facts, &report, SECONDS(NOW));
}

static void look(World *w) {
        ObserveReport r = {.agent = AGENT_ABSENT, .n_tasks = w->tasks};

        if (w->engine_down) {
                r = (ObserveReport){.agent = AGENT_UNKNOWN, .engine_error = -ECONNREFUSED};
        } else if (w->agent_runs) {
                r.agent = AGENT_RUNNING;
                r.answers = true;
                r.digest = digest_of(w->agent_version);
                id_to_text(w->agent_id, r.container_id);
                w->last_good = w->agent_version;
        }
        r.state_kept = w->state_kept ? STATE_KEPT : STATE_NO_DATADIR;
        facts_end_observe(&facts, &r, w->job == JOB_IDLE ? (UnitState) w->unit : UNIT_CHANGING, SECONDS(NOW));
}

/* ecs-init starts the agent with what stands in the file. */
static void start_agent(World *w) {
        bool breaks = w->bad_breaks && w->file == BAD;

        w->unit = breaks && w->unit_fails ? UNIT_FAILED : UNIT_ACTIVE;
        w->agent_runs = !breaks;
        w->agent_version = w->file;
        w->agent_id = (uint8_t) (w->agent_id == 9 ? 0 : w->agent_id + 1);
}

/* --- one step of the daemon --- */

static const Policy policy = {
        .settings.settle_usec = SECONDS(2),
        .settings.min_interval_usec = SECONDS(20),
        .settings.verify_usec = SECONDS(5),
        .settings.pending_usec = SECONDS(5),
        .settings.rollback = true,
};

static void check_restart(const World *w, const Decision *d) {
        /* What was seen at the last look; what happens in between is for systemd to refuse. */
        if (facts.agent.agent == AGENT_RUNNING && !w->state_kept && facts.agent.n_tasks > 0)
                broken("a restart while the state is unsaved and tasks run");
        if (facts.agent.agent == AGENT_RUNNING && facts.agent.answers &&
            digest_equal(&facts.agent.digest, &facts.sync.digest))
                broken("a restart without a cause");
        if (facts.unit == UNIT_INACTIVE)
                broken("a unit that an operator stopped is started");
        if (d->reason == REASON_REPAIR && facts.attempt.outcome != OUTCOME_BROKE)
                broken("a repair of what we did not break");
        if (w->restarts >= 2 && !w->retried)
                broken("a third restart for one cause");
}

/* Decides, and does it. killed: in the middle of a write. True: there is more to do at once. */
static bool step(State *s, Decision *ret, bool killed) {
        World *w = &s->world;
        bool more;

        unpack(&s->daemon, w->state_kept);
        *ret = decide(&facts, &policy, SECONDS(NOW));

        more = ret->action != ACTION_WAIT && ret->action != ACTION_HOLD && ret->action != ACTION_DONE;
        switch (ret->action) {
        case ACTION_WRITE:
                write_file(w, facts_begin_write(&facts), killed);
                break;
        case ACTION_OBSERVE:
                facts_begin_observe(&facts);
                look(w);
                break;
        case ACTION_RESTART:
                check_restart(w, ret);
                w->restarts++;
                w->job = ret->reason == REASON_REPAIR ? JOB_ANYWAY : JOB_TRY;
                facts_begin_restart(&facts, ret, SECONDS(NOW));
                break;
        default:
                more = facts_take_decision(&facts, ret, SECONDS(NOW));
        }
        pack(&s->daemon, SECONDS(NOW));
        if (killed)
                start_daemon(s);
        return more;
}

static void wake(State *s, bool files) {
        unpack(&s->daemon, s->world.state_kept);
        facts_wake(&facts, files);
        pack(&s->daemon, SECONDS(NOW));
}

static void pass_time(State *s, uint64_t usec) {
        unpack(&s->daemon, s->world.state_kept);
        pack(&s->daemon, SECONDS(NOW) + usec);
}

/* --- what can happen --- */

typedef enum Event {
        EVENT_STEP, /* the daemon gets to do one thing */
        EVENT_PASS, /* it gets to do all that there is to do at once */
        EVENT_TIMER,
        EVENT_KILLED,
        EVENT_KILLED_IN_WRITE,
        EVENT_LOGIN_GOOD,
        EVENT_LOGIN_BAD,
        EVENT_LOGOUT_UNHEARD, /* inotify is a hint */
        EVENT_FILE_REWRITTEN,
        EVENT_AGENT_GONE,
        EVENT_AGENT_BACK,
        EVENT_ENGINE_DOWN,
        EVENT_ENGINE_UP,
        EVENT_OPERATOR_STOPS,
        EVENT_OPERATOR_STARTS,
        EVENT_TASK_STARTS,
        EVENT_TASK_ENDS,
        EVENT_JOB_DONE,
        EVENT_JOB_FAILED,
        EVENT_JOB_REFUSED,
        EVENT_JOB_UNHEARD, /* the bus was lost */
        EVENT_SIGHUP,
        N_EVENTS,
} Event;

static const char *const event_names[N_EVENTS] = {
        [EVENT_STEP] = "a step of the daemon",
        [EVENT_PASS] = "a pass of the daemon",
        [EVENT_TIMER] = "its timer",
        [EVENT_KILLED] = "it is killed and started",
        [EVENT_KILLED_IN_WRITE] = "it is killed in the middle of a write",
        [EVENT_LOGIN_GOOD] = "login",
        [EVENT_LOGIN_BAD] = "login with bad credentials",
        [EVENT_LOGOUT_UNHEARD] = "logout, without an inotify event",
        [EVENT_FILE_REWRITTEN] = "the environment file is rewritten",
        [EVENT_AGENT_GONE] = "the agent goes",
        [EVENT_AGENT_BACK] = "the agent comes back",
        [EVENT_ENGINE_DOWN] = "the engine goes down",
        [EVENT_ENGINE_UP] = "the engine comes up",
        [EVENT_OPERATOR_STOPS] = "systemctl stop",
        [EVENT_OPERATOR_STARTS] = "systemctl start",
        [EVENT_TASK_STARTS] = "a task starts",
        [EVENT_TASK_ENDS] = "the last task ends",
        [EVENT_JOB_DONE] = "the job is done",
        [EVENT_JOB_FAILED] = "the job fails",
        [EVENT_JOB_REFUSED] = "the job is canceled",
        [EVENT_JOB_UNHEARD] = "the job is done, without a signal",
        [EVENT_SIGHUP] = "SIGHUP",
};

static void end_job(State *s, JobOutcome outcome) {
        World *w = &s->world;

        if (outcome == JOB_FAILED) {
                w->agent_runs = false;
                w->unit = UNIT_FAILED;
        } else if (outcome != JOB_REFUSED && (w->job == JOB_ANYWAY || w->unit == UNIT_ACTIVE)) {
                start_agent(w);
        }
        if (outcome == JOB_REFUSED || outcome == JOB_FAILED)
                w->retried = true;
        w->job = JOB_IDLE;

        unpack(&s->daemon, w->state_kept);
        if (facts.attempt.state == ATTEMPT_JOB)
                facts_end_restart(&facts, outcome, SECONDS(NOW));
        else
                facts_wake(&facts, false);
        pack(&s->daemon, SECONDS(NOW));
}

static void set_credentials(World *w, uint8_t version) {
        w->credentials = version;
        w->restarts = w->retried = 0;
}

/* The last decision that rests told when to look again. */
static bool fire_timer(State *s) {
        Decision d;
        State trial = *s;

        if (step(&trial, &d, false) || d.look_again_usec <= SECONDS(NOW))
                return false;
        *s = trial;
        pass_time(s, d.look_again_usec - SECONDS(NOW));
        wake(s, false);
        return true;
}

/* Happens to the host alone. False: it cannot happen now. */
static bool happen(World *w, Event e) {
        switch (e) {
        case EVENT_FILE_REWRITTEN:
                w->file = NONE;
                w->restarts = w->retried = 0;
                return true;
        case EVENT_AGENT_GONE:
                w->agent_runs = false;
                return true;
        case EVENT_AGENT_BACK:
                if (w->agent_runs || w->unit != UNIT_ACTIVE || w->job != JOB_IDLE)
                        return false;
                start_agent(w);
                return true;
        case EVENT_ENGINE_DOWN:
        case EVENT_ENGINE_UP:
                if (w->engine_down == (e == EVENT_ENGINE_DOWN))
                        return false;
                w->engine_down = e == EVENT_ENGINE_DOWN;
                return true;
        case EVENT_OPERATOR_STOPS:
                w->unit = UNIT_INACTIVE;
                w->agent_runs = false;
                w->job = JOB_IDLE; /* canceled, in favour of the stop */
                return true;
        case EVENT_OPERATOR_STARTS:
                if (w->unit == UNIT_ACTIVE || w->job != JOB_IDLE)
                        return false;
                start_agent(w);
                w->restarts = w->retried = 0;
                return true;
        case EVENT_TASK_STARTS:
                if (!w->agent_runs)
                        return false;
                w->tasks = 1;
                return true;
        case EVENT_TASK_ENDS:
                w->tasks = 0;
                return true;
        default:
                return false;
        }
}

static bool apply_event(State *s, Event e) {
        World *w = &s->world;
        Decision d;

        switch (e) {
        case EVENT_STEP:
                (void) step(s, &d, false);
                return true;
        case EVENT_PASS:
                while (step(s, &d, false))
                        ;
                return true;
        case EVENT_TIMER:
                return fire_timer(s);
        case EVENT_KILLED:
                start_daemon(s);
                w->restarts = w->retried = 0; /* it knows nothing of its predecessor's */
                return true;
        case EVENT_KILLED_IN_WRITE:
                w->restarts = w->retried = 0;
                return step(s, &d, true) && d.action == ACTION_WRITE;
        case EVENT_LOGIN_GOOD:
        case EVENT_LOGIN_BAD:
                set_credentials(w, e == EVENT_LOGIN_GOOD ? GOOD : BAD);
                wake(s, true);
                return true;
        case EVENT_LOGOUT_UNHEARD:
                set_credentials(w, NONE);
                return true;
        case EVENT_JOB_DONE:
        case EVENT_JOB_FAILED:
        case EVENT_JOB_REFUSED:
        case EVENT_JOB_UNHEARD:
                if (w->job == JOB_IDLE)
                        return false;
                end_job(s, e == EVENT_JOB_DONE      ? JOB_DONE
                           : e == EVENT_JOB_FAILED  ? JOB_FAILED
                           : e == EVENT_JOB_REFUSED ? JOB_REFUSED
                                                    : JOB_UNKNOWN);
                return true;
        case EVENT_SIGHUP:
                unpack(&s->daemon, w->state_kept);
                facts_retry(&facts);
                pack(&s->daemon, SECONDS(NOW));
                w->restarts = w->retried = 0;
                return true;
        default:
                if (!happen(w, e))
                        return false;
                wake(s, e == EVENT_FILE_REWRITTEN);
                return true;
        }
}

/* --- the end of a history --- */

static void print_from(unsigned i) {
        if (i == 0)
                return;
        print_from(origins[i].before);
        print_message("  %s\n", event_names[origins[i].event]);
}

static void print_history(void) {
        print_message("What happened:\n");
        print_from(looked_at);
        print_message("  %s\n", event_names[looked_at_event]);
}

static void check_end(const World *w, const Decision *d) {
        bool current = w->agent_runs && w->agent_version == w->credentials && w->file == w->credentials;
        bool gone_back = w->agent_runs && w->rejected == w->credentials && w->agent_version == w->file;

        switch (d->reason) {
        case REASON_LIVE:
                if (!current)
                        broken("called live, and the agent has other credentials");
                return;
        case REASON_ROLLED_BACK:
                if (!gone_back)
                        broken("called rolled back, and it is not");
                return;
        case REASON_TASKS:
                if (w->state_kept || w->tasks == 0)
                        broken("held for tasks, and none would be lost");
                return;
        case REASON_ENGINE:
                if (!w->engine_down)
                        broken("held for the engine, which is up");
                return;
        case REASON_UNIT_INACTIVE:
                if (w->unit != UNIT_INACTIVE)
                        broken("called stopped, and it is not");
                return;
        case REASON_UNIT_FAILED:
        case REASON_BROKE:
        case REASON_GAVE_UP:
                if (w->agent_runs)
                        broken("called broken, and it runs");
                return;
        case REASON_AGENT_COMING:
                if (w->agent_runs || w->unit != UNIT_ACTIVE)
                        broken("waits for an agent that is there, or not to come");
                return;
        default:
                broken("it ends in action %d for reason %d, which is neither live nor a stated hold", (int) d->action,
                       (int) d->reason);
        }
}

static bool rests(const Decision *d) {
        return d->action == ACTION_HOLD || d->action == ACTION_DONE || d->reason == REASON_AGENT_COMING;
}

/* Nothing happens any more but time, the end of our own job, and RefreshSec=. */
static void come_to_rest(State s) {
        bool refreshed = false;

        for (unsigned i = 0; i < REST_STEPS_MAX; i++) {
                Decision d;

                if (step(&s, &d, false))
                        continue;
                if (s.world.job != JOB_IDLE) {
                        end_job(&s, JOB_DONE);
                } else if (rests(&d) && refreshed) {
                        check_end(&s.world, &d);
                        return;
                } else if (rests(&d)) {
                        pass_time(&s, SECONDS(3600));
                        wake(&s, true);
                        refreshed = true;
                } else if (!fire_timer(&s)) {
                        broken("it waits for reason %d, and for nothing that comes", (int) d.reason);
                }
        }
        broken("it never comes to rest");
}

/* --- all of them --- */

/* The states that were reached. What stands in the table is a number of this list, plus one. */
static State *states;
static unsigned n_states;
static uint32_t *table;

static bool is_new(const State *s) {
        const unsigned char *bytes = (const unsigned char *) s;
        uint64_t hash = 14695981039346656037ULL;
        uint32_t *place;

        for (size_t i = 0; i < sizeof(State); i++)
                hash = (hash ^ bytes[i]) * 1099511628211ULL;
        for (place = &table[hash & (TABLE_SIZE - 1)]; *place;
             place = place == table + TABLE_SIZE - 1 ? table : place + 1)
                if (memcmp(&states[*place - 1], s, sizeof(State)) == 0)
                        return false;

        assert_true(n_states < TABLE_SIZE / 2);
        origins[n_states] = (Origin){.before = looked_at, .event = looked_at_event};
        states[n_states++] = *s;
        *place = n_states;
        return true;
}

static void explore(uint8_t state_kept, uint8_t bad_breaks, uint8_t unit_fails) {
        unsigned begin = 0, end;
        State first;

        memset(&first, 0, sizeof(first));
        first.world = (World){.credentials = GOOD,
                              .file = GOOD,
                              .last_good = NEVER,
                              .rejected = NEVER,
                              .agent_runs = true,
                              .agent_version = GOOD,
                              .unit = UNIT_ACTIVE,
                              .state_kept = state_kept,
                              .bad_breaks = bad_breaks,
                              .unit_fails = unit_fails};
        start_daemon(&first);
        n_states = 0;
        memset(table, 0, TABLE_SIZE * sizeof(uint32_t));
        (void) is_new(&first);

        for (unsigned depth = 0; depth < DEPTH; depth++, begin = end) {
                end = n_states;
                for (unsigned i = begin; i < end; i++)
                        for (Event e = 0; e < N_EVENTS; e++) {
                                State next = states[i];

                                looked_at = i;
                                looked_at_event = (int) e;
                                if (apply_event(&next, e) && is_new(&next))
                                        come_to_rest(next);
                        }
        }
        print_message("%u states within %d events\n", n_states, DEPTH);
}

static int set_up(void **state _unused_) {
        states = calloc(TABLE_SIZE / 2, sizeof(State));
        origins = calloc(TABLE_SIZE / 2, sizeof(Origin));
        table = calloc(TABLE_SIZE, sizeof(uint32_t));
        return states && origins && table ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        free(states);
        free(origins);
        free(table);
        return 0;
}

static void test_state_is_kept(void **state _unused_) {
        explore(true, false, false);
}

static void test_state_is_not_kept(void **state _unused_) {
        explore(false, false, false);
}

static void test_credentials_break_the_agent(void **state _unused_) {
        explore(true, true, false);
}

static void test_credentials_break_the_unit(void **state _unused_) {
        explore(true, true, true);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_state_is_kept),
                cmocka_unit_test(test_state_is_not_kept),
                cmocka_unit_test(test_credentials_break_the_agent),
                cmocka_unit_test(test_credentials_break_the_unit),
        };

        return cmocka_run_group_tests_name("every history", tests, set_up, tear_down);
}
