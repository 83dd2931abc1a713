/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/engine-connection.h"
#include "agent/observe.h"

/* Replaces the container of an agent that was started with "docker run --env-file" by a new one: the same
 * configuration, with the variables of the environment file.
 *
 * The names of the containers are the state of a swap. Nothing else records it, so a swap that was cut off at any point
 * can be recovered:
 *
 *   NAME        -new    -previous
 *   old                            no swap, or not begun
 *   old         new                the new container is created: undo
 *               new     old        the old container loses its restart policy and is stopped: continue
 *   new                 old        the new container is started: continue, if it has never run; else remove the old
 *
 * If Docker refuses a step, the swap is undone: first the new container gives up NAME, then the old one gets its
 * restart policy back and is started under its name "-previous", and last it gets NAME back. The new container carries
 * the restart policy of the old one and, as a label, the ID of the old one.
 *
 * The caller must hold the restart lock, except for container_swap_observe(). Requests block and carry secrets: call
 * these functions only in a child. */

typedef enum ContainerSwapGoal {
        CONTAINER_SWAP_START,   /* the agent is down: continue a swap that was cut off, or start the container */
        CONTAINER_SWAP_REPLACE, /* the agent runs */
        CONTAINER_SWAP_CONFIRM, /* the agent runs, and no restart is pending: remove the other containers */
} ContainerSwapGoal;

/* Limit for one goal: a stop, and every other request at its slowest. */
#define CONTAINER_SWAP_TIMEOUT_USEC (CONTAINER_STOP_MAX_USEC + 30 * CONTAINER_REQUEST_USEC)

/* Contains no pointers and no secrets: a message of a worker. */
typedef struct ContainerSwapReport {
        int error; /* negative errno; -ESTALE: no running container to replace or to confirm; -EAGAIN: confirm later */
        Problems problems;
} ContainerSwapReport;

void container_swap_run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal goal,
                        ContainerSwapReport *ret);

/* Finds the agent's container: the one of this name, or the old container of a swap that still runs. Returns 1, or 0 if
 * there is none. */
int container_swap_observe(const Engine *e, const char *name, json_object **ret_container, SwapState *ret_state);
