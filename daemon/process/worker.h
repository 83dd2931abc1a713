/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Runs one function at a time in a forked child, and passes the child's messages to the event loop. Secrets, foreign
 * bytes and calls that may hang stay in the child: a crash or a hang costs one job. A message is a struct without
 * pointers, of at most 64 KB. */

typedef struct Worker Worker;

/* Run in the child; context is the parent's object as it was at the fork. What a child_function_t returns is the exit
 * status. */
typedef void (*worker_function_t)(const void *context, void *report);
typedef int (*child_function_t)(const void *context, int fd);

/* message is NULL unless error is 0. -ETIMEDOUT: killed at its time limit; -ECONNABORTED: the child has ended without a
 * report. May start the next job. */
typedef void (*worker_done_t)(void *userdata, int error, const void *message);

int worker_new(Worker **ret, sd_event *event);
Worker *worker_free(Worker *w); /* kills a running child and waits for its end */
DEFINE_CLEANUP_FUNC(Worker *, worker_free)

/* Runs a job: done() is called once, with its report or an error. -EBUSY: a child runs. */
int worker_run(Worker *w, worker_function_t function, const void *context, size_t report_size, uint64_t timeout_usec,
               worker_done_t done, void *userdata);

/* Replaces a running child by one without a time limit, which sends any number of messages (worker_send()): done() is
 * called with each message, and once with an error. name: for ps(1), at most 15 bytes. */
int worker_follow(Worker *w, const char *name, child_function_t function, const void *context, size_t message_size,
                  worker_done_t done, void *userdata);

/* For the child: sends a message to the parent. */
int worker_send(int fd, const void *message, size_t size);

bool worker_is_running(const Worker *w);

/* Returns true until the last child that exceeded its time limit has ended: the kernel may keep it in a call on a file
 * system that hangs, and another job that does the same would hang, too. */
bool worker_has_hung(const Worker *w);

/* Kills a running child, without waiting for its end; done() is not called. */
void worker_stop(Worker *w);

/* Runs a function in a child of this name and waits for its end; kills the child after this time. */
void fork_run(const char *name, child_function_t function, const void *context, int limit_msec);
