/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/decide.h"

/* What the outside sees: one journal line for each event that matters, and one sentence for systemctl status. What was
 * said already is not said again. */

typedef struct Status Status;

/* notify: tell the service manager too (sd_notify(3)). */
int status_new(Status **ret, bool notify);
Status *status_free(Status *s);
DEFINE_CLEANUP_FUNC(Status *, status_free)

/* The job that writes has ended. */
void status_tell_sync(Status *s, const Config *config, const SyncReport *report);

void status_tell_decision(Status *s, const Config *config, const Facts *facts, const Decision *decision, uint64_t now);

/* Our job for the unit has ended, as ServiceHandlers.finished() tells. */
void status_tell_job(const Config *config, JobOutcome outcome, const char *result, const char *message);

/* Somebody asks: what is held is said again, even if nothing has changed. */
void status_say_again(Status *s);

/* A sentence for a decision, as status_tell_decision() says it. */
void status_describe(const Config *config, const Facts *facts, const Decision *decision, uint64_t now, char *ret,
                     size_t size);
