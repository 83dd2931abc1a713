/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/host-model.h"

/* Runs the pass (decision/pass.h) on the host of host-model.h, and checks each restart and each start when the service
 * manager is called. */

static Policy policy_of(unsigned i) {
        return (Policy){
                .settings.method = kind->is_docker ? RESTART_METHOD_DOCKER : RESTART_METHOD_SYSTEMD,
                .settings.settle_usec = i == SERVICE ? SECONDS(2) : 0,
                .settings.min_interval_usec = SECONDS(20),
                .settings.verify_usec = SECONDS(15),
        };
}

static void start_daemon(State *s, unsigned i) {
        Daemon *d = &s->daemons[i];

        if (s->world.job_owner == i)
                s->world.job_owner = NEVER;
        memset(&facts, 0, sizeof(facts));
        facts.file.stale = true;
        facts.agent_stale = true;
        memset(d, 0, sizeof(*d));
        pack(d);
        d->saved = d->record;
        d->alive = d->woken = true;
        s->world.wanted &= (uint8_t) ~(1 << i);
        s->world.stop_heard &= (uint8_t) ~(1 << i);
        s->world.other_reasons += i == SERVICE;
        if (i == APPLY) {
                d->ask_all = true;
                s->world.wanted |= 1 << APPLY;
        }
        d->deadline = i == APPLY ? APPLY_SEC : 0;
}

static void end_daemon(State *s, unsigned i) {
        Daemon *d = &s->daemons[i];

        start_daemon(s, i);
        d->alive = d->woken = d->file_stale = d->agent_stale = d->ask_all = false;
        s->world.wanted &= (uint8_t) ~(1 << i);
        d->deadline = 0;
}

/* By a signal; systemd starts the service again. With Method=docker the child that replaces the container goes too. */
static void kill_daemon(State *s, unsigned i) {
        World *w = &s->world;

        if (kind->is_docker)
                pass_time(s, 1); /* the next one does not try at the same moment as the one before */
        if (w->record.open)
                new_cause(w); /* nobody knows what the file was meanwhile */
        if (kind->is_docker && w->job_owner == i && w->job != JOB_NONE) {
                w->half_done |= w->job == JOB_RESTARTS;
                w->job = JOB_NONE;
                w->job_half = false;
        }
        if (i == SERVICE)
                start_daemon(s, i);
        else
                end_daemon(s, i);
        wake_agents(s);
}

/* --- what has to be true of what we do to the agent --- */

static void check_restart(const World *w, const Daemon *d, unsigned i) {
        if (!d->holds_lock)
                broken("a restart without the lock");
        if (!w->record.open)
                broken("a restart that is not on record");
        if (is_within(w->restarted, 20))
                broken("a restart too soon after the one before");
        /* While its own write hangs, it does not know the file of another instance. */
        if (w->restarts > 0 && !d->writing)
                broken("a second restart for one cause");
        if (!d->writing && d->known_wrong)
                broken("a restart towards a file that is not as it should be");
        if (!d->writing && w->agent == AGENT_RUNNING && w->agent_version == w->file)
                broken("a restart without a cause");
        if (kind->state_kept || w->agent != AGENT_RUNNING)
                return;
        if (w->task != TASK_NONE)
                broken("a restart that loses a task");
        if (is_within(w->task_ended, 5) && (w->ended_seen & (1 << i)))
                broken("a restart before the end of a task was reported");
}

static void check_start(const World *w, const Daemon *d) {
        if (!d->holds_lock)
                broken("a start without the lock");
        if (w->op_stopped && !w->unheard)
                broken("an agent that an operator stopped is started");
        if (w->agent == AGENT_STOPPED && w->agent_exit == AGENT_EXIT_TERMINAL && w->unit != UNIT_ACTIVE)
                broken("an agent that refused itself is started");
        if (!w->took_down && !w->half_done && w->unit != UNIT_ACTIVE && !w->op_stopped && !w->unheard)
                broken("an agent is started that was not ours to start");
}

/* --- one ecs-authd: the operations of its pass --- */

typedef struct Run {
        State *state;
        unsigned i;
        bool slow; /* a write takes its time */
        bool wrote;
        unsigned steps;
        Pass pass;
} Run;

static Run *running;

