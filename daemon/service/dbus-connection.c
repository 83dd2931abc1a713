/* SPDX-License-Identifier: Apache-2.0 */
#include "service/dbus-connection.h"

#define CALL_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define RECONNECT_MIN_USEC (1 * USEC_PER_SEC)
#define RECONNECT_MAX_USEC (30 * USEC_PER_SEC)

struct DBusConnection {
        sd_event *event;
        const DBusConnectionHandlers *handlers;
        void *userdata;

        sd_bus *bus;
        sd_event_source *reconnect;
        uint64_t reconnect_usec;
};

static void bus_connect(DBusConnection *b);

static int on_reconnect(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        bus_connect(userdata);
        return 0;
}

/* Without memory for that there never would be a connection again, nor an answer: better to be started anew. */
static void expect_later(DBusConnection *b, int r) {
        if (r < 0)
                (void) sd_event_exit(b->event, r);
}

static void bus_lose(DBusConnection *b) {
        sd_bus *bus = STEAL_POINTER(b->bus);

        b->reconnect = sd_event_source_disable_unref(b->reconnect);
        expect_later(b, sd_event_add_time_relative(b->event, &b->reconnect, CLOCK_MONOTONIC, b->reconnect_usec, 0,
                                                   on_reconnect, b));
        b->reconnect_usec = b->reconnect_usec * 2 < RECONNECT_MAX_USEC ? b->reconnect_usec * 2 : RECONNECT_MAX_USEC;

        /* Not flushed: what could not be sent must not be sent later, unasked. */
        sd_bus_close(bus);
        b->handlers->lost(b->userdata);
        sd_bus_unref(bus);
}

/* Disconnecting within a callback of the same connection would free what is in use. */
static int on_deferred_loss(sd_event_source *source, void *userdata) {
        (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
        bus_lose(userdata);
        return 0;
}

static int on_disconnected(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        DBusConnection *b = userdata;

        b->reconnect = sd_event_source_disable_unref(b->reconnect);
        expect_later(b, sd_event_add_defer(b->event, &b->reconnect, on_deferred_loss, b));
        return 0;
}

static void bus_connect(DBusConnection *b) {
        int r;

        b->reconnect = sd_event_source_disable_unref(b->reconnect);
        r = sd_bus_open_system(&b->bus);
        /* Else the end of the loop would wait until all is sent: a bus that does not answer takes 90 s of it. */
        if (r >= 0)
                r = sd_bus_set_close_on_exit(b->bus, false);
        if (r >= 0)
                r = sd_bus_attach_event(b->bus, b->event, SD_EVENT_PRIORITY_NORMAL);
        if (r >= 0)
                r = sd_bus_match_signal_async(b->bus, NULL, "org.freedesktop.DBus.Local", "/org/freedesktop/DBus/Local",
                                              "org.freedesktop.DBus.Local", "Disconnected", on_disconnected, NULL, b);
        if (r >= 0)
                r = b->handlers->connected(b->userdata, b->bus);
        if (r < 0)
                bus_lose(b);
}

int dbus_connection_new(DBusConnection **ret, sd_event *event, const DBusConnectionHandlers *handlers, void *userdata) {
        DBusConnection *b = calloc(1, sizeof(DBusConnection));

        if (!b)
                return -ENOMEM;

        b->event = sd_event_ref(event);
        b->handlers = handlers;
        b->userdata = userdata;
        b->reconnect_usec = RECONNECT_MIN_USEC;
        *ret = b;
        bus_connect(b);
        return 0;
}

DBusConnection *dbus_connection_free(DBusConnection *b) {
        if (!b)
                return NULL;

        sd_bus_close_unref(b->bus);
        sd_event_source_disable_unref(b->reconnect);
        sd_event_unref(b->event);
        free(b);
        return NULL;
}

sd_bus *dbus_connection_get(const DBusConnection *b) {
        return b->bus;
}

void dbus_connection_works(DBusConnection *b) {
        b->reconnect_usec = RECONNECT_MIN_USEC;
}

int dbus_connection_call(const DBusConnection *b, sd_bus_slot **slot, const char *destination, const char *path,
                         const char *interface, const char *member, sd_bus_message_handler_t handler, void *userdata,
                         const char *first, const char *second) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        int r;

        if (!b->bus)
                return -ENOTCONN;

        r = sd_bus_message_new_method_call(b->bus, &m, destination, path, interface, member);
        if (r >= 0 && first)
                r = sd_bus_message_append(m, "s", first);
        if (r >= 0 && second)
                r = sd_bus_message_append(m, "s", second);
        if (r < 0)
                return r;

        *slot = sd_bus_slot_unref(*slot);
        return sd_bus_call_async(b->bus, slot, m, handler, userdata, CALL_TIMEOUT_USEC);
}

int dbus_connection_watch_owner(sd_bus *bus, const char *name, sd_bus_message_handler_t handler, void *userdata) {
        char match[256];

        (void) snprintf(match, sizeof(match),
                        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',"
                        "interface='org.freedesktop.DBus',member='NameOwnerChanged',arg0='%s'",
                        name);
        return sd_bus_add_match_async(bus, NULL, match, handler, NULL, userdata);
}
