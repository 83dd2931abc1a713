/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/facts.h"

/* What the several ecs-authd of a host (the service, an apply by hand or in user data, one after a crash) share about
 * restarts, in the state directory: a lock, which one of them holds from before a restart until its effect is seen, and
 * the record of the last one, which outlives them. Files are written by all: they write the same. */

typedef struct RestartRecordFile RestartRecordFile;

int restart_record_new(RestartRecordFile **ret);
RestartRecordFile *restart_record_free(RestartRecordFile *r);
DEFINE_CLEANUP_FUNC(RestartRecordFile *, restart_record_free)

/* True: we hold the lock, from now until it is released. False: another one does; ask again later. */
bool restart_record_claim(RestartRecordFile *r);
void restart_record_release(RestartRecordFile *r);

/* What stands there; all zero where nothing does, or nothing that could be read. Of another boot only what is still so.
 */
void restart_record_load(const RestartRecordFile *r, RestartRecord *ret);

/* Durable when it returns 0. Only with the lock. */
int restart_record_save(const RestartRecordFile *r, const RestartRecord *record);
