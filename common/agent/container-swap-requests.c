/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap-requests.h"

enum {
        PATH_SIZE = 768,
        STOP_TIMEOUT_DEFAULT_SEC = 10,
};

int container_engine_open(const char *socket, Problems *problems, ContainerEngine *ret) {
        ContainerEngine e = {.problems = problems};
        int r;

        r = engine_open(socket, CONTAINER_REQUEST_USEC, &e.engine);
        if (r < 0) {
                problems_add(problems, LOG_ERR, "The Docker Engine at %s cannot be asked: %s", socket, strerror(-r));
                return r;
        }
        *ret = e;
        return 0;
}

int container_complain(const ContainerEngine *e, int error, const char *what, const char *name, const char *why) {
        problems_add(e->problems, LOG_ERR, "The Docker Engine at %s could not %s container %s: %s", e->engine.socket,
                     what, name, why);
        return error;
}

static int set(json_object *o, const char *key, json_object *value) {
        if (value && json_object_object_add(o, key, value) >= 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

/* Done, or done already (304). */
static int request(const ContainerEngine *e, const char *method, const char *path, json_object *body, const char *what,
                   const char *name) {
        _cleanup_http_ HttpResponse response = {0};
        _cleanup_json_ json_object *answer = NULL;
        const char *text = NULL, *message;
        int r;

        if (body) {
                text = json_to_text(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
                if (!text)
                        return container_complain(e, -ENOMEM, what, name, strerror(ENOMEM));
        }
        r = engine_request(&e->engine, method, path, text, &response);
        if (r < 0)
                return container_complain(e, r, what, name, strerror(-r));
        if (response.status / 100 == 2 || response.status == 304 || (response.status == 404 && streq(method, "DELETE")))
                return 0;

        if (response.body)
                (void) json_parse_answer(response.body, &answer);
        message = json_get_string(answer, "message");
        return container_complain(e, -EREMOTEIO, what, name, message ? message : "it gave no reason");
}

/* 1 found, 0 not there. */
static int get_object(const ContainerEngine *e, const char *path, const char *name, json_object **ret) {
        _cleanup_http_ HttpResponse response = {0};
        json_object *o = NULL;
        int r;

        r = engine_request(&e->engine, "GET", path, NULL, &response);
        if (r < 0)
                return container_complain(e, r, "look at", name, strerror(-r));
        if (response.status == 404)
                return 0;
        r = response.status == 200 && response.body ? json_parse_answer(response.body, &o) : -EBADMSG;
        if (r == -ENOMEM)
                return container_complain(e, r, "look at", name, strerror(-r));
        if (r < 0 || !o)
                return container_complain(e, -EBADMSG, "look at", name, "its answer is not Docker's");
        *ret = o;
        return 1;
}

int container_inspect(const ContainerEngine *e, const char *name, json_object **ret) {
        _cleanup_json_ json_object *o = NULL;
        char path[PATH_SIZE];
        int r;

        (void) snprintf(path, sizeof(path), "/containers/%s/json", name);
        r = get_object(e, path, name, &o);
        if (r <= 0)
                return r;
        if (!json_get_string(o, "Id"))
                return container_complain(e, -EBADMSG, "look at", name, "its answer is not Docker's");
        *ret = json_object_get(o);
        return 1;
}

static int act(const ContainerEngine *e, json_object *container, const char *method, const char *suffix,
               json_object *body, const char *what) {
        const char *id = container_id(container), *name = json_get_string(container, "Name");
        char path[PATH_SIZE];

        (void) snprintf(path, sizeof(path), "/containers/%s%s", id, suffix);
        return request(e, method, path, body, what, name && *name == '/' ? name + 1 : id);
}

int container_create(const ContainerEngine *e, const char *name, json_object *body) {
        char path[PATH_SIZE];

        (void) snprintf(path, sizeof(path), "/containers/create?name=%s", name);
        return request(e, "POST", path, body, "create", name);
}

int container_connect(const ContainerEngine *e, const char *network, json_object *body, const char *name) {
        char path[PATH_SIZE];

        (void) snprintf(path, sizeof(path), "/networks/%s/connect", network);
        return request(e, "POST", path, body, "connect a network to", name);
}

int container_rename(const ContainerEngine *e, json_object *container, const char *name) {
        char suffix[PATH_SIZE / 2 + 64];

        (void) snprintf(suffix, sizeof(suffix), "/rename?name=%s", name);
        return act(e, container, "POST", suffix, NULL, "rename");
}

int container_start(const ContainerEngine *e, json_object *container) {
        return act(e, container, "POST", "/start", NULL, "start");
}

uint64_t container_stop_usec(json_object *container) {
        json_object *o = json_get(json_get(container, "Config", json_type_object), "StopTimeout", json_type_int);
        int64_t seconds = o ? json_object_get_int64(o) : STOP_TIMEOUT_DEFAULT_SEC;

        if (seconds < 0 || seconds > (int64_t) (CONTAINER_STOP_MAX_USEC / USEC_PER_SEC))
                return CONTAINER_STOP_MAX_USEC;
        return (uint64_t) seconds * USEC_PER_SEC;
}

int container_stop(const ContainerEngine *e, json_object *container) {
        ContainerEngine patient = *e;

        patient.engine.timeout_usec += container_stop_usec(container);
        return act(&patient, container, "POST", "/stop", NULL, "stop");
}

int container_remove(const ContainerEngine *e, json_object *container) {
        return container ? act(e, container, "DELETE", "?force=1", NULL, "remove") : 0;
}

int container_set_restart_policy(const ContainerEngine *e, json_object *container, const char *policy, int retries) {
        _cleanup_json_ json_object *body = json_object_new_object(), *o = json_object_new_object();
        int r = body && o ? 0 : -ENOMEM;

        if (r >= 0)
                r = set(o, "Name", json_object_new_string(policy));
        if (r >= 0)
                r = set(o, "MaximumRetryCount", json_object_new_int(retries));
        if (r >= 0)
                r = set(body, "RestartPolicy", json_object_get(o));
        return r < 0 ? r : act(e, container, "POST", "/update", body, "change the restart policy of");
}

int container_image(const ContainerEngine *e, json_object *container, const char **ret) {
        const char *name = json_get_string(json_get(container, "Config", json_type_object), "Image");
        const char *id = json_get_string(container, "Image");
        _cleanup_json_ json_object *image = NULL;
        char path[PATH_SIZE];
        const char *now;
        int r;

        if (!name || !id)
                return -EBADMSG;
        (void) snprintf(path, sizeof(path), "/images/%s/json", name);
        r = get_object(e, path, name, &image);
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

bool container_is_named(json_object *container, const char *name) {
        const char *s = json_get_string(container, "Name");

        return s && *s == '/' && streq(s + 1, name);
}

const char *container_id(json_object *container) {
        return json_get_string(container, "Id");
}

bool container_is(json_object *container, const char *id) {
        const char *own = container_id(container);

        return own && streq(own, id);
}

json_object *container_host_config(json_object *container) {
        return json_get(container, "HostConfig", json_type_object);
}
