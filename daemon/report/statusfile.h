/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/decide.h"

/* What the service last saw and did, as JSON without secrets that everybody may read: $RUNTIME_DIRECTORY/status.json
 * (systemd.exec(5)), /run/ecs-authd/status.json. ecs-authd(8) describes its members. */

#define STATUSFILE_SCHEMA 1

/* The one word that scripts go by. */
const char *statusfile_state(const Facts *facts, const Decision *d);

/* now: CLOCK_MONOTONIC, as the facts. *last: what was written last, or NULL; the same is not written again. The caller
 * frees it. */
int statusfile_write(const Config *config, const Facts *facts, const Decision *d, const char *sentence, uint64_t now,
                     char **last);

/* The service ends: there is nothing to see any more. */
void statusfile_remove(void);

/* ecs-authd status: the file for people, or as it is; watch: again whenever it changes, until a signal. An exit
 * status: 1 where there is no service to tell. */
int statusfile_show(bool json, bool watch);
