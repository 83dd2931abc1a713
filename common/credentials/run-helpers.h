/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* The docker-credential-* protocol (github.com/docker/docker-credential-helpers, README): a program on PATH, called
 * with a verb; the server's name comes on its standard input, JSON on its standard output. Whatever such a program
 * does, it costs its own answer and no more than its time limit, and nothing of it is left afterwards. One exception: a
 * program that kills its parent process costs the answers of all programs that have not ended, and processes that these
 * programs started may be left. Programs run as root, so only the unit's control group bounds them then. */

enum {
        HELPER_OUTPUT_MAX = 256 * 1024,
        HELPER_PARALLEL_MAX = 8,
        HELPER_RUN_TIMEOUTS = 3, /* helper_run() takes at most this many times timeout_usec, and two seconds */
};

typedef struct HelperCall {
        const char *helper; /* "X" of docker-credential-X */
        const char *verb;   /* "get" or "list" */
        const char *input;  /* the server's name for "get", or "" */

        /* What came of it: 0 with output, or
         * -ENOENT no such program on PATH; -EACCES it cannot be run; -ETIMEDOUT; -EFBIG it wrote more than
         * HELPER_OUTPUT_MAX; -ENOKEY it says that it has no credentials for the server; -EPROTO it failed otherwise;
         * -EINVAL the name is not one of a helper (it would leave PATH). */
        int error;
        char *output; /* NUL-terminated, wiped by helper_calls_done() */
        size_t size;
} HelperCall;

/* Makes all the calls, at most HELPER_PARALLEL_MAX at a time, each for at most timeout_usec. environment: the words of
 * HelperEnvironment= (helper-environment.h), or NULL. Returns when all have ended; whatever they left running is killed
 * then, and also when we are. Where so many hang that the others would have to wait for longer than twice timeout_usec,
 * those are given up without being made (-ETIMEDOUT). */
void helper_run(HelperCall *calls, size_t n_calls, const char *home, char *const *environment, uint64_t timeout_usec);
void helper_calls_done(HelperCall *calls, size_t n_calls);

/* The answer to "get". -EBADMSG: not such an answer; others as json_parse_answer(). Each string is to be freed with
 * secret_free(). */
int helper_parse_get(const char *output, char **ret_username, char **ret_secret);

/* Why a call failed, for people. */
const char *helper_strerror(int error);
