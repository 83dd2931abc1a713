/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* Of several ecs-authd on a host (the service, an apply by hand or in user data) one restarts the agent. All write the
 * environment file: they write the same. What they share is a file in the state directory: its lock belongs to the one
 * that restarts, its time is that of the last restart, so that the distance between two is kept by whoever does the
 * next one. */

typedef struct Instance Instance;

int instance_new(Instance **ret);
Instance *instance_free(Instance *i);
DEFINE_CLEANUP_FUNC(Instance *, instance_free)

/* This is the one, from now on until it ends. False: another one is; ask again later. */
bool instance_claim(Instance *i);

void instance_note_restart(Instance *i);

/* How long ago the last restart was, whoever did it; UINT64_MAX: there was none. */
uint64_t instance_last_restart_ago_usec(const Instance *i);
