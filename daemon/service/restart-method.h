/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "service/service.h"

/* What a method gives to service.c. The functions do what those of service.h say. */

typedef struct ServiceMethod {
        Service *(*free)(Service *s);
        int (*query)(Service *s);
        int (*restart)(Service *s);
        int (*start)(Service *s);
        void (*abandon_job)(Service *s);
        void (*confirm)(Service *s);       /* NULL: nothing was kept */
        bool (*is_busy)(const Service *s); /* NULL: never */
} ServiceMethod;

/* The first member of each method's own struct. */
struct Service {
        const ServiceMethod *method;
        sd_event *event; /* referenced */
        ServiceSettings settings;
        const ServiceHandlers *handlers;
        void *userdata;
};

/* Each makes its struct of zeroed memory, fills its own part, and sets method; service.c fills the rest before it. */
int service_systemd_new(Service **ret, const Service *common);
int service_upstart_new(Service **ret, const Service *common);
int service_docker_new(Service **ret, const Service *common);
