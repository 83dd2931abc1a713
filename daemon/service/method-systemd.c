/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "service/dbus-connection.h"
#include "service/restart-method.h"

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE DESTINATION ".Manager"
#define UNIT_INTERFACE DESTINATION ".Unit"
#define SERVICE_INTERFACE DESTINATION ".Service"
#define PROPERTIES_INTERFACE "org.freedesktop.DBus.Properties"

enum {
        /* Jobs that ended while the reply with our job's path was still on its way. */
        EARLY_JOBS_MAX = 64,
};

typedef struct EarlyJob {
        char *path;
        char *result;
} EarlyJob;

typedef struct SystemdService {
        Service service;

        DBusConnection *bus;

        sd_event_source *answer; /* "no connection", given from the loop and not from within service_query() */
        sd_bus_slot *query;      /* LoadUnit, then GetAll of the unit, then, if it is inactive or failed, GetAll of its
                                    .Service interface */
        sd_bus_slot *call;       /* TryRestartUnit or StartUnit */
        sd_bus_slot *changes;    /* PropertiesChanged of the unit */
        char *path;              /* of the unit: what it is watched under */
        UnitReport report;       /* of the query, as far as it has come */
        UnitRun run;             /* collected by the query so far */
        bool querying, working;
        char *job; /* NULL until the reply has come */
        EarlyJob early[EARLY_JOBS_MAX];
        size_t n_early;
} SystemdService;

static void forget_early_jobs(SystemdService *s) {
        for (size_t i = 0; i < s->n_early; i++) {
                free(s->early[i].path);
                free(s->early[i].result);
        }
        s->n_early = 0;
}

static void systemd_abandon_job(Service *service) {
        SystemdService *s = (SystemdService *) service;

        s->working = false;
        s->call = sd_bus_slot_unref(s->call);
        free(STEAL_POINTER(s->job));
        forget_early_jobs(s);
}

static void systemd_finish(SystemdService *s, JobOutcome outcome, const char *result, const char *message) {
        systemd_abandon_job(&s->service);
        s->service.handlers->finished(s->service.userdata, outcome, result, message);
}

/* JobRemoved's word. */
static void systemd_finish_job(SystemdService *s, const char *result) {
        JobOutcome outcome = JOB_FAILED; /* failed, timeout, dependency */

        if (streq(result, "done"))
                outcome = JOB_DONE;
        else if (streq(result, "canceled"))
                outcome = JOB_CANCELED;
        else if (streq(result, "skipped"))
                outcome = JOB_REFUSED;
        systemd_finish(s, outcome, result, NULL);
}

static void systemd_finish_query(SystemdService *s, UnitState state) {
        UnitReport report = s->report;

        s->querying = false;
        s->query = sd_bus_slot_unref(s->query);
        s->answer = sd_event_source_disable_unref(s->answer);
        report.state = state;
        s->service.handlers->queried(s->service.userdata, &report);
}

/* JobRemoved(u id, o job, s unit, s result) */
static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        const char *path, *unit, *result;

        if (sd_bus_message_read(m, "uoss", NULL, &path, &unit, &result) < 0)
                return 0; /* not the signal that the documentation promises */

        /* By the path alone: the unit's name in it is the real one where Unit= is an alias. */
        if (s->working && s->job && streq(s->job, path)) {
                systemd_finish_job(s, result);
                return 0;
        }
        if (s->working && !s->job) {
                if (s->n_early == EARLY_JOBS_MAX)
                        return 0; /* if it was ours, decide_agent() finds out */
                EarlyJob *e = &s->early[s->n_early];

                *e = (EarlyJob){.path = strdup(path), .result = strdup(result)};
                s->n_early++;
        }
        if (streq(unit, s->service.settings.unit))
                s->service.handlers->changed(s->service.userdata);
        return 0;
}

static int on_unit_changed(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;

        s->service.handlers->changed(s->service.userdata);
        return 0;
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                return 0; /* systemd is not there yet: NameOwnerChanged tells when it is */
        dbus_connection_works(s->bus);
        s->service.handlers->changed(s->service.userdata);
        return 0;
}

static int systemd_subscribe(SystemdService *s, sd_bus *bus) {
        return sd_bus_call_method_async(bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "Subscribe",
                                        on_subscribed, s, "");
}

