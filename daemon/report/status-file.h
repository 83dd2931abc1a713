/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* What the service last saw and did, as JSON without secrets that everybody may read: $RUNTIME_DIRECTORY/status.json
 * (systemd.exec(5)), /run/ecs-authd/status.json. ecs-authd(8) describes its members. */

#define STATUS_FILE_SCHEMA 1

/* Where it stands. */
void status_file_path(char *ret, size_t size);

/* *last: what was written last, or NULL; the same is not written again. The caller frees it. */
int status_file_write(const Settings *settings, const Facts *facts, const Decision *d, const char *sentence,
                      char **last);

/* The service ends: there is nothing to see any more. last: what it wrote last; that of another one stays. */
void status_file_remove(const char *last);
