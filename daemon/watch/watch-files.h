/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "watch/watch-paths.h"

/* Tells that something happened to one of a list of files, and no more: the caller looks again at everything. A child
 * does the watching (watch-paths.h); one that ends is begun again. */

typedef struct Watch Watch;

/* After WATCH_FAILED nothing is watched until WATCH_STARTED says so. */
typedef void (*watch_handler_t)(void *userdata, const WatchMessage *message);

int watch_new(Watch **ret, sd_event *event, watch_handler_t handler, void *userdata);
Watch *watch_free(Watch *w);
DEFINE_CLEANUP_FUNC(Watch *, watch_free)

/* From now on these files (watch_paths()) instead of those before; nothing is watched until WATCH_STARTED. Takes the
 * array; its strings must live until the next call. */
void watch_set_files(Watch *w, const char **files);
