/* SPDX-License-Identifier: Apache-2.0 */
#include "service/service.h"

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

bool service_is_busy(const Service *s) {
        return s && s->method->is_busy && s->method->is_busy(s);
}
