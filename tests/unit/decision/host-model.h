/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include "decision/apply-outcome.h"
#include "decision/pass.h"

/* A small host, and the ecs-authd on it: the service and, now and then, an apply. They run the real facts and
 * decisions, and the real pass. All of it is bytes, so that states can be compared. */

#define SECONDS(n) ((n) *USEC_PER_SEC)

enum {
        NOW = 100000,   /* seconds; each state lies at this moment */
        AGO_MAX = 5000, /* longer than any limit of the policy */
        NEVER = 255,
        STEPS_MAX = 60, /* of what there is to do without time passing */
        APPLY_SEC = 100,
        LEASE_SEC = 4000, /* of what the helper gives, to the moment when it is asked again */
};

typedef uint16_t Ago;   /* seconds ago, plus one; 0: never */
typedef uint16_t Timer; /* in so many seconds, plus one; 0: off */

/* Versions of the credentials. */
enum { NONE, A, B };

typedef enum Disk { DISK_WORKS, DISK_FULL, DISK_UNREADABLE, CREDENTIALS_BROKEN } Disk;
typedef enum Task { TASK_NONE, TASK_PULLED, TASK_RUNS, TASK_LEFT_BEHIND } Task;
typedef enum Job { JOB_NONE, JOB_RESTARTS, JOB_STARTS } Job;
typedef enum Armed { ARMED_NOT, ARMED_BEFORE_CALL, ARMED_BEFORE_SETTLE } Armed;

/* RestartRecord. */
typedef struct Record {
        Ago restart, tried;
        uint8_t failures, open, done, fruitless, old_id, digest;
} Record;

/* One ecs-authd: its Facts without what no decision looks at, and what the manager has beside them. */
typedef struct Daemon {
        Ago written, changed, needed, running, idle, silent, not_recorded, unit_started, unit_stopped, observed,
                waiting_since;
        Timer look_again, write_again, ask, pause, deadline; /* deadline: apply's alone */
        Record record, saved;
        uint8_t alive, woken, holds_lock, tried;
        uint8_t file_stale, writing, outcome, digest_known, digest, known, right;
        uint8_t agent_stale, agent, agent_id, agent_digest, exit_status, answers, tasks, containers, tasks_error;
        uint8_t unit, unit_end, unit_exit, stop_requested, refused, refused_unit, job, overtaken, action, reason;
        uint8_t follows, waiting_for; /* follows: Docker's events */
        uint8_t known_wrong;          /* the file is not what the credentials say, and it has been told */
        uint8_t ask_all;
} Daemon;

enum { SERVICE, APPLY, N_DAEMONS };

/* What kind of host it is. */
typedef struct Kind {
        const char *name;
        bool state_kept, exit_5_is_final, is_docker;
        bool ignores_file; /* the unit makes a new container without what stands in the file */
        bool keeps_container;
        bool has_helper;
        unsigned depth;
        uint64_t events; /* of those that can happen on every host, these */
} Kind;

typedef struct World {
        Ago unit_started, unit_stopped, restarted, task_ended;
        Record record; /* on disk */
        Timer lease;   /* on disk: when the helper is due; 0: it was never asked */
        uint8_t credentials, file, disk;
        uint8_t unit, unit_end, job, job_half, job_owner; /* job_owner: who hears of its end; NEVER: nobody */
        uint8_t agent, agent_version, agent_id, agent_exit, registered, aws_away, hangs;
        uint8_t task, task_seen, engine_down, bus_down, half_done, armed;
        uint8_t stop_heard; /* which of us heard the operator's last stop, and nothing has started the unit since */
        /* For what has to be true. */
        uint8_t took_down;   /* the agent is down because of us, */
        uint8_t op_stopped;  /* or because an operator wants it so, */
        uint8_t unheard;     /* or nobody can tell: it was stopped in the middle of our job, and nobody heard of that */
        uint8_t restarts;    /* that are done, since the file last changed */
        uint8_t known_wrong; /* the file is not what the credentials say, and we know it */
        uint8_t ended_seen;  /* which of us know that there was a task that has ended */
        uint8_t job_overtaken; /* it changed while ours was under way */
        uint8_t wanted;        /* for which of us somebody wants every helper asked, and none was yet */
        uint8_t looks;         /* of the service at the credentials, since the last event */
        uint8_t other_reasons; /* for such a look: it was started by that event, or apply has written the file */
} World;

