/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "ecsconfig/sync.h"

/* Runs the job that writes (sync_run()) in a worker of its own: it waits for nothing, and nothing waits for it. Of two,
 * one writes what is known and one asks helpers. */

typedef struct Writer Writer;

/* A worker that does not end well gives a report that says so; NULL: writer_cancel(). */
typedef void (*writer_done_t)(void *userdata, const SyncReport *report);

int writer_new(Writer **ret, sd_event *event, writer_done_t done, void *userdata);
Writer *writer_free(Writer *w); /* kills a job that still runs */
DEFINE_CLEANUP_FUNC(Writer *, writer_free)

/* done() is called in any case, later or at once. */
void writer_start(Writer *w, const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                  Asking asking);
bool writer_is_running(const Writer *w);

/* Kills a running job, for which done() is called at once. The file on disk is whole at any moment. */
void writer_cancel(Writer *w);
