/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/types.h>

#include "base/macro.h"

/* A program that ends with everything it has started, whatever it did to get away (setsid(2), a double fork), and
 * whatever becomes of us: a process between us and it, the reaper, inherits what is orphaned below it
 * (PR_SET_CHILD_SUBREAPER) and kills it when it is told to, or when we are gone. */

enum {
        REAPER_EXIT_NOT_FOUND = 127, /* as a shell has it */
        REAPER_EXIT_NOT_RUN = 126,
};

typedef struct Reaper {
        pid_t pid;    /* 0: there is none (any more) */
        int control;  /* readable when there is a status, or the reaper has ended */
        int in;       /* standard input of the program; the two are ours to close */
        int out;      /* what it writes; not blocking */
} Reaper;

#define REAPER_NONE                                           \
        (Reaper) {                                            \
                .control = -1, .in = -1, .out = -1 \
        }

/* arguments[0] is looked for on the PATH of environment. The program may use as much memory as the hard limit allows
 * (RLIMIT_DATA), whatever ours is. It writes its standard error to our terminal, or, if ours is not a terminal, to
 * /dev/null: a helper may print a secret there, and others may read our log. */
int reaper_start(char *const *arguments, char *const *environment, Reaper *ret);

/* The program's status as wait(2) has it, once it has ended. What it has left running goes on until reaper_end(), as
 * others may use it: the agent of gpg. -EAGAIN: it still runs; -ECHILD: nobody knows, the reaper is gone. */
int reaper_status(Reaper *g, int *ret_status);

/* The program itself, and its process group, at once; what else it has started at reaper_end(). */
void reaper_kill(const Reaper *g);

/* The program and all that it has started have ended: there is nothing to end any more, and it is closed. */
bool reaper_has_ended(Reaper *g);

/* Ends all that is left of all of these. Waits for it, but no longer than a second: what the kernel does not let go
 * ends later, the reaper sees to it. */
void reaper_end(Reaper *reapers, size_t n);
