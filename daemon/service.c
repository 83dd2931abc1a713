/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <systemd/sd-bus.h>

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE DESTINATION ".Manager"
#define UNIT_INTERFACE DESTINATION ".Unit"

#define CALL_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define RECONNECT_MIN_USEC (1 * USEC_PER_SEC)
#define RECONNECT_MAX_USEC (30 * USEC_PER_SEC)

enum {
        /* Jobs that ended while the reply with our job's path was still on its way. */
        EARLY_JOBS_MAX = 64,
};

typedef struct EarlyJob {
        char *path;
        char *result;
} EarlyJob;

struct Service {
        sd_event *event;
        const ServiceHandlers *handlers;
        void *userdata;
        char *unit;

        sd_bus *bus;
        sd_event_source *reconnect;
        uint64_t reconnect_usec;

        sd_event_source *answer; /* "no connection", given from the loop and not from within service_query() */
        sd_bus_slot *query;      /* LoadUnit, then GetAll */
        sd_bus_slot *restart;    /* TryRestartUnit */
        sd_bus_slot *changes;    /* PropertiesChanged of the unit */
        char *path;              /* of the unit: what it is watched under */
        bool querying, restarting;
        char *job; /* NULL until the reply has come */
        EarlyJob early[EARLY_JOBS_MAX];
        size_t n_early;
};

static int service_connect(Service *s);
static void service_connection_lost(Service *s);

static void forget_early_jobs(Service *s) {
        for (size_t i = 0; i < s->n_early; i++) {
                free(s->early[i].path);
                free(s->early[i].result);
        }
        s->n_early = 0;
}

static void service_finish_restart(Service *s, const char *result, int error, const char *message) {
        service_abandon_restart(s);
        s->handlers->finished(s->userdata, result, error, message);
}

static void service_finish_query(Service *s, UnitState state, int error) {
        s->querying = false;
        s->query = sd_bus_slot_unref(s->query);
        s->answer = sd_event_source_disable_unref(s->answer);
        s->handlers->queried(s->userdata, state, error);
}

/* JobRemoved(u id, o job, s unit, s result) */
static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;
        const char *path, *unit, *result;

        if (sd_bus_message_read(m, "uoss", NULL, &path, &unit, &result) < 0)
                return 0; /* not the signal that the documentation promises */

        /* By the path alone: the unit's name in it is the real one where Unit= is an alias. */
        if (s->restarting && s->job && streq(s->job, path)) {
                service_finish_restart(s, result, 0, NULL);
                return 0;
        }
        if (s->restarting && !s->job) {
                if (s->n_early == EARLY_JOBS_MAX)
                        return 0; /* if it was ours, decide() finds out */
                EarlyJob *e = &s->early[s->n_early];

                *e = (EarlyJob){.path = strdup(path), .result = strdup(result)};
                s->n_early++;
        }
        if (streq(unit, s->unit))
                s->handlers->changed(s->userdata);
        return 0;
}

static int on_unit_changed(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;

        s->handlers->changed(s->userdata);
        return 0;
}

static void service_disconnect(Service *s) {
        s->query = sd_bus_slot_unref(s->query);
        s->restart = sd_bus_slot_unref(s->restart);
        s->changes = sd_bus_slot_unref(s->changes);
        free(STEAL_POINTER(s->path));
        /* Not flushed: what could not be sent must not be sent later, unasked. */
        s->bus = sd_bus_close_unref(s->bus);
}

static int on_reconnect(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        Service *s = userdata;

        s->reconnect = sd_event_source_disable_unref(s->reconnect);
        if (service_connect(s) < 0)
                service_connection_lost(s);
        return 0;
}

static uint64_t next_pause(uint64_t usec) {
        if (usec < RECONNECT_MIN_USEC)
                return RECONNECT_MIN_USEC;
        return usec * 2 < RECONNECT_MAX_USEC ? usec * 2 : RECONNECT_MAX_USEC;
}

static void service_connection_lost(Service *s) {
        service_disconnect(s);

        s->reconnect = sd_event_source_disable_unref(s->reconnect);
        /* Without the timer (no memory) the next service_query() tries again. */
        (void) sd_event_add_time_relative(s->event, &s->reconnect, CLOCK_MONOTONIC, s->reconnect_usec, 0, on_reconnect,
                                          s);
        s->reconnect_usec = next_pause(s->reconnect_usec);

        if (s->querying)
                service_finish_query(s, UNIT_UNKNOWN, -ENOTCONN);
        if (s->restarting)
                service_finish_restart(s, NULL, -ECONNRESET, NULL);
}

