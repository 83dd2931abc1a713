/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "decide.h"

/* The agent's unit, as systemd knows it over D-Bus (org.freedesktop.systemd1(5)). Nothing here blocks. The connection
 * comes back by itself after the bus or PID 1 went away. */

typedef struct Service Service;

typedef struct ServiceHandlers {
        /* Something happened to the unit or to the connection: look again. */
        void (*changed)(void *userdata);

        /* The answer to service_query(). error says why the state is UNIT_UNKNOWN. */
        void (*queried)(void *userdata, UnitState state, int error);

        /* How service_restart() ended. result: JobRemoved's word ("done", "failed", "canceled", "timeout",
         * "dependency", "skipped"), or NULL: the call was refused (error and message say why), or the connection was
         * lost and nobody knows (error is -ECONNRESET). */
        void (*finished)(void *userdata, const char *result, int error, const char *message);
} ServiceHandlers;

int service_new(Service **ret, sd_event *event, const char *unit, const ServiceHandlers *handlers, void *userdata);
Service *service_free(Service *s);
DEFINE_CLEANUP_FUNC(Service *, service_free)

/* From now on this unit; a question or a restart under way ends as if the connection were lost. */
int service_set_unit(Service *s, const char *unit);

/* Asks for the state of the unit; queried() is always called, later. -EBUSY: a question is under way. */
int service_query(Service *s);

/* Restarts the unit if it runs. A job that somebody else has queued is not replaced. finished() is called later unless
 * this fails. -ENOTCONN: no connection. */
int service_restart(Service *s);

/* finished() will not be called any more: nobody knows what became of the job, and its effect is looked at instead. */
void service_abandon_restart(Service *s);
