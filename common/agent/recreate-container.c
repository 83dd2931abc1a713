/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recreate-container.h"

#include <fcntl.h>

#include "agent/docker-engine.h"
#include "base/secret.h"
#include "ecsconfig/auth-data.h"

/* Beyond the time that a container may take to stop. */
#define REQUEST_TIMEOUT_USEC (30 * USEC_PER_SEC)
#define STOP_TIMEOUT_DEFAULT_SEC 10

enum {
        NAME_MAX_SIZE = 384,
        SHORT_ID = 12,
        ENVIRONMENT_SIZE_MAX = 1024 * 1024,
};

typedef struct Recreation {
        const char *container;
        const char *environment_file;
        Engine engine;
        Problems *problems;
        char fresh[NAME_MAX_SIZE];    /* the new one, before it gets its name */
        char previous[NAME_MAX_SIZE]; /* the one of before, after it has lost it */
} Recreation;

/* --- the body of the new one --- */

static int set(json_object *o, const char *key, json_object *value) {
        return !value || json_object_object_add(o, key, value) < 0 ? -ENOMEM : 0;
}

static int copy(json_object *o, json_object **ret) {
        return json_object_deep_copy(o, ret, NULL) < 0 ? -ENOMEM : 0;
}

static bool sets(const char *variable, const char *key, size_t length) {
        return variable && strncmp(variable, key, length) == 0 && variable[length] == '=';
}

static int set_variable(json_object *env, const char *line, size_t length, size_t key_length) {
        json_object *value = json_object_new_string_len(line, (int) length);
        size_t n = json_object_array_length(env), i = 0;

        if (!value)
                return -ENOMEM;
        while (i < n && !sets(json_object_get_string(json_object_array_get_idx(env, i)), line, key_length))
                i++;
        return json_object_array_put_idx(env, i, value) < 0 ? -ENOMEM : 0;
}

static void remove_variable(json_object *env, const char *key) {
        for (size_t i = json_object_array_length(env); i-- > 0;)
                if (sets(json_object_get_string(json_object_array_get_idx(env, i)), key, strlen(key)))
                        (void) json_object_array_del_idx(env, i, 1);
}

/* As docker run --env-file (docker/cli, opts/file.go): comments, blanks before a line; no quotes, no escapes. */
static int read_environment(json_object *env, const char *text) {
        int r;

        remove_variable(env, AUTHDATA_TYPE_KEY);
        remove_variable(env, AUTHDATA_DATA_KEY);

        while (*text) {
                size_t length = strcspn(text, "\n"), key_length;
                const char *line = text + strspn(text, " \t\r\v\f"), *end = text + length;

                text = end + (*end ? 1 : 0);
                if (line >= end || *line == '#')
                        continue;
                if (end[-1] == '\r')
                        end--;
                key_length = strcspn(line, "=\n");
                if (line[key_length] != '=' || key_length == 0)
                        continue;
                r = set_variable(env, line, (size_t) (end - line), key_length);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_bound(json_object *binds, const char *destination) {
        size_t n = binds ? json_object_array_length(binds) : 0;

        for (size_t i = 0; i < n; i++) {
                const char *bind = json_object_get_string(json_object_array_get_idx(binds, i));
                const char *target = bind ? strchr(bind, ':') : NULL;
                size_t length = strlen(destination);

                if (target && strncmp(target + 1, destination, length) == 0 &&
                    (!target[length + 1] || target[length + 1] == ':'))
                        return true;
        }
        return false;
}

static json_object *find_mount(json_object *mounts, const char *target) {
        size_t n = mounts ? json_object_array_length(mounts) : 0;

        for (size_t i = 0; i < n; i++) {
                json_object *mount = json_object_array_get_idx(mounts, i);
                const char *t = json_get_string(mount, "Target");

                if (t && streq(t, target))
                        return mount;
        }
        return NULL;
}

static int bind_volume(json_object *host, const char *name, const char *destination, bool writable) {
        json_object *binds = json_get(host, "Binds", json_type_array);
        _cleanup_free_ char *bind = NULL;

        if (!binds && (!(binds = json_object_new_array()) || set(host, "Binds", binds) < 0))
                return -ENOMEM;
        if (asprintf(&bind, "%s:%s%s", name, destination, writable ? "" : ":ro") < 0)
                return -ENOMEM;
        return json_object_array_add(binds, json_object_new_string(bind)) < 0 ? -ENOMEM : 0;
}

/* A volume without a name would be another one for a new container: it goes along by the name that Docker gave it. */
static int keep_volumes(json_object *container, json_object *host) {
        json_object *mounts = json_get(container, "Mounts", json_type_array);
        size_t n = mounts ? json_object_array_length(mounts) : 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                json_object *mount = json_object_array_get_idx(mounts, i), *asked;
                const char *type = json_get_string(mount, "Type"), *name = json_get_string(mount, "Name");
                const char *destination = json_get_string(mount, "Destination");

                if (!type || !name || !destination || !streq(type, "volume") ||
                    is_bound(json_get(host, "Binds", json_type_array), destination))
                        continue;
                asked = find_mount(json_get(host, "Mounts", json_type_array), destination);
                if (!asked)
                        r = bind_volume(host, name, destination,
                                        json_object_get_boolean(json_get(mount, "RW", json_type_boolean)));
                else if (!json_get_string(asked, "Source"))
                        r = set(asked, "Source", json_object_new_string(name));
        }
        return r;
}

/* What somebody asked for, and nothing of what Docker made of it. */
static int endpoint(json_object *network, const char *short_id, json_object **ret) {
        static const char *const settings[] = {"IPAMConfig", "Links", "DriverOpts"};
        _cleanup_json_ json_object *result = json_object_new_object(), *aliases = json_object_new_array();
        json_object *had = json_get(network, "Aliases", json_type_array);
        size_t n = had ? json_object_array_length(had) : 0;

        if (!result || !aliases)
                return -ENOMEM;
        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                json_object *value = NULL;

                if (json_object_object_get_ex(network, settings[i], &value) && value &&
                    set(result, settings[i], json_object_get(value)) < 0)
                        return -ENOMEM;
        }
        for (size_t i = 0; i < n; i++) {
                json_object *alias = json_object_array_get_idx(had, i);
                const char *s = json_object_get_string(alias);

                if (s && !streq(s, short_id) && json_object_array_add(aliases, json_object_get(alias)) < 0)
                        return -ENOMEM;
        }
        if (set(result, "Aliases", json_object_get(aliases)) < 0)
                return -ENOMEM;
        *ret = json_object_get(result);
        return 0;
}

