/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/decide.h"

/* How often to look at things that send no event to us: the engine, the container, introspection, tasks. */
#define LOOK_SOON_USEC (1 * USEC_PER_SEC)
#define LOOK_LATER_USEC (5 * USEC_PER_SEC)
#define RETRY_USEC (30 * USEC_PER_SEC)

/* The pause after failed restarts doubles up to this. */
#define BACKOFF_MAX_USEC (3600 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (10 * USEC_PER_SEC)

enum {
        SETTLE_MAX = 150, /* times SettleSec=, from the first change that the agent does not have */
};

static Decision decision(Action action, Reason reason, uint64_t look_again_usec) {
        return (Decision){.action = action, .reason = reason, .look_again_usec = look_again_usec};
}

/* The container runs with what stands in the file. */
static bool agent_has_credentials(const Facts *f) {
        return f->agent.agent == AGENT_RUNNING && digest_equal(&f->agent.digest, &f->sync.digest);
}

static bool unit_has_failed(UnitState s) {
        return s == UNIT_FAILED || s == UNIT_START_LIMIT || s == UNIT_REFUSED;
}

/* After a restart that broke it: it still is not well. */
static bool agent_is_down(const Facts *f, UnitState unit) {
        if (unit_has_failed(unit) || f->agent.agent == AGENT_ABSENT || f->agent.agent == AGENT_STOPPED)
                return true;
        /* One that is started again and again is seen to run now and then. */
        return !f->agent.answers && (agent_has_credentials(f) || digest_equal(&f->agent.digest, &f->attempt.digest));
}

/* As systemd would have it. An agent that was started by hand has no unit; its container stands for it. */
static UnitState unit_state(const Facts *f, const Policy *p) {
        /* Upstart knows no failed jobs: one that could not be started is just not running. */
        if (p->settings.method == RESTART_METHOD_UPSTART && f->unit == UNIT_INACTIVE &&
            f->attempt.outcome == OUTCOME_BROKE)
                return UNIT_FAILED;
        if (p->settings.method != RESTART_METHOD_DOCKER)
                return f->unit;
        if (f->agent.agent == AGENT_RUNNING || f->agent.agent == AGENT_UNKNOWN)
                return UNIT_ACTIVE;
        if (f->agent.agent == AGENT_STOPPED && f->agent.exit_status == AGENT_EXIT_TERMINAL)
                return UNIT_REFUSED;
        return f->attempt.outcome == OUTCOME_BROKE ? UNIT_FAILED : UNIT_INACTIVE;
}

static Decision decide_job(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t deadline = f->attempt.started_usec + p->settings.verify_usec;

        /* A job may wait for another one as long as that takes (user data at boot), but if nothing is queued any more
         * the signal that would have told us is lost. */
        if (now >= deadline && f->unit != UNIT_CHANGING)
                return decision(ACTION_VERIFY, REASON_NONE, 0);
        return decision(ACTION_WAIT, REASON_RESTART_JOB, now >= deadline ? now + LOOK_LATER_USEC : deadline);
}

/* What the unit has in the way of any restart; ACTION_RESTART: nothing. */
static Decision decide_unit(UnitState unit, uint64_t now) {
        switch (unit) {
        case UNIT_UNKNOWN:
                return decision(ACTION_HOLD, REASON_BUS, now + LOOK_LATER_USEC);
        case UNIT_NOT_FOUND:
                return decision(ACTION_HOLD, REASON_UNIT_NOT_FOUND, 0);
        case UNIT_BAD_SETTING:
                return decision(ACTION_HOLD, REASON_UNIT_BAD_SETTING, 0);
        case UNIT_MASKED:
                return decision(ACTION_HOLD, REASON_UNIT_MASKED, 0);
        case UNIT_INACTIVE:
                return decision(ACTION_HOLD, REASON_UNIT_INACTIVE, 0);
        case UNIT_FAILED:
                return decision(ACTION_HOLD, REASON_UNIT_FAILED, 0);
        case UNIT_START_LIMIT:
                return decision(ACTION_HOLD, REASON_UNIT_START_LIMIT, 0);
        case UNIT_REFUSED:
                return decision(ACTION_HOLD, REASON_AGENT_REFUSED, 0);
        case UNIT_CHANGING:
                return decision(ACTION_WAIT, REASON_UNIT_CHANGING, now + LOOK_LATER_USEC);
        case UNIT_ACTIVE:
                break;
        }
        return decision(ACTION_RESTART, REASON_NONE, 0);
}

/* Tasks that are pulled or started at this moment are waited for, but not for ever. */
static Decision decide_pending(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t deadline = now + p->settings.pending_usec;

        if (f->waiting_for == REASON_TASKS_PENDING)
                deadline = f->waiting_since_usec + p->settings.pending_usec;
        if (f->agent.n_pending == 0 || now >= deadline)
                return decision(ACTION_RESTART, REASON_NONE, 0);
        return decision(ACTION_WAIT, REASON_TASKS_PENDING,
                        now + LOOK_SOON_USEC < deadline ? now + LOOK_SOON_USEC : deadline);
}