/* Disconnecting within a callback of the same connection would free what is in use. */
static int on_deferred_loss(sd_event_source *source, void *userdata) {
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        service_connection_lost(userdata);
        return 0;
}

static int on_disconnected(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;

        s->reconnect = sd_event_source_disable_unref(s->reconnect);
        (void) sd_event_add_defer(s->event, &s->reconnect, on_deferred_loss, s);
        return 0;
}

static int on_subscribed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;

        if (sd_bus_message_is_method_error(m, NULL))
                return 0; /* systemd is not there yet: NameOwnerChanged tells when it is */
        s->reconnect_usec = RECONNECT_MIN_USEC;
        s->handlers->changed(s->userdata);
        return 0;
}

static int service_subscribe(Service *s) {
        return sd_bus_call_method_async(s->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "Subscribe",
                                        on_subscribed, s, "");
}

/* PID 1 forgets its subscribers when it goes away, and comes back under a new owner. */
static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;
        const char *new_owner;

        if (sd_bus_message_read(m, "sss", NULL, NULL, &new_owner) < 0)
                return 0;

        if (s->restarting)
                service_finish_restart(s, NULL, -ECONNRESET, NULL);
        if (!str_empty(new_owner))
                (void) service_subscribe(s);
        s->handlers->changed(s->userdata);
        return 0;
}

/* LoadUnit tells the path; for an alias it is that of the real unit. */
static int service_watch_unit(Service *s, const char *path) {
        char *copy;

        if (s->path && streq(s->path, path))
                return 0;
        copy = strdup(path);
        if (!copy)
                return -ENOMEM;
        free(s->path);
        s->path = copy;

        s->changes = sd_bus_slot_unref(s->changes);
        return sd_bus_match_signal_async(s->bus, &s->changes, DESTINATION, path, "org.freedesktop.DBus.Properties",
                                         "PropertiesChanged", on_unit_changed, NULL, s);
}