/* Networks of Docker's own need no settings, and take none. */
static bool has_settings(const char *network) {
        return !streq(network, "host") && !streq(network, "none") && !streq(network, "bridge") &&
               !streq(network, "default") && !startswith(network, "container:");
}

static int keep_network(json_object *container, const char *mode, const char *short_id, json_object *body) {
        json_object *networks =
                json_get(json_get(container, "NetworkSettings", json_type_object), "Networks", json_type_object);
        json_object *network = mode && has_settings(mode) ? json_get(networks, mode, json_type_object) : NULL;
        json_object *config, *endpoints, *one;
        int r;

        if (!network)
                return 0;
        r = endpoint(network, short_id, &one);
        if (r < 0)
                return r;
        endpoints = json_object_new_object();
        config = json_object_new_object();
        if (!endpoints || !config)
                return -ENOMEM;
        r = set(endpoints, mode, one);
        if (r >= 0)
                r = set(config, "EndpointsConfig", endpoints);
        return r < 0 ? r : set(body, "NetworkingConfig", config);
}

static void get_short_id(json_object *container, char *ret) {
        (void) snprintf(ret, SHORT_ID + 1, "%s", json_get_string(container, "Id"));
}

int recreate_body(json_object *container, const char *environment, const char *image, json_object **ret) {
        _cleanup_json_ json_object *body = NULL, *host = NULL;
        char short_id[SHORT_ID + 1];
        json_object *env;
        const char *hostname;
        int r;

        if (!json_get(container, "Config", json_type_object) || !json_get(container, "HostConfig", json_type_object) ||
            !json_get_string(container, "Id"))
                return -EBADMSG;
        get_short_id(container, short_id);

        if (copy(json_get(container, "Config", json_type_object), &body) < 0 ||
            copy(json_get(container, "HostConfig", json_type_object), &host) < 0)
                return -ENOMEM;

        /* A name that Docker made from the id of the old one; a new one gets its own. */
        hostname = json_get_string(body, "Hostname");
        if (hostname && streq(hostname, short_id))
                json_object_object_del(body, "Hostname");

        env = json_get(body, "Env", json_type_array);
        if (!env && (!(env = json_object_new_array()) || set(body, "Env", env) < 0))
                return -ENOMEM;
        r = read_environment(env, environment);
        if (r >= 0)
                r = set(body, "Image", json_object_new_string(image));
        if (r >= 0)
                r = keep_volumes(container, host);
        if (r >= 0)
                r = keep_network(container, json_get_string(host, "NetworkMode"), short_id, body);
        if (r >= 0)
                r = set(body, "HostConfig", json_object_get(host));
        if (r < 0)
                return r;

        *ret = json_object_get(body);
        return 0;
}

