/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/container-swap-steps.h"

/* What is found of a swap that was cut off, and what becomes of it. Until the old one is asked to stop it is undone, as
 * nothing has happened to the agent; from there on it is finished, which has the agent back soonest; and undone where
 * Docker refuses that. */

/* Brings it to one of its two ends; where there is none, that is all. 1: the old one runs, and it is not known whether
 * it was asked to stop. One that was is down soon, and then this is finished; one that was not may have tasks by now.
 */
int swap_recover(Swap *s, const char *container);

/* Nothing is half done any more, and it is down all the same: it has ended before it was to be stopped. */
int swap_start_agent(const Swap *s, const char *container);

/* The agent runs: what is not needed any more goes. Where swap_recover() would say 1 nothing is done. -ESTALE: it does
 * not run. */
int swap_confirm(Swap *s, const char *container);
