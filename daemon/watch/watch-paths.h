/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* The child behind watch-files.h, which owns everything that may hang (a file system over the network), fail or crash
 * (libinotifytools, where memory is short).
 *
 * Not the files are watched, but every directory on the way to them, symbolic links included: so a file that is
 * replaced, deleted, comes back, or whose directory does not exist yet or is swapped, is noticed. A lost event (a full
 * queue) counts as a change.
 *
 * libinotifytools keeps its state in globals: this file is the only one that knows. */

typedef enum WatchKind {
        WATCH_STARTED, /* from now on nothing is missed */
        WATCH_AGAIN,   /* something has changed on the way to the files: until WATCH_STARTED nothing is watched */
        WATCH_CHANGED,
        WATCH_FAILED,
} WatchKind;

typedef struct WatchMessage {
        WatchKind kind;
        int error; /* WATCH_FAILED: -ENOSPC: the limit fs.inotify.max_user_watches is reached; -EMFILE:
                    * fs.inotify.max_user_instances; -ECONNABORTED: the child has ended */
} WatchMessage;

/* files: absolute paths, which need not exist; NULL-terminated. Sends messages into fd (worker_send()) until it fails
 * or nobody reads them any more. */
int watch_paths(const char *const *files, int fd);
