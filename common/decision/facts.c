/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/facts.h"

void facts_wake(Facts *f, bool files) {
        f->files_stale = f->files_stale || files;
        f->agent_stale = true;
}

SyncMode facts_begin_write(Facts *f) {
        SyncMode mode = f->next_sync;

        f->next_sync = SYNC_USUAL;
        f->files_stale = false;
        f->agent_stale = true;
        f->job_running = true;
        return mode;
}

/* A job that did not even look into the environment file: what is known of it still stands. */
static void take_failure(SyncReport *known, const SyncReport *report) {
        known->outcome = report->outcome;
        known->problems = report->problems;
}

void facts_end_write(Facts *f, const SyncReport *report, uint64_t now) {
        bool changed = report->outcome == SYNC_WRITTEN || report->outcome == SYNC_REMOVED;

        f->job_running = false;
        if (!report->digest_known) {
                take_failure(&f->sync, report);
        } else {
                if (f->sync.digest_known && !digest_equal(&report->digest, &f->sync.digest))
                        changed = true; /* by somebody else */
                f->sync = *report;
        }

        if (changed) {
                f->changed_usec = now;
                if (f->needed_usec == 0)
                        f->needed_usec = now;
                f->attempt.failures = 0;
                f->attempt.overtaken = f->attempt.state != ATTEMPT_NONE;
        }
}

void facts_begin_observe(Facts *f) {
        f->agent_stale = false;
        f->job_running = true;
}

void facts_end_observe(Facts *f, const ObserveReport *agent, UnitState unit, uint64_t now) {
        f->job_running = false;
        f->agent = *agent;
        f->unit = unit;
        if (agent->answers && agent->keep_error == 0) {
                f->sync.last_good_known = true; /* the job has just kept it (observe_run()) */
                f->sync.last_good = agent->digest;
        }
        if (f->needed_usec == 0 && agent->agent == AGENT_RUNNING && f->sync.digest_known &&
            !digest_equal(&agent->digest, &f->sync.digest))
                f->needed_usec = now;
}

void facts_begin_restart(Facts *f, const Decision *d, uint64_t now) {
        Attempt *a = &f->attempt;

        f->needed_usec = 0;
        a->state = ATTEMPT_JOB;
        a->outcome = OUTCOME_NONE;
        a->rolls_back = d->reason == REASON_REPAIR && f->sync.rejected;
        a->overtaken = false;
        a->started_usec = now;
        a->digest = f->sync.digest;
        memcpy(a->old_container_id, f->agent.container_id, sizeof(a->old_container_id));
}

static void begin_verification(Facts *f, uint64_t now) {
        f->attempt.state = ATTEMPT_VERIFYING;
        f->attempt.verifying_usec = now;
        f->agent_stale = true;
}

static void fail_attempt(Attempt *a, AttemptOutcome outcome) {
        a->state = ATTEMPT_NONE;
        a->outcome = outcome == OUTCOME_BROKE && a->rolls_back ? OUTCOME_GAVE_UP : outcome;
        a->failures++;
}

void facts_end_restart(Facts *f, JobOutcome outcome, uint64_t now) {
        f->agent_stale = true;
        switch (outcome) {
        case JOB_DONE:
        case JOB_UNKNOWN:
                begin_verification(f, now);
                return;
        case JOB_FAILED:
                fail_attempt(&f->attempt, OUTCOME_BROKE);
                return;
        case JOB_REFUSED:
                /* Not to be repeated at once. */
                fail_attempt(&f->attempt, OUTCOME_NONE);
                return;
        }
}

void facts_retry(Facts *f) {
        facts_wake(f, true);
        if (f->attempt.outcome == OUTCOME_FRUITLESS)
                f->attempt.outcome = OUTCOME_NONE;
        if (f->attempt.outcome != OUTCOME_GAVE_UP)
                f->next_sync = SYNC_RETRY;
}

static AttemptOutcome judge_attempt(const Facts *f, Reason missing) {
        if (f->agent.agent != AGENT_RUNNING ||
            (missing != REASON_NO_NEW_CONTAINER && missing != REASON_OTHER_CREDENTIALS))
                return OUTCOME_BROKE;
        /* The agent may have read the file in between. */
        return f->attempt.overtaken ? OUTCOME_NONE : OUTCOME_FRUITLESS;
}

/* The agent is well. */
static bool close_attempt(Facts *f) {
        bool verified = f->attempt.state == ATTEMPT_VERIFYING;

        f->needed_usec = 0;
        f->attempt.state = ATTEMPT_NONE;
        f->attempt.outcome = OUTCOME_NONE;
        f->attempt.rolls_back = false;
        f->attempt.failures = 0;
        return verified; /* newer credentials may have come meanwhile */
}

/* A look that is under way changes nothing about what is waited for. */
void facts_note_waiting(Facts *f, const Decision *d, uint64_t now) {
        bool rests = d->action == ACTION_WAIT || d->action == ACTION_HOLD || d->action == ACTION_DONE;

        if (!rests || d->reason == REASON_JOB_RUNNING || d->reason == f->waiting_for)
                return;
        f->waiting_for = d->reason;
        f->waiting_since_usec = now;
}

bool facts_take_decision(Facts *f, const Decision *d, uint64_t now) {
        facts_note_waiting(f, d, now);
        switch (d->action) {
        case ACTION_VERIFY:
                begin_verification(f, now);
                return true;
        case ACTION_NOT_VERIFIED:
                fail_attempt(&f->attempt, judge_attempt(f, d->reason));
                return true;
        case ACTION_ROLL_BACK:
                f->attempt.roll_back_usec = now;
                f->next_sync = SYNC_REJECT;
                f->files_stale = true;
                return true;
        case ACTION_DONE:
                return d->reason == REASON_LIVE || d->reason == REASON_ROLLED_BACK ? close_attempt(f) : false;
        case ACTION_HOLD:
                if (f->attempt.state == ATTEMPT_VERIFYING)
                        f->attempt.state = ATTEMPT_NONE;
                return false;
        case ACTION_WRITE:
        case ACTION_OBSERVE:
        case ACTION_RESTART:
        case ACTION_WAIT:
                break;
        }
        return false;
}