/* Tasks that a restart would cost; ACTION_RESTART: none. */
static Decision decide_unsaved(const Facts *f, const Policy *p, uint64_t now) {
        if (f->agent.state_kept != STATE_KEPT) {
                if (p->settings.unsaved_state == UNSAVED_STATE_NEVER)
                        return decision(ACTION_HOLD, REASON_UNSAVED_NEVER, 0);
                if (p->settings.unsaved_state == UNSAVED_STATE_WAIT && f->agent.n_tasks > 0)
                        return decision(ACTION_HOLD, REASON_TASKS, now + RETRY_USEC);
        }
        return decision(ACTION_RESTART, REASON_NONE, 0);
}

/* What stands in the way of any restart, whatever our own pace; ACTION_RESTART: nothing. */
static Decision decide_obstacles(const Facts *f, const Policy *p, uint64_t now) {
        Decision d = decide_unit(unit_state(f, p), now);

        if (d.action != ACTION_RESTART)
                return d;
        if (f->agent.agent == AGENT_UNKNOWN)
                return decision(ACTION_HOLD, REASON_ENGINE, now + LOOK_LATER_USEC);
        if (f->agent.agent != AGENT_RUNNING)
                return decision(ACTION_WAIT, REASON_AGENT_COMING, now + LOOK_LATER_USEC);

        if (f->attempt.outcome == OUTCOME_FRUITLESS && digest_equal(&f->attempt.digest, &f->sync.digest))
                return decision(ACTION_HOLD, REASON_FRUITLESS, 0);
        return decide_unsaved(f, p, now);
}

static Reason verification_misses(const Facts *f) {
        if (streq(f->agent.container_id, f->attempt.old_container_id))
                return REASON_NO_NEW_CONTAINER;
        if (f->agent.agent != AGENT_RUNNING)
                return REASON_NOT_RUNNING;
        /* What it was made for, or what came on top of it meanwhile. */
        if (!digest_equal(&f->agent.digest, &f->attempt.digest) && !agent_has_credentials(f))
                return REASON_OTHER_CREDENTIALS;
        if (!f->agent.answers)
                return REASON_SILENT;
        return REASON_NONE;
}

static Reason live_reason(const Facts *f) {
        return f->sync.rejected ? REASON_ROLLED_BACK : REASON_LIVE;
}

static Decision decide_verification(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t deadline = f->attempt.verifying_usec + p->settings.verify_usec;
        Reason missing = verification_misses(f);
        UnitState unit = unit_state(f, p);

        if (missing == REASON_NONE)
                return decision(ACTION_DONE, live_reason(f), 0);
        /* Whoever stopped it meanwhile ended our attempt, too; it did not fail. */
        if (p->settings.method != RESTART_METHOD_DOCKER &&
            (unit == UNIT_INACTIVE || unit == UNIT_MASKED || unit == UNIT_NOT_FOUND || unit == UNIT_BAD_SETTING))
                return decide_unit(unit, now);
        if (now >= deadline || (p->settings.method != RESTART_METHOD_DOCKER && unit_has_failed(unit)))
                return decision(ACTION_NOT_VERIFIED, missing, 0);
        return decision(ACTION_WAIT, REASON_VERIFYING,
                        now + LOOK_SOON_USEC < deadline ? now + LOOK_SOON_USEC : deadline);
}

/* Our restart broke the agent: once with the credentials of before, or with what has come since, then no more. */
static Decision decide_repair(const Facts *f, const Policy *p, uint64_t now) {
        const Attempt *a = &f->attempt;
        UnitState unit = unit_state(f, p);
        Decision d = decide_unit(unit, now);

        if (a->outcome == OUTCOME_GAVE_UP)
                return decision(ACTION_HOLD, REASON_GAVE_UP, now + RETRY_USEC);
        /* A unit that has failed, or is on its way up and down all the time, is ours to mend; another start of an agent
         * that refuses itself mends nothing. */
        if (d.action != ACTION_RESTART && unit != UNIT_FAILED && unit != UNIT_START_LIMIT && unit != UNIT_CHANGING)
                return d;
        if (f->agent.agent == AGENT_UNKNOWN)
                return decision(ACTION_HOLD, REASON_ENGINE, now + LOOK_LATER_USEC);
        /* It runs, and does not answer: it may still lose something. */
        if (f->agent.agent == AGENT_RUNNING) {
                d = decide_unsaved(f, p, now);
                if (d.action != ACTION_RESTART)
                        return d;
        }

        if (!digest_equal(&f->sync.digest, &a->digest))
                return decision(ACTION_RESTART, REASON_REPAIR, 0);
        if (!p->settings.rollback || !f->sync.last_good_known || digest_equal(&f->sync.last_good, &f->sync.digest))
                return decision(ACTION_HOLD, REASON_BROKE, now + RETRY_USEC);
        if (a->roll_back_usec > 0 && now < a->roll_back_usec + RETRY_USEC)
                return decision(ACTION_HOLD, REASON_BROKE, a->roll_back_usec + RETRY_USEC);
        return decision(ACTION_ROLL_BACK, REASON_NONE, 0);
}

