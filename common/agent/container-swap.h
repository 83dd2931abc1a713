/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/container-swap-requests.h"
#include "agent/observe.h"

/* The agent's container made anew from its own configuration, with the variables of the environment file, for an agent
 * that somebody started with "docker run --env-file". The one of before is stopped, renamed to NAME.ecs-authd-previous
 * and kept until the new one is confirmed.
 *
 * Each step (agent/container-swap-steps.h, in their order) is written down before it is done
 * (agent/container-swap-record.h), looks at what there is and goes on from there: one that was cut off at any point is
 * brought to its end by the next (agent/container-swap-recovery.h). In the end there is one container under the name,
 * with the restart policy that it had, and it runs.
 *
 * Only who holds the restart lock may run one. Blocks; the requests carry secrets, so it belongs into a worker. */

typedef enum ContainerSwapGoal {
        /* Of an agent that is down: brings to its end what was left half done. */
        CONTAINER_SWAP_FINISH,
        /* Of one that is down with nothing half done. */
        CONTAINER_SWAP_START,
        /* Of one that runs: another one; what fails half way is undone. What was left half done is brought to its end
         * first, and if the agent was started for that, that is all (-EALREADY). */
        CONTAINER_SWAP_REPLACE,
        /* Of one that runs, and is to: the other container is removed. Does nothing where the old one may be about to
         * end. */
        CONTAINER_SWAP_CONFIRM,
} ContainerSwapGoal;

/* The longest that a step takes: the end of a container, and each other request at its slowest. */
#define CONTAINER_SWAP_TIMEOUT_USEC (CONTAINER_STOP_MAX_USEC + 30 * CONTAINER_REQUEST_USEC)

/* Without pointers and without secrets, so that a worker can send it as it is. */
typedef struct ContainerSwapReport {
        int error; /* negative errno. -ESTALE: there is no running container to replace, or to confirm */
        Problems problems;
} ContainerSwapReport;

void container_swap_run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal goal,
                        ContainerSwapReport *ret);

/* Something is half done: CONTAINER_SWAP_FINISH is needed. Asks nobody but the state directory. */
bool container_swap_is_pending(void);

/* Something is to be finished, confirmed or removed. */
bool container_swap_is_on_record(void);
