/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-bus.h>

#include "process/retry.h"
#include "service/service.h"

#define DBUS_PROPERTIES "org.freedesktop.DBus.Properties"

/* The part that the methods on the system bus share: a connection that is restored automatically, and at most one query
 * and one job at a time. A failed connection fails the query, and ends the job with JOB_UNKNOWN. */

typedef struct DBusService DBusService;

typedef struct DBusPeer {
        const char *name;      /* on the bus */
        uint64_t timeout_usec; /* of each call */

        /* Adds matches for signals to a new connection. An error closes the connection; it is tried again later. */
        int (*connected)(DBusService *s);

        /* Tells the peer that signals are wanted; called again when another process takes the name. NULL: no need. */
        int (*subscribe)(DBusService *s);

        /* Sends the first call of a query, whose last callback calls dbus_service_finish_query(). */
        int (*query)(DBusService *s);
} DBusPeer;

/* The first member of each such method's own struct. */
struct DBusService {
        Service service;
        const DBusPeer *peer;
        sd_bus *bus; /* NULL: not connected */
        sd_bus_slot *call;
        Retry retry;
        bool querying, working;
};

/* Allocates size bytes for the method's struct, and connects. A missing bus is no error. */
int dbus_service_new(Service **ret, const Service *common, size_t size, const ServiceMethod *method,
                     const DBusPeer *peer);

/* Members of ServiceMethod. */
Service *dbus_service_free(Service *service);
int dbus_service_query(Service *service);
void dbus_service_abandon_job(Service *service);

void dbus_service_finish_query(DBusService *s, const UnitReport *report);

/* Calls a method of the peer that begins a job. -EBUSY: a job is running; -ENOTCONN: no connection. */
int dbus_service_begin_job(DBusService *s, const char *path, const char *interface, const char *member,
                           sd_bus_message_handler_t handler, const char *types, ...);
void dbus_service_finish_job(DBusService *s, JobOutcome outcome, const char *result, const char *message);

/* True if m is an error that does not exclude that the peer carries out the call. */
bool dbus_is_without_answer(sd_bus_message *m);

/* A callback: reports that the unit may have changed. */
int dbus_on_changed(sd_bus_message *m, void *userdata, sd_bus_error *error);

/* A property to read, at offset in a struct of the caller. */
typedef struct DBusProperty {
        const char *name, *type;
        size_t offset;
} DBusProperty;

/* Reads the answer of GetAll; strings are those of m. The table ends with a name of NULL. */
int dbus_read_properties(sd_bus_message *m, const DBusProperty *table, void *ret);
