/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include "decision/daemon-model.h"

/* The events that can happen to the host of host-model.h, the kinds of host, and the checks after each event and at
 * the end of a history. */

typedef enum Event {
        EVENT_TIMER,
        EVENT_TIMER_LATE,
        EVENT_SIGHUP,
        EVENT_KILLED,
        EVENT_KILLED_BEFORE_CALL,
        EVENT_KILLED_BEFORE_SETTLE,
        EVENT_APPLY,
        EVENT_APPLY_KILLED,

        EVENT_LOGIN_A,
        EVENT_LOGIN_B,
        EVENT_LOGOUT,
        EVENT_LOGIN_SLOW,
        EVENT_WRITTEN,
        EVENT_FILE_REWRITTEN,
        EVENT_DISK_FULL,
        EVENT_DISK_UNREADABLE,
        EVENT_CREDENTIALS_BROKEN,
        EVENT_DISK_WORKS,

        EVENT_AGENT_EXITS,
        EVENT_AGENT_REFUSES,
        EVENT_AGENT_LEAVES,
        EVENT_AGENT_ANEW,
        EVENT_AWS_AWAY,
        EVENT_AWS_BACK,
        EVENT_AGENT_HANGS,
        EVENT_TASK_PULLED,
        EVENT_TASK_RUNS,
        EVENT_TASK_ENDS,

        EVENT_ENGINE,
        EVENT_BUS,
        EVENT_OPERATOR_STOPS,
        EVENT_OPERATOR_STARTS,
        EVENT_OPERATOR_RESETS,
        EVENT_OPERATOR_CANCELS,
        EVENT_JOB_DONE,
        EVENT_JOB_DONE_UNHEARD,
        EVENT_JOB_HALF,
        EVENT_JOB_FAILED,
        EVENT_JOB_DEPENDENCY_DOWN,
        EVENT_JOB_DEPENDENCY_UP,
        EVENT_JOB_REFUSED,
        N_EVENTS,
} Event;

#define BIT(e) (UINT64_C(1) << (e))

static const char *const event_names[N_EVENTS] = {
        [EVENT_TIMER] = "time passes, until the next timer",
        [EVENT_TIMER_LATE] = "the timer is late, and a credential file is touched",
        [EVENT_SIGHUP] = "SIGHUP",
        [EVENT_KILLED] = "the service is killed, and started",
        [EVENT_KILLED_BEFORE_CALL] = "the service will be killed before it asks for its next job",
        [EVENT_KILLED_BEFORE_SETTLE] = "the service will be killed before it saves what it has learned",
        [EVENT_APPLY] = "ecs-authd apply",
        [EVENT_APPLY_KILLED] = "apply is killed",
        [EVENT_LOGIN_A] = "login with A",
        [EVENT_LOGIN_B] = "login with B",
        [EVENT_LOGOUT] = "logout",
        [EVENT_LOGIN_SLOW] = "login with B, and the write takes its time",
        [EVENT_WRITTEN] = "it ends",
        [EVENT_FILE_REWRITTEN] = "somebody else rewrites the environment file",
        [EVENT_DISK_FULL] = "the disk is full",
        [EVENT_DISK_UNREADABLE] = "the environment file cannot be read",
        [EVENT_CREDENTIALS_BROKEN] = "a credential file is broken",
        [EVENT_DISK_WORKS] = "the disk works again",
        [EVENT_AGENT_EXITS] = "the agent exits",
        [EVENT_AGENT_REFUSES] = "the agent exits with 5",
        [EVENT_AGENT_LEAVES] = "the agent exits with 0 (docker restart), and the unit is inactive",
        [EVENT_AGENT_ANEW] = "ecs-init makes the agent anew",
        [EVENT_AWS_AWAY] = "AWS is away",
        [EVENT_AWS_BACK] = "AWS is back",
        [EVENT_AGENT_HANGS] = "introspection hangs, or no longer",
        [EVENT_TASK_PULLED] = "a task is being pulled",
        [EVENT_TASK_RUNS] = "the task runs",
        [EVENT_TASK_ENDS] = "the task ends",
        [EVENT_ENGINE] = "Docker goes down, or comes back",
        [EVENT_BUS] = "the bus goes down, or comes back",
        [EVENT_OPERATOR_STOPS] = "systemctl stop",
        [EVENT_OPERATOR_STARTS] = "systemctl start",
        [EVENT_OPERATOR_RESETS] = "systemctl reset-failed",
        [EVENT_OPERATOR_CANCELS] = "systemctl cancel",
        [EVENT_JOB_DONE] = "the job is done",
        [EVENT_JOB_DONE_UNHEARD] = "the job is done, and the signal lost",
        [EVENT_JOB_HALF] = "the job has stopped the agent",
        [EVENT_JOB_FAILED] = "the job fails, and the unit with it",
        [EVENT_JOB_DEPENDENCY_DOWN] = "the job fails after the stop: a dependency",
        [EVENT_JOB_DEPENDENCY_UP] = "the job fails before the stop: a dependency",
        [EVENT_JOB_REFUSED] = "the job is refused",
};

