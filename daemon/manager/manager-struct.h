/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/pass.h"
#include "manager/manager.h"
#include "manager/observe-job.h"
#include "manager/write-job.h"
#include "watch/watch-clock.h"
#include "process/worker.h"
#include "service/restart-lock-and-record.h"
#include "report/announcer.h"
#include "watch/watch-docker.h"
#include "watch/watch-files.h"

/* The manager's own state, for manager.c (its life) and look-and-act.c (what it does). */

struct Manager {
        ManagerMode mode;
        Settings *settings;
        const char *config_path;
        char *const *options;
        DigestKey key;

        sd_event *event;
        sd_event_source *pass_source; /* deferred: runs the pass */
        sd_event_source *write_again; /* the time that decide_files() named */
        sd_event_source *look_again;  /* the time that decide_agent() named */
        sd_event_source *refresh;     /* RefreshSec= */
        sd_event_source *ready_limit;
        sd_event_source *stop_limit;

        WriteJob write; /* without helpers */
        WriteJob ask;
        Observer *observer;
        Service *service; /* NULL: nothing is restarted */
        Worker *reload;   /* tries to read the settings */
        Watch *watch;
        DockerEvents *docker_events;
        sd_event_source *clock_change;
        Announcer *announcer;

        Facts facts;
        Pass pass;
        bool ready;    /* READY=1 has been sent, also for the last reload */
        bool settled;  /* the files are up to date, since the start or the last reload */
        bool observed; /* in this pass, the agent's state was known */
        bool watching;
        bool watch_told; /* WATCH_STARTED has been logged */
        int watch_error; /* the error that has been logged */

        /* apply */
        uint64_t deadline_usec;
};
