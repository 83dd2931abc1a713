/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-bus.h>

#include "base/macro.h"

/* A connection to the system bus that comes back by itself. */

typedef struct ServiceBus ServiceBus;

typedef struct ServiceBusHandlers {
        /* There is a new connection: ask for the signals. A negative errno has it tried again later. */
        int (*connected)(void *userdata, sd_bus *bus);

        /* It is gone, and service_bus_get() gives NULL: what was asked on it is not answered. Slots have to go. */
        void (*lost)(void *userdata);
} ServiceBusHandlers;

/* A bus that is not there yet is no error. */
int service_bus_new(ServiceBus **ret, sd_event *event, const ServiceBusHandlers *handlers, void *userdata);
ServiceBus *service_bus_free(ServiceBus *b);

/* NULL: there is no connection. */
sd_bus *service_bus_get(const ServiceBus *b);

/* Somebody has answered: the next loss is not one more of a row. */
void service_bus_works(ServiceBus *b);

/* A call with up to two strings; the slot before it is given up. -ENOTCONN: no connection. */
int service_bus_call(const ServiceBus *b, sd_bus_slot **slot, const char *destination, const char *path,
                     const char *interface, const char *member, sd_bus_message_handler_t handler, void *userdata,
                     const char *first, const char *second);

/* Calls when the owner of a name on the bus comes or goes, which it does with a message (sss). */
int service_bus_watch_owner(sd_bus *bus, const char *name, sd_bus_message_handler_t handler, void *userdata);
