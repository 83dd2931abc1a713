/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* What the outside sees: one journal line for each event that matters, and one sentence for systemctl status. What was
 * said already is not said again. */

typedef struct Announcer Announcer;

/* notify: tell the service manager too (sd_notify(3)). */
int announcer_new(Announcer **ret, bool notify);
Announcer *announcer_free(Announcer *s);
DEFINE_CLEANUP_FUNC(Announcer *, announcer_free)

/* The job that writes has ended. */
void announcer_tell_sync(Announcer *s, const Settings *settings, const SyncReport *report);

void announcer_tell_decision(Announcer *s, const Settings *settings, const Facts *facts, const Decision *decision,
                             uint64_t now);

/* Our job for the unit has ended, as ServiceHandlers.finished() tells. */
void announcer_tell_job(const Settings *settings, JobOutcome outcome, const char *result, const char *message);

/* The record of restarts cannot be written: negative errno. */
void announcer_tell_not_recorded(Announcer *s, int error);

/* Somebody asks: what is held is said again, even if nothing has changed. */
void announcer_say_again(Announcer *s);
