/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/facts.h"

/* The second decision: environment file -> running agent. What to do next, from what is known, and why. Pure: no side
 * effect, no clock, no memory of its own. */

typedef enum RestartMethod {
        RESTART_METHOD_SYSTEMD,
        RESTART_METHOD_UPSTART,
        RESTART_METHOD_DOCKER,
        RESTART_METHOD_NONE,
} RestartMethod;

typedef enum UnsavedState {
        UNSAVED_STATE_WAIT,
        UNSAVED_STATE_FORCE,
        UNSAVED_STATE_NEVER,
} UnsavedState;

/* The settings of [Restart]. */
typedef struct RestartSettings {
        RestartMethod method;
        UnsavedState unsaved_state;
        uint64_t settle_usec;       /* from the last change to the restart */
        uint64_t min_interval_usec; /* between two restarts */
        uint64_t jitter_usec;       /* within which each host of a fleet has its own place */
        uint64_t verify_usec;       /* an agent that is silent for longer after a restart is reported */
} RestartSettings;

typedef struct Policy {
        RestartSettings settings; /* jitter_usec: this host's share of it */
        bool other_instance;      /* is at it: nothing is begun beside it */
} Policy;

/* The share of JitterSec= that a host has: the same at any time, and another on each other one. id: a random number of
 * its own, in the form that sd_id128_t has (RFC 9562, version 4). */
uint64_t jitter_of_host(uint64_t jitter_usec, const uint8_t id[static 16]);

Decision decide_agent(const Facts *facts, const Policy *policy, uint64_t now);

/* The end of tasks, of which Docker's events tell at once. */
bool decision_awaits_tasks(const Decision *d);
