/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* Memory that held a secret is wiped before it is given back. */

/* A NUL-terminated string; takes NULL, returns NULL. */
char *secret_free(char *s);
DEFINE_CLEANUP_FUNC(char *, secret_free)
#define _cleanup_secret_ _cleanup_(secret_freep)

/* A copy of n bytes with a NUL after them; NULL when there is no memory. */
char *secret_dup(const char *s, size_t n);

/* Reads fd to its end. The result has a NUL after its last byte (the bytes may hold more of them); the caller
 * frees it with secret_free_sized(). -EFBIG: more than max bytes; other errors as read(2). */
int secret_read_fd(int fd, size_t max, char **ret, size_t *ret_size);
char *secret_free_sized(char *s, size_t size);

/* Makes room for needed bytes in a buffer that has used bytes; at least doubles it if it has to grow. The old buffer is
 * wiped. */
int secret_make_room(char **buffer, size_t used, size_t needed, size_t *allocated);

/* The process (and what it forks) leaves no core and cannot be read by a debugger of another user. */
int secret_protect_process(void);