/* PID 1 forgets its subscribers when it goes away, and comes back under a new owner. */
static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        const char *new_owner;

        if (sd_bus_message_read(m, "sss", NULL, NULL, &new_owner) < 0)
                return 0;

        if (s->working)
                systemd_finish(s, JOB_UNKNOWN, NULL, NULL);
        if (!str_empty(new_owner))
                (void) systemd_subscribe(s, dbus_connection_get(s->bus));
        s->service.handlers->changed(s->service.userdata);
        return 0;
}

/* LoadUnit tells the path; for an alias it is that of the real unit. */
static int systemd_watch_unit(SystemdService *s, const char *path) {
        char *copy;
        int r;

        if (s->path && streq(s->path, path))
                return 0;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        free(s->path);
        s->path = copy;

        s->changes = sd_bus_slot_unref(s->changes);
        r = sd_bus_match_signal_async(dbus_connection_get(s->bus), &s->changes, DESTINATION, path, PROPERTIES_INTERFACE,
                                      "PropertiesChanged", on_unit_changed, NULL, s);
        /* What sd-bus has of the match by then would abort us at the next signal: better to be started anew. */
        if (r == -ENOMEM)
                (void) sd_event_exit(s->service.event, r);
        return r;
}

static int systemd_connected(void *userdata, sd_bus *bus) {
        SystemdService *s = userdata;
        int r;

        r = sd_bus_match_signal_async(bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved",
                                      on_job_removed, NULL, s);
        /* After daemon-reload the unit file may be there, gone, or masked; no property of the unit tells that. */
        if (r >= 0)
                r = sd_bus_match_signal_async(bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "Reloading",
                                              on_unit_changed, NULL, s);
        if (r >= 0)
                r = dbus_connection_watch_owner(bus, DESTINATION, on_owner_changed, s);
        return r < 0 ? r : systemd_subscribe(s, bus);
}

static void systemd_lost(void *userdata) {
        SystemdService *s = userdata;

        s->query = sd_bus_slot_unref(s->query);
        s->call = sd_bus_slot_unref(s->call);
        s->changes = sd_bus_slot_unref(s->changes);
        free(STEAL_POINTER(s->path));

        if (s->querying)
                systemd_finish_query(s, UNIT_UNKNOWN);
        if (s->working)
                systemd_finish(s, JOB_UNKNOWN, NULL, NULL);
}

typedef struct UnitProperties {
        const char *load_state;
        const char *active_state;
        uint32_t job_id;
        uint64_t stopped_usec; /* InactiveEnter: CLOCK_MONOTONIC */
        UnitRun run;

        /* Property of the .Service interface, queried only if the unit is inactive or failed. */
        const char *result;
} UnitProperties;

static UnitState judge_unit(const UnitProperties *p) {
        if (streq(p->load_state, "masked"))
                return UNIT_MASKED;
        if (streq(p->load_state, "bad-setting") || streq(p->load_state, "error"))
                return UNIT_BAD_SETTING;
        if (streq(p->load_state, "not-found"))
                return UNIT_NOT_FOUND;
        if (p->job_id != 0)
                return UNIT_CHANGING;
        if (streq(p->active_state, "active"))
                return UNIT_ACTIVE;
        if (streq(p->active_state, "inactive"))
                return UNIT_INACTIVE;
        if (streq(p->active_state, "failed"))
                return UNIT_FAILED;
        return UNIT_CHANGING; /* activating, deactivating, reloading, maintenance */
}

static UnitState judge_failure(const UnitProperties *p) {
        if (streq(p->result, "start-limit-hit"))
                return UNIT_START_LIMIT;
        return streq(p->result, "exit-code") && p->run.exit_status == AGENT_EXIT_TERMINAL ? UNIT_REFUSED : UNIT_FAILED;
}

static int read_boolean(sd_bus_message *m, bool *ret) {
        int value, r = sd_bus_message_read(m, "v", "b", &value);

        if (r >= 0)
                *ret = value != 0;
        return r;
}

