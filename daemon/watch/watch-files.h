/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Reports that one of a list of files may have changed; the caller reads all of them again.
 *
 * A child does the watching. It owns everything that may hang (a file system over the network), fail or crash
 * (libinotifytools, if memory is short; the library keeps its state in globals, which no other file uses). If it ends,
 * another one is started.
 *
 * Not the files are watched, but every directory on the way to them, symbolic links included: so a file that is
 * replaced, deleted, comes back, or whose directory does not exist yet or is swapped, is noticed. A lost event (a full
 * queue) counts as a change. */

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

typedef struct Watch Watch;

/* After WATCH_FAILED nothing is watched until WATCH_STARTED. */
typedef void (*watch_handler_t)(void *userdata, const WatchMessage *message);

int watch_new(Watch **ret, sd_event *event, watch_handler_t handler, void *userdata);
Watch *watch_free(Watch *w);
DEFINE_CLEANUP_FUNC(Watch *, watch_free)

/* Watches these files instead of the previous ones: absolute paths, which need not exist, NULL-terminated. Nothing is
 * watched until WATCH_STARTED. Takes the array; its strings must live until the next call. */
void watch_set_files(Watch *w, const char **files);
