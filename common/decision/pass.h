/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/when-to-restart.h"
#include "decision/when-to-write.h"

/* The steps of a pass, in their order: take the lock, save the record, start the job. The caller supplies the
 * operations, so that tests/unit/decision/test-every-history.c runs the same steps on a model of a host. */

typedef struct PassOperations {
        /* Environment file. written and asked end later, with facts_end_write() and facts_end_ask(). */
        void (*write)(void *userdata);
        void (*ask)(void *userdata, bool all);
        void (*arm_files)(void *userdata, uint64_t usec); /* calls pass_files() at this time; 0: never */

        /* Record of restarts. */
        bool (*claim_lock)(int *lock);
        void (*release_lock)(int *lock);
        void (*load_record)(RestartRecord *ret);
        int (*save_record)(const RestartRecord *record);
        void (*announce_not_recorded)(void *userdata, int error);

        /* Agent. */
        void (*announce)(void *userdata, const Decision *decision);
        void (*observe)(void *userdata);
        void (*start_job)(void *userdata, const Decision *decision); /* ends with facts_end_job() */
        void (*abandon_job)(void *userdata);
        void (*confirm_swap)(void *userdata);
        bool (*is_busy)(void *userdata); /* the service still works for a job, or for a confirmation */
        void (*rest)(void *userdata, const Decision *decision); /* nothing more to do for now */
} PassOperations;

typedef struct Pass {
        const PassOperations *operations;
        void *userdata;
        Facts *facts;
        RestartRecord saved; /* content of the record file, as far as known */
        bool holds_lock;
        int lock;      /* a descriptor; -1: none, also if there is no file to lock */
        bool tried;    /* the restart was started by this process */
        bool stopping; /* the process is ending: a pass does nothing more */
} Pass;

/* Writes the environment file and queries helpers, if due. */
void pass_files(Pass *p, uint64_t now);

/* Does everything about the agent that is due at this time. */
void pass_agent(Pass *p, const Policy *policy, uint64_t now);