/* --- requests --- */

static int complain(const Recreation *x, int error, const char *what, const char *name, const char *why) {
        problems_add(x->problems, LOG_ERR, "The Docker Engine at %s could not %s container %s: %s", x->engine.socket,
                     what, name, why);
        return error;
}

/* Done, or done already (304). */
static int request(const Recreation *x, const char *method, const char *path, json_object *body, const char *what,
                   const char *name) {
        _cleanup_http_ HttpResponse response = {0};
        _cleanup_json_ json_object *answer = NULL;
        const char *text =
                body ? json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
                     : NULL;
        const char *message;
        int r;

        r = engine_request(&x->engine, method, path, text, &response);
        if (r < 0)
                return complain(x, r, what, name, strerror(-r));
        if (response.status / 100 == 2 || response.status == 304)
                return 0;

        answer = response.body ? json_tokener_parse(response.body) : NULL;
        message = json_get_string(answer, "message");
        return complain(x, response.status == 404 ? -ENOENT : -EREMOTEIO, what, name,
                        message ? message : "it gave no reason");
}

/* 1 found, 0 not there. */
static int get_object(const Recreation *x, const char *path, const char *name, json_object **ret) {
        _cleanup_http_ HttpResponse response = {0};
        json_object *o;
        int r;

        r = engine_request(&x->engine, "GET", path, NULL, &response);
        if (r < 0)
                return complain(x, r, "look at", name, strerror(-r));
        if (response.status == 404)
                return 0;
        o = response.status == 200 && response.body ? json_tokener_parse(response.body) : NULL;
        if (!o)
                return complain(x, -EBADMSG, "look at", name, "its answer is not Docker's");
        *ret = o;
        return 1;
}

static int inspect(const Recreation *x, const char *name, json_object **ret) {
        char path[NAME_MAX_SIZE + 32];

        (void) snprintf(path, sizeof(path), "/containers/%s/json", name);
        return get_object(x, path, name, ret);
}

/* By id: names change on the way. */
static int act(const Recreation *x, json_object *container, const char *method, const char *suffix, json_object *body,
               const char *what) {
        const char *id = json_get_string(container, "Id"), *name = json_get_string(container, "Name");
        char path[NAME_MAX_SIZE + 256];

        if (!id)
                return -EBADMSG;
        (void) snprintf(path, sizeof(path), "/containers/%s%s", id, suffix);
        return request(x, method, path, body, what, name && *name == '/' ? name + 1 : id);
}

static int rename_container(const Recreation *x, json_object *container, const char *name) {
        char suffix[NAME_MAX_SIZE + 32];

        (void) snprintf(suffix, sizeof(suffix), "/rename?name=%s", name);
        return act(x, container, "POST", suffix, NULL, "rename");
}

static int start_container(const Recreation *x, json_object *container) {
        return act(x, container, "POST", "/start", NULL, "start");
}

/* The time that the container itself says, in which the agent saves its state. */
static int stop_container(const Recreation *x, json_object *container) {
        json_object *timeout = json_get(json_get(container, "Config", json_type_object), "StopTimeout", json_type_int);
        Recreation patient = *x;

        patient.engine.timeout_usec +=
                (uint64_t) (timeout ? json_object_get_int(timeout) : STOP_TIMEOUT_DEFAULT_SEC) * USEC_PER_SEC;
        return act(&patient, container, "POST", "/stop", NULL, "stop");
}

/* Volumes stay. */
static int remove_container(const Recreation *x, json_object *container) {
        return act(x, container, "DELETE", "?force=1", NULL, "remove");
}

static int set_restart_policy(const Recreation *x, json_object *container, json_object *policy) {
        _cleanup_json_ json_object *body = json_object_new_object();

        if (!body || set(body, "RestartPolicy", policy ? json_object_get(policy) : NULL) < 0)
                return -ENOMEM;
        return act(x, container, "POST", "/update", body, "change the restart policy of");
}

