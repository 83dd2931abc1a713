/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/when-to-restart.h"

/* How often to look at things that send no event to us: the engine, the container, introspection, tasks. */
#define LOOK_AT_ONCE_USEC (50 * USEC_PER_MSEC)
#define LOOK_SOON_USEC (1 * USEC_PER_SEC)
#define LOOK_LATER_USEC (5 * USEC_PER_SEC)
#define FRESH_USEC (500 * USEC_PER_MSEC) /* what was seen, to act on it */
#define RETRY_USEC (30 * USEC_PER_SEC)

/* The agent reports the end of a task to ECS some 0.05 s after its container has ended (measured), and once more after
 * a few seconds where that failed; a restart 0.4 s after it was measured to be too close. */
#define TASKS_ENDED_USEC (5 * USEC_PER_SEC)

/* The pause after restarts that led to nothing doubles from one to the other; that between two starts of an agent that
 * is down is shorter. */
#define RESTART_BACKOFF_MIN_USEC (10 * USEC_PER_SEC)
#define RESTART_BACKOFF_MAX_USEC (3600 * USEC_PER_SEC)
#define START_BACKOFF_MIN_USEC (5 * USEC_PER_SEC)
#define START_BACKOFF_MAX_USEC (300 * USEC_PER_SEC)

/* For what helpers are asked right now, so that one restart does for both. */
#define ASKING_MAX_USEC (10 * USEC_PER_SEC)

enum {
        SETTLE_MAX = 150, /* times SettleSec=, from the first change that the agent does not have */
};

static Decision decision(Action action, Reason reason, uint64_t look_again_usec) {
        return (Decision){.action = action, .reason = reason, .look_again_usec = look_again_usec};
}

static uint64_t look_soon(uint64_t now, uint64_t deadline) {
        return now + LOOK_SOON_USEC < deadline ? now + LOOK_SOON_USEC : deadline;
}

/* For what an agent takes to start, which may be a second or a minute: found out at most a thirtieth of that late. */
static uint64_t look_in_proportion(uint64_t since, uint64_t now, uint64_t deadline) {
        uint64_t pause = (now - since) / 32;

        if (pause > LOOK_SOON_USEC)
                pause = LOOK_SOON_USEC;
        if (pause < LOOK_AT_ONCE_USEC)
                pause = LOOK_AT_ONCE_USEC;
        return now + pause < deadline ? now + pause : deadline;
}

static uint64_t backoff(unsigned failures, uint64_t min, uint64_t max) {
        uint64_t pause = min;

        for (unsigned i = 1; i < failures && pause < max; i++)
                pause *= 2;
        return pause < max ? pause : max;
}

/* It does not answer yet, or comes and goes. AWS away, a warm pool, a cluster that does not exist: none of it is the
 * credentials' doing, so it is said, and waited for. */
static Decision decide_silent(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t deadline = f->silent_usec + p->settings.verify_usec;

        if (!str_empty(f->agent.impostor))
                return decision(ACTION_WAIT, REASON_IMPOSTOR, now + LOOK_LATER_USEC);
        if (now >= deadline)
                return decision(ACTION_WAIT, f->exits > 0 ? REASON_EXITS : REASON_SILENT, now + LOOK_LATER_USEC);
        return decision(ACTION_WAIT, REASON_REGISTERING, look_in_proportion(f->silent_usec, now, deadline));
}

/* Returns true if the agent exited without a stop request. AGENT_EXIT_TERMINAL does not count: it leaves a failed unit,
 * so that an inactive one was reset by an operator. */
static bool exited_by_itself(const UnitReport *u) {
        return u->end == UNIT_END_SIGNAL || (u->end == UNIT_END_EXIT && u->exit_status != AGENT_EXIT_TERMINAL);
}

