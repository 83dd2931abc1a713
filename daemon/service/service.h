/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "decision/when-to-restart.h"

/* The process manager that runs the agent and can restart it. One interface; each Method= has a file of its own.
 * Nothing here blocks. */

typedef struct Service Service;

/* The settings that a method needs; pointers must stay valid as long as the service. */
typedef struct ServiceSettings {
        RestartMethod method;
        const char *unit;
        const AgentSettings *agent; /* for Method=docker, as the next */
        const char *environment_file;
} ServiceSettings;

typedef struct ServiceHandlers {
        /* The unit or the connection to the service manager may have changed. */
        void (*changed)(void *userdata);

        /* The answer to query(). */
        void (*queried)(void *userdata, const UnitReport *unit);

        /* The end of the job of restart() or start(). result: the method's own word for it ("done", "failed", ...;
         * NULL: none); message: more about it, for people, or NULL. */
        void (*finished)(void *userdata, JobOutcome outcome, const char *result, const char *message);
} ServiceHandlers;

typedef struct ServiceMethod {
        Service *(*free)(Service *s);

        /* Queries the state of the unit: queried() is called in any case, at once or later, unless this fails. -EBUSY:
         * a query is running. */
        int (*query)(Service *s);

        /* Jobs: restarts the unit if it runs; starts a unit that is down, also one that has failed. A job that another
         * process has queued is not replaced. finished() is called later unless this fails. -EBUSY: a job is running;
         * -ENOTCONN: no connection. */
        int (*restart)(Service *s);
        int (*start)(Service *s);

        /* finished() will not be called any more: the result of the job is unknown. */
        void (*abandon_job)(Service *s);

        /* Method=docker: removes the containers that a swap has left, once facts_swap_can_end() is true. The caller
         * must hold the restart lock and may call this function at each pass: it is rate-limited internally. Logs
         * failures. */
        void (*confirm)(Service *s);

        bool (*is_busy)(const Service *s); /* NULL: never */
} ServiceMethod;

/* The first member of each method's own struct. */
struct Service {
        const ServiceMethod *method;
        sd_event *event; /* referenced */
        ServiceSettings settings;
        const ServiceHandlers *handlers; /* must live as long as the service */
        void *userdata;
};

/* For settings->method, which is not RESTART_METHOD_NONE. */
int service_new(Service **ret, sd_event *event, const ServiceSettings *settings, const ServiceHandlers *handlers,
                void *userdata);

/* Each allocates the method's own struct and fills it; common has all other members. */
int service_systemd_new(Service **ret, const Service *common);
int service_upstart_new(Service **ret, const Service *common);
int service_docker_new(Service **ret, const Service *common);

/* Afterwards no handler is called. */
Service *service_free(Service *s);
DEFINE_CLEANUP_FUNC(Service *, service_free)

/* Returns true if the service does something that should not be cut off; changed() announces its end. NULL: none. */
bool service_is_busy(const Service *s);