/* So that an engine that starts in between does not start both. */
static int forbid_restarts(const Recreation *x, json_object *container) {
        _cleanup_json_ json_object *policy = json_tokener_parse("{\"Name\":\"no\"}");

        return set_restart_policy(x, container, policy);
}

/* --- the steps --- */

static bool is_running(json_object *container) {
        return json_object_get_boolean(
                json_get(json_get(container, "State", json_type_object), "Running", json_type_boolean));
}

static json_object *host_config(json_object *container) {
        return json_get(container, "HostConfig", json_type_object);
}

/* What there is. */
typedef struct Containers {
        json_object *named, *fresh, *previous;
} Containers;

static void containers_done(Containers *c) {
        json_object_put(c->named);
        json_object_put(c->fresh);
        json_object_put(c->previous);
}

static int look(const Recreation *x, Containers *ret) {
        int r;

        r = inspect(x, x->container, &ret->named);
        if (r >= 0)
                r = inspect(x, x->fresh, &ret->fresh);
        if (r >= 0)
                r = inspect(x, x->previous, &ret->previous);
        return r;
}

/* However far it came: the one of before runs again under its name, with its own restart policy, which the new one was
 * given. */
static int put_back(const Recreation *x) {
        _cleanup_(containers_done) Containers c = {0};
        json_object *old, *successor, *policy;
        int r;

        r = look(x, &c);
        if (r < 0)
                return r;
        old = c.previous ? c.previous : c.named;
        successor = c.previous && c.named ? c.named : c.fresh;
        if (!old)
                return -ENOENT;

        /* The engine goes on with a stop that it was asked for, also when who asked is gone: only one that has ended
         * can be started. */
        r = c.fresh && is_running(old) ? stop_container(x, old) : 0;
        policy = json_get(host_config(successor), "RestartPolicy", json_type_object);
        if (r >= 0 && policy)
                r = set_restart_policy(x, old, policy);
        if (r >= 0 && c.previous && c.named)
                r = remove_container(x, c.named);
        if (r >= 0 && c.fresh)
                r = remove_container(x, c.fresh);
        if (r >= 0 && c.previous)
                r = rename_container(x, old, x->container);
        return r < 0 ? r : start_container(x, old);
}

/* While the new one runs, it is for the loop to say whether it is well. */
static int heal(const Recreation *x) {
        _cleanup_(containers_done) Containers c = {0};
        int r;

        r = look(x, &c);
        if (r < 0)
                return r;
        if (c.fresh || (c.previous && (!c.named || !is_running(c.named))))
                return put_back(x);
        return 0;
}

static int confirm(const Recreation *x) {
        _cleanup_(containers_done) Containers c = {0};
        int r;

        r = look(x, &c);
        return r >= 0 && c.previous && c.named ? remove_container(x, c.previous) : r;
}

/* A tag that has moved since must not change the agent's image. */
static int choose_image(const Recreation *x, json_object *container, const char **ret) {
        const char *name = json_get_string(json_get(container, "Config", json_type_object), "Image");
        const char *id = json_get_string(container, "Image");
        _cleanup_json_ json_object *image = NULL;
        char path[NAME_MAX_SIZE + 32];
        const char *now;
        int r;

        if (!name || !id)
                return -EBADMSG;
        (void) snprintf(path, sizeof(path), "/images/%s/json", name);
        r = get_object(x, path, name, &image);
        if (r < 0)
                return r;
        now = json_get_string(image, "Id");
        *ret = now && streq(now, id) ? name : id;
        return 0;
}

static int read_file(const Recreation *x, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = open(x->environment_file, O_RDONLY | O_CLOEXEC);
        int r;

        r = fd < 0 ? negative_errno() : secret_read_fd(fd, ENVIRONMENT_SIZE_MAX, ret, ret_size);
        if (r < 0)
                problems_add(x->problems, LOG_ERR, "%s: cannot be read: %s; the container stays as it is",
                             x->environment_file, strerror(-r));
        return r;
}

static int create(const Recreation *x, json_object *old) {
        _cleanup_json_ json_object *body = NULL;
        char *environment = NULL;
        const char *image = NULL;
        char path[NAME_MAX_SIZE + 64];
        size_t size = 0;
        int r;

        r = choose_image(x, old, &image);
        if (r >= 0)
                r = read_file(x, &environment, &size);
        if (r < 0)
                return r;
        r = recreate_body(old, environment, image, &body);
        secret_free_sized(environment, size);
        if (r < 0)
                return complain(x, r, "describe", x->container, strerror(-r));

        (void) snprintf(path, sizeof(path), "/containers/create?name=%s", x->fresh);
        return request(x, "POST", path, body, "create", x->fresh);
}

