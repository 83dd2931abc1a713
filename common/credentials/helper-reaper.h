/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/macro.h"

/* The reaper is a process between us and the programs that it runs. The programs end with everything they have started,
 * whatever they did to get away (setsid(2), a double fork), and whatever becomes of us: the reaper inherits every
 * process that is orphaned below it (PR_SET_CHILD_SUBREAPER), and kills them all when its work is done or when we are
 * gone. */

enum {
        REAPER_EXIT_NOT_FOUND = 127, /* as a shell has it */
        REAPER_EXIT_NOT_RUN = 126,
};

/* The reaper's view of the outside. */
typedef struct Reaper {
        int caller;   /* POLLRDHUP: the caller waits no longer, or is gone */
        int children; /* readable if a child has ended */
} Reaper;

typedef void (*reaper_work_t)(const Reaper *r, const void *context);

/* Forks a reaper, which does this work, kills what is left below it, and exits. It keeps no file of ours open except
 * our terminal. Returns when it has exited, but no later than a second after the work: a process that hangs in the
 * kernel ends later, and the reaper with it. -ETIMEDOUT: the work was not done by deadline_usec (CLOCK_MONOTONIC). */
int reaper_run(reaper_work_t work, const void *context, uint64_t deadline_usec);

/* --- for the work --- */

typedef struct Program {
        pid_t pid;
        int in;  /* its standard input, not blocking; both are the caller's to close */
        int out; /* its standard output, not blocking */
} Program;

/* Starts a program. arguments[0] is looked for on the PATH of environment. The program may use as much memory as the
 * hard limit allows (RLIMIT_DATA), whatever ours is. It writes its standard error to our terminal, or, if ours is not a
 * terminal, to /dev/null: a helper may print a secret there, and others may read our log. */
int reaper_start(char *const *arguments, char *const *environment, Program *ret);

/* Returns a child that has ended and its status as wait(2) has it, or 0 if no other child has ended, or -ECHILD if
 * there is no child. */
pid_t reaper_collect(const Reaper *r, int *ret_status);

/* Kills a program that reaper_collect() has not returned, and its process group. */
void reaper_kill(const Program *p);
