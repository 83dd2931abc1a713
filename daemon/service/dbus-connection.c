/* SPDX-License-Identifier: Apache-2.0 */
#include "service/dbus-connection.h"

#include <stdarg.h>

static void dbus_connect(DBusService *s);

static int on_retry(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        DBusService *s = userdata;

        dbus_connect(s);
        if (s->bus)
                s->service.handlers->changed(s->service.userdata);
        return 0;
}

static void dbus_lose(DBusService *s) {
        s->call = sd_bus_slot_unref(s->call);
        s->bus = sd_bus_close_unref(s->bus);
        retry_later(&s->retry, s->service.event, on_retry, s);
}

/* sd-bus has already failed all calls without an answer; only the end of a job may still be expected. */
static int on_disconnected(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        DBusService *s = userdata;

        dbus_lose(s);
        if (s->working)
                dbus_service_finish_job(s, JOB_UNKNOWN, NULL, NULL);
        return 0;
}

int dbus_on_changed(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        DBusService *s = userdata;

        s->service.handlers->changed(s->service.userdata);
        return 0;
}

/* A new owner knows no subscriber, and no job. */
static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        DBusService *s = userdata;

        if (s->working)
                dbus_service_finish_job(s, JOB_UNKNOWN, NULL, NULL);
        if (s->peer->subscribe)
                (void) s->peer->subscribe(s);
        return dbus_on_changed(m, userdata, error);
}

static int dbus_watch_owner(DBusService *s) {
        char match[256];

        (void) snprintf(match, sizeof(match),
                        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                        s->peer->name);
        return sd_bus_add_match_async(s->bus, NULL, match, on_owner_changed, NULL, s);
}

static void dbus_connect(DBusService *s) {
        int r = sd_bus_open_system(&s->bus);

        /* Otherwise the end of the loop waits until all is sent: up to 90 s if the bus does not answer. */
        if (r >= 0)
                r = sd_bus_set_close_on_exit(s->bus, false);
        if (r >= 0)
                r = sd_bus_set_method_call_timeout(s->bus, s->peer->timeout_usec);
        if (r >= 0)
                r = sd_bus_attach_event(s->bus, s->service.event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(s->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, s);
        if (r >= 0)
                r = dbus_watch_owner(s);
        if (r >= 0)
                r = s->peer->connected(s);
        if (r >= 0 && s->peer->subscribe)
                r = s->peer->subscribe(s);
        if (r < 0)
                dbus_lose(s);
}

int dbus_service_new(Service **ret, const Service *common, size_t size, const ServiceMethod *method,
                     const DBusPeer *peer) {
        DBusService *s = calloc(1, size);

        if (!s)
                return -ENOMEM;
        s->service = *common;
        s->service.method = method;
        sd_event_ref(s->service.event);
        s->peer = peer;
        dbus_connect(s);
        *ret = &s->service;
        return 0;
}

Service *dbus_service_free(Service *service) {
        DBusService *s = (DBusService *) service;

        sd_bus_slot_unref(s->call);
        sd_bus_close_unref(s->bus);
        retry_stop(&s->retry);
        sd_event_unref(s->service.event);
        free(s);
        return NULL;
}

int dbus_service_query(Service *service) {
        DBusService *s = (DBusService *) service;
        int r;

        if (s->querying)
                return -EBUSY;
        r = s->bus ? s->peer->query(s) : -ENOTCONN;
        s->querying = r >= 0;
        return r < 0 ? r : 0;
}

void dbus_service_finish_query(DBusService *s, const UnitReport *report) {
        s->querying = false;
        s->service.handlers->queried(s->service.userdata, report);
}

int dbus_service_begin_job(DBusService *s, const char *path, const char *interface, const char *member,
                           sd_bus_message_handler_t handler, const char *types, ...) {
        va_list list;
        int r;

        if (s->working)
                return -EBUSY;
        if (!s->bus)
                return -ENOTCONN;
        va_start(list, types);
        r = sd_bus_call_method_asyncv(s->bus, &s->call, s->peer->name, path, interface, member, handler, s, types,
                                      list);
        va_end(list);
        s->working = r >= 0;
        return r < 0 ? r : 0;
}

void dbus_service_abandon_job(Service *service) {
        DBusService *s = (DBusService *) service;

        s->working = false;
        s->call = sd_bus_slot_unref(s->call);
}

void dbus_service_finish_job(DBusService *s, JobOutcome outcome, const char *result, const char *message) {
        dbus_service_abandon_job(&s->service);
        s->service.handlers->finished(s->service.userdata, outcome, result, message);
}

bool dbus_is_without_answer(sd_bus_message *m) {
        int e = sd_bus_message_get_errno(m);

        return e == ETIMEDOUT || e == ECONNRESET || e == ENOTCONN || e == EPIPE;
}

/* Reads the value of the property called name, or skips it. */
static int read_value(sd_bus_message *m, const char *name, const DBusProperty *table, void *ret) {
        for (const DBusProperty *p = table; p->name; p++)
                if (streq(p->name, name))
                        return sd_bus_message_read(m, "v", p->type, (char *) ret + p->offset, NULL);
        return sd_bus_message_skip(m, "v");
}

int dbus_read_properties(sd_bus_message *m, const DBusProperty *table, void *ret) {
        const char *name;
        int r = sd_bus_message_is_method_error(m, NULL) ? -EIO : sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0)
                        r = read_value(m, name, table, ret);
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        return r;
}
