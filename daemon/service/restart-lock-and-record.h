/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/facts.h"

/* What the several ecs-authd of a host (the service, an apply by hand or in user data, one after a crash) share about
 * restarts, in the state directory: a lock, which one of them holds from before a restart until its effect is seen, and
 * the record of the last one, which outlives them. Files are written by all: they write the same. */

/* Returns true if this process may begin a restart: it holds the lock until it releases it. lock: a descriptor, or -1
 * if the lock is not held. False: another process holds the lock; try again later. */
bool restart_lock_claim(int *lock);
void restart_lock_release(int *lock);

/* What stands there; all zero where nothing does, or nothing that could be read. Of another boot only what is still so.
 */
void restart_record_load(RestartRecord *ret);

/* Durable when it returns 0. Only with the lock. */
int restart_record_save(const RestartRecord *record);
