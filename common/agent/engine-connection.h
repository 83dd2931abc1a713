/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/http.h"
#include "base/json.h"
#include "base/problems.h"

/* The Docker Engine, over its Unix socket. Its first answer names its API version, which all further requests use: a
 * client with a fixed version fails with engines that are older or newer than this version. Requests block and carry
 * secrets: use them only in a child or a verb. */

typedef struct Engine {
        const char *socket;
        char api_version[16];  /* empty if the engine sent none */
        uint64_t timeout_usec; /* for each request */
        Problems *problems;    /* receives each failure; may be NULL */
} Engine;

/* -EBADMSG: the answer is not the Docker Engine's. Other errors are those of http_request(). */
int engine_open(const char *socket, uint64_t timeout_usec, Problems *problems, Engine *ret);

/* path: below the version, "/containers/..."; body: JSON, or NULL. Any status is an answer. */
int engine_request(const Engine *e, const char *method, const char *path, const char *body, HttpResponse *ret);

/* Requests JSON. Returns 1, or 0 if the object does not exist (status 404). name: for messages. */
int engine_get(const Engine *e, const char *path, const char *name, json_object **ret);

/* Compares the API version; returns false if the engine sent none. */
bool engine_is_at_least(const Engine *e, unsigned major, unsigned minor);

/* Requests about containers. A container is the answer of container_inspect() and is addressed by its ID, because a
 * swap changes names. -EREMOTEIO: the engine refused; any other error: the request may have been carried out. */

#define CONTAINER_REQUEST_USEC (30 * USEC_PER_SEC)

/* The longest wait for the end of a container. The engine continues with the stop after this time. */
#define CONTAINER_STOP_MAX_USEC (600 * USEC_PER_SEC)

/* Inspects a container by name or ID. Returns 1, or 0 if it does not exist. */
int container_inspect(const Engine *e, const char *name, json_object **ret);

int container_create(const Engine *e, const char *name, json_object *body);
/* network: as container_inspect() describes it; addressed by its ID, because a name may have a blank. */
int container_connect(const Engine *e, json_object *network, json_object *body, const char *name);
int container_rename(const Engine *e, json_object *container, const char *name);
int container_start(const Engine *e, json_object *container);

/* Returns when the container has ended. Grants it the stop timeout of its own configuration to save its state. */
int container_stop(const Engine *e, json_object *container);

/* Keeps the volumes. Succeeds if the container is NULL or does not exist. */
int container_remove(const Engine *e, json_object *container);

/* policy: RestartPolicy of a container. */
int container_set_restart_policy(const Engine *e, json_object *container, json_object *policy);

/* Finds the name or ID of the image to create a successor from: a tag that has moved must not change the agent's
 * image. *ret belongs to container. */
int container_image(const Engine *e, json_object *container, const char **ret);

/* Adds the failure to the problems and returns error. */
int container_complain(const Engine *e, int error, const char *what, const char *name, const char *why);

/* Members of a container, which may be NULL. */
bool container_is_running(json_object *container);
const char *container_id(json_object *container);
json_object *container_host_config(json_object *container);
