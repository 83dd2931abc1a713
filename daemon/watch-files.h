/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

/* Tells that something happened to one of a list of files, and no more: the caller looks again at everything.
 *
 * Not the files are watched, but every directory on the way to them, symbolic links included: so a file that is
 * replaced, deleted, comes back, or whose directory does not exist yet or is swapped, is noticed. A lost event (a full
 * queue) counts as an event for every file.
 *
 * libinotifytools keeps its state in globals: there can be one Watch in a process, and this file is the only one that
 * knows. */

typedef struct Watch Watch;

/* files: a bit for each of the list that something happened to, the last one for all that are beyond the 63rd. error:
 * 0, or why nothing is watched any more (as watch_set_files()); watch_set_files() tries again. */
typedef void (*watch_handler_t)(void *userdata, uint64_t files, int error);

#define WATCH_ALL_FILES UINT64_MAX

int watch_new(Watch **ret, sd_event *event, watch_handler_t handler, void *userdata);
Watch *watch_free(Watch *w);
DEFINE_CLEANUP_FUNC(Watch *, watch_free)

/* From now on these files (absolute paths, which need not exist) instead of those before. -ENOSPC: the limit
 * fs.inotify.max_user_watches is reached; -EMFILE: fs.inotify.max_user_instances. */
int watch_set_files(Watch *w, const char *const *files);