/* --- what can happen; false: not now --- */

static bool happen_to_files(State *s, Event e) {
        World *w = &s->world;
        Disk disk = e == EVENT_DISK_FULL         ? DISK_FULL
                    : e == EVENT_DISK_UNREADABLE ? DISK_UNREADABLE
                    : e == EVENT_DISK_WORKS      ? DISK_WORKS
                                                 : CREDENTIALS_BROKEN;
        uint8_t version = e == EVENT_LOGIN_A ? A : e == EVENT_LOGOUT ? NONE : B;

        switch (e) {
        case EVENT_LOGIN_SLOW:
                if (s->daemons[SERVICE].writing)
                        return false;
                __attribute__((fallthrough));
        case EVENT_LOGIN_A:
        case EVENT_LOGIN_B:
        case EVENT_LOGOUT:
                if (w->disk == CREDENTIALS_BROKEN)
                        return false;
                w->credentials = version;
                new_cause(w);
                wake_files(s);
                return true;
        case EVENT_WRITTEN:
                if (!s->daemons[SERVICE].writing)
                        return false;
                end_slow_write(s);
                return true;
        case EVENT_FILE_REWRITTEN:
                if (w->file == A)
                        return false;
                w->file = A;
                new_cause(w);
                wake_files(s);
                return true;
        default: /* of the disk nobody hears */
                if (w->disk == (uint8_t) disk)
                        return false;
                w->disk = (uint8_t) disk;
                if (disk == CREDENTIALS_BROKEN)
                        wake_files(s);
                return true;
        }
}

static void tell_docker_event(State *s, Event e) {
        for (unsigned i = 0; i < N_DAEMONS; i++) {
                Daemon *d = &s->daemons[i];

                if (d->follows && e != EVENT_TASK_PULLED)
                        d->agent_stale = d->woken = true;
        }
}

/* The end of the agent itself wakes no ecs-authd as long as its unit stays as it is. */
static bool happen_to_agent(World *w, State *s, Event e) {
        bool runs = w->agent == AGENT_RUNNING, registered = runs && w->registered;

        switch (e) {
        case EVENT_AGENT_EXITS:
        case EVENT_AGENT_REFUSES:
                if (!runs)
                        return false;
                w->agent = AGENT_STOPPED;
                w->agent_exit = e == EVENT_AGENT_EXITS ? 1 : AGENT_EXIT_TERMINAL;
                w->registered = false;
                if (kind->is_docker || e == EVENT_AGENT_EXITS || !kind->exit_5_is_final)
                        return true;
                pass_time(s, 1);
                w->unit = UNIT_REFUSED;
                w->unit_end = UNIT_END_EXIT;
                w->unit_stopped = 1;
                wake_agents(s);
                return true;
        case EVENT_AGENT_LEAVES:
                if (!runs || w->unit != UNIT_ACTIVE || kind->is_docker)
                        return false;
                pass_time(s, 1);
                stop_unit(w, UNIT_INACTIVE);
                w->unit_end = UNIT_END_EXIT;
                wake_agents(s);
                return true;
        case EVENT_AGENT_ANEW:
                if (runs || w->unit != UNIT_ACTIVE || w->job_half || kind->is_docker)
                        return false;
                make_agent(s);
                wake_agents(s); /* by Docker's events of the agent's own container */
                return true;
        case EVENT_AWS_AWAY:
        case EVENT_AWS_BACK:
                if (w->aws_away == (e == EVENT_AWS_AWAY))
                        return false;
                w->aws_away = e == EVENT_AWS_AWAY;
                w->registered |= runs && !w->aws_away;
                return true;
        case EVENT_AGENT_HANGS:
                if (!registered)
                        return false;
                w->hangs = !w->hangs;
                return true;
        case EVENT_TASK_PULLED:
        case EVENT_TASK_RUNS:
                if (!registered || w->task != (e == EVENT_TASK_PULLED ? TASK_NONE : TASK_PULLED))
                        return false;
                w->task = e == EVENT_TASK_PULLED ? TASK_PULLED : TASK_RUNS;
                if (w->task == TASK_PULLED)
                        w->task_seen = 0;
                tell_docker_event(s, e);
                return true;
        default:
                if (w->task == TASK_NONE)
                        return false;
                /* One that came and went between two looks without a container cannot be known. */
                w->task_ended = 1;
                w->ended_seen = w->task == TASK_PULLED ? w->task_seen : UINT8_MAX;
                if (w->task != TASK_PULLED)
                        tell_docker_event(s, e);
                w->task = TASK_NONE;
                return true;
        }
}

