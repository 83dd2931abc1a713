/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "decision/when-to-restart.h"

/* What runs the agent and can restart it. One interface; each Method= has a file of its own. Nothing here blocks. */

typedef struct Service Service;

/* What of the settings it needs; what it points to must live as long as the service. */
typedef struct ServiceSettings {
        RestartMethod method;
        const char *unit;
        const AgentSettings *agent; /* for Method=docker, as the next */
        const char *environment_file;
} ServiceSettings;

typedef struct ServiceHandlers {
        /* Something happened to the unit or to the connection: look again. */
        void (*changed)(void *userdata);

        /* The answer to service_query(). */
        void (*queried)(void *userdata, const UnitReport *unit);

        /* How the job of service_restart() or service_start() ended. result: the method's own word for it ("done",
         * "failed", ...; NULL: there is none); message: more about it, for people, or NULL. */
        void (*finished)(void *userdata, JobOutcome outcome, const char *result, const char *message);
} ServiceHandlers;

/* For settings->method, which is not RESTART_METHOD_NONE; handlers must live as long as the service. */
int service_new(Service **ret, sd_event *event, const ServiceSettings *settings, const ServiceHandlers *handlers,
                void *userdata);

/* No handler is called any more. */
Service *service_free(Service *s);
DEFINE_CLEANUP_FUNC(Service *, service_free)

/* Settings that were read again, for the same method and unit. */
void service_set_settings(Service *s, const ServiceSettings *settings);

/* Asks for the state of the unit; queried() is always called, later. -EBUSY: a question is under way. */
int service_query(Service *s);

/* A job: restarts the unit if it runs; starts one that is down, also one that has failed. A job that somebody else has
 * queued is not replaced. finished() is called later unless this fails. -EBUSY: a job is under way; -ENOTCONN: no
 * connection. */
int service_restart(Service *s);
int service_start(Service *s);

/* finished() will not be called any more: nobody knows what became of the job, and its effect is looked at instead. */
void service_abandon_job(Service *s);

/* Removes the containers that a swap has left, once facts_swap_can_end() is true. The caller must hold the restart lock
 * and may call this function at each pass: it is rate-limited internally. Logs failures. */
void service_confirm(Service *s);

/* At work on something that is better not cut off; changed() tells when that is over. */
bool service_is_busy(const Service *s);