static uint64_t earliest_restart(const Facts *f, const Policy *p, Reason *ret_reason) {
        uint64_t pause = p->settings.min_interval_usec;

        *ret_reason = REASON_MIN_INTERVAL;
        if (f->attempt.started_usec == 0)
                return 0;

        if (f->attempt.failures > 0) {
                *ret_reason = REASON_BACKOFF;
                if (pause < BACKOFF_MIN_USEC)
                        pause = BACKOFF_MIN_USEC;
                for (unsigned i = 1; i < f->attempt.failures && pause < BACKOFF_MAX_USEC; i++)
                        pause *= 2;
                if (pause > BACKOFF_MAX_USEC)
                        pause = BACKOFF_MAX_USEC;
        }
        return f->attempt.started_usec + pause;
}

/* Some time after the last change; but a tool that writes new tokens all the time must not put the restart off for
 * ever. Then this host's place in the fleet. */
static uint64_t settled_at(const Facts *f, const Policy *p) {
        uint64_t settled = f->changed_usec > 0 ? f->changed_usec + p->settings.settle_usec : 0;
        uint64_t latest = f->needed_usec + SETTLE_MAX * p->settings.settle_usec;

        if (f->needed_usec == 0)
                return settled;
        if (settled > latest)
                settled = latest;
        return (settled > f->needed_usec ? settled : f->needed_usec) + p->settings.jitter_usec;
}

static Decision decide_restart(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t settled = settled_at(f, p), earliest;
        Decision obstacle;
        Reason reason;

        if (agent_has_credentials(f) && f->agent.answers)
                return decision(ACTION_DONE, live_reason(f), 0);
        if (f->attempt.outcome >= OUTCOME_BROKE && agent_is_down(f, unit_state(f, p)))
                return decide_repair(f, p, now);
        if (agent_has_credentials(f))
                return decision(ACTION_WAIT, REASON_AGENT_SILENT, now + LOOK_LATER_USEC);

        if (now < settled)
                return decision(ACTION_WAIT, REASON_SETTLE, settled);

        obstacle = decide_obstacles(f, p, now);
        if (obstacle.action != ACTION_RESTART)
                return obstacle;

        earliest = earliest_restart(f, p, &reason);
        if (now < earliest)
                return decision(ACTION_WAIT, reason, earliest);
        return decide_pending(f, p, now);
}

static Decision decide_next(const Facts *f, const Policy *p, uint64_t now) {
        if (f->job_running)
                return decision(ACTION_WAIT, REASON_JOB_RUNNING, 0);
        if (f->files_stale)
                return decision(ACTION_WRITE, REASON_NONE, 0);
        if (p->settings.method == RESTART_METHOD_NONE)
                return decision(ACTION_DONE, REASON_WRITE_ONLY, 0);
        if (f->agent_stale)
                return decision(ACTION_OBSERVE, REASON_NONE, 0);

        switch (f->attempt.state) {
        case ATTEMPT_JOB:
                return decide_job(f, p, now);
        case ATTEMPT_VERIFYING:
                return decide_verification(f, p, now);
        case ATTEMPT_NONE:
                break;
        }

        if (!f->sync.digest_known)
                return decision(ACTION_DONE, REASON_FILE_UNKNOWN, 0);
        return decide_restart(f, p, now);
}

bool decision_awaits_docker(const Decision *d) {
        return d->reason == REASON_TASKS || d->reason == REASON_TASKS_PENDING || d->reason == REASON_AGENT_COMING ||
               d->reason == REASON_VERIFYING || d->reason == REASON_BROKE || d->reason == REASON_GAVE_UP;
}

Decision decide(const Facts *f, const Policy *p, uint64_t now) {
        Decision d = decide_next(f, p, now);

        if (p->other_instance && (d.action == ACTION_RESTART || d.action == ACTION_ROLL_BACK))
                d = decision(ACTION_WAIT, REASON_OTHER_INSTANCE, now + LOOK_SOON_USEC);

        /* What could not be written (a full disk, a busy file) is tried again even if no event tells of the cure. */
        if (f->sync.outcome == SYNC_FAILED && !f->job_running &&
            (d.look_again_usec == 0 || d.look_again_usec > now + RETRY_USEC))
                d.look_again_usec = now + RETRY_USEC;
        return d;
}