static bool happen_to_bus(World *w, State *s) {
        if (kind->is_docker)
                return false;
        w->bus_down = !w->bus_down;
        if (w->job != JOB_NONE && w->bus_down) {
                uint8_t job = w->job, half = w->job_half;

                end_job(s, JOB_UNKNOWN, true);
                w->job = job; /* it goes on */
                w->job_half = half;
        }
        wake_agents(s);
        return true;
}

/* docker stop: Docker notes neither when nor why a container was stopped, so that one stop cannot be told from ours. It
 * ends no job of ours. */
static bool stop_container(World *w, State *s) {
        if (w->agent != AGENT_RUNNING)
                return false;
        w->op_stopped = true;
        w->took_down = false;
        w->unheard = w->record.open;
        stop_unit(w, UNIT_ACTIVE);
        wake_agents(s);
        return true;
}

/* systemctl stop, also of a unit that is down. */
static void stop_by_operator(World *w, State *s) {
        w->op_stopped = true;
        w->took_down = false;
        /* Also if the end of our restart cannot be recorded, and is lost with the process. */
        w->unheard = w->bus_down || (w->job != JOB_NONE && w->job_owner == NEVER) ||
                     (w->disk == DISK_FULL && w->record.open);
        if (w->unit == UNIT_ACTIVE || w->job != JOB_NONE)
                stop_unit(w, UNIT_INACTIVE);
        w->stop_heard = 0;
        for (unsigned i = 0; i < N_DAEMONS; i++)
                if (s->daemons[i].alive && !w->bus_down)
                        w->stop_heard |= (uint8_t) (1 << i);
        if (w->job != JOB_NONE)
                end_job(s, JOB_CANCELED, !w->bus_down);
        wake_agents(s);
}

static bool happen_to_unit(World *w, State *s, Event e) {
        bool up = is_up(w);

        if (e != EVENT_OPERATOR_RESETS)
                pass_time(s, 1);
        switch (e) {
        case EVENT_OPERATOR_STOPS:
                if (kind->is_docker)
                        return stop_container(w, s);
                stop_by_operator(w, s);
                return true;
        case EVENT_OPERATOR_STARTS:
                if (up || w->job != JOB_NONE || w->half_done)
                        return false;
                start_unit(s);
                wake_agents(s);
                return true;
        case EVENT_OPERATOR_RESETS:
                if (w->unit != UNIT_FAILED && w->unit != UNIT_REFUSED)
                        return false;
                /* From here on it is his: a stop of his would have left the same. It may be started, or not. */
                w->took_down = false;
                w->unheard = true;
                w->unit = UNIT_INACTIVE;
                wake_agents(s);
                return true;
        default: /* cancels */
                if (w->job == JOB_NONE || kind->is_docker)
                        return false;
                w->op_stopped |= w->job_half || w->unit != UNIT_ACTIVE;
                w->took_down &= w->unit == UNIT_ACTIVE;
                w->unheard |= w->job_owner == NEVER || w->bus_down;
                end_job(s, JOB_CANCELED, !w->bus_down);
                return true;
        }
}