typedef struct State {
        World world;
        Daemon daemons[N_DAEMONS];
} State;

_Static_assert(sizeof(State) % sizeof(Ago) == 0 && sizeof(Record) == 10, "no byte of it is undefined");

/* The explorer's: tells the history that led here, and fails the test. */
_Noreturn static void broken(const char *what);

static const Kind *kind;
static Facts facts; /* large, and used by one step at a time */

static Digest digest_of(uint8_t version) {
        return (Digest){{(uint8_t) (version + 1)}};
}

/* --- time --- */

static uint64_t moment(Ago ago) {
        return ago == 0 ? 0 : SECONDS((uint64_t) NOW + 1 - ago);
}

static Ago ago_of(uint64_t usec) {
        uint64_t ago = usec == 0 ? 0 : (SECONDS(NOW) - usec) / USEC_PER_SEC + 1;

        return (Ago) (ago > AGO_MAX ? AGO_MAX : ago);
}

static bool is_within(Ago ago, unsigned seconds) {
        return ago > 0 && ago - 1U < seconds;
}

static Timer timer_of(uint64_t usec) {
        /* Time goes on in whole seconds here. */
        return usec == 0 ? 0 : usec <= SECONDS(NOW) ? 1 : (Timer) ((usec - SECONDS(NOW) - 1) / USEC_PER_SEC + 2);
}

static void shift_agos(Ago *agos, size_t n, unsigned seconds) {
        for (size_t i = 0; i < n; i++)
                if (agos[i] > 0)
                        agos[i] = (Ago) (agos[i] + seconds > AGO_MAX ? AGO_MAX : agos[i] + seconds);
}

static void shift_record(Record *r, unsigned seconds) {
        shift_agos(&r->restart, 2, seconds);
}

static void shift_timer(Timer *t, unsigned seconds) {
        if (*t > 0)
                *t = (Timer) (*t > seconds ? *t - seconds : 1);
}

static void pass_time(State *s, unsigned seconds) {
        shift_agos(&s->world.unit_started, 4, seconds);
        shift_record(&s->world.record, seconds);
        shift_timer(&s->world.lease, seconds);
        for (unsigned i = 0; i < N_DAEMONS; i++) {
                Daemon *d = &s->daemons[i];

                shift_agos(&d->written, 11, seconds);
                shift_record(&d->record, seconds);
                shift_record(&d->saved, seconds);
                shift_timer(&d->look_again, seconds);
                shift_timer(&d->write_again, seconds);
                shift_timer(&d->ask, seconds);
                shift_timer(&d->pause, seconds);
                shift_timer(&d->deadline, seconds);
        }
}

/* --- between bytes and facts --- */

static void id_to_text(uint8_t id, char *ret) {
        ret[0] = id == NEVER ? 0 : (char) ('a' + id);
        ret[1] = 0;
}

static uint8_t id_from_text(const char *s) {
        return *s ? (uint8_t) (s[0] - 'a') : NEVER;
}

static void unpack_record(const Record *r, RestartRecord *ret) {
        *ret = (RestartRecord){
                .restart_usec = moment(r->restart),
                .tried_usec = moment(r->tried),
                .failures = r->failures,
                .open = r->open,
                .done = r->done,
                .fruitless = r->fruitless,
                .digest = digest_of(r->digest),
        };
        id_to_text(r->old_id, ret->old_container_id);
}

static Record pack_record(const RestartRecord *r) {
        return (Record){
                .restart = ago_of(r->restart_usec),
                .tried = ago_of(r->tried_usec),
                .failures = (uint8_t) (r->failures > 9 ? 9 : r->failures),
                .open = r->open,
                .done = r->done,
                .fruitless = r->fruitless,
                .old_id = id_from_text(r->old_container_id),
                .digest = (uint8_t) (r->digest.bytes[0] - 1),
        };
}

