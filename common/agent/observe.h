/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/who-listens.h"
#include "base/digest.h"
#include "base/json.h"

/* The second job: what the agent is and has. Asks the Docker Engine for the agent's container and the agent for its
 * metadata. The report has no pointers and no secret, so that a worker can send it as it is. */

/* The settings of [Agent] that say where it is. */
typedef struct AgentSettings {
        char *container;
        char *docker_socket;
        char *introspection_url; /* without a slash at its end */
        bool swapped;            /* Method=docker: ecs-authd replaces the container itself */
} AgentSettings;

typedef enum AgentState {
        AGENT_UNKNOWN, /* the Docker Engine did not answer; engine_error tells why */
        AGENT_ABSENT,
        AGENT_STOPPED,
        AGENT_RUNNING,
} AgentState;

typedef enum StateKept {
        STATE_KEPT,
        STATE_NO_DATADIR,    /* ECS_DATADIR is not set, or empty */
        STATE_NO_CHECKPOINT, /* ECS_CHECKPOINT=false */
        STATE_NO_MOUNT,      /* the directory dies with the container */
} StateKept;

/* The state of a swap (agent/container-swap.h); SWAP_NONE unless AgentSettings.swapped. */
typedef enum SwapState {
        SWAP_NONE,
        SWAP_LEFTOVER,  /* the old container of a finished swap has not been removed */
        SWAP_HALF_DONE, /* was cut off */
} SwapState;

typedef struct ObserveReport {
        AgentState agent;
        int engine_error;     /* negative errno; -EBADMSG: an answer that is not Docker's; -EFBIG: it is too long */
        char api_version[16]; /* of the Docker Engine; "": unknown */
        SwapState swap;
        char container_id[65];
        Digest digest; /* of the credentials in the container's environment (authdata_digest) */
        StateKept state_kept;
        int exit_status; /* of a container that is AGENT_STOPPED */

        /* Who answers in the agent's place (agent/who-listens.h), at which port; empty: nobody does. */
        char impostor[LISTENER_MAX];
        unsigned impostor_port;

        bool answers; /* introspection, which it does once it has registered with ECS */
        char cluster[256];
        char version[128];

        /* What a restart would cost where state is not kept. The agent's own containers are no tasks. */
        unsigned n_tasks; /* that the agent knows of and that have not ended; one that is pulled has no container yet */
        unsigned n_containers; /* of tasks, that have not ended */
        unsigned n_unknown; /* of those: of a task that the agent does not know of; one that lost its state left them */
        int tasks_error;    /* negative errno: the agent could not be asked for its tasks, and may have some */
        char families[256]; /* of their task definitions, separated by ", "; cut short with "..." */
} ObserveReport;

/* Always gives a report; blocks for at most OBSERVE_TIMEOUT_USEC. */
#define OBSERVE_TIMEOUT_USEC (20 * USEC_PER_SEC)
void observe_run(const AgentSettings *settings, const DigestKey *key, ObserveReport *ret);

/* Fills in the report from an inspected container. -EBADMSG: not an answer of Docker's. */
int observe_parse_container(json_object *container, const DigestKey *key, ObserveReport *report);

/* Fills in the report from the answer to "GET /v1/metadata". -EBADMSG: not an answer of the agent's. */
int observe_parse_metadata(json_object *metadata, ObserveReport *report);

/* Fills in the report from the list of the tasks' containers. *ret_tasks: the ARNs of their tasks, an array; null where
 * a container has none. -EBADMSG: not an answer of Docker's. */
int tasks_parse_containers(json_object *list, ObserveReport *report, json_object **ret_tasks);

/* Fills in the report from the answer to "GET /v1/tasks"; tasks: the result of tasks_parse_containers(). -EBADMSG: not
 * an answer of the agent's. */
int tasks_parse(json_object *answer, json_object *tasks, ObserveReport *report);
