/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/container-swap-steps.h"

/* What is found of a swap that was cut off, and what becomes of it. Until the old one is asked to stop it is undone, as
 * nothing has happened to the agent; from there on it is finished, which has the agent back soonest; and undone where
 * Docker refuses that. */

enum {
        SWAP_ENDED = 1,     /* the agent was started for it */
        SWAP_MAY_BE_ENDING, /* the old one runs, and may have been asked to stop: it is down soon, and then this is
                               finished, or it was not, and then it is undone */
};

/* Brings it to one of its two ends. 0: there is none, or nothing has happened to the agent; or as above. */
int swap_recover(Swap *s, const char *container);

/* Nothing is half done, and it is down all the same. -ESTALE: there is none. */
int swap_start_agent(const Swap *s, const char *container);

/* The agent runs: what is not needed any more goes, but where it may be ending. -ESTALE: it does not run. */
int swap_confirm(Swap *s, const char *container);