static void unpack(const Daemon *d) {
        FileFacts *f = &facts.file;

        f->stale = d->file_stale;
        f->writing = d->writing;
        f->known = d->known;
        f->right = d->right;
        f->n_restores = 0; /* the pause after many of these is no part of the model */
        f->written_usec = moment(d->written);
        f->ask_usec = d->ask == 0 ? 0 : SECONDS((uint64_t) NOW + d->ask - 1);
        f->pause_usec = d->pause == 0 ? 0 : SECONDS((uint64_t) NOW + d->pause - 1);
        f->ask_all = d->ask_all;
        f->asking = false; /* that takes no time here */
        f->changed_usec = moment(d->changed);
        f->sync.outcome = d->outcome;
        f->sync.digest_known = d->digest_known;
        f->sync.digest = digest_of(d->digest);
        facts.agent_stale = d->agent_stale;
        facts.observing = false;
        facts.observed_usec = moment(d->observed);
        facts.agent.agent = d->agent;
        id_to_text(d->agent_id, facts.agent.container_id);
        facts.agent.digest = digest_of(d->agent_digest);
        facts.agent.state_kept = kind->state_kept ? STATE_KEPT : STATE_NO_DATADIR;
        facts.agent.exit_status = d->exit_status;
        facts.agent.answers = d->answers;
        facts.agent.n_tasks = d->tasks;
        facts.agent.n_containers = d->containers;
        facts.agent.tasks_error = d->tasks_error ? -ETIMEDOUT : 0;
        facts.unit = (UnitReport){.state = d->unit,
                                  .end = d->unit_end,
                                  .exit_status = d->unit_exit,
                                  .stop_requested = d->stop_requested,
                                  .started_usec = moment(d->unit_started),
                                  .stopped_usec = moment(d->unit_stopped)};
        facts.needed_usec = moment(d->needed);
        facts.running_usec = moment(d->running);
        facts.idle_usec = moment(d->idle);
        facts.silent_usec = moment(d->silent);
        facts.not_recorded_usec = moment(d->not_recorded);
        facts.refused = d->refused;
        facts.refused_unit = d->refused_unit;
        facts.job = d->job;
        facts.overtaken = d->overtaken;
        facts.waiting_for = d->waiting_for;
        facts.waiting_since_usec = moment(d->waiting_since);
        unpack_record(&d->record, &facts.record);
}

static void pack(Daemon *d) {
        const FileFacts *f = &facts.file;

        d->file_stale = f->stale;
        d->writing = f->writing;
        d->known = f->known;
        d->right = f->right;
        d->written = ago_of(f->written_usec);
        d->ask = timer_of(f->ask_usec);
        d->pause = timer_of(f->pause_usec);
        d->ask_all = f->ask_all;
        d->changed = ago_of(f->changed_usec);
        d->outcome = (uint8_t) f->sync.outcome;
        d->digest_known = f->sync.digest_known;
        d->digest = (uint8_t) (f->sync.digest.bytes[0] - 1);
        d->agent_stale = facts.agent_stale;
        d->observed = ago_of(facts.observed_usec);
        d->agent = (uint8_t) facts.agent.agent;
        d->agent_id = id_from_text(facts.agent.container_id);
        d->agent_digest = (uint8_t) (facts.agent.digest.bytes[0] - 1);
        d->exit_status = (uint8_t) facts.agent.exit_status;
        d->answers = facts.agent.answers;
        d->tasks = (uint8_t) facts.agent.n_tasks;
        d->containers = (uint8_t) facts.agent.n_containers;
        d->tasks_error = facts.agent.tasks_error < 0;
        d->unit = (uint8_t) facts.unit.state;
        d->unit_end = (uint8_t) facts.unit.end;
        d->unit_exit = (uint8_t) facts.unit.exit_status;
        d->stop_requested = facts.unit.stop_requested;
        d->unit_started = ago_of(facts.unit.started_usec);
        d->unit_stopped = ago_of(facts.unit.stopped_usec);
        d->needed = ago_of(facts.needed_usec);
        d->running = ago_of(facts.running_usec);
        d->idle = ago_of(facts.idle_usec);
        d->silent = ago_of(facts.silent_usec);
        d->not_recorded = ago_of(facts.not_recorded_usec);
        d->refused = facts.refused;
        d->refused_unit = facts.refused_unit;
        d->job = facts.job;
        d->overtaken = facts.overtaken;
        d->waiting_for = (uint8_t) facts.waiting_for;
        /* Since when counts for this one alone. */
        d->waiting_since = facts.waiting_for == REASON_TASKS_ENDED ? ago_of(facts.waiting_since_usec) : 0;
        d->record = pack_record(&facts.record);
}

