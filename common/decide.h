/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "observe.h"
#include "sync.h"

/* What to do next, from what is known. Pure: no side effect, no clock, no memory of its own. Times are CLOCK_MONOTONIC
 * in microseconds. */

typedef enum UnitState {
        UNIT_UNKNOWN, /* systemd cannot be reached over D-Bus */
        UNIT_NOT_FOUND,
        UNIT_MASKED,
        UNIT_INACTIVE,
        UNIT_FAILED,
        UNIT_CHANGING, /* on its way up or down, or a job is queued for it */
        UNIT_ACTIVE,
} UnitState;

/* Our own restart, from the call until its outcome is known. */
typedef enum AttemptState {
        ATTEMPT_NONE,
        ATTEMPT_JOB,       /* systemd has our job, or our call */
        ATTEMPT_VERIFYING, /* the job is done; what counts is the new container */
} AttemptState;

typedef struct Attempt {
        AttemptState state;
        uint64_t started_usec; /* of the last one; 0 = there was none */
        uint64_t verifying_usec;
        Digest digest; /* what it was made for */
        char old_container_id[65];
        unsigned failures; /* in a row */
        bool fruitless;    /* it gave no container with these credentials: another one for them would not either */
} Attempt;

typedef struct Facts {
        /* Something woke us since the last look at the files, or at agent and unit. */
        bool files_stale;
        bool agent_stale;
        bool job_running; /* a worker or a question to systemd is under way */

        SyncReport sync;
        uint64_t changed_usec;   /* when what stands in the environment file last changed under our eyes; 0 = never */
        uint64_t unsettled_usec; /* the first of these changes since the agent last had what stood there; 0 = none */
        ObserveReport agent;
        UnitState unit;
        Attempt attempt;
} Facts;

typedef enum Action {
        ACTION_WRITE,   /* run the job that brings the credentials into the environment file */
        ACTION_OBSERVE, /* ask Docker, the agent and systemd */
        ACTION_RESTART,
        ACTION_VERIFY,       /* the job is over: begin to look for its effect */
        ACTION_NOT_VERIFIED, /* the restart did not do what it was for */
        ACTION_WAIT,         /* something is on its way */
        ACTION_HOLD,         /* the agent needs a restart, and must not have it now */
        ACTION_DONE,
} Action;

typedef enum Reason {
        REASON_NONE,
        /* done */
        REASON_LIVE,         /* the agent has what stands in the file, and answers */
        REASON_WRITE_ONLY,   /* Method=none */
        REASON_FILE_UNKNOWN, /* the environment file cannot be read */
        /* wait */
        REASON_JOB_RUNNING,
        REASON_RESTART_JOB,
        REASON_SETTLE,
        REASON_MIN_INTERVAL,
        REASON_BACKOFF,
        REASON_UNIT_CHANGING,
        REASON_AGENT_COMING, /* the unit is active, its container is not there yet */
        REASON_AGENT_SILENT, /* it has the credentials and does not answer introspection */
        REASON_VERIFYING,
        /* hold */
        REASON_ENGINE,
        REASON_BUS,
        REASON_UNIT_NOT_FOUND,
        REASON_UNIT_MASKED,
        REASON_UNIT_INACTIVE,
        REASON_UNIT_FAILED,
        REASON_TASKS,         /* state is not kept, and tasks run */
        REASON_FRUITLESS,     /* the last restart for these credentials did not bring them into the container */
        REASON_UNSAVED_NEVER, /* state is not kept, and UnsavedState=never */
        /* not verified */
        REASON_NO_NEW_CONTAINER,
        REASON_NOT_RUNNING,
        REASON_OTHER_CREDENTIALS,
        REASON_SILENT,
} Reason;

typedef struct Decision {
        Action action;
        Reason reason;
        uint64_t look_again_usec; /* look again at the latest then; 0 = when something happens */
} Decision;

typedef struct Policy {
        RestartMethod method;
        UnsavedState unsaved_state;
        uint64_t settle_usec;
        uint64_t min_interval_usec;
        uint64_t verify_usec;
} Policy;

Decision decide(const Facts *facts, const Policy *policy, uint64_t now);
