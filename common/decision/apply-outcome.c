/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/apply-outcome.h"

/* It is left as it is, and has the credentials when it starts. */
static bool leaves_agent_down(const Facts *f, const Decision *d) {
        if (f->agent.agent == AGENT_RUNNING)
                return false; /* outside its unit */
        switch (d->reason) {
        case REASON_UNIT_NOT_FOUND:
        case REASON_UNIT_MASKED:
        case REASON_UNIT_INACTIVE:
        case REASON_UNIT_EXITED:
        case REASON_UNIT_BAD_SETTING:
        case REASON_UNIT_FAILED:
        case REASON_UNIT_START_LIMIT:
        case REASON_AGENT_REFUSED:
                return true;
        case REASON_UNIT_CHANGING: /* a queued start, as in user data before the boot is over, would wait for us */
                return !f->record.open;
        default:
                return false;
        }
}

Outcome outcome_at_deadline(const Facts *f) {
        bool down = f->record.open && (f->agent.agent == AGENT_STOPPED || f->agent.agent == AGENT_ABSENT);

        return sync_is_well(&f->file.sync) && !down ? OUTCOME_HELD : OUTCOME_FAILED;
}

Outcome outcome_of(const Facts *f, const Decision *d, bool tried, uint64_t deadline) {
        bool failed = !sync_is_well(&f->file.sync);

        if (!f->file.known || f->file.writing || f->file.stale || f->job)
                return OUTCOME_OPEN;
        if (f->file.asking || (f->file.ask_all && f->file.pause_usec == 0))
                return OUTCOME_OPEN;
        /* The agent has the credentials, or gets them at its next start: its registration decides nothing. */
        if (d->reason == REASON_REGISTERING && !tried && !f->record.open)
                return failed ? OUTCOME_FAILED : OUTCOME_DONE;
        if (d->action == ACTION_DONE || d->reason == REASON_SILENT || d->reason == REASON_EXITS ||
            d->reason == REASON_IMPOSTOR || leaves_agent_down(f, d))
                return failed ? OUTCOME_FAILED : OUTCOME_DONE;
        if (d->action == ACTION_HOLD)
                return failed || tried || d->reason == REASON_NO_RECORD ? OUTCOME_FAILED : OUTCOME_HELD;
        if (d->action == ACTION_WAIT && d->reason == REASON_BACKOFF)
                return tried || failed ? OUTCOME_FAILED : OUTCOME_HELD;
        /* Longer than anybody waits in front of it. */
        if (d->action == ACTION_WAIT && d->look_again_usec > deadline)
                return failed ? OUTCOME_FAILED : OUTCOME_HELD;
        return OUTCOME_OPEN;
}
