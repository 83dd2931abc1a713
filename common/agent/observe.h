/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"

/* The second job: what the agent is and has. Asks the Docker Engine for the agent's container and the agent for its
 * metadata. The report has no pointers and no secret, so that a worker can send it as it is. */

/* The settings of [Agent] that say where it is. */
typedef struct AgentSettings {
        char *container;
        char *docker_socket;
        char *introspection_url; /* without a slash at its end */
        bool keep_last_good;     /* the credentials of an agent that is well are kept (rollback.h) */
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
        int engine_error; /* negative errno; -EBADMSG: an answer that is not Docker's */
        char container_id[65];
        Digest digest; /* of the credentials in the container's environment (authdata_digest) */
        StateKept state_kept;
        int exit_status;    /* of a container that is AGENT_STOPPED */
        unsigned n_tasks;   /* running containers of tasks */
        char families[256]; /* of their task definitions, separated by ", "; cut short with "..." */
        unsigned n_pending; /* tasks that the agent pulls or starts */
        bool answers;       /* introspection: the agent has registered */
        char cluster[256];
        char version[128];
        int keep_error; /* negative errno: the credentials of this agent could not be kept to go back to */
} ObserveReport;

/* Keeps the credentials of an agent that is well (rollback.h). Always gives a report; blocks for at most
 * OBSERVE_TIMEOUT_USEC. */
#define OBSERVE_TIMEOUT_USEC (20 * USEC_PER_SEC)
void observe_run(const AgentSettings *settings, const DigestKey *key, ObserveReport *ret);

/* The answer of "GET /containers/NAME/json" put into the report. -EBADMSG: not such an answer. */
int observe_parse_container(const char *json, const DigestKey *key, ObserveReport *report);

/* The answer of "GET /containers/json" for the containers of tasks put into the report. -EBADMSG: not such an answer.
 */
int observe_parse_containers(const char *json, ObserveReport *report);

/* How many of "GET /v1/tasks" are on their way up. -EBADMSG: not such an answer. */
int observe_parse_tasks(const char *json, unsigned *ret);

/* The answer of "GET /v1/metadata" put into the report. -EBADMSG: not such an answer. */
int observe_parse_metadata(const char *json, ObserveReport *report);

/* Calls changed() whenever a container starts or ends, and once at the beginning. Blocks until the Docker Engine ends
 * it; negative errno as http_follow(). */
int observe_follow(const char *docker_socket, void (*changed)(void *userdata), void *userdata);
