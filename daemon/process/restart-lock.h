/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* Of several ecs-authd on a host (the service, an apply by hand or in user data) one restarts the agent. All write the
 * environment file: they write the same. What they share is a file in the state directory: its lock belongs to the one
 * that restarts, its time is that of the last restart, so that the distance between two is kept by whoever does the
 * next one. */

typedef struct RestartLock RestartLock;

int restart_lock_new(RestartLock **ret);
RestartLock *restart_lock_free(RestartLock *i);
DEFINE_CLEANUP_FUNC(RestartLock *, restart_lock_free)

/* This is the one, from now on until it ends. False: another one is; ask again later. */
bool restart_lock_claim(RestartLock *i);

void restart_lock_note_restart(RestartLock *i);

/* How long ago the last restart was, whoever did it; UINT64_MAX: there was none. */
uint64_t restart_lock_last_restart_ago_usec(const RestartLock *i);
