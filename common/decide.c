/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

/* How often to look at things that send no event to us: the engine, the container, introspection, tasks. */
#define LOOK_SOON_USEC (1 * USEC_PER_SEC)
#define LOOK_LATER_USEC (5 * USEC_PER_SEC)
#define RETRY_USEC (30 * USEC_PER_SEC)

/* The pause after failed restarts doubles up to this. */
#define BACKOFF_MAX_USEC (3600 * USEC_PER_SEC)
#define BACKOFF_MIN_USEC (10 * USEC_PER_SEC)

enum {
        SETTLE_MAX = 10, /* times SettleSec=, from the first change that the agent does not have */
};

static Decision decision(Action action, Reason reason, uint64_t look_again_usec) {
        return (Decision){.action = action, .reason = reason, .look_again_usec = look_again_usec};
}

/* The container runs with what stands in the file. */
static bool agent_has_credentials(const Facts *f) {
        return f->agent.agent == AGENT_RUNNING && digest_equal(&f->agent.digest, &f->sync.digest);
}

static Decision decide_job(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t deadline = f->attempt.started_usec + p->verify_usec;

        /* A job may wait for another one as long as that takes (user data at boot), but if nothing is queued any more
         * the signal that would have told us is lost. */
        if (now >= deadline && f->unit != UNIT_CHANGING)
                return decision(ACTION_VERIFY, REASON_NONE, 0);
        return decision(ACTION_WAIT, REASON_RESTART_JOB, now >= deadline ? now + LOOK_LATER_USEC : deadline);
}

/* What stands in the way of any restart, whatever our own pace. */
static Decision decide_obstacles(const Facts *f, const Policy *p, uint64_t now) {
        const uint64_t later = now + LOOK_LATER_USEC;

        switch (f->unit) {
        case UNIT_UNKNOWN:
                return decision(ACTION_HOLD, REASON_BUS, later);
        case UNIT_NOT_FOUND:
                return decision(ACTION_HOLD, REASON_UNIT_NOT_FOUND, 0);
        case UNIT_MASKED:
                return decision(ACTION_HOLD, REASON_UNIT_MASKED, 0);
        case UNIT_INACTIVE:
                return decision(ACTION_HOLD, REASON_UNIT_INACTIVE, 0);
        case UNIT_FAILED:
                return decision(ACTION_HOLD, REASON_UNIT_FAILED, 0);
        case UNIT_CHANGING:
                return decision(ACTION_WAIT, REASON_UNIT_CHANGING, later);
        case UNIT_ACTIVE:
                break;
        }

        if (f->agent.agent == AGENT_UNKNOWN)
                return decision(ACTION_HOLD, REASON_ENGINE, later);
        if (f->agent.agent != AGENT_RUNNING)
                return decision(ACTION_WAIT, REASON_AGENT_COMING, later);

        if (f->attempt.fruitless && digest_equal(&f->attempt.digest, &f->sync.digest))
                return decision(ACTION_HOLD, REASON_FRUITLESS, 0);

        if (f->agent.state_kept != STATE_KEPT) {
                if (p->unsaved_state == UNSAVED_STATE_NEVER)
                        return decision(ACTION_HOLD, REASON_UNSAVED_NEVER, 0);
                if (p->unsaved_state == UNSAVED_STATE_WAIT && f->agent.n_tasks > 0)
                        return decision(ACTION_HOLD, REASON_TASKS, later);
        }
        return decision(ACTION_RESTART, REASON_NONE, 0);
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

static Decision decide_verification(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t deadline = f->attempt.verifying_usec + p->verify_usec;
        Reason missing = verification_misses(f);

        if (missing == REASON_NONE)
                return decision(ACTION_DONE, REASON_LIVE, 0);
        /* Whoever stopped it meanwhile ended our attempt, too; it did not fail. */
        if (f->unit == UNIT_INACTIVE || f->unit == UNIT_MASKED || f->unit == UNIT_NOT_FOUND)
                return decide_obstacles(f, p, now);
        if (now >= deadline || f->unit == UNIT_FAILED)
                return decision(ACTION_NOT_VERIFIED, missing, 0);
        return decision(ACTION_WAIT, REASON_VERIFYING,
                        now + LOOK_SOON_USEC < deadline ? now + LOOK_SOON_USEC : deadline);
}

static uint64_t earliest_restart(const Facts *f, const Policy *p, Reason *ret_reason) {
        uint64_t pause = p->min_interval_usec;

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

/* A tool that writes new tokens all the time must not put the restart off for ever. */
static uint64_t settled_at(const Facts *f, const Policy *p) {
        uint64_t settled = f->changed_usec + p->settle_usec, latest = f->unsettled_usec + SETTLE_MAX * p->settle_usec;

        if (f->changed_usec == 0)
                return 0;
        return f->unsettled_usec > 0 && latest < settled ? latest : settled;
}

static Decision decide_restart(const Facts *f, const Policy *p, uint64_t now) {
        uint64_t settled = settled_at(f, p), earliest;
        Decision obstacle;
        Reason reason;

        if (agent_has_credentials(f))
                return f->agent.answers ? decision(ACTION_DONE, REASON_LIVE, 0)
                                        : decision(ACTION_WAIT, REASON_AGENT_SILENT, now + LOOK_LATER_USEC);

        if (now < settled)
                return decision(ACTION_WAIT, REASON_SETTLE, settled);

        obstacle = decide_obstacles(f, p, now);
        if (obstacle.action != ACTION_RESTART)
                return obstacle;

        earliest = earliest_restart(f, p, &reason);
        if (now < earliest)
                return decision(ACTION_WAIT, reason, earliest);
        return obstacle;
}

static Decision decide_next(const Facts *f, const Policy *p, uint64_t now) {
        if (f->job_running)
                return decision(ACTION_WAIT, REASON_JOB_RUNNING, 0);
        if (f->files_stale)
                return decision(ACTION_WRITE, REASON_NONE, 0);
        if (p->method == RESTART_METHOD_NONE)
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

Decision decide(const Facts *f, const Policy *p, uint64_t now) {
        Decision d = decide_next(f, p, now);

        /* What could not be written (a full disk, a busy file) is tried again even if no event tells of the cure. */
        if (f->sync.outcome == SYNC_FAILED && !f->job_running &&
            (d.look_again_usec == 0 || d.look_again_usec > now + RETRY_USEC))
                d.look_again_usec = now + RETRY_USEC;
        return d;
}