static int read_property(sd_bus_message *m, const char *name, UnitProperties *p) {
        if (streq(name, "LoadState"))
                return sd_bus_message_read(m, "v", "s", &p->load_state);
        if (streq(name, "ActiveState"))
                return sd_bus_message_read(m, "v", "s", &p->active_state);
        if (streq(name, "Job"))
                return sd_bus_message_read(m, "v", "(uo)", &p->job_id, NULL);
        if (streq(name, "InactiveExitTimestampMonotonic"))
                return sd_bus_message_read(m, "v", "t", &p->run.started_usec);
        if (streq(name, "ActiveExitTimestampMonotonic"))
                return sd_bus_message_read(m, "v", "t", &p->run.active_end_usec);
        if (streq(name, "InactiveEnterTimestampMonotonic"))
                return sd_bus_message_read(m, "v", "t", &p->stopped_usec);
        if (streq(name, "Result"))
                return sd_bus_message_read(m, "v", "s", &p->result);
        if (streq(name, "ExecMainExitTimestampMonotonic"))
                return sd_bus_message_read(m, "v", "t", &p->run.main_exit_usec);
        if (streq(name, "ExecMainCode"))
                return sd_bus_message_read(m, "v", "i", &p->run.exit_code);
        if (streq(name, "ExecMainStatus"))
                return sd_bus_message_read(m, "v", "i", &p->run.exit_status);
        if (streq(name, "RemainAfterExit"))
                return read_boolean(m, &p->run.is_active_without_process);
        return sd_bus_message_skip(m, "v");
}

static int read_properties(sd_bus_message *m, UnitProperties *p) {
        const char *name;
        int r;

        r = sd_bus_message_enter_container(m, 'a', "{sv}");
        if (r < 0)
                return r;

        while ((r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r < 0)
                        return r;
                r = read_property(m, name, p);
                if (r < 0)
                        return r;
                r = sd_bus_message_exit_container(m);
                if (r < 0)
                        return r;
        }
        return r;
}

static int call(SystemdService *s, sd_bus_slot **slot, const char *path, const char *interface, const char *member,
                sd_bus_message_handler_t handler, const char *first, const char *second) {
        return dbus_connection_call(s->bus, slot, DESTINATION, path, interface, member, handler, s, first, second);
}

/* Handles the properties of the .Service interface: why the unit has failed, or how it ended. */
static int on_service_properties(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        UnitProperties p = {.run = s->run, .result = ""};
        UnitState state = s->report.state;

        if (!sd_bus_message_is_method_error(m, NULL) && read_properties(m, &p) >= 0) {
                if (state == UNIT_FAILED)
                        state = judge_failure(&p);
                else
                        s->report.end = facts_judge_end(&p.run);
                s->report.exit_status = p.run.exit_status;
                s->report.terminated = p.run.exit_code == CLD_KILLED && p.run.exit_status == SIGTERM;
        }
        systemd_finish_query(s, state);
        return 0;
}

/* Properties of the unit. */
static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        UnitProperties p = {.load_state = "", .active_state = ""};
        UnitState state = UNIT_UNKNOWN;

        if (!sd_bus_message_is_method_error(m, NULL) && read_properties(m, &p) >= 0)
                state = judge_unit(&p);
        s->run = p.run;
        s->report = (UnitReport){.state = state, .started_usec = p.run.started_usec, .stopped_usec = p.stopped_usec};

        if ((state != UNIT_FAILED && state != UNIT_INACTIVE) ||
            call(s, &s->query, s->path, PROPERTIES_INTERFACE, "GetAll", on_service_properties, SERVICE_INTERFACE,
                 NULL) < 0)
                systemd_finish_query(s, state);
        return 0;
}

static int on_loaded(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        const char *path;
        int r;

        if (sd_bus_message_is_method_error(m, NULL)) {
                systemd_finish_query(s, UNIT_UNKNOWN);
                return 0;
        }

        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = systemd_watch_unit(s, path);
        if (r >= 0)
                r = call(s, &s->query, path, PROPERTIES_INTERFACE, "GetAll", on_properties, UNIT_INTERFACE, NULL);
        if (r < 0)
                systemd_finish_query(s, UNIT_UNKNOWN);
        return 0;
}

static int on_answer(sd_event_source *source _unused_, void *userdata) {
        systemd_finish_query(userdata, UNIT_UNKNOWN);
        return 0;
}

