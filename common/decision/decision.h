/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* What decide_agent() (decision/when-to-restart.h) can say: what to do next about the agent, and why. */

typedef enum Action {
        ACTION_OBSERVE, /* ask Docker, the agent and the service manager */
        ACTION_RESTART,
        ACTION_START,   /* one that our restart has taken down */
        ACTION_ABANDON, /* our job: nobody tells any more how it ended, so its effect is looked at */
        ACTION_CLOSE,   /* the effect of a restart is seen; the reason says which it is */
        ACTION_WAIT,    /* something is on its way */
        ACTION_HOLD,    /* the agent needs a restart, and must not have it now */
        ACTION_DONE,
} Action;

typedef enum Reason {
        REASON_NONE,
        /* restart, start */
        REASON_OTHER_CREDENTIALS, /* than the file has */
        REASON_OWED,              /* it ran before our restart, and is down because of it */
        /* close */
        REASON_RESTARTED,    /* a new container runs with what it was for, or with what came since */
        REASON_CUT_OFF,      /* Method=docker: before the old container had ended */
        REASON_NO_EFFECT,    /* the container is still the old one */
        REASON_WITHOUT_THEM, /* a new container runs, with other credentials */
        REASON_STOPPED,      /* somebody has stopped the agent since */
        /* done */
        REASON_LIVE,       /* the agent has what stands in the file, and answers */
        REASON_WRITE_ONLY, /* Method=none */
        /* wait */
        REASON_LOOKING,
        REASON_RESTART_JOB,
        REASON_VERIFYING, /* for the new container */
        REASON_SETTLE,
        REASON_MIN_INTERVAL,
        REASON_BACKOFF,
        REASON_TASKS_ENDED, /* state is not kept, and the end of the last task has to be reported first */
        REASON_UNIT_CHANGING,
        REASON_REGISTERING,    /* the agent does not answer (yet), or its container is not there (yet) */
        REASON_SILENT,         /* the same, for longer than VerifySec= */
        REASON_EXITS,          /* the same, and its containers end again and again */
        REASON_IMPOSTOR,       /* somebody else answers in the agent's place */
        REASON_OTHER_INSTANCE, /* another ecs-authd is at it */
        /* hold */
        REASON_FILE_UNKNOWN, /* the environment file cannot be read */
        REASON_FILE_WRONG,   /* it is not as it should be, and could not be made so */
        REASON_ENGINE,
        REASON_BUS,
        REASON_UNIT_NOT_FOUND,
        REASON_UNIT_MASKED,
        REASON_UNIT_INACTIVE,
        REASON_UNIT_EXITED, /* the unit is inactive because its main process exited, without a stop request */
        REASON_UNIT_BAD_SETTING,
        REASON_UNIT_FAILED,
        REASON_UNIT_START_LIMIT,
        REASON_AGENT_REFUSED,
        REASON_TASKS,         /* state is not kept, and there are tasks */
        REASON_TASKS_UNKNOWN, /* state is not kept, and the agent does not tell which tasks it has */
        REASON_UNSAVED_NEVER, /* state is not kept, and UnsavedState=never */
        REASON_FRUITLESS,     /* the last restart for these credentials did not bring them into the container */
        REASON_NO_RECORD,     /* a restart that cannot be written down is not begun */
        _REASON_MAX,
} Reason;

typedef struct Decision {
        Action action;
        Reason reason;
        uint64_t look_again_usec; /* look again at the latest then; 0 = when something happens */
} Decision;
