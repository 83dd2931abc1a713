/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"
#include "base/problems.h"

/* Reads the settings in a child, to tell whether they can be taken: where they lie on may hang. */

typedef struct SettingsCheck SettingsCheck;

/* error: 0, or as settings_load(), with what it adds; -ETIMEDOUT: it takes too long. */
typedef void (*settings_check_done_t)(void *userdata, int error, const Problems *problems);

/* path and options: as settings_load(). */
int settings_check_new(SettingsCheck **ret, sd_event *event, const char *path, char *const *options,
                       settings_check_done_t done, void *userdata);
SettingsCheck *settings_check_free(SettingsCheck *c);
DEFINE_CLEANUP_FUNC(SettingsCheck *, settings_check_free)

/* done() is called in any case, later or at once; after a check that is under way there is one more. */
void settings_check_start(SettingsCheck *c);
