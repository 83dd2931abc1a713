/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/state-file.h"
#include "settings/settings.h"

/* What the service last saw and did, as JSON without secrets that everybody may read: $RUNTIME_DIRECTORY/status.json
 * (systemd.exec(5)), /run/ecs-authd/status.json. ecs-authd(8) describes its members. */

#define STATUS_FILE_SCHEMA 1

/* Where it stands. */
void status_file_path(char *ret, size_t size);

/* What it says. */
typedef struct StatusReport {
        const Settings *settings;
        const Facts *facts;
        const Decision *decision;
        const char *sentence;
        pid_t pid;                 /* of the service */
        int64_t clock_offset;      /* as clock_measure_offset() */
        const char *metrics_error; /* why the file of metrics is not what it should be, or "" */
} StatusReport;

/* The same text is not written again. */
int status_file_write(const StatusReport *report, FileIdentity *ret);

/* The service ends: there is nothing to see any more. ours: what it wrote last, or 0 where nobody can tell; that of
 * another one stays. */
void status_file_remove(const FileIdentity *ours);
