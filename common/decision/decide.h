/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/observe.h"
#include "ecsconfig/sync.h"

/* What to do next, from what is known. Pure: no side effect, no clock, no memory of its own. Times are CLOCK_MONOTONIC
 * in microseconds. */

typedef enum RestartMethod {
        RESTART_METHOD_SYSTEMD,
        RESTART_METHOD_UPSTART,
        RESTART_METHOD_DOCKER,
        RESTART_METHOD_NONE,
} RestartMethod;

typedef enum UnsavedState {
        UNSAVED_STATE_WAIT,
        UNSAVED_STATE_FORCE,
        UNSAVED_STATE_NEVER,
} UnsavedState;

/* The settings of [Restart]. */
typedef struct RestartSettings {
        RestartMethod method;
        UnsavedState unsaved_state;
        uint64_t settle_usec;       /* from the last change to the restart */
        uint64_t min_interval_usec; /* between two restarts */
        uint64_t jitter_usec;       /* within which each host of a fleet has its own place */
        uint64_t pending_usec;      /* how long tasks on their way up are waited for */
        uint64_t verify_usec;       /* how long the agent may take to come up */
        bool rollback;
} RestartSettings;

enum {
        /* The agent ends with this when it must not be started again as it is: its state could not be saved, or is that
         * of another cluster (RestartPreventExitStatus=5 in ecs.service). */
        AGENT_EXIT_TERMINAL = 5,
};

typedef enum UnitState {
        UNIT_UNKNOWN, /* the service manager cannot be reached over D-Bus */
        UNIT_NOT_FOUND,
        UNIT_BAD_SETTING, /* its unit file cannot be used */
        UNIT_MASKED,
        UNIT_INACTIVE,
        UNIT_FAILED,
        UNIT_START_LIMIT, /* failed: it was started too often in a short time (StartLimitBurst=) */
        UNIT_REFUSED,     /* failed: the agent must not be started again as it is (AGENT_EXIT_TERMINAL) */
        UNIT_CHANGING,    /* on its way up or down, or a job is queued for it */
        UNIT_ACTIVE,
} UnitState;

/* How the job that restarts the unit ended. */
typedef enum JobOutcome {
        JOB_DONE,
        JOB_FAILED,
        JOB_REFUSED, /* it was not done, or somebody canceled it */
        JOB_UNKNOWN, /* the connection was lost; what counts is its effect */
} JobOutcome;

/* Our own restart, from the call until its outcome is known. */
typedef enum AttemptState {
        ATTEMPT_NONE,
        ATTEMPT_JOB,       /* the service manager has our job, or our call */
        ATTEMPT_VERIFYING, /* the job is done; what counts is the new container */
} AttemptState;

/* What the last one led to, until the agent is seen to be well. */
typedef enum AttemptOutcome {
        OUTCOME_NONE,
        OUTCOME_FRUITLESS, /* no container with these credentials: another one for them would not give it either */
        OUTCOME_BROKE,     /* the agent did not come up */
        OUTCOME_GAVE_UP,   /* nor with the credentials of before */
} AttemptOutcome;

typedef struct Attempt {
        AttemptState state;
        AttemptOutcome outcome;
        bool rolls_back;       /* for the credentials of before, after one that broke the agent */
        bool overtaken;        /* the file changed while it was under way */
        uint64_t started_usec; /* of the last one; 0 = there was none */
        uint64_t verifying_usec;
        uint64_t roll_back_usec; /* when the credentials of before were last put back into the file; 0 = never */
        Digest digest;           /* what it was made for */
        char old_container_id[65];
        unsigned failures; /* in a row */
} Attempt;

typedef enum Action {
        ACTION_WRITE,   /* run the job that brings the credentials into the environment file */
        ACTION_OBSERVE, /* ask Docker, the agent and the service manager */
        ACTION_RESTART,
        ACTION_ROLL_BACK,    /* put the credentials of before back into the file */
        ACTION_VERIFY,       /* the job is over: begin to look for its effect */
        ACTION_NOT_VERIFIED, /* the restart did not do what it was for */
        ACTION_WAIT,         /* something is on its way */
        ACTION_HOLD,         /* the agent needs a restart, and must not have it now */
        ACTION_DONE,
} Action;

typedef enum Reason {
        REASON_NONE,
        /* restart */
        REASON_REPAIR, /* the last one broke the agent, and the file has other credentials now */
        /* done */
        REASON_LIVE,         /* the agent has what stands in the file, and answers */
        REASON_ROLLED_BACK,  /* the same; but these are the credentials of before, the present ones broke it */
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
        REASON_TASKS_PENDING,  /* tasks are being pulled or started */
        REASON_OTHER_INSTANCE, /* another ecs-authd restarts it */
        /* hold */
        REASON_ENGINE,
        REASON_BUS,
        REASON_UNIT_NOT_FOUND,
        REASON_UNIT_MASKED,
        REASON_UNIT_INACTIVE,
        REASON_UNIT_BAD_SETTING,
        REASON_UNIT_FAILED,
        REASON_UNIT_START_LIMIT,
        REASON_AGENT_REFUSED,
        REASON_TASKS,         /* state is not kept, and tasks run */
        REASON_FRUITLESS,     /* the last restart for these credentials did not bring them into the container */
        REASON_UNSAVED_NEVER, /* state is not kept, and UnsavedState=never */
        REASON_BROKE,         /* the last restart broke the agent, and there is nothing to go back to */
        REASON_GAVE_UP,       /* going back did not help either */
        /* not verified */
        REASON_NO_NEW_CONTAINER,
        REASON_NOT_RUNNING,
        REASON_OTHER_CREDENTIALS,
        REASON_SILENT,
} Reason;

typedef struct Facts {
        /* Something woke us since the last look at the files, or at agent and unit. */
        bool files_stale;
        bool agent_stale;
        bool job_running; /* a worker or a question to the service manager is under way */

        SyncMode next_sync;
        SyncReport sync;
        uint64_t changed_usec; /* when what stands in the environment file last changed under our eyes; 0 = never */
        uint64_t needed_usec;  /* since when a restart is needed, as far as we have seen; 0 = it is not */
        ObserveReport agent;
        UnitState unit;
        Attempt attempt;

        Reason waiting_for; /* of the last decision that left nothing to do at once, and since when it is that one */
        uint64_t waiting_since_usec;
} Facts;

typedef struct Decision {
        Action action;
        Reason reason;
        uint64_t look_again_usec; /* look again at the latest then; 0 = when something happens */
} Decision;

typedef struct Policy {
        RestartSettings settings; /* jitter_usec: this host's share of it */
        bool other_instance;      /* which does the restarts */
} Policy;

/* Something of which Docker's events tell at once. */
bool decision_awaits_docker(const Decision *d);

Decision decide(const Facts *facts, const Policy *policy, uint64_t now);
