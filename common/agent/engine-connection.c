/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine-connection.h"

int engine_open(const char *socket, uint64_t timeout_usec, Engine *ret) {
        _cleanup_http_ HttpResponse ping = {0};
        Engine e = {.socket = socket, .timeout_usec = timeout_usec};
        int r;

        r = engine_request(&e, "GET", "/_ping", NULL, &ping);
        if (r < 0)
                return r;
        if (ping.status != 200)
                return -EBADMSG;

        memcpy(e.api_version, ping.api_version, sizeof(e.api_version));
        *ret = e;
        return 0;
}

int engine_request(const Engine *e, const char *method, const char *path, const char *body, HttpResponse *ret) {
        char url[1024];
        const HttpRequest request = {
                .socket = e->socket, .method = method, .url = url, .body = body, .timeout_usec = e->timeout_usec};

        /* A path that is cut off would be another one. */
        if ((size_t) snprintf(url, sizeof(url), "http://docker%s%s%s", *e->api_version ? "/v" : "", e->api_version,
                              path) >= sizeof(url))
                return -ENAMETOOLONG;
        return http_request(&request, ret);
}

bool engine_is_at_least(const Engine *e, unsigned major, unsigned minor) {
        char *end = NULL;
        unsigned long first = strtoul(e->api_version, &end, 10), second;

        if (*end != '.')
                return false;
        second = strtoul(end + 1, NULL, 10);
        return first > major || (first == major && second >= minor);
}
