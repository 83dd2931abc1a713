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

typedef struct ObserveReport {
        AgentState agent;
        int engine_error;     /* negative errno; -EBADMSG: an answer that is not Docker's; -EFBIG: it is too long */
        char api_version[16]; /* of the Docker Engine; "": unknown */
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

/* The answer of "GET /containers/NAME/json" put into the report. -EBADMSG: not such an answer; others as
 * json_parse_answer(). */
int observe_parse_container(const char *json, const DigestKey *key, ObserveReport *report);

/* The same for "GET /v1/metadata". */
int observe_parse_metadata(const char *json, ObserveReport *report);
