/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* The loop: what woke us, which job runs, what was decided. Owns every event source. Nothing acts on an event: a
 * wake-up only says "look again", and one function runs the pass. */

typedef enum ManagerMode {
        MANAGER_RUN,        /* the service: until SIGTERM */
        MANAGER_APPLY,      /* one pass in the foreground, to its outcome */
        MANAGER_APPLY_WRITE /* the same, and no restart */
} ManagerMode;

typedef struct Manager Manager;

/* Takes over *settings, and sets it to NULL. config_path and options (which must live as long as the manager) are what
 * it was loaded from, for reloads. */
int manager_new(Manager **ret, ManagerMode mode, Settings **settings, const char *config_path, char *const *options);
Manager *manager_free(Manager *m);
DEFINE_CLEANUP_FUNC(Manager *, manager_free)

/* Returns an exit status, or a negative errno: the loop itself failed. */
int manager_loop(Manager *m);

/* Exit statuses, as the manual page has them. */
enum {
        EXIT_STATUS_FAILED = 1,
        EXIT_STATUS_USAGE = 2,
        EXIT_STATUS_HELD = 3,
        EXIT_STATUS_WOULD_CHANGE = 4,
        EXIT_STATUS_CONFIG = 78,
};