/* What containers are called does not matter, only which are the same. */
static void rename_containers(State *s) {
        uint8_t *ids[] = {&s->world.agent_id,           &s->world.record.old_id,     &s->daemons[0].agent_id,
                          &s->daemons[0].record.old_id, &s->daemons[0].saved.old_id, &s->daemons[1].agent_id,
                          &s->daemons[1].record.old_id, &s->daemons[1].saved.old_id};
        uint8_t names[ELEMENTSOF(ids) + 2], n = 0;

        memset(names, NEVER, sizeof(names));
        for (size_t i = 0; i < ELEMENTSOF(ids); i++) {
                if (*ids[i] == NEVER)
                        continue;
                if (names[*ids[i]] == NEVER)
                        names[*ids[i]] = n++;
                *ids[i] = names[*ids[i]];
        }
}

static uint8_t new_id(const State *s) {
        const uint8_t used[] = {s->world.agent_id,           s->world.record.old_id,     s->daemons[0].agent_id,
                                s->daemons[0].record.old_id, s->daemons[0].saved.old_id, s->daemons[1].agent_id,
                                s->daemons[1].record.old_id, s->daemons[1].saved.old_id};

        for (uint8_t id = 0;; id++)
                if (!memchr(used, id, sizeof(used)))
                        return id;
}

/* --- the host --- */

static void wake_agents(State *s) {
        for (unsigned i = 0; i < N_DAEMONS; i++)
                s->daemons[i].agent_stale = s->daemons[i].woken = s->daemons[i].alive;
}

static void wake_files(State *s) {
        for (unsigned i = 0; i < N_DAEMONS; i++)
                s->daemons[i].file_stale = s->daemons[i].woken = s->daemons[i].alive;
}

/* There is a new cause for a restart. */
static void new_cause(World *w) {
        w->restarts = 0;
        w->job_overtaken = w->job != JOB_NONE;
}

/* ecs-init makes its container anew with what stands in the file. */
static void make_agent(State *s) {
        World *w = &s->world;

        if (!kind->state_kept && w->task == TASK_PULLED)
                w->task = TASK_NONE;
        if (!kind->state_kept && w->task == TASK_RUNS)
                w->task = TASK_LEFT_BEHIND;
        w->agent = AGENT_RUNNING;
        w->registered = !w->aws_away;
        w->took_down = w->op_stopped = w->unheard = w->half_done = false;
        if (!kind->ignores_file)
                w->agent_version = w->file;
        if (!kind->keeps_container)
                w->agent_id = new_id(s);
}

static void start_unit(State *s) {
        s->world.stop_heard = 0;
        s->world.unit = UNIT_ACTIVE;
        s->world.unit_started = 1;
        make_agent(s);
}

static void stop_unit(World *w, UnitState state) {
        if (w->unit == UNIT_ACTIVE) {
                w->unit_stopped = 1;
                w->unit_end = UNIT_END_STOP;
        }
        w->unit = (uint8_t) state;
        w->agent = AGENT_STOPPED;
        w->agent_exit = w->registered = false;
}

static bool is_up(const World *w) {
        return kind->is_docker ? w->agent == AGENT_RUNNING : w->unit == UNIT_ACTIVE;
}

static bool job_stops_agent(const World *w) {
        return w->job == JOB_RESTARTS && w->unit == UNIT_ACTIVE;
}

/* The first half of a restart. */
static void take_down(World *w, UnitState state) {
        bool ours = job_stops_agent(w) && w->agent != AGENT_ABSENT;

        stop_unit(w, state);
        w->took_down |= ours;
}

/* TryRestartUnit does nothing to a unit that is down, and StartUnit to one that is up. */
static void do_job(State *s) {
        World *w = &s->world;
        bool restarts = job_stops_agent(w);

        /* Half a container is put back. */
        if (w->half_done && w->job == JOB_STARTS) {
                w->agent = AGENT_RUNNING;
                w->registered = !w->aws_away;
                w->half_done = w->took_down = false;
                return;
        }
        if (restarts)
                take_down(w, UNIT_INACTIVE);
        if (restarts || w->job_half || (w->job == JOB_STARTS && !is_up(w))) {
                w->restarts += w->job == JOB_RESTARTS && !w->job_overtaken;
                start_unit(s);
        }
}