static bool happen_to_job(World *w, State *s, Event e) {
        bool stops = job_stops_agent(w);

        if (w->job == JOB_NONE)
                return false;
        if (kind->is_docker && e != EVENT_JOB_HALF && e != EVENT_JOB_DONE && e != EVENT_JOB_REFUSED)
                return false;
        pass_time(s, 1);
        switch (e) {
        case EVENT_JOB_DONE:
        case EVENT_JOB_DONE_UNHEARD:
                do_job(s);
                end_job(s, JOB_DONE, e == EVENT_JOB_DONE && !w->bus_down);
                return true;
        case EVENT_JOB_HALF:
                if (!stops || w->job_half)
                        return false;
                take_down(w, kind->is_docker ? UNIT_ACTIVE : UNIT_INACTIVE);
                w->job_half = true;
                wake_agents(s);
                return true;
        case EVENT_JOB_FAILED:
                if (stops)
                        take_down(w, UNIT_INACTIVE);
                else if (!w->job_half && (w->job == JOB_RESTARTS || w->unit == UNIT_ACTIVE))
                        return false;
                w->unit = UNIT_FAILED;
                w->unit_started = w->unit_stopped = 1;
                w->stop_heard = 0;
                w->agent = AGENT_ABSENT;
                end_job(s, JOB_FAILED, !w->bus_down);
                return true;
        case EVENT_JOB_DEPENDENCY_DOWN:
                if (stops)
                        take_down(w, UNIT_INACTIVE);
                else if (w->job == JOB_RESTARTS && !w->job_half)
                        return false;
                end_job(s, JOB_FAILED, !w->bus_down);
                return true;
        case EVENT_JOB_DEPENDENCY_UP:
        default:
                if (w->job_half)
                        return false;
                end_job(s, e == EVENT_JOB_REFUSED ? JOB_REFUSED : JOB_FAILED, !w->bus_down);
                return true;
        }
}

static bool happen_to_ourselves(State *s, Event e) {
        Armed armed = e == EVENT_KILLED_BEFORE_CALL ? ARMED_BEFORE_CALL : ARMED_BEFORE_SETTLE;

        switch (e) {
        case EVENT_SIGHUP:
                unpack(&s->daemons[SERVICE]);
                facts_retry(&facts);
                pack(&s->daemons[SERVICE]);
                s->world.wanted |= 1 << SERVICE;
                s->daemons[SERVICE].woken = true;
                new_cause(&s->world);
                return true;
        case EVENT_KILLED:
                kill_daemon(s, SERVICE);
                return true;
        case EVENT_APPLY:
                if (s->daemons[APPLY].alive)
                        return false;
                start_daemon(s, APPLY);
                return true;
        case EVENT_APPLY_KILLED:
                if (!s->daemons[APPLY].alive)
                        return false;
                kill_daemon(s, APPLY);
                return true;
        default:
                if (s->world.armed != ARMED_NOT)
                        return false;
                s->world.armed = (uint8_t) armed;
                return true;
        }
}

static bool happen(State *s, Event e) {
        World *w = &s->world;

        if (e <= EVENT_TIMER_LATE)
                return fire_timers(s, e == EVENT_TIMER_LATE);
        if (e <= EVENT_APPLY_KILLED)
                return happen_to_ourselves(s, e);
        if (e <= EVENT_DISK_WORKS)
                return happen_to_files(s, e);
        if (e <= EVENT_TASK_ENDS)
                return happen_to_agent(w, s, e);
        if (e == EVENT_ENGINE) {
                w->engine_down = !w->engine_down;
                return true;
        }
        if (e == EVENT_BUS)
                return happen_to_bus(w, s);
        return e <= EVENT_OPERATOR_CANCELS ? happen_to_unit(w, s, e) : happen_to_job(w, s, e);
}

/* --- one event --- */

static bool at_the_end; /* the check of the end of a history is running */
static const State *checked_state;

/* The credentials are looked at, and the helper asked, for a reason: one look for each, and none for anything else. */
static void check_looks(const World *w, const Daemon *d, Event e, bool was_due) {
        unsigned reasons = (e <= EVENT_DISK_WORKS || was_due) + w->other_reasons;

        if (w->looks > reasons)
                broken("the credentials are looked at for no reason");
        if (!kind->has_helper || d->writing || w->disk == CREDENTIALS_BROKEN)
                return;
        if (d->known && d->outcome != SYNC_FAILED && w->lease <= 1)
                broken("the helper is due, and not asked");
        if (w->wanted & (1 << SERVICE) && !d->file_stale)
                broken("somebody wants every helper asked, and none is");
}

