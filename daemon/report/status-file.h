/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/state-file.h"
#include "settings/settings.h"

/* What the service last saw and did, as JSON without secrets that everybody may read: $RUNTIME_DIRECTORY/status.json
 * (systemd.exec(5)), /run/ecs-authd/status.json. ecs-authd(8) describes its members. */

#define STATUS_FILE_SCHEMA 1

/* Where it stands. */
void status_file_path(char *ret, size_t size);

/* Contents of the status file and of the metrics. */
typedef struct StatusReport {
        const Settings *settings;
        const Facts *facts;
        const Decision *decision;
        const char *sentence;
        pid_t pid;                 /* of the service */
        uint64_t start_usec;       /* of the service */
        int64_t clock_offset;      /* as clock_measure_offset() */
        const char *metrics_error; /* why the file of metrics is not what it should be, or "" */
} StatusReport;

/* Returns the text that print() writes, which the caller frees, or NULL if no memory is left. */
char *status_report_print(const StatusReport *report, void (*print)(FILE *f, const StatusReport *report));

/* The file as last written. */
typedef struct StatusFile {
        char *text; /* NULL: not written yet */
        FileIdentity identity;
} StatusFile;

/* Writes the file unless it already has this text. Runs in the event loop: the runtime directory is on tmpfs. */
int status_file_write(StatusFile *f, const StatusReport *report);

/* Removes the file when the service ends, unless another instance has replaced it, and frees the text. */
void status_file_remove(StatusFile *f);
