/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-bus.h>

#include "base/macro.h"

/* A connection to the system bus that comes back by itself. */

typedef struct DBusConnection DBusConnection;

typedef struct DBusConnectionHandlers {
        /* There is a new connection: ask for the signals. A negative errno has it tried again later. */
        int (*connected)(void *userdata, sd_bus *bus);

        /* It is gone, and dbus_connection_get() gives NULL: what was asked on it is not answered. Slots have to go. */
        void (*lost)(void *userdata);
} DBusConnectionHandlers;

/* A bus that is not there yet is no error. */
int dbus_connection_new(DBusConnection **ret, sd_event *event, const DBusConnectionHandlers *handlers, void *userdata);
DBusConnection *dbus_connection_free(DBusConnection *b);

/* NULL: there is no connection. */
sd_bus *dbus_connection_get(const DBusConnection *b);

/* Somebody has answered: the next loss is not one more of a row. */
void dbus_connection_works(DBusConnection *b);

/* A call with up to two strings; the slot before it is given up. -ENOTCONN: no connection. */
int dbus_connection_call(const DBusConnection *b, sd_bus_slot **slot, const char *destination, const char *path,
                         const char *interface, const char *member, sd_bus_message_handler_t handler, void *userdata,
                         const char *first, const char *second);

/* Calls when the owner of a name on the bus comes or goes, which it does with a message (sss). */
int dbus_connection_watch_owner(sd_bus *bus, const char *name, sd_bus_message_handler_t handler, void *userdata);