static bool apply_event(State *s, Event e) {
        const Daemon *d = &s->daemons[SERVICE];
        bool was_due;

        checked_state = s;
        s->world.looks = s->world.other_reasons = 0;
        if (!happen(s, e))
                return false;
        was_due = d->write_again == 1; /* an event may take its time */
        run_daemons(s, e == EVENT_LOGIN_SLOW);
        check_looks(&s->world, d, e, was_due);
        s->world.looks = s->world.other_reasons = 0; /* so that the same states are the same */
        return true;
}

/* --- the end of a history --- */

static bool agent_is_up_to_date(const World *w) {
        return w->agent == AGENT_RUNNING && w->agent_version == w->file;
}

static bool reason_is_true(const World *w, Reason reason) {
        bool down = w->agent != AGENT_RUNNING;

        switch (reason) {
        case REASON_LIVE: /* nobody looks again: one that is down since has the file's when it comes back */
                return down || agent_is_up_to_date(w) || w->disk == DISK_UNREADABLE;
        case REASON_SILENT:
        case REASON_EXITS:
                return down || !w->registered || w->hangs;
        case REASON_FILE_UNKNOWN:
                return w->disk == DISK_UNREADABLE;
        case REASON_FILE_WRONG:
                return w->disk != DISK_WORKS;
        case REASON_NO_RECORD:
                return w->disk == DISK_FULL && !agent_is_up_to_date(w);
        case REASON_ENGINE:
                return w->engine_down;
        case REASON_BUS:
                return w->bus_down;
        case REASON_UNIT_EXITED:
                return w->unit == UNIT_INACTIVE && w->unit_end == UNIT_END_EXIT && w->agent_exit == 0 && !w->took_down;
        case REASON_UNIT_INACTIVE:
                if (!kind->is_docker && w->unit_end == UNIT_END_EXIT && w->agent_exit == 0)
                        return false;
                return (kind->is_docker ? down : w->unit == UNIT_INACTIVE) &&
                       (!w->took_down || w->agent_exit == AGENT_EXIT_TERMINAL);
        case REASON_UNIT_FAILED:
                return w->unit == UNIT_FAILED && !w->took_down;
        case REASON_AGENT_REFUSED:
                return down && w->agent_exit == AGENT_EXIT_TERMINAL;
        case REASON_TASKS:
                return !kind->state_kept && w->task != TASK_NONE;
        case REASON_TASKS_UNKNOWN:
                return !kind->state_kept && w->hangs;
        case REASON_FRUITLESS:
                return (kind->ignores_file || kind->keeps_container) && !agent_is_up_to_date(w);
        case REASON_TASKS_ENDED: /* and once more, each time before it finds that the disk is full */
                return !kind->state_kept && w->disk == DISK_FULL && !agent_is_up_to_date(w);
        default:
                return false;
        }
}

static void check_end(const State *s) {
        const World *w = &s->world;
        const Daemon *d = &s->daemons[SERVICE];

        if (w->disk == DISK_WORKS && w->file != w->credentials)
                broken("the file is not what the credentials say, and could be");
        if (!reason_is_true(w, d->reason))
                broken("it ends with a reason that is not true, or is none to end with");
        if (s->daemons[APPLY].alive)
                broken("apply never ends");
        if (d->holds_lock && !w->record.open)
                broken("the lock is held for nothing");
}

/* --- time alone --- */

enum {
        REST_MAX = 40, /* timers that go off before the end is checked */
};

static uint64_t hash_state(const State *s) {
        const uint16_t *words = (const uint16_t *) s;
        uint64_t hash = 14695981039346656037ULL;

        for (size_t i = 0; i < sizeof(State) / sizeof(*words); i++)
                hash = (hash ^ words[i]) * 0x9E3779B97F4A7C15ULL, hash ^= hash >> 29;
        return hash | 1;
}

static bool was_there(const uint64_t *walked, unsigned n, uint64_t hash) {
        for (unsigned i = 0; i < n; i++)
                if (walked[i] == hash)
                        return true;
        return false;
}