/* What the unit has in the way of a restart, and of a start of ours; ACTION_RESTART: nothing. */
static Decision decide_unit(const Facts *f, uint64_t now) {
        switch (f->unit.state) {
        case UNIT_UNKNOWN:
                return decision(ACTION_HOLD, REASON_BUS, now + LOOK_LATER_USEC);
        case UNIT_NOT_FOUND:
                return decision(ACTION_HOLD, REASON_UNIT_NOT_FOUND, 0);
        case UNIT_BAD_SETTING:
                return decision(ACTION_HOLD, REASON_UNIT_BAD_SETTING, 0);
        case UNIT_MASKED:
                return decision(ACTION_HOLD, REASON_UNIT_MASKED, 0);
        case UNIT_INACTIVE:
                return decision(ACTION_HOLD, exited_by_itself(&f->unit) ? REASON_UNIT_EXITED : REASON_UNIT_INACTIVE, 0);
        default:
                break;
        }
        if (f->refused && f->agent.agent != AGENT_UNKNOWN)
                return decision(ACTION_HOLD, REASON_AGENT_REFUSED, now + LOOK_LATER_USEC);
        switch (f->unit.state) {
        case UNIT_FAILED:
                return decision(ACTION_HOLD, REASON_UNIT_FAILED, 0);
        case UNIT_START_LIMIT:
                return decision(ACTION_HOLD, REASON_UNIT_START_LIMIT, 0);
        case UNIT_CHANGING:
                return decision(ACTION_WAIT, REASON_UNIT_CHANGING, now + LOOK_LATER_USEC);
        default:
                return decision(ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        }
}

/* --- a restart of ours whose effect has not been seen yet, also one of an instance before us --- */

static Decision decide_job(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t deadline = f->record.tried_usec + p->settings.verify_usec;

        /* A job may wait for another one as long as that takes (user data at boot), but if nothing is queued any more
         * the signal that would have told us is lost. */
        if (now >= deadline && f->unit.state != UNIT_CHANGING)
                return decision(ACTION_ABANDON, REASON_NONE, 0);
        return decision(ACTION_WAIT, REASON_RESTART_JOB, now >= deadline ? now + LOOK_LATER_USEC : deadline);
}

/* Method=docker: the restart has neither succeeded nor been refused, so its process was killed. */
static bool was_cut_off(const RestartRecord *r) {
        return r->open && !r->done && r->tried_usec == r->restart_usec;
}

static Decision decide_start(const Facts *f, uint64_t now) {
        const RestartRecord *r = &f->record;
        uint64_t earliest = r->tried_usec + backoff(r->failures, START_BACKOFF_MIN_USEC, START_BACKOFF_MAX_USEC);

        if (r->failures > 0 && now < earliest && !(f->unit.state == UNIT_HALF_DONE && was_cut_off(r)))
                return decision(ACTION_WAIT, REASON_OWED, earliest);
        return decision(ACTION_START, REASON_OWED, 0);
}

/* It has ended itself, was down before our restart, or has been up since we last tried: then it is not down because of
 * us. */
static bool somebody_stopped_it(const Facts *f, const Policy *p) {
        /* A swap leaves none without a container, but where it is half done. */
        if (p->settings.method == RESTART_METHOD_DOCKER && f->agent.agent == AGENT_ABSENT)
                return true;
        return (f->agent.agent == AGENT_STOPPED && f->agent.exit_status == AGENT_EXIT_TERMINAL) ||
               (f->unit.stopped_usec > 0 && f->unit.stopped_usec < f->record.restart_usec) ||
               f->unit.started_usec > f->record.tried_usec;
}

/* Its container is down. */
static Decision decide_owed(const Facts *f, const Policy *p, uint64_t now) {
        Decision d = decide_unit(f, now);

        switch (d.reason) {
        case REASON_UNIT_EXITED: /* a restart of ours would have been recorded as a stop */
                return decision(ACTION_CLOSE, REASON_STOPPED, 0);
        case REASON_UNIT_INACTIVE:
                if (somebody_stopped_it(f, p))
                        return decision(ACTION_CLOSE, REASON_STOPPED, 0);
                return decide_start(f, now);
        case REASON_UNIT_FAILED:
                /* ecs-init fails to stop a container that is not there yet. */
                if (f->unit.terminated && f->unit.started_usec > f->record.restart_usec)
                        return decision(ACTION_CLOSE, REASON_STOPPED, 0);
                return decide_start(f, now);
        case REASON_UNIT_START_LIMIT:
                return decide_start(f, now);
        case REASON_OTHER_CREDENTIALS: /* nothing is in the way: it is on its way up */
                return decide_silent(f, p, now);
        default:
                return d;
        }
}

static Reason judge_new_container(const Facts *f) {
        /* If the file changed meanwhile, or may have, what the new container has tells nothing. */
        if (f->overtaken || !f->file.right || facts_agent_has_credentials(f) ||
            digest_equal(&f->agent.digest, &f->record.digest))
                return REASON_RESTARTED;
        return REASON_WITHOUT_THEM;
}

/* A job that is not done, and not to come any more, has left the agent alone: what happens to it from here on is
 * somebody else's doing. */
static bool left_it_alone(const Facts *f) {
        return !f->record.done && f->unit.state == UNIT_ACTIVE && f->unit.started_usec <= f->record.restart_usec;
}

static Decision decide_open(const Facts *f, const Policy *p, uint64_t now) {
        bool runs = f->agent.agent == AGENT_RUNNING, new = !streq(f->agent.container_id, f->record.old_container_id);
        uint64_t deadline = f->record.restart_usec + p->settings.verify_usec;
        Reason reason = judge_new_container(f);

        if (!runs && f->unit.stop_requested)
                return decision(ACTION_CLOSE, REASON_STOPPED, 0);
        if (f->agent.agent == AGENT_UNKNOWN)
                return decision(ACTION_HOLD, REASON_ENGINE, now + LOOK_LATER_USEC);
        /* A job that is still queued, also one of an instance before this, may yet take the agent down. */
        if (f->unit.state == UNIT_CHANGING || f->unit.state == UNIT_UNKNOWN)
                return decide_unit(f, now);
        /* Unless a write in hand is about to tell that it is another file by now. */
        if (runs && new && (reason == REASON_RESTARTED || !(f->file.stale || f->file.writing)))
                return decision(ACTION_CLOSE, reason, 0);
        if (runs && p->settings.method == RESTART_METHOD_DOCKER && was_cut_off(&f->record))
                return decision(ACTION_CLOSE, REASON_CUT_OFF, 0);
        if (left_it_alone(f))
                return decision(ACTION_CLOSE, REASON_NO_EFFECT, 0);
        if (!runs)
                return decide_owed(f, p, now);
        if (new || now < deadline)
                return decision(ACTION_WAIT, REASON_VERIFYING, new ? now + LOOK_SOON_USEC : look_soon(now, deadline));
        return decision(ACTION_CLOSE, REASON_NO_EFFECT, 0);
}

/* --- whether a restart is needed, and may be --- */

/* What a restart would cost; ACTION_RESTART: nothing. */
static Decision decide_tasks(const Facts *f, const Policy *p, uint64_t now) {
        const ObserveReport *a = &f->agent;

        if (a->state_kept == STATE_KEPT || p->settings.unsaved_state == UNSAVED_STATE_FORCE)
                return decision(ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        if (p->settings.unsaved_state == UNSAVED_STATE_NEVER)
                return decision(ACTION_HOLD, REASON_UNSAVED_NEVER, 0);
        if (a->n_tasks > 0 || a->n_containers > 0)
                return decision(ACTION_HOLD, REASON_TASKS, now + LOOK_LATER_USEC);
        if (a->tasks_error < 0)
                return decision(ACTION_HOLD, REASON_TASKS_UNKNOWN, now + LOOK_LATER_USEC);
        return decision(ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
}

/* The last wait of all: only while it is this that is waited for is it looked at often, and after each event of
 * Docker's, so that no task comes and goes unseen. */
static Decision decide_tasks_ended(const Facts *f, const Policy *p, uint64_t now) {
        bool watched = f->waiting_for == REASON_TASKS_ENDED;
        uint64_t since = !watched ? now : f->waiting_since_usec > f->idle_usec ? f->waiting_since_usec : f->idle_usec;
        uint64_t deadline = since + TASKS_ENDED_USEC;

        if (f->agent.state_kept == STATE_KEPT || p->settings.unsaved_state == UNSAVED_STATE_FORCE || now >= deadline)
                return decision(ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
        return decision(ACTION_WAIT, REASON_TASKS_ENDED, look_soon(now, deadline));
}

static bool is_fruitless(const Facts *f) {
        return f->record.fruitless && digest_equal(&f->record.digest, &f->file.sync.digest);
}

/* What stands in the way of a restart, whatever our own pace; ACTION_RESTART: nothing. */
static Decision decide_obstacles(const Facts *f, const Policy *p, uint64_t now) {
        Decision d = decide_unit(f, now);

        if (d.action != ACTION_RESTART)
                return d;
        if (f->agent.agent == AGENT_UNKNOWN)
                return decision(ACTION_HOLD, REASON_ENGINE, now + LOOK_LATER_USEC);
        if (f->agent.agent != AGENT_RUNNING)
                return decide_silent(f, p, now);
        if (!f->file.right)
                return decision(ACTION_HOLD, REASON_FILE_WRONG, 0);
        if (is_fruitless(f))
                return decision(ACTION_HOLD, REASON_FRUITLESS, 0);
        if (f->not_recorded_usec > 0 && now < f->not_recorded_usec + RETRY_USEC)
                return decision(ACTION_HOLD, REASON_NO_RECORD, f->not_recorded_usec + RETRY_USEC);
        return decide_tasks(f, p, now);
}

/* One distance for all of them. */
static Decision decide_distance(const Facts *f, const Policy *p, uint64_t now) {
        const RestartRecord *r = &f->record;
        uint64_t earliest = r->restart_usec + p->settings.min_interval_usec;
        uint64_t retry = r->restart_usec + backoff(r->failures, RESTART_BACKOFF_MIN_USEC, RESTART_BACKOFF_MAX_USEC);

        if (r->restart_usec > 0 && r->failures > 0 && now < retry && retry > earliest)
                return decision(ACTION_WAIT, REASON_BACKOFF, retry);
        if (r->restart_usec > 0 && now < earliest)
                return decision(ACTION_WAIT, REASON_MIN_INTERVAL, earliest);
        return decision(ACTION_RESTART, REASON_OTHER_CREDENTIALS, 0);
}

/* Some time after the last change; but a tool that writes new tokens all the time must not put the restart off for
 * ever. Then this host's place in the fleet. */
static uint64_t settled_at(const Facts *f, const Policy *p) {
        uint64_t settled = f->file.changed_usec > 0 ? f->file.changed_usec + p->settings.settle_usec : 0;
        uint64_t latest = f->needed_usec + SETTLE_MAX * p->settings.settle_usec;

        if (f->needed_usec == 0)
                return settled;
        if (settled > latest)
                settled = latest;
        return (settled > f->needed_usec ? settled : f->needed_usec) + p->settings.jitter_usec;
}

uint64_t jitter_of_host(uint64_t jitter_usec, const uint8_t id[static 16]) {
        uint64_t host = 0;

        /* Bytes 6 and 8 have bits that are the same everywhere: those of the first are left out, those of the other are
         * last, where they count for nothing. */
        for (unsigned i = 16; i-- > 8;)
                host = host << 8 | id[i];
        return (uint64_t) (((unsigned __int128) host * jitter_usec) >> 64);
}

static Decision decide_restart(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t settled = settled_at(f, p);
        Decision d;

        if (facts_agent_has_credentials(f)) {
                if (f->agent.answers)
                        return decision(ACTION_DONE, REASON_LIVE, 0);
                d = decide_unit(f, now);
                return d.action == ACTION_RESTART ? decide_silent(f, p, now) : d;
        }
        if (f->file.asking && f->needed_usec > 0 && settled < f->needed_usec + ASKING_MAX_USEC)
                settled = f->needed_usec + ASKING_MAX_USEC;
        if (now < settled)
                return decision(ACTION_WAIT, REASON_SETTLE, settled);

        d = decide_obstacles(f, p, now);
        if (d.action == ACTION_RESTART)
                d = decide_distance(f, p, now);
        return d.action == ACTION_RESTART ? decide_tasks_ended(f, p, now) : d;
}

static Decision decide_next(const Facts *f, const Policy *p, uint64_t now) {
        if (p->settings.method == RESTART_METHOD_NONE)
                return decision(ACTION_DONE, REASON_WRITE_ONLY, 0);
        if (f->observing)
                return decision(ACTION_WAIT, REASON_LOOKING, 0);
        if (f->agent_stale || f->observed_usec == 0)
                return decision(ACTION_OBSERVE, REASON_NONE, 0);

        if (f->job)
                return decide_job(f, p, now);
        /* With one that runs still, it is the next restart that begins by finishing it. */
        if (f->unit.state == UNIT_HALF_DONE && (f->agent.agent == AGENT_STOPPED || f->agent.agent == AGENT_ABSENT))
                return decide_start(f, now);
        if (f->record.open)
                return decide_open(f, p, now);

        /* With a write that waits (RESTORE_PAUSE_USEC), the content of the file is unknown. */
        if (!f->file.known || (f->file.stale && f->file.n_restores >= RESTORES_MAX))
                return decision(ACTION_WAIT, REASON_LOOKING, 0);
        if (!f->file.sync.digest_known)
                return decision(ACTION_HOLD, REASON_FILE_UNKNOWN, 0);
        return decide_restart(f, p, now);
}

Decision decide_agent(const Facts *f, const Policy *p, uint64_t now) {
        Decision d = decide_next(f, p, now);

        if (d.action != ACTION_RESTART && d.action != ACTION_START && d.action != ACTION_CLOSE &&
            d.action != ACTION_ABANDON)
                return d;
        /* What was seen before a wait may not be so any more: a task has come, an operator has stopped the agent. */
        if (now > f->observed_usec + FRESH_USEC)
                return decision(ACTION_OBSERVE, REASON_NONE, 0);
        if (p->other_instance && d.action != ACTION_ABANDON)
                return decision(ACTION_WAIT, REASON_OTHER_INSTANCE, now + LOOK_SOON_USEC);
        return d;
}

bool decision_awaits_tasks(const Decision *d) {
        return d->reason == REASON_TASKS || d->reason == REASON_TASKS_ENDED;
}