static int systemd_query(Service *service) {
        SystemdService *s = (SystemdService *) service;
        int r;

        if (s->querying)
                return -EBUSY;

        r = call(s, &s->query, MANAGER_PATH, MANAGER_INTERFACE, "LoadUnit", on_loaded, s->service.settings.unit, NULL);
        if (r < 0)
                r = sd_event_add_defer(s->service.event, &s->answer, on_answer, s);
        if (r >= 0)
                s->querying = true;
        return r < 0 ? r : 0;
}

/* The call may have been heard all the same: systemd is slow, or the bus has died. */
static bool is_without_answer(sd_bus_message *m) {
        int e = sd_bus_message_get_errno(m);

        return e == ETIMEDOUT || e == ECONNRESET || e == ENOTCONN || e == EPIPE ||
               sd_bus_message_is_method_error(m, SD_BUS_ERROR_NO_REPLY) ||
               sd_bus_message_is_method_error(m, SD_BUS_ERROR_DISCONNECTED) ||
               sd_bus_message_is_method_error(m, SD_BUS_ERROR_TIMEOUT);
}

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        const char *path;

        if (sd_bus_message_is_method_error(m, NULL)) {
                const sd_bus_error *e = sd_bus_message_get_error(m);

                if (is_without_answer(m))
                        systemd_finish(s, JOB_UNKNOWN, NULL, NULL);
                else
                        systemd_finish(s, JOB_REFUSED, NULL, e->message ? e->message : e->name);
                return 0;
        }

        if (sd_bus_message_read(m, "o", &path) < 0 || !(s->job = strdup(path))) {
                systemd_finish(s, JOB_UNKNOWN, NULL, NULL);
                return 0;
        }

        for (size_t i = 0; i < s->n_early; i++)
                if (s->early[i].path && streq(s->early[i].path, s->job)) {
                        _cleanup_free_ char *result = STEAL_POINTER(s->early[i].result);

                        if (result)
                                systemd_finish_job(s, result);
                        else /* there was no memory to keep it */
                                systemd_finish(s, JOB_UNKNOWN, NULL, NULL);
                        return 0;
                }
        return 0;
}

static int systemd_begin(SystemdService *s, const char *method) {
        int r;

        if (s->working)
                return -EBUSY;
        /* "fail": a stop that somebody has queued stays. */
        r = call(s, &s->call, MANAGER_PATH, MANAGER_INTERFACE, method, on_reply, s->service.settings.unit, "fail");
        if (r < 0)
                return r;
        s->working = true;
        return 0;
}

/* "Try": a unit that stopped since we looked stays stopped. */
static int systemd_restart(Service *service) {
        return systemd_begin((SystemdService *) service, "TryRestartUnit");
}

/* One that has failed, or was brought to its start limit by a crash loop, is started as well. */
static int systemd_start(Service *service) {
        SystemdService *s = (SystemdService *) service;
        sd_bus *bus = dbus_connection_get(s->bus);
        int r;

        if (!bus)
                return -ENOTCONN;
        r = sd_bus_call_method_async(bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "ResetFailedUnit", NULL,
                                     NULL, "s", s->service.settings.unit);
        return r < 0 ? r : systemd_begin(s, "StartUnit");
}

static Service *systemd_free(Service *service) {
        SystemdService *s = (SystemdService *) service;

        sd_bus_slot_unref(s->query);
        sd_bus_slot_unref(s->call);
        sd_bus_slot_unref(s->changes);
        dbus_connection_free(s->bus);
        sd_event_source_disable_unref(s->answer);
        forget_early_jobs(s);
        free(s->path);
        free(s->job);
        sd_event_unref(s->service.event);
        free(s);
        return NULL;
}

static const ServiceMethod systemd_method = {
        .free = systemd_free,
        .query = systemd_query,
        .restart = systemd_restart,
        .start = systemd_start,
        .abandon_job = systemd_abandon_job,
};

int service_systemd_new(Service **ret, const Service *common) {
        static const DBusConnectionHandlers handlers = {.connected = systemd_connected, .lost = systemd_lost};
        SystemdService *s = calloc(1, sizeof(SystemdService));
        int r;

        if (!s)
                return -ENOMEM;

        s->service = *common;
        s->service.method = &systemd_method;
        sd_event_ref(s->service.event);

        r = dbus_connection_new(&s->bus, s->service.event, &handlers, s);
        if (r < 0) {
                systemd_free(&s->service);
                return r;
        }

        *ret = &s->service;
        return 0;
}
