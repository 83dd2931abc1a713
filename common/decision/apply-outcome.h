/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/when-to-restart.h"

/* When one pass in the foreground (ecs-authd apply) is over, and what came of it. Pure. */

typedef enum Outcome {
        OUTCOME_OPEN,   /* not over yet */
        OUTCOME_DONE,   /* or nothing to do, or written and the agent does not run (yet) */
        OUTCOME_FAILED, /* also in part */
        OUTCOME_HELD,   /* written, but the restart of a running agent is held */
} Outcome;

/* How long it may take: the restart and what it is seen by, and what may come before them. */
static inline uint64_t apply_timeout_usec(const CredentialSettings *sources, const RestartSettings *restart) {
        return sync_timeout_usec(sources) + 2 * OBSERVE_TIMEOUT_USEC + 2 * restart->verify_usec;
}

/* tried: the restart was ours. deadline: when the pass is over in any case. */
Outcome outcome_of(const Facts *f, const Decision *d, bool tried, uint64_t deadline);

/* When that has come: written, and the agent not seen with it; or taken down by us, and not up again. */
Outcome outcome_at_deadline(const Facts *f);
