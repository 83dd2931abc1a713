/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* The head of an HTTP request that the agent sends to Docker: which image it pulls, and where credentials go.
 *
 * ecs-authd adds credentials only to a head that Docker's parser (Go's net/http) reads in the same way. Every other
 * head is unclear: the proxy forwards it unchanged. */

typedef enum RequestKind {
        REQUEST_UNCLEAR,
        REQUEST_OTHER,
        REQUEST_EVENTS, /* GET /events without a start time */
        REQUEST_PULL,   /* POST /images/create or GET /distribution/NAME/json, and the agent brings no credentials */
} RequestKind;

/* Offsets are in bytes from the start of the head. */
typedef struct RequestHead {
        RequestKind kind;
        size_t length;     /* with the empty line at its end */
        size_t target_end; /* of the path and query in the first line */
        bool has_query;
        bool has_connection;         /* a Connection header decides how long the connection lasts */
        size_t auth_start, auth_end; /* an empty X-Registry-Auth line; both 0: the head has none */
        char image[512];             /* REQUEST_PULL: name without tag and digest */
} RequestHead;

enum {
        REQUEST_HEAD_MAX = 64 * 1024,
};

/* Returns 0, or -EAGAIN if the head is not complete yet. *ret->kind is REQUEST_UNCLEAR if the head is malformed or
 * Docker could read it in another way. */
int request_head_parse(const char *text, size_t size, RequestHead *ret);

/* Makes the head that is sent to Docker: closes the connection after one request, and adds the value of X-Registry-Auth
 * and the start time of the events. auth, since: NULL: none. Not for REQUEST_UNCLEAR. The caller frees the result with
 * secret_free(). */
char *request_head_rewrite(const char *text, const RequestHead *head, const char *auth, const char *since);
