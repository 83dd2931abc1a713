/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/observe.h"
#include "decision/decision.h"
#include "ecsconfig/sync.h"

/* What is known, and what each thing that happens changes in it. Pure: no side effect, no clock. With when-to-write.h
 * and when-to-restart.h every history can be played through without a child, a disk or a bus. Times are
 * CLOCK_MONOTONIC in microseconds; 0 = never. */

enum {
        /* The agent ends with this when it must not be started again as it is (RestartPreventExitStatus=5 in
         * ecs.service). */
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
        UNIT_HALF_DONE,   /* Method=docker: a container is half replaced */
        UNIT_CHANGING,    /* on its way up or down, or a job is queued for it */
        UNIT_ACTIVE,
} UnitState;

/* How an inactive unit ended, as far as the service manager knows. */
typedef enum UnitEnd {
        UNIT_END_UNKNOWN,
        UNIT_END_NEVER_RAN, /* no start since the boot is on record */
        UNIT_END_STOP,      /* a stop of the unit, or of a unit that it is part of (PartOf=), was requested */
        UNIT_END_EXIT,      /* the main process exited before any stop was requested */
        UNIT_END_SIGNAL,    /* a signal ended the main process before any stop was requested */
} UnitEnd;

/* Properties of a unit's last run. systemd keeps them even while ecs-authd is not running. Times are CLOCK_MONOTONIC;
 * 0: never. */
typedef struct UnitRun {
        uint64_t started_usec;          /* InactiveExitTimestampMonotonic */
        uint64_t active_end_usec;       /* ActiveExitTimestampMonotonic */
        uint64_t main_exit_usec;        /* ExecMainExitTimestampMonotonic */
        int32_t exit_code;              /* ExecMainCode: CLD_EXITED, CLD_KILLED or CLD_DUMPED */
        int32_t exit_status;            /* ExecMainStatus: the exit status, or the signal */
        bool is_active_without_process; /* RemainAfterExit=yes */
} UnitRun;

typedef struct UnitReport {
        UnitState state;
        UnitEnd end;           /* how the last run ended, if the unit is inactive */
        int exit_status;       /* the exit status of UNIT_END_EXIT, the signal of UNIT_END_SIGNAL */
        uint64_t started_usec; /* when it last left the state inactive or failed; 0: never, or nobody tells */
        uint64_t stopped_usec; /* when it last came there */
        bool stop_requested;   /* down, and an operator has stopped or masked it since its last start */
        bool terminated; /* it has failed, and its main process was ended by SIGTERM: a stop that did not end well */
} UnitReport;

/* How a job for the unit ended: a restart, or the start of an agent that a restart took down. */
typedef enum JobOutcome {
        JOB_DONE,
        JOB_FAILED,
        JOB_REFUSED,  /* it was not done */
        JOB_CANCELED, /* by somebody, who wants something else of the unit */
        JOB_UNKNOWN,  /* the connection was lost; what counts is its effect */
} JobOutcome;

/* What nothing else can tell any more: it is written down before it is needed, and read by every ecs-authd on the host.
 * No secret. */
typedef struct RestartRecord {
        uint64_t restart_usec; /* of the last restart, whoever asked for it */
        uint64_t tried_usec;   /* of the last restart, or start of an agent that it had taken down */
        unsigned failures;     /* of these in a row */
        bool open;             /* its effect has not been seen yet: an agent that ran may be down because of it */
        bool done;             /* the service manager says so */
        bool fruitless;        /* it led to an agent without the credentials that it was for */
        char old_container_id[65];
        Digest digest; /* of the credentials that it was for */
} RestartRecord;

/* How a restart ended, for those who count. */
typedef enum RestartOutcome {
        RESTART_DONE,
        RESTART_FAILED,   /* refused, without effect, or without the credentials that it was for */
        RESTART_CANCELED, /* by somebody who wanted something else of the agent */
        _RESTART_OUTCOME_MAX,
} RestartOutcome;

/* What has happened since the start. */
typedef struct Counters {
        unsigned writes; /* of the environment file */
        unsigned helper_failures;
        unsigned restarts[_RESTART_OUTCOME_MAX];
} Counters;

/* The environment file, and what it is made from. */
typedef struct FileFacts {
        bool stale;   /* it or a credential file may have changed since the last job */
        bool writing; /* the job is under way, */
        bool asking;  /* and that which asks helpers */
        SyncReport sync;
        bool known;             /* there was a report */
        bool right;             /* as it should be, since that was last known; a change by another process ends that */
        uint64_t written_usec;  /* when the job last ended */
        uint64_t changed_usec;  /* when what stands in the file last changed under our eyes */
        unsigned n_restores;    /* writes in a row that undid another program's change of our entries */
        uint64_t restored_usec; /* when the last of these ended */
        uint64_t ask_usec;      /* when a helper is to be asked again, */
        uint64_t pause_usec;    /* and until when none is, as nobody could keep what they said last */
        bool ask_all;           /* somebody wants every helper asked, */
        bool asking_all;        /* and they are */
} FileFacts;

