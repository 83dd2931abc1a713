/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "settings/settings.h"

/* What the outside sees: one journal line for each event that matters, and one sentence for systemctl status. What was
 * said already is not said again. */

typedef struct Announcer Announcer;

/* event: of the service, which tells the service manager (sd_notify(3)) and writes the files of publisher.h, too;
 * stale() is called when announcer_tell_decision() is to be called again for those. NULL: none of that. */
int announcer_new(Announcer **ret, sd_event *event, void (*stale)(void *userdata), void *userdata);
Announcer *announcer_free(Announcer *s);
DEFINE_CLEANUP_FUNC(Announcer *, announcer_free)

/* The job that writes has ended. problems: its own, and those that only the service sees. */
void announcer_tell_sync(Announcer *s, const Settings *settings, const SyncReport *report, const Problems *problems);

void announcer_tell_decision(Announcer *s, const Settings *settings, const Facts *facts, const Decision *decision,
                             uint64_t now);

/* Our job for the unit has ended, as ServiceHandlers.finished() tells. */
void announcer_tell_job(const Settings *settings, JobOutcome outcome, const char *result, const char *message);

/* The record of restarts cannot be written: negative errno. */
void announcer_tell_not_recorded(Announcer *s, int error);

/* Another line follows, which is not the announcer's. */
void announcer_flush(Announcer *s);

/* Somebody asks: what is held is said again, even if nothing has changed. */
void announcer_say_again(Announcer *s);