/* Before API 1.44 a container can be created with one network only. */
static int connect_networks(const Recreation *x, json_object *old, json_object *fresh) {
        json_object *networks =
                json_get(json_get(old, "NetworkSettings", json_type_object), "Networks", json_type_object);
        const char *mode = json_get_string(host_config(old), "NetworkMode");
        char short_id[SHORT_ID + 1], path[NAME_MAX_SIZE + 64];

        get_short_id(old, short_id);
        if (!networks)
                return 0;
        json_object_object_foreach(networks, name, network) {
                _cleanup_json_ json_object *body = json_object_new_object();
                json_object *one = NULL;
                int r;

                if (!has_settings(name) || (mode && streq(name, mode)))
                        continue;
                r = body ? endpoint(network, short_id, &one) : -ENOMEM;
                if (r >= 0)
                        r = set(body, "EndpointConfig", one);
                if (r >= 0)
                        r = set(body, "Container", json_object_new_string(json_get_string(fresh, "Id")));
                if (r < 0)
                        return r;
                (void) snprintf(path, sizeof(path), "/networks/%s/connect", name);
                r = request(x, "POST", path, body, "connect a network to", x->fresh);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int swap(const Recreation *x, json_object *old) {
        _cleanup_json_ json_object *fresh = NULL;
        int r;

        r = create(x, old);
        if (r >= 0)
                r = inspect(x, x->fresh, &fresh);
        if (r == 0)
                r = -ENOENT;
        if (r >= 0)
                r = connect_networks(x, old, fresh);
        if (r >= 0)
                r = forbid_restarts(x, old);
        if (r >= 0)
                r = stop_container(x, old);
        if (r >= 0)
                r = rename_container(x, old, x->previous);
        if (r >= 0)
                r = rename_container(x, fresh, x->container);
        return r < 0 ? r : start_container(x, fresh);
}

static int replace(const Recreation *x) {
        _cleanup_json_ json_object *old = NULL, *kept = NULL;
        int r, undone;

        r = heal(x);
        if (r >= 0)
                r = inspect(x, x->container, &old);
        if (r < 0)
                return r;
        if (!old || !is_running(old))
                return -ESTALE;
        if (json_object_get_boolean(json_get(host_config(old), "AutoRemove", json_type_boolean)))
                return complain(
                        x, -EOPNOTSUPP, "replace", x->container,
                        "it was started with --rm and would be gone before the new one is verified; start it without");

        /* One that runs, with another kept from before: that one has served. */
        r = inspect(x, x->previous, &kept);
        if (r > 0)
                r = remove_container(x, kept);
        if (r >= 0)
                r = swap(x, old);
        if (r >= 0)
                return 0;

        undone = put_back(x);
        problems_add(x->problems, undone < 0 ? LOG_ERR : LOG_WARNING, "Container %s %s", x->container,
                     undone < 0 ? "could not be put back: see docker ps -a" : "was put back as it was");
        return r;
}

static int run(const AgentSettings *settings, const char *environment_file, RecreateStep step, Problems *problems) {
        Recreation x = {.container = settings->container, .environment_file = environment_file, .problems = problems};
        int r;

        (void) snprintf(x.fresh, sizeof(x.fresh), "%s.ecs-authd-new", settings->container);
        (void) snprintf(x.previous, sizeof(x.previous), "%s.ecs-authd-previous", settings->container);
        r = engine_open(settings->docker_socket, REQUEST_TIMEOUT_USEC, &x.engine);
        if (r < 0) {
                problems_add(problems, LOG_ERR, "The Docker Engine at %s cannot be asked: %s", settings->docker_socket,
                             strerror(-r));
                return r;
        }

        switch (step) {
        case RECREATE_HEAL:
                return heal(&x);
        case RECREATE_REPLACE:
                return replace(&x);
        case RECREATE_CONFIRM:
                return confirm(&x);
        case RECREATE_PUT_BACK:
                return put_back(&x);
        }
        return -EINVAL;
}

void recreate_run(const AgentSettings *settings, const char *environment_file, RecreateStep step, RecreateReport *ret) {
        Problems problems = {0};
        int r;

        r = run(settings, environment_file, step, &problems);
        *ret = (RecreateReport){.error = r < 0 ? r : 0, .problems = problems};
}
