/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

#include "service/restart-method.h"

int service_new(Service **ret, sd_event *event, const ServiceSettings *settings, const ServiceHandlers *handlers,
                void *userdata) {
        const Service common = {.event = event, .settings = *settings, .handlers = handlers, .userdata = userdata};

        switch (settings->method) {
        case RESTART_METHOD_SYSTEMD:
                return service_systemd_new(ret, &common);
        case RESTART_METHOD_DOCKER:
                return service_docker_new(ret, &common);
        case RESTART_METHOD_UPSTART:
                return service_upstart_new(ret, &common);
        case RESTART_METHOD_NONE:
                break;
        }
        return -EOPNOTSUPP;
}

Service *service_free(Service *s) {
        return s ? s->method->free(s) : NULL;
}

void service_set_settings(Service *s, const ServiceSettings *settings) {
        s->settings = *settings;
}

int service_query(Service *s) {
        return s->method->query(s);
}

int service_restart(Service *s) {
        return s->method->restart(s);
}

int service_start(Service *s) {
        return s->method->start(s);
}

void service_abandon_job(Service *s) {
        s->method->abandon_job(s);
}

void service_confirm(Service *s) {
        if (s->method->confirm)
                s->method->confirm(s);
}

bool service_is_busy(const Service *s) {
        return s->method->is_busy && s->method->is_busy(s);
}
