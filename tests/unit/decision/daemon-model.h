/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/host-model.h"

/* What daemon/manager/look-and-act.c does, in the same order, on the host of host-model.h; and what has to be true of
 * each restart and each start at the moment when the service manager is asked for it. */

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
        facts_wake_file(&facts);
        facts_wake_agent(&facts);
        memset(d, 0, sizeof(*d));
        pack(d);
        d->saved = d->record;
        d->alive = d->woken = true;
        s->world.wanted &= (uint8_t) ~(1 << i);
        s->world.is_new |= i == SERVICE;
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

/* --- the record --- */

static bool same_record(const Record *a, const Record *b) {
        return memcmp(a, b, sizeof(Record)) == 0;
}

static void load_record(State *s, Daemon *d) {
        RestartRecord record;

        if (d->holds_lock || same_record(&s->world.record, &d->saved))
                return;
        d->saved = s->world.record;
        unpack_record(&d->saved, &record);
        facts_take_record(&facts, &record);
}

static bool claim_record(State *s, unsigned i) {
        if (s->daemons[i].holds_lock)
                return true;
        if (s->daemons[!i].holds_lock)
                return false;
        load_record(s, &s->daemons[i]);
        s->daemons[i].holds_lock = true;
        return true;
}

static bool save_record(State *s, Daemon *d) {
        if (s->world.disk == DISK_FULL)
                return false;
        s->world.record = d->saved = pack_record(&facts.record);
        return true;
}

static bool learned_more(const Daemon *d) {
        Record record = pack_record(&facts.record);

        return !same_record(&record, &d->saved);
}

/* False: it was killed before. */
static bool settle_record(State *s, unsigned i) {
        Daemon *d = &s->daemons[i];

        if (learned_more(d)) {
                if (i == SERVICE && s->world.armed == ARMED_BEFORE_SETTLE) {
                        s->world.armed = ARMED_NOT;
                        new_cause(&s->world);    /* what was learned of it is lost, */
                        s->world.unheard = true; /* and of a stop */
                        kill_daemon(s, i);
                        return false;
                }
                /* What cannot be written down is forgotten with us. */
                if (claim_record(s, i) && learned_more(d))
                        s->world.unheard |= !save_record(s, d);
        }
        if (!facts.record.open && !facts.job)
                d->holds_lock = false;
        return true;
}

/* --- what has to be true of what we do to the agent --- */

