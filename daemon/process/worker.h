/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Runs one function at a time in a forked child and hands its report back to the event loop. Secrets, foreign bytes and
 * calls that may hang stay in the child: a crash or a hang there costs one job. The report must be a struct without
 * pointers, of at most 64 KB. One that cannot be killed, since it hangs in the kernel, is given up. */

typedef struct Worker Worker;

/* Runs in the child; context is the parent's object as it was at the fork. */
typedef void (*worker_function_t)(const void *context, void *report);

/* report is NULL unless error is 0. -ETIMEDOUT: killed at its time limit; -ECONNABORTED: it crashed; -ECANCELED:
 * worker_cancel(). */
typedef void (*worker_done_t)(void *userdata, int error, const void *report);

int worker_new(Worker **ret, sd_event *event);
Worker *worker_free(Worker *w); /* kills a child that still runs */
DEFINE_CLEANUP_FUNC(Worker *, worker_free)

/* -EBUSY while a child runs. */
int worker_run(Worker *w, worker_function_t function, const void *context, size_t report_size, uint64_t timeout_usec,
               worker_done_t done, void *userdata);
bool worker_is_running(const Worker *w);

/* The last child that was given up has not ended: another one that does the same would hang, too. */
bool worker_has_hung(const Worker *w);

/* Kills the child that runs; done() is called when it has ended. */
void worker_cancel(Worker *w);