static int service_match(Service *s) {
        int r;

        r = sd_bus_match_signal_async(s->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved",
                                      on_job_removed, NULL, s);
        if (r < 0)
                return r;
        r = sd_bus_add_match_async(s->bus, NULL,
                                   "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                                   "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" DESTINATION "'",
                                   on_owner_changed, NULL, s);
        if (r < 0)
                return r;
        return sd_bus_match_signal_async(s->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                         "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, s);
}

static int service_connect(Service *s) {
        int r;

        r = sd_bus_open_system(&s->bus);
        if (r < 0)
                return r;
        r = sd_bus_attach_event(s->bus, s->event, SD_EVENT_PRIORITY_NORMAL);
        if (r < 0)
                return r;
        r = service_match(s);
        if (r < 0)
                return r;
        return service_subscribe(s);
}

int service_new(Service **ret, sd_event *event, const char *unit, const ServiceHandlers *handlers, void *userdata) {
        _cleanup_(service_freep) Service *s = calloc(1, sizeof(Service));

        if (!s)
                return -ENOMEM;

        s->event = sd_event_ref(event);
        s->handlers = handlers;
        s->userdata = userdata;
        s->reconnect_usec = RECONNECT_MIN_USEC;
        s->unit = strdup(unit);
        if (!s->unit)
                return -ENOMEM;

        /* A bus that is not there yet is no error: it is tried again. */
        if (service_connect(s) < 0)
                service_connection_lost(s);

        *ret = STEAL_POINTER(s);
        return 0;
}

Service *service_free(Service *s) {
        if (!s)
                return NULL;

        service_disconnect(s);
        sd_event_source_disable_unref(s->reconnect);
        sd_event_source_disable_unref(s->answer);
        forget_early_jobs(s);
        free(s->job);
        free(s->unit);
        sd_event_unref(s->event);
        free(s);
        return NULL;
}

int service_set_unit(Service *s, const char *unit) {
        char *copy = strdup(unit);

        if (!copy)
                return -ENOMEM;
        free(s->unit);
        s->unit = copy;

        s->reconnect_usec = 0;
        service_connection_lost(s);
        return 0;
}

typedef struct UnitProperties {
        const char *load_state;
        const char *active_state;
        uint32_t job_id;
} UnitProperties;

static UnitState judge_unit(const UnitProperties *p) {
        if (streq(p->load_state, "masked"))
                return UNIT_MASKED;
        if (streq(p->load_state, "not-found") || streq(p->load_state, "bad-setting") || streq(p->load_state, "error"))
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

static int read_property(sd_bus_message *m, const char *name, UnitProperties *p) {
        if (streq(name, "LoadState"))
                return sd_bus_message_read(m, "v", "s", &p->load_state);
        if (streq(name, "ActiveState"))
                return sd_bus_message_read(m, "v", "s", &p->active_state);
        if (streq(name, "Job"))
                return sd_bus_message_read(m, "v", "(uo)", &p->job_id, NULL);
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

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;
        UnitProperties p = {.load_state = "", .active_state = ""};
        int r;

        if (sd_bus_message_is_method_error(m, NULL)) {
                service_finish_query(s, UNIT_UNKNOWN, -sd_bus_message_get_errno(m));
                return 0;
        }

        r = read_properties(m, &p);
        service_finish_query(s, r < 0 ? UNIT_UNKNOWN : judge_unit(&p), r);
        return 0;
}

static int call(Service *s, sd_bus_slot **slot, const char *path, const char *interface, const char *member,
                sd_bus_message_handler_t handler, const char *first, const char *second) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        int r;

        r = sd_bus_message_new_method_call(s->bus, &m, DESTINATION, path, interface, member);
        if (r < 0)
                return r;
        r = sd_bus_message_append(m, "s", first);
        if (r >= 0 && second)
                r = sd_bus_message_append(m, "s", second);
        if (r < 0)
                return r;

        *slot = sd_bus_slot_unref(*slot);
        return sd_bus_call_async(s->bus, slot, m, handler, s, CALL_TIMEOUT_USEC);
}

static int on_loaded(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;
        const char *path;
        int r;

        if (sd_bus_message_is_method_error(m, NULL)) {
                service_finish_query(s, UNIT_UNKNOWN, -sd_bus_message_get_errno(m));
                return 0;
        }

        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = service_watch_unit(s, path);
        if (r >= 0)
                r = call(s, &s->query, path, "org.freedesktop.DBus.Properties", "GetAll", on_properties, UNIT_INTERFACE,
                         NULL);
        if (r < 0)
                service_finish_query(s, UNIT_UNKNOWN, r);
        return 0;
}

static int on_answer(sd_event_source *source _unused_, void *userdata) {
        service_finish_query(userdata, UNIT_UNKNOWN, -ENOTCONN);
        return 0;
}

int service_query(Service *s) {
        int r = -ENOTCONN;

        if (s->querying)
                return -EBUSY;

        if (s->bus)
                r = call(s, &s->query, MANAGER_PATH, MANAGER_INTERFACE, "LoadUnit", on_loaded, s->unit, NULL);
        if (r < 0)
                r = sd_event_add_defer(s->event, &s->answer, on_answer, s);
        if (r >= 0)
                s->querying = true;
        return r < 0 ? r : 0;
}

static int on_restart_reply(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        Service *s = userdata;
        const char *path;

        if (sd_bus_message_is_method_error(m, NULL)) {
                const sd_bus_error *e = sd_bus_message_get_error(m);

                service_finish_restart(s, NULL, -sd_bus_message_get_errno(m), e->message ? e->message : e->name);
                return 0;
        }

        if (sd_bus_message_read(m, "o", &path) < 0 || !(s->job = strdup(path))) {
                service_finish_restart(s, NULL, -EBADMSG, "the reply is not a job");
                return 0;
        }

        for (size_t i = 0; i < s->n_early; i++)
                if (s->early[i].path && streq(s->early[i].path, s->job)) {
                        _cleanup_free_ char *result = STEAL_POINTER(s->early[i].result);

                        service_finish_restart(s, result ? result : "done", 0, NULL);
                        return 0;
                }
        return 0;
}

void service_abandon_restart(Service *s) {
        s->restarting = false;
        s->restart = sd_bus_slot_unref(s->restart);
        free(STEAL_POINTER(s->job));
        forget_early_jobs(s);
}

int service_restart(Service *s) {
        int r;

        if (s->restarting)
                return -EBUSY;
        if (!s->bus)
                return -ENOTCONN;

        /* "Try": a unit that stopped since we looked stays stopped. "fail": a stop that somebody has queued stays. */
        r = call(s, &s->restart, MANAGER_PATH, MANAGER_INTERFACE, "TryRestartUnit", on_restart_reply, s->unit, "fail");
        if (r < 0)
                return r;
        s->restarting = true;
        return 0;
}
