/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <syslog.h>

#include "base/macro.h"
#include "base/message-ids.h"

/* One event is one line: in the journal with structured fields and a message id when stderr is connected to it
 * ($JOURNAL_STREAM, systemd.exec(5)), as plain text on stderr otherwise. With ECS_AUTHD_LOG=fields in the environment
 * the plain line ends with the fields. Nothing passed here may hold a secret. */

typedef struct LogField {
        const char *name; /* without the prefix ECS_AUTHD_ */
        const char *value;
} LogField;

#define LOG_FIELDS(...) ((const LogField[]){__VA_ARGS__, {NULL, NULL}})

void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...) _printf_(4, 5);

/* For what has neither fields nor an id of its own. */
#define log_info(...) log_event(LOG_INFO, NULL, NULL, __VA_ARGS__)
#define log_warning(...) log_event(LOG_WARNING, NULL, NULL, __VA_ARGS__)
#define log_error(...) log_event(LOG_ERR, NULL, NULL, __VA_ARGS__)