/* Returns false if only time can change the state. */
static bool rest_step(State *s) {
        if (s->daemons[SERVICE].writing) {
                end_slow_write(s);
        } else if (s->world.job != JOB_NONE) {
                pass_time(s, 1);
                do_job(s);
                end_job(s, JOB_DONE, !s->world.bus_down);
        } else if (!fire_timers(s, false)) {
                return false;
        }
        run_daemons(s, false);
        return true;
}

static void let_hours_pass(State *s) {
        pass_time(s, AGO_MAX);
        if (s->daemons[APPLY].alive)
                end_daemon(s, APPLY);
        wake_files(s);
        s->daemons[SERVICE].agent_stale |= s->daemons[SERVICE].look_again > 0;
        run_daemons(s, false);
}

/* Lets time pass, our own job end and at last RefreshSec= come, and checks the end. is_new returns false for a state
 * that is known to end well. */
static void come_to_rest(State s, bool (*is_new)(uint64_t hash)) {
        uint64_t walked[2 * REST_MAX];
        bool later = false;

        checked_state = &s;
        at_the_end = true;
        for (unsigned n = 0;;) {
                uint64_t hash = hash_state(&s) + 2 * later;
                bool again = was_there(walked, n, hash);

                if (!again && !is_new(hash))
                        break;
                walked[n++] = hash;
                if (!again && n < (later ? 2 * REST_MAX : REST_MAX) && rest_step(&s))
                        continue;
                if (later) {
                        check_end(&s);
                        break;
                }
                let_hours_pass(&s);
                later = true;
        }
        at_the_end = false;
        checked_state = NULL;
}

/* Returns the state of a host of this kind on which nothing has happened yet. */
static State begin_history(const Kind *k) {
        State s;

        kind = k;
        memset(&s, 0, sizeof(s));
        s.world = (World){.credentials = A,
                          .file = A,
                          .agent = AGENT_RUNNING,
                          .agent_version = A,
                          .registered = true,
                          .unit = UNIT_ACTIVE,
                          .record = {.old_id = NEVER, .digest = NEVER},
                          .unit_started = AGO_MAX,
                          .job_owner = NEVER};
        end_daemon(&s, APPLY);
        start_daemon(&s, SERVICE);
        run_daemons(&s, false);
        return s;
}

static void print_state(const State *s) {
        const World *w = &s->world;

        print_message("credentials %d, file %d, disk %d; agent %d in state %d, unit %d, job %d\n", w->credentials,
                      w->file, w->disk, w->agent_version, w->agent, w->unit, w->job);
        for (unsigned i = 0; i < N_DAEMONS; i++)
                if (s->daemons[i].alive)
                        print_message("%s: action %d, reason %d\n", i == SERVICE ? "service" : "apply",
                                      s->daemons[i].action, s->daemons[i].reason);
}

/* --- kinds of host --- */

#define LOGINS (BIT(EVENT_TIMER) | BIT(EVENT_LOGIN_A) | BIT(EVENT_LOGIN_B) | BIT(EVENT_LOGOUT))
#define FILES                                                                                                     \
        (LOGINS | BIT(EVENT_LOGIN_SLOW) | BIT(EVENT_WRITTEN) | BIT(EVENT_FILE_REWRITTEN) | BIT(EVENT_DISK_FULL) | \
         BIT(EVENT_DISK_UNREADABLE) | BIT(EVENT_CREDENTIALS_BROKEN) | BIT(EVENT_DISK_WORKS))
#define JOBS                                                                                               \
        (BIT(EVENT_JOB_DONE) | BIT(EVENT_JOB_DONE_UNHEARD) | BIT(EVENT_JOB_HALF) | BIT(EVENT_JOB_FAILED) | \
         BIT(EVENT_JOB_DEPENDENCY_DOWN) | BIT(EVENT_JOB_DEPENDENCY_UP) | BIT(EVENT_JOB_REFUSED))
#define OPERATOR                                                                               \
        (BIT(EVENT_OPERATOR_STOPS) | BIT(EVENT_OPERATOR_STARTS) | BIT(EVENT_OPERATOR_RESETS) | \
         BIT(EVENT_OPERATOR_CANCELS))
