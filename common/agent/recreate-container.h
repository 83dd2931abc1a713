/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/observe.h"
#include "base/json.h"
#include "base/problem-texts.h"

/* The agent's container made anew from its own configuration, with the variables of the environment file, for an agent
 * that somebody started with "docker run --env-file". The one of before is stopped, renamed to NAME.ecs-authd-previous
 * and kept until the new one is confirmed. Each step looks at what there is and goes on from there: one that was killed
 * at any point is mended by the next. Blocks; the requests carry secrets, so it belongs into a worker. */

typedef enum RecreateStep {
        RECREATE_HEAL,     /* after a step that was killed; does nothing where all is well */
        RECREATE_REPLACE,  /* what fails half way is undone */
        RECREATE_CONFIRM,  /* the one of before is removed */
        RECREATE_PUT_BACK, /* and here the new one is */
} RecreateStep;

/* Without pointers and without secrets, so that a worker can send it as it is. */
typedef struct RecreateReport {
        int error; /* negative errno. -ESTALE: there is no running container to replace; -ENOENT: nothing to put back */
        Problems problems;
} RecreateReport;

void recreate_run(const AgentSettings *settings, const char *environment_file, RecreateStep step, RecreateReport *ret);

/* The body of "POST /containers/create" for a container like the one that was inspected. environment: the file, read as
 * docker run --env-file does; its two auth entries go where it does not have them, everything else that the container
 * has stays. image: what to make it from. -EBADMSG: not what "GET /containers/NAME/json" gives. */
int recreate_body(json_object *container, const char *environment, const char *image, json_object **ret);
