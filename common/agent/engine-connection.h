/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/http.h"

/* The Docker Engine, over its Unix socket. It tells its own API version and is asked in that one: a client that pins a
 * version meets an engine that no longer, or not yet, speaks it. */

typedef struct Engine {
        const char *socket;
        char api_version[16];  /* empty where the engine did not tell */
        uint64_t timeout_usec; /* for each request */
} Engine;

/* -EBADMSG: what answers is not the Docker Engine; others as http_request(). */
int engine_open(const char *socket, uint64_t timeout_usec, Engine *ret);

/* path: below the version, "/containers/..."; body: JSON, or NULL. Any status is an answer. */
int engine_request(const Engine *e, const char *method, const char *path, const char *body, HttpResponse *ret);

/* Its API version; false where it did not tell. */
bool engine_is_at_least(const Engine *e, unsigned major, unsigned minor);