static void check_restart(const World *w, const Daemon *d, unsigned i) {
        if (!d->holds_lock)
                broken("a restart without the lock");
        if (is_within(w->restarted, 20))
                broken("a restart too soon after the one before");
        if (w->restarts > 0)
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

/* --- one ecs-authd --- */

static void begin_job(State *s, unsigned i, const Decision *decision) {
        RestartRecord before = facts.record;
        World *w = &s->world;
        Daemon *d = &s->daemons[i];

        facts_begin_job(&facts, decision, SECONDS(NOW));
        if (!save_record(s, d) && decision->action == ACTION_RESTART) {
                facts_fail_to_record(&facts, &before, SECONDS(NOW));
                return;
        }
        if (i == SERVICE && w->armed == ARMED_BEFORE_CALL) {
                w->armed = ARMED_NOT;
                kill_daemon(s, i);
                unpack(d);
                return;
        }

        d->tried = true;
        if (w->bus_down || w->job != JOB_NONE) {
                facts_end_job(&facts, JOB_REFUSED);
                return;
        }
        if (decision->action == ACTION_RESTART) {
                check_restart(w, d, i);
                w->restarted = 1;
        } else {
                check_start(w, d);
                if (w->unit == UNIT_FAILED)
                        w->unit = UNIT_INACTIVE; /* ResetFailedUnit */
        }
        w->job = decision->action == ACTION_RESTART ? JOB_RESTARTS : JOB_STARTS;
        w->job_owner = (uint8_t) i;
}

static Decision decide(State *s, unsigned i) {
        Policy policy = policy_of(i);
        Decision d = decide_agent(&facts, &policy, SECONDS(NOW));

        if ((d.action != ACTION_RESTART && d.action != ACTION_START && d.action != ACTION_CLOSE) ||
            s->daemons[i].holds_lock)
                return d;
        policy.other_instance = !claim_record(s, i);
        return decide_agent(&facts, &policy, SECONDS(NOW));
}

/* Does what is to be done at once; false: nothing. */
static bool act(State *s, unsigned i, const Decision *decision) {
        switch (decision->action) {
        case ACTION_OBSERVE:
                load_record(s, &s->daemons[i]);
                facts_begin_observe(&facts);
                look(&s->world);
                if (facts.agent.n_tasks + facts.agent.n_containers > 0)
                        s->world.task_seen |= (uint8_t) (1 << i);
                return true;
        case ACTION_RESTART:
        case ACTION_START:
                begin_job(s, i, decision);
                return true;
        case ACTION_ABANDON:
                facts_abandon_job(&facts);
                return true;
        case ACTION_CLOSE:
                facts_close(&facts, decision);
                return true;
        default:
                return false;
        }
}

static void finish_write(State *s, unsigned i, bool asks) {
        World *w = &s->world;
        Daemon *d = &s->daemons[i];
        SyncReport report = write_file(w);

        if (w->disk != CREDENTIALS_BROKEN)
                d->known_wrong = w->file != w->credentials;
        if (asks)
                facts_end_ask(&facts, &report, SECONDS(NOW));
        else
                facts_end_write(&facts, &report, SECONDS(NOW));
}

static void pass_files(State *s, unsigned i, bool slow) {
        FileDecision decision = decide_files(&facts.file, SECONDS(NOW));
        Daemon *d = &s->daemons[i];

        for (unsigned steps = 0; decision.write || decision.ask; steps++) {
                if (steps > STEPS_MAX)
                        broken("there is always more to write at once");
                if (decision.write) {
                        facts_begin_write(&facts);
                        s->world.looks += i == SERVICE;
                        if (slow)
                                break;
                } else {
                        ask_helper(&s->world, i, facts_begin_ask(&facts));
                }
                finish_write(s, i, !decision.write);
                decision = decide_files(&facts.file, SECONDS(NOW));
        }
        d->write_again = timer_of(decide_files(&facts.file, SECONDS(NOW)).look_again_usec);
}

static void pass(State *s, unsigned i, bool slow) {
        Daemon *d = &s->daemons[i];
        Decision decision = {0};
        unsigned steps = 0;

        d->woken = false;
        unpack(d);
        pass_files(s, i, slow);
        pack(d);
        for (;;) {
                decision = decide(s, i);
                facts_note_waiting(&facts, &decision, SECONDS(NOW));
                if (!act(s, i, &decision))
                        break;
                pack(d);
                if (++steps > STEPS_MAX)
                        broken("there is always more to do at once");
        }
        d->look_again = timer_of(decision.look_again_usec);
        d->action = (uint8_t) decision.action;
        d->reason = (uint8_t) decision.reason;
        /* Docker's events, which begin with one. Those of the agent's own container are always followed; here, where
         * they are not, it has to come out right all the same. */
        if (decision_awaits_tasks(&decision) && !d->follows) {
                facts.agent_stale = true;
                d->woken = true;
        }
        d->follows = decision_awaits_tasks(&decision);
        if (s->world.half_done && facts_swap_can_end(&facts) && claim_record(s, i))
                s->world.half_done = false;
        if (decision.look_again_usec > 0 && decision.look_again_usec <= SECONDS(NOW))
                broken("it looks again at once");
        if (!settle_record(s, i))
                return;
        pack(d);
        if (i == APPLY &&
            outcome_of(&facts, &decision, d->tried, SECONDS((uint64_t) NOW + d->deadline)) != OUTCOME_OPEN)
                end_daemon(s, i);
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
        }
        if (late)
                wake_files(s);
        return true;
}