/* Kills the daemon in the middle of an operation. */
static void die(Run *run, Armed armed) {
        State *s = run->state;

        s->world.armed = ARMED_NOT;
        if (armed == ARMED_BEFORE_SETTLE) {
                new_cause(&s->world);    /* the changes to the record are lost, */
                s->world.unheard = true; /* and so is news of a stop */
        }
        kill_daemon(s, run->i);
        unpack(&s->daemons[run->i]);
        run->pass.stopping = true;
}

static bool is_armed(const Run *run, Armed armed) {
        return run->i == SERVICE && run->state->world.armed == armed;
}

static bool claim_lock(int *lock _unused_) {
        if (running->state->daemons[!running->i].holds_lock)
                return false;
        running->state->daemons[running->i].holds_lock = true;
        return true;
}

static void release_lock(int *lock _unused_) {
        if (facts.record.open)
                broken("the lock is released during a restart");
        running->state->daemons[running->i].holds_lock = false;
}

static void load_record(RestartRecord *ret) {
        unpack_record(&running->state->world.record, ret);
}

static int save_record(const RestartRecord *record) {
        Run *run = running;
        World *w = &run->state->world;

        bool is_start_of_job = facts.job && record->tried_usec == SECONDS(NOW);

        if (is_armed(run, ARMED_BEFORE_SETTLE) && !is_start_of_job) {
                die(run, ARMED_BEFORE_SETTLE);
                return -ENOSPC;
        }
        if (w->disk == DISK_FULL) {
                w->unheard |= !record->open && w->record.open; /* a stop that was heard is lost with the process */
                return -ENOSPC;
        }
        w->record = pack_record(record);
        return 0;
}

static void announce_not_recorded(void *userdata _unused_, int error _unused_) {
}

static void announce(void *userdata _unused_, const Decision *decision _unused_) {
}

static void observe(void *userdata) {
        Run *run = userdata;
        State *s = run->state;

        look(&s->world, run->i);
        if (facts.agent.n_tasks + facts.agent.n_containers > 0)
                s->world.task_seen |= (uint8_t) (1 << run->i);
}

static void start_job(void *userdata, const Decision *decision) {
        Run *run = userdata;
        World *w = &run->state->world;
        const Daemon *d = &run->state->daemons[run->i];

        if (is_armed(run, ARMED_BEFORE_CALL)) {
                die(run, ARMED_BEFORE_CALL);
                return;
        }
        if (w->bus_down || w->job != JOB_NONE) {
                facts_end_job(&facts, JOB_REFUSED);
                return;
        }
        if (decision->action == ACTION_RESTART) {
                check_restart(w, d, run->i);
                w->restarted = 1;
        } else {
                check_start(w, d);
                if (w->unit == UNIT_START_LIMIT)
                        w->unit = UNIT_INACTIVE; /* ResetFailedUnit */
        }
        w->job = decision->action == ACTION_RESTART ? JOB_RESTARTS : JOB_STARTS;
        w->job_owner = (uint8_t) run->i;
}

static void abandon_job(void *userdata _unused_) {
}

static void confirm_swap(void *userdata) {
        Run *run = userdata;

        run->state->world.half_done = false;
}

static bool is_busy(void *userdata _unused_) {
        return false;
}

static void rest(void *userdata, const Decision *decision) {
        Run *run = userdata;
        Daemon *d = &run->state->daemons[run->i];

        d->look_again = timer_of(decision->look_again_usec);
        /* Docker's events, which begin with one. Those of the agent's own container are always followed; here, where
         * they are not, it has to come out right all the same. */
        if (decision_awaits_tasks(decision) && !d->follows) {
                facts.agent_stale = true;
                d->woken = true;
        }
        d->follows = decision_awaits_tasks(decision);
        d->action = (uint8_t) decision->action;
        d->reason = (uint8_t) decision->reason;
        if (decision->look_again_usec > 0 && decision->look_again_usec <= SECONDS(NOW))
                broken("it looks again at once");
        run->pass.stopping = run->i == APPLY && outcome_of(&facts, decision, run->pass.tried,
                                                           SECONDS((uint64_t) NOW + d->deadline)) != OUTCOME_OPEN;
}

static void finish_write(State *s, unsigned i, bool asks) {
        World *w = &s->world;
        Daemon *d = &s->daemons[i];
        SyncReport report = write_file(w);

        if (report.outcome == SYNC_WRITTEN || report.outcome == SYNC_REMOVED) {
                Daemon *other = &s->daemons[!i];

                other->file_stale = other->woken = other->alive;
                w->other_reasons += i == APPLY;
        }
        if (w->disk != CREDENTIALS_BROKEN)
                d->known_wrong = w->file != w->credentials;
        if (asks)
                facts_end_ask(&facts, &report, SECONDS(NOW));
        else
                facts_end_write(&facts, &report, SECONDS(NOW));
}

