/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* One request, bounded in time and size; blocks, so it belongs into a worker. */

typedef struct HttpResponse {
        long status;
        char api_version[16]; /* the header Api-Version of the Docker Engine, or empty */
        char challenge[512];  /* the header WWW-Authenticate, or empty */
        char peer[64];        /* the address that it came from, and ours, as text; empty: a Unix socket */
        char local[64];
        unsigned port; /* of the peer */
        char *body;    /* NUL-terminated; may hold secrets (the environment of a container) */
        size_t size;
        size_t room; /* of body */
} HttpResponse;

void http_response_done(HttpResponse *r);
#define _cleanup_http_ _cleanup_(http_response_done)

typedef struct HttpRequest {
        const char *socket; /* the Unix socket to connect to, or NULL for TCP to the host of the URL */
        const char *method;
        const char *url;
        const char *body;         /* or NULL */
        const char *content_type; /* of the body; NULL: application/json */
        const char *username;     /* for basic authentication, or NULL */
        const char *password;
        uint64_t timeout_usec;
} HttpRequest;

/* Any status is an answer and gives 0. -ENOENT, -ECONNREFUSED, -EACCES ...: nothing listens, as connect(2) says;
 * -ETIMEDOUT; -EFBIG: the body is longer than 8 MiB; -EBADMSG: not HTTP. */
int http_request(const HttpRequest *request, HttpResponse *ret);

static inline int http_get(const char *socket, const char *url, uint64_t timeout_usec, HttpResponse *ret) {
        const HttpRequest request = {.socket = socket, .method = "GET", .url = url, .timeout_usec = timeout_usec};

        return http_request(&request, ret);
}