typedef struct Facts {
        FileFacts file;

        bool agent_stale; /* the agent, its unit or its tasks may have changed */
        bool observing;
        uint64_t observed_usec; /* when that last gave an answer */
        ObserveReport agent;
        UnitReport unit;
        uint64_t needed_usec;  /* since when a restart is needed, as far as we have seen; 0 = it is not */
        uint64_t running_usec; /* since when this container is seen to run */
        uint64_t idle_usec;    /* since when no task is seen */
        uint64_t silent_usec;  /* since when the agent does not answer, though its unit runs */
        unsigned exits;        /* containers seen to fail since the agent last answered, or ran for long */
        int exit_status;       /* of the last of them */
        bool refused;          /* it ended with AGENT_EXIT_TERMINAL, and has not been well since */
        bool refused_unit;     /* its unit has failed because of it */

        bool job;                   /* the service manager has our job, or our call */
        bool overtaken;             /* the file changed since the restart began, or may have */
        uint64_t not_recorded_usec; /* when the record could last not be written; 0: it can */
        RestartRecord record;

        char settings_problem[PROBLEM_TEXT_MAX]; /* why those that were to be read again are not in use; "": they are */
        Counters counters;                       /* nothing is decided by them */

        Reason waiting_for; /* of the last decision that left nothing to do at once, and since when it is that one */
        bool waiting_well;
        uint64_t waiting_since_usec;
} Facts;

/* How often another program's changes of our entries are undone at once, and how long ecs-authd then waits each time:
 * two programs that undo each other's changes would write without end. */
enum {
        RESTORES_MAX = 10,
};
#define RESTORE_PAUSE_USEC (10 * USEC_PER_SEC)
#define RESTORES_FORGOTTEN_USEC (20 * USEC_PER_SEC) /* after this time without a change */

/* It is another one from now on (settings that were read again). */
void facts_forget_file(Facts *f);

/* The job that writes, without asking anybody. */
void facts_begin_write(Facts *f);
/* report NULL: the job was killed. Returns false without a report, and if the other job's report is newer: then this
 * one does not count. */
bool facts_end_write(Facts *f, const SyncReport *report, uint64_t now);

/* The one that asks helpers. True: every helper is to be asked. */
bool facts_begin_ask(Facts *f);
bool facts_end_ask(Facts *f, const SyncReport *report, uint64_t now);

/* The job that observes, and the question to the service manager. */
void facts_begin_observe(Facts *f);
void facts_end_observe(Facts *f, const ObserveReport *agent, const UnitReport *unit, uint64_t now);

/* All of it at once, for who looks once and waits for nothing. */
void facts_look_once(Facts *f, const RestartRecord *record, const SyncReport *file, const ObserveReport *agent,
                     const UnitReport *unit, uint64_t now);

/* The record as somebody else may have left it; for us it counts from now on. */
void facts_take_record(Facts *f, const RestartRecord *record);

/* Our job: the record is to be saved after the first, before the service manager is asked. */
void facts_begin_job(Facts *f, const Decision *d, uint64_t now);
void facts_end_job(Facts *f, JobOutcome outcome);

/* Nobody tells any more how it ended. */
void facts_abandon_job(Facts *f);

/* It was of another unit (settings that were read again). */
void facts_forget_restart(Facts *f);

/* A restart whose effect is seen (ACTION_CLOSE). The record is to be saved after it. */
void facts_close(Facts *f, const Decision *d);

/* An operator asks to look again, and to try what was given up because it led nowhere. */
void facts_retry(Facts *f);

/* Since when it is this that is waited for. */
void facts_note_waiting(Facts *f, const Decision *d, uint64_t now);

/* The record could not be written, so that what facts_begin_job() says is not begun. */
void facts_fail_to_record(Facts *f, const RestartRecord *before, uint64_t now);

/* Returns how the last run of an inactive unit ended. */
UnitEnd facts_judge_end(const UnitRun *run);

/* Where no unit runs the agent, its container stands for it (Method=docker). */
UnitState facts_unit_of_container(const ObserveReport *agent);

/* Method=docker: returns true if the agent runs and the other containers of a swap can be removed. */
bool facts_swap_can_end(const Facts *f);

/* The running container has what stands in the file. */
bool facts_agent_has_credentials(const Facts *f);

/* The worst of what somebody should look at, beside what the decision is about; NULL: there is nothing. A warning among
 * them leaves everything well. */
const char *facts_problem(const Facts *f);
bool facts_are_well(const Facts *f);