static void end_job(State *s, JobOutcome outcome, bool heard) {
        World *w = &s->world;
        uint8_t owner = w->job_owner;

        w->job = JOB_NONE;
        w->job_half = w->job_overtaken = false;
        w->job_owner = NEVER;
        /* Only the service manager's word tells such a restart from one that was never done. */
        if ((!heard || owner == NEVER) && kind->keeps_container)
                w->restarts = 0;
        if (heard && owner != NEVER && s->daemons[owner].job) {
                unpack(&s->daemons[owner]);
                facts_end_job(&facts, outcome);
                pack(&s->daemons[owner]);
        }
        wake_agents(s);
}

/* Its answer is the same each time: what counts is when it is asked. */
static void ask_helper(World *w, unsigned i, bool ask_all) {
        if (ask_all && !(w->wanted & (1 << i)))
                broken("every helper is asked, and nobody wanted that");
        if (ask_all)
                w->wanted &= (uint8_t) ~(1 << i);
        if (!kind->has_helper || w->disk == CREDENTIALS_BROKEN)
                return; /* there is nobody to ask, or nobody knows whom */
        /* Somebody else may have asked it since. */
        if (ask_all || w->lease <= 1)
                w->lease = LEASE_SEC + 1;
}

static SyncReport write_file(World *w) {
        static SyncReport report;

        report.ask_in_usec = 0;
        if (kind->has_helper && w->disk != CREDENTIALS_BROKEN)
                report.ask_in_usec = w->lease <= 1 ? SYNC_ASK_NOW : SECONDS((uint64_t) w->lease - 1) + SYNC_ASK_NOW;
        report.asked = true;
        report.outcome = SYNC_UNCHANGED;
        report.digest_known = w->disk != DISK_UNREADABLE;
        report.behind = w->disk == DISK_FULL && w->file != w->credentials;
        if (w->disk == DISK_UNREADABLE || w->disk == CREDENTIALS_BROKEN || report.behind) {
                report.outcome = SYNC_FAILED;
        } else if (w->file != w->credentials) {
                report.outcome = w->credentials == NONE ? SYNC_REMOVED : SYNC_WRITTEN;
                w->file = w->credentials;
                new_cause(w);
        }
        report.digest = digest_of(w->file);
        return report;
}

static void look(const World *w, unsigned i) {
        static ObserveReport r;
        UnitReport unit = {.state = w->unit,
                           .end = w->unit == UNIT_INACTIVE ? w->unit_end : UNIT_END_UNKNOWN,
                           .exit_status = w->agent_exit,
                           .started_usec = moment(w->unit_started),
                           .stopped_usec = moment(w->unit_stopped),
                           .stop_requested = w->job == JOB_NONE && (w->stop_heard & (1 << i))};

        r = (ObserveReport){.agent = w->agent, .exit_status = w->agent == AGENT_STOPPED ? w->agent_exit : 0};
        r.state_kept = kind->state_kept ? STATE_KEPT : STATE_NO_DATADIR;
        r.n_containers = w->task == TASK_RUNS || w->task == TASK_LEFT_BEHIND;
        if (w->agent == AGENT_RUNNING && w->registered) {
                r.answers = !w->hangs;
                r.tasks_error = w->hangs ? -ETIMEDOUT : 0;
                r.n_tasks = !w->hangs && (w->task == TASK_PULLED || w->task == TASK_RUNS);
        }
        if (w->agent != AGENT_ABSENT) {
                r.digest = digest_of(w->agent_version);
                id_to_text(w->agent_id, r.container_id);
        }
        if (w->engine_down)
                r = (ObserveReport){.agent = AGENT_UNKNOWN, .engine_error = -ECONNREFUSED};

        if (w->job != JOB_NONE)
                unit.state = UNIT_CHANGING;
        else if (kind->is_docker)
                unit = (UnitReport){.state = w->half_done ? UNIT_HALF_DONE : facts_unit_of_container(&r)};
        if (w->bus_down)
                unit = (UnitReport){.state = UNIT_UNKNOWN};
        facts_end_observe(&facts, &r, &unit, SECONDS(NOW));
}