#define KILLS (BIT(EVENT_KILLED) | BIT(EVENT_KILLED_BEFORE_CALL) | BIT(EVENT_KILLED_BEFORE_SETTLE))
#define TASKS (BIT(EVENT_TASK_PULLED) | BIT(EVENT_TASK_RUNS) | BIT(EVENT_TASK_ENDS) | BIT(EVENT_AGENT_HANGS))
#define AGENT                                                                                                  \
        (BIT(EVENT_AGENT_EXITS) | BIT(EVENT_AGENT_REFUSES) | BIT(EVENT_AGENT_LEAVES) | BIT(EVENT_AGENT_ANEW) | \
         BIT(EVENT_AWS_AWAY) | BIT(EVENT_AWS_BACK))
#define INSTANCES (BIT(EVENT_APPLY) | BIT(EVENT_APPLY_KILLED))
#define OUTAGES (BIT(EVENT_ENGINE) | BIT(EVENT_BUS))
#define ALL (BIT(N_EVENTS) - 1)

static const Kind kinds[] = {
        {"everything, state kept", true, true, false, false, false, false, 4, ALL},
        {"everything, state not kept", false, true, false, false, false, false, 4, ALL},
        {"jobs and an operator", true, true, false, false, false, false, 7,
         LOGINS | JOBS | OPERATOR | KILLS | BIT(EVENT_AGENT_LEAVES)},
        {"files, and a helper", true, true, false, false, false, true, 7,
         FILES | BIT(EVENT_JOB_DONE) | BIT(EVENT_KILLED) | BIT(EVENT_SIGHUP)},
        {"tasks", false, true, false, false, false, false, 7,
         LOGINS | TASKS | BIT(EVENT_TIMER_LATE) | BIT(EVENT_JOB_DONE) | BIT(EVENT_AGENT_EXITS) | BIT(EVENT_AGENT_ANEW) |
                 BIT(EVENT_DISK_FULL) | BIT(EVENT_DISK_WORKS)},
        {"an agent that comes and goes", true, false, false, false, false, false, 6,
         LOGINS | AGENT | OUTAGES | BIT(EVENT_JOB_DONE) | BIT(EVENT_KILLED)},
        {"two instances", true, true, false, false, false, false, 7,
         LOGINS | INSTANCES | BIT(EVENT_KILLED) | BIT(EVENT_JOB_DONE) | BIT(EVENT_JOB_FAILED) |
                 BIT(EVENT_OPERATOR_STOPS)},
        {"a unit that ignores the file", true, true, false, true, false, false, 7,
         LOGINS | INSTANCES | KILLS | BIT(EVENT_JOB_DONE) | BIT(EVENT_JOB_DONE_UNHEARD) | BIT(EVENT_SIGHUP)},
        {"a unit that is another one's", true, true, false, true, true, false, 7,
         LOGINS | KILLS | BIT(EVENT_JOB_DONE) | BIT(EVENT_JOB_DONE_UNHEARD) | BIT(EVENT_SIGHUP)},
        {"Method=docker", true, true, true, false, false, false, 6,
         LOGINS | AGENT | KILLS | BIT(EVENT_JOB_HALF) | BIT(EVENT_JOB_DONE) | BIT(EVENT_JOB_REFUSED) |
                 BIT(EVENT_ENGINE) | BIT(EVENT_OPERATOR_STOPS) | BIT(EVENT_OPERATOR_STARTS)},
        {"Method=docker, everything", true, true, true, false, false, false, 4, ALL},
        {"Method=docker, everything, a helper", false, true, true, false, false, true, 3, ALL},
        {"everything, a unit that starts the agent again", true, false, false, false, false, true, 3, ALL},
        {"Method=docker, tasks that would be lost", false, true, true, false, false, false, 6,
         LOGINS | INSTANCES | TASKS | BIT(EVENT_KILLED) | BIT(EVENT_JOB_HALF) | BIT(EVENT_JOB_DONE)},
        {"a helper", true, true, false, false, false, true, 6,
         LOGINS | INSTANCES | BIT(EVENT_FILE_REWRITTEN) | BIT(EVENT_DISK_FULL) | BIT(EVENT_CREDENTIALS_BROKEN) |
                 BIT(EVENT_DISK_WORKS) | BIT(EVENT_TIMER_LATE) | BIT(EVENT_JOB_DONE) | BIT(EVENT_KILLED) |
                 BIT(EVENT_SIGHUP) | BIT(EVENT_ENGINE) | BIT(EVENT_TASK_PULLED)},
};
