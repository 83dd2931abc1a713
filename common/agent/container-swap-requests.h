/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/engine-connection.h"
#include "base/json.h"
#include "base/problems.h"

/* What the Docker Engine is asked to do with a container. Each failure is told in problems. A container is the answer
 * of container_inspect(); it is meant by its id, as names change on the way. -EREMOTEIO: the engine has refused;
 * anything else: it is not known whether it was done. */

typedef struct ContainerEngine {
        Engine engine;
        Problems *problems;
} ContainerEngine;

/* The longest that the end of a container is waited for; the engine goes on with it, and can be asked again. */
#define CONTAINER_STOP_MAX_USEC (600 * USEC_PER_SEC)
#define CONTAINER_REQUEST_USEC (30 * USEC_PER_SEC)

int container_engine_open(const char *socket, Problems *problems, ContainerEngine *ret);

/* By name or id. 1 found, 0 not there. */
int container_inspect(const ContainerEngine *e, const char *name, json_object **ret);

int container_create(const ContainerEngine *e, const char *name, json_object *body);
int container_connect(const ContainerEngine *e, const char *network, json_object *body, const char *name);
int container_rename(const ContainerEngine *e, json_object *container, const char *name);
int container_start(const ContainerEngine *e, json_object *container);

/* Returns when it has ended. The time that the container itself says, in which the agent saves its state. */
int container_stop(const ContainerEngine *e, json_object *container);

/* How long that may take; one that may take for ever (-1) is not waited for so long. */
uint64_t container_stop_usec(json_object *container);

/* Volumes stay. NULL, and one that is gone already, are fine. */
int container_remove(const ContainerEngine *e, json_object *container);
int container_set_restart_policy(const ContainerEngine *e, json_object *container, const char *policy, int retries);

/* What to make another one from: a tag that has moved since must not change the agent's image. *ret belongs to
 * container. */
int container_image(const ContainerEngine *e, json_object *container, const char **ret);

/* Puts the failure among the problems and gives it back. */
int container_complain(const ContainerEngine *e, int error, const char *what, const char *name, const char *why);

/* Of an answer, which may be NULL. */
bool container_is_running(json_object *container);
bool container_is_named(json_object *container, const char *name);
bool container_is(json_object *container, const char *id);
const char *container_id(json_object *container);
json_object *container_host_config(json_object *container);
