/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/macro.h"

/* What runs in the child; what it returns is its exit status. */
typedef int (*child_function_t)(const void *context, int fd);

/* Forks a child, shown under this name by ps(1) (at most 15 bytes), that has nothing of what the parent holds open but
 * fd and the standard streams, leaves no core, dies with the parent, does not hear the signals that are meant for it,
 * and gets 256 MB of memory: four times what an answer of others can make it take, twice what the longest credential
 * file does. Beyond that an allocation fails, and the job with it. */
int fork_child(pid_t *ret, const char *name, int fd, child_function_t function, const void *context);

/* The same, and waits for its end: for this long, after which it is killed. */
void fork_run(const char *name, child_function_t function, const void *context, int limit_msec);

/* Kills a child of fork_child(), waits for up to 200 ms and reaps it. Returns false if it has not ended: the kernel
 * keeps it in a call on a file system that hangs, or the host is busy. It is still a child then, see fork_leave(). */
bool fork_kill(pid_t pid);

/* Kills a child of fork_child() and has the loop reap it whenever it ends. Does not wait. */
void fork_leave(sd_event *event, pid_t pid);