static void write_now(void *userdata) {
        Run *run = userdata;

        run->state->world.looks += run->i == SERVICE;
        if (run->slow)
                return;
        run->wrote = true;
        finish_write(run->state, run->i, false);
}

static void ask(void *userdata, bool all) {
        Run *run = userdata;

        run->wrote = true;
        ask_helper(&run->state->world, run->i, all);
        finish_write(run->state, run->i, true);
}

static void arm_files(void *userdata, uint64_t usec) {
        Run *run = userdata;

        run->state->daemons[run->i].write_again = timer_of(usec);
}

static const PassOperations operations = {
        .write = write_now,
        .ask = ask,
        .arm_files = arm_files,
        .claim_lock = claim_lock,
        .release_lock = release_lock,
        .load_record = load_record,
        .save_record = save_record,
        .announce_not_recorded = announce_not_recorded,
        .announce = announce,
        .observe = observe,
        .start_job = start_job,
        .abandon_job = abandon_job,
        .confirm_swap = confirm_swap,
        .is_busy = is_busy,
        .rest = rest,
};

static void pass(State *s, unsigned i, bool slow) {
        Daemon *d = &s->daemons[i];
        Policy policy = policy_of(i);
        Run run = {.state = s, .i = i, .slow = slow};

        running = &run;
        run.pass = (Pass){.operations = &operations,
                          .userdata = &run,
                          .facts = &facts,
                          .holds_lock = d->holds_lock,
                          .tried = d->tried};
        unpack_record(&d->saved, &run.pass.saved);
        d->woken = false;
        unpack(d);
        do {
                run.wrote = false;
                pass_files(&run.pass, SECONDS(NOW));
                if (++run.steps > STEPS_MAX)
                        broken("there is always more to write at once");
        } while (run.wrote);
        pack(d);
        pass_agent(&run.pass, &policy, SECONDS(NOW));
        if (run.pass.stopping) {
                if (i == APPLY)
                        end_daemon(s, i);
                return; /* killed, or done */
        }
        pack(d);
        d->tried = run.pass.tried;
        d->saved = pack_record(&run.pass.saved);
}

static void run_daemons(State *s, bool slow) {
        for (unsigned passes = 0; s->daemons[SERVICE].woken || s->daemons[APPLY].woken; passes++) {
                if (passes > STEPS_MAX)
                        broken("they wake each other without an end");
                pass(s, s->daemons[SERVICE].woken ? SERVICE : APPLY, slow && s->daemons[SERVICE].woken);
        }
        rename_containers(s);
}

static void end_slow_write(State *s) {
        Daemon *d = &s->daemons[SERVICE];

        unpack(d);
        finish_write(s, SERVICE, false);
        pack(d);
        d->woken = true;
}

/* False: no time is set. late: the agent's is missed for once, and something touches a credential file just then. */
static bool fire_timers(State *s, bool late) {
        unsigned seconds = UINT16_MAX;

        for (unsigned i = 0; i < N_DAEMONS; i++) {
                const Timer timers[] = {s->daemons[i].look_again, s->daemons[i].write_again, s->daemons[i].deadline};

                for (size_t j = 0; j < ELEMENTSOF(timers); j++)
                        if (timers[j] > 0 && timers[j] - 1U < seconds)
                                seconds = timers[j] - 1U;
        }
        /* That moment comes, whether anybody has set a timer for it or not. */
        if (kind->has_helper && s->world.lease > 1 && s->world.lease - 1U < seconds)
                seconds = s->world.lease - 1U;
        if (seconds == UINT16_MAX)
                return false;

        pass_time(s, seconds);
        for (unsigned i = 0; i < N_DAEMONS; i++) {
                Daemon *d = &s->daemons[i];

                if (d->deadline == 1) {
                        end_daemon(s, i);
                        continue;
                }
                d->woken |= d->look_again == 1 || d->write_again == 1;
                d->agent_stale |= d->look_again == 1 && !late;
                d->look_again = d->look_again == 1 ? 0 : d->look_again;
        }
        if (late)
                wake_files(s);
        return true;
}
