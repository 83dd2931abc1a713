/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/engine-connection.h"

#include "base/memory.h"

enum {
        PATH_SIZE = 768,
        STOP_TIMEOUT_DEFAULT_SEC = 10,
};

int engine_open(const char *socket, uint64_t timeout_usec, Problems *problems, Engine *ret) {
        _cleanup_http_ HttpResponse ping = {0};
        Engine e = {.socket = socket, .timeout_usec = timeout_usec, .problems = problems};
        int r;

        r = engine_request(&e, "GET", "/_ping", NULL, &ping);
        if (r >= 0 && ping.status != 200)
                r = -EBADMSG;
        if (r < 0) {
                if (problems)
                        problems_add(problems, LOG_ERR, "The Docker Engine at %s cannot be asked: %s", socket,
                                     strerror(-r));
                return r;
        }

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

int container_complain(const Engine *e, int error, const char *what, const char *name, const char *why) {
        if (e->problems)
                problems_add(e->problems, LOG_ERR, "The Docker Engine at %s could not %s container %s: %s", e->socket,
                             what, name, why);
        return error;
}

int engine_get(const Engine *e, const char *path, const char *name, json_object **ret) {
        _cleanup_http_ HttpResponse response = {0};
        int r;

        r = engine_request(e, "GET", path, NULL, &response);
        if (r >= 0 && response.status == 404)
                return 0;
        if (r >= 0)
                r = response.status == 200 && response.body ? json_parse_answer(response.body, ret) : -EBADMSG;
        if (r < 0)
                return container_complain(e, r, "look at", name,
                                          r == -EBADMSG ? "its answer is not Docker's" : strerror(-r));
        return 1;
}

bool engine_is_at_least(const Engine *e, unsigned major, unsigned minor) {
        char *end = NULL;
        unsigned long first = strtoul(e->api_version, &end, 10), second;

        if (*end != '.')
                return false;
        second = strtoul(end + 1, NULL, 10);
        return first > major || (first == major && second >= minor);
}

/* Succeeds if the change has been made before (304). */
static int request(const Engine *e, const char *method, const char *path, json_object *body, const char *what,
                   const char *name) {
        const char *text = body ? xjson_to_text(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
        _cleanup_http_ HttpResponse response = {0};
        _cleanup_json_ json_object *answer = NULL;
        const char *message;
        int r;

        r = engine_request(e, method, path, text, &response);
        if (r < 0)
                return container_complain(e, r, what, name, strerror(-r));
        if (response.status / 100 == 2 || response.status == 304 || (response.status == 404 && streq(method, "DELETE")))
                return 0;

        if (response.body)
                (void) json_parse_answer(response.body, &answer);
        message = json_get_string(answer, "message");
        return container_complain(e, -EREMOTEIO, what, name, message ? message : "it gave no reason");
}

int container_inspect(const Engine *e, const char *name, json_object **ret) {
        _cleanup_json_ json_object *o = NULL;
        char path[PATH_SIZE];
        int r;

        (void) snprintf(path, sizeof(path), "/containers/%s/json", name);
        r = engine_get(e, path, name, &o);
        if (r > 0 && !container_id(o))
                r = container_complain(e, -EBADMSG, "look at", name, "its answer is not Docker's");
        if (r > 0)
                *ret = STEAL_POINTER(o);
        return r;
}

static int act(const Engine *e, json_object *container, const char *method, const char *suffix, json_object *body,
               const char *what) {
        const char *id = container_id(container), *name = json_get_string(container, "Name");
        char path[PATH_SIZE];

        (void) snprintf(path, sizeof(path), "/containers/%s%s", id, suffix);
        return request(e, method, path, body, what, name && *name == '/' ? name + 1 : id);
}

int container_create(const Engine *e, const char *name, json_object *body) {
        char path[PATH_SIZE];

        (void) snprintf(path, sizeof(path), "/containers/create?name=%s", name);
        return request(e, "POST", path, body, "create", name);
}

int container_connect(const Engine *e, json_object *network, json_object *body, const char *name) {
        const char *id = json_get_string(network, "NetworkID");
        char path[PATH_SIZE];

        if (!id)
                return -EBADMSG;
        (void) snprintf(path, sizeof(path), "/networks/%s/connect", id);
        return request(e, "POST", path, body, "connect a network to", name);
}

int container_rename(const Engine *e, json_object *container, const char *name) {
        char suffix[PATH_SIZE / 2 + 64];

        (void) snprintf(suffix, sizeof(suffix), "/rename?name=%s", name);
        return act(e, container, "POST", suffix, NULL, "rename");
}

int container_start(const Engine *e, json_object *container) {
        return act(e, container, "POST", "/start", NULL, "start");
}

/* A container whose own timeout is unlimited (-1) gets CONTAINER_STOP_MAX_USEC. */
int container_stop(const Engine *e, json_object *container) {
        json_object *o = json_get(json_get(container, "Config", json_type_object), "StopTimeout", json_type_int);
        int64_t seconds = o ? json_object_get_int64(o) : STOP_TIMEOUT_DEFAULT_SEC;
        Engine patient = *e;

        if (seconds < 0 || seconds > (int64_t) (CONTAINER_STOP_MAX_USEC / USEC_PER_SEC))
                patient.timeout_usec += CONTAINER_STOP_MAX_USEC;
        else
                patient.timeout_usec += (uint64_t) seconds * USEC_PER_SEC;
        return act(&patient, container, "POST", "/stop", NULL, "stop");
}

int container_remove(const Engine *e, json_object *container) {
        return container ? act(e, container, "DELETE", "?force=1", NULL, "remove") : 0;
}

int container_set_restart_policy(const Engine *e, json_object *container, json_object *policy) {
        _cleanup_json_ json_object *body = xmemory(json_object_new_object());

        xjson_set(body, "RestartPolicy", json_object_get(policy));
        return act(e, container, "POST", "/update", body, "change the restart policy of");
}

int container_image(const Engine *e, json_object *container, const char **ret) {
        const char *name = json_get_string(json_get(container, "Config", json_type_object), "Image");
        const char *id = json_get_string(container, "Image");
        _cleanup_json_ json_object *image = NULL;
        char path[PATH_SIZE];
        const char *now;
        int r;

        if (!name || !id)
                return -EBADMSG;
        (void) snprintf(path, sizeof(path), "/images/%s/json", name);
        r = engine_get(e, path, name, &image);
        if (r < 0)
                return r;
        now = json_get_string(image, "Id");
        *ret = now && streq(now, id) ? name : id;
        return 0;
}

bool container_is_running(json_object *container) {
        return json_object_get_boolean(
                json_get(json_get(container, "State", json_type_object), "Running", json_type_boolean));
}

const char *container_id(json_object *container) {
        return json_get_string(container, "Id");
}

json_object *container_host_config(json_object *container) {
        return json_get(container, "HostConfig", json_type_object);
}
