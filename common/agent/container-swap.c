/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap.h"

#include "agent/container-create-body.h"
#include "base/clock.h"
#include "base/foreign-file.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/state-file.h"

enum {
        ENVIRONMENT_SIZE_MAX = 1024 * 1024,
};

#define LABEL "ecs-authd.replaces"

/* ecs-authd 0.3.0 and older recorded a swap in this state file and set no label. */
#define OLD_RECORD "swap"

typedef struct Swap {
        Engine engine;
        const char *name;
        char fresh_name[448], previous_name[448];
        json_object *named, *fresh, *previous; /* the containers of these names; NULL: none */
} Swap;

static void swap_done(Swap *x) {
        json_object_put(x->named);
        json_object_put(x->fresh);
        json_object_put(x->previous);
        x->named = x->fresh = x->previous = NULL;
}
#define _cleanup_swap_ _cleanup_(swap_done)

/* --- the state --- */

/* Inspects the containers of the three names, also after a change. */
static int swap_find(Swap *x) {
        int r;

        swap_done(x);
        (void) snprintf(x->fresh_name, sizeof(x->fresh_name), "%s.ecs-authd-new", x->name);
        (void) snprintf(x->previous_name, sizeof(x->previous_name), "%s.ecs-authd-previous", x->name);
        r = container_inspect(&x->engine, x->name, &x->named);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &x->fresh);
        return r < 0 ? r : container_inspect(&x->engine, x->previous_name, &x->previous);
}

static bool has_never_run(json_object *container) {
        const char *status = json_get_string(json_get(container, "State", json_type_object), "Status");

        return status && streq(status, "created");
}

static bool old_record_exists(void) {
        _cleanup_free_ char *text = NULL;

        return state_file_read(OLD_RECORD, 4096, &text) >= 0;
}

static bool replaces(json_object *container, json_object *other) {
        json_object *config = json_get(container, "Config", json_type_object);
        const char *id = json_get_string(json_get(config, "Labels", json_type_object), LABEL);

        return id ? streq(id, container_id(other)) : old_record_exists();
}

/* Returns true if the old container has given up its name, and its successor has not been started. Another container
 * that a user created under the name ends the swap. */
static bool is_under_way(const Swap *x) {
        if (!x->previous)
                return false;
        return !x->named || (!x->fresh && has_never_run(x->named) && replaces(x->named, x->previous));
}

static SwapState swap_state(const Swap *x) {
        if (is_under_way(x))
                return SWAP_HALF_DONE;
        if (!container_is_running(x->named))
                return SWAP_NONE;
        if (x->fresh)
                return SWAP_HALF_DONE;
        return x->previous ? SWAP_LEFTOVER : SWAP_NONE;
}

int container_swap_observe(const Engine *e, const char *name, json_object **ret_container, SwapState *ret_state) {
        _cleanup_swap_ Swap x = {.engine = *e, .name = name};
        json_object *agent;
        int r;

        r = swap_find(&x);
        if (r < 0)
                return r;
        agent = !x.named && container_is_running(x.previous) ? x.previous : x.named;
        *ret_state = swap_state(&x);
        *ret_container = json_object_get(agent);
        return agent ? 1 : 0;
}

/* --- the steps --- */

static json_object *policy_of(json_object *container) {
        return json_get(container_host_config(container), "RestartPolicy", json_type_object);
}

static bool restarts_never(json_object *container) {
        const char *name = json_get_string(policy_of(container), "Name");

        return !name || streq(name, "no");
}

/* Gives the old container back the restart policy that its successor was created with. */
static int restore_policy(const Swap *x, json_object *old, json_object *successor) {
        if (!restarts_never(old) || restarts_never(successor))
                return 0;
        return container_set_restart_policy(&x->engine, old, policy_of(successor));
}

static int put_back(const Swap *x, json_object *old, json_object *successor) {
        int r = 0;

        if (x->named)
                r = container_rename(&x->engine, successor, x->fresh_name);
        if (r >= 0)
                r = restore_policy(x, old, successor);
        if (r >= 0)
                r = container_start(&x->engine, old);
        /* Last, because the names say that the old container has to be started. */
        if (r >= 0)
                r = container_rename(&x->engine, old, x->name);
        if (r < 0) {
                problems_add(x->engine.problems, LOG_ERR, "Container %s could not be put back yet: see docker ps -a",
                             x->name);
                return r;
        }
        problems_add(x->engine.problems, LOG_WARNING, "Container %s was put back as it was", x->name);
        return container_remove(&x->engine, successor);
}

static int swap_undo(Swap *x) {
        int r;

        r = swap_find(x);
        if (r < 0)
                return r;
        if (is_under_way(x))
                return put_back(x, x->previous, x->named ? x->named : x->fresh);
        if (x->fresh && x->named && !x->previous)
                r = restore_policy(x, x->named, x->fresh);
        return r < 0 ? r : container_remove(&x->engine, x->fresh);
}

/* Ends the old container. Takes away its restart policy first: an engine that starts must not start both. */
static int end_old(const Swap *x) {
        _cleanup_json_ json_object *policy = xmemory(json_object_new_object());
        int r = 0;

        xjson_set_string(policy, "Name", "no");
        if (!restarts_never(x->previous))
                r = container_set_restart_policy(&x->engine, x->previous, policy);
        if (r >= 0 && container_is_running(x->previous))
                r = container_stop(&x->engine, x->previous);
        return r;
}

static int swap_continue(Swap *x) {
        json_object *successor = x->named ? x->named : x->fresh;
        int r;

        if (!is_under_way(x))
                return container_complain(&x->engine, -EBUSY, "replace", x->name, "another container has its name");
        if (!successor)
                return put_back(x, x->previous, NULL);
        r = end_old(x);
        if (r >= 0 && !x->named)
                r = container_rename(&x->engine, successor, x->name);
        if (r >= 0)
                r = container_start(&x->engine, successor);
        if (r == -EREMOTEIO)
                (void) swap_undo(x);
        return r;
}

/* --- the new container --- */

static void set_label(json_object *body, const char *old_id) {
        json_object *labels = json_get(body, "Labels", json_type_object);

        if (!labels)
                xjson_set(body, "Labels", labels = json_object_new_object());
        xjson_set_string(labels, LABEL, old_id);
}

static int create(const Swap *x, const char *environment_file) {
        _cleanup_json_ json_object *body = NULL;
        char *environment = NULL;
        const char *image = NULL;
        ForeignFile file;
        size_t size = 0;
        int r;

        r = container_image(&x->engine, x->named, &image);
        if (r < 0)
                return r;
        r = foreign_file_read(environment_file, ENVIRONMENT_SIZE_MAX, CONTAINER_REQUEST_USEC, &environment, &size,
                              &file, NULL);
        if (r < 0) {
                problems_add(x->engine.problems, LOG_ERR, "%s: cannot be read: %s; the container stays as it is",
                             environment_file, strerror(-r));
                return r;
        }
        body = container_body(x->named, environment, image, engine_is_at_least(&x->engine, 1, 44));
        secret_free_sized(environment, size);
        if (!body)
                return container_complain(&x->engine, -EBADMSG, "describe", x->name, strerror(EBADMSG));
        set_label(body, container_id(x->named));
        return container_create(&x->engine, x->fresh_name, body);
}

/* Connects the new container to the networks that it could not be created with. */
static int connect_networks(const Swap *x) {
        json_object *networks = container_networks(x->named);
        int r = 0;

        if (!networks)
                return 0;
        json_object_object_foreach(networks, name, network) {
                _cleanup_json_ json_object *body = container_connection(x->named, name, network, container_id(x->fresh),
                                                                        engine_is_at_least(&x->engine, 1, 44));

                if (body)
                        r = container_connect(&x->engine, network, body, x->fresh_name);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int swap_prepare(Swap *x, const char *environment_file) {
        int r;

        r = create(x, environment_file);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &x->fresh);
        if (r == 0)
                r = container_complain(&x->engine, -EREMOTEIO, "find", x->fresh_name, "it is gone");
        if (r >= 0)
                r = connect_networks(x);
        if (r >= 0)
                r = container_rename(&x->engine, x->named, x->previous_name);
        if (r < 0)
                (void) swap_undo(x);
        return r < 0 ? r : swap_find(x);
}

/* --- the goals --- */

static int swap_start(Swap *x) {
        if (is_under_way(x))
                return swap_continue(x);
        (void) swap_undo(x);
        if (!x->named)
                return -ESTALE;
        return container_is_running(x->named) ? 0 : container_start(&x->engine, x->named);
}

/* Removes what is left of swaps. */
static int clear(Swap *x) {
        int r;

        if (x->named && x->fresh && x->previous)
                problems_add(x->engine.problems, LOG_WARNING, "Somebody else has made container %s; it stays as it is",
                             x->name);
        r = swap_undo(x);
        if (r >= 0)
                r = swap_find(x);
        if (r >= 0 && !container_is_running(x->named))
                return -ESTALE;
        if (r >= 0)
                r = container_remove(&x->engine, x->previous);
        return r < 0 ? r : state_file_remove(OLD_RECORD);
}

static int swap_replace(Swap *x, const char *environment_file) {
        int r;

        if (is_under_way(x) && !container_is_running(x->previous)) {
                r = swap_continue(x);
                return r < 0 ? r
                             : container_complain(&x->engine, -EALREADY, "replace", x->name,
                                                  "one that was cut off before was brought to its end first");
        }
        r = clear(x);
        if (r >= 0)
                r = swap_find(x);
        if (r < 0)
                return r;
        if (json_object_get_boolean(json_get(container_host_config(x->named), "AutoRemove", json_type_boolean)))
                return container_complain(
                        &x->engine, -EOPNOTSUPP, "replace", x->name,
                        "it was started with --rm and would be gone before the new one runs; start it without");

        r = swap_prepare(x, environment_file);
        return r < 0 ? r : swap_continue(x);
}

/* Returns true while the engine may still stop the old container because the swap requested it before it was cut off.
 * The new container was created before that request, by a child that had CONTAINER_SWAP_TIMEOUT_USEC. */
static bool may_be_ending(const Swap *x) {
        const char *created = json_get_string(x->fresh, "Created");
        struct tm tm = {0};
        int64_t age;

        if (!created || !strptime(created, "%Y-%m-%dT%H:%M:%S", &tm))
                return false;
        age = clock_usec(CLOCK_REALTIME) - (int64_t) timegm(&tm) * (int64_t) USEC_PER_SEC;
        return age >= 0 && age < (int64_t) CONTAINER_SWAP_TIMEOUT_USEC;
}

static int swap_confirm(Swap *x) {
        if (is_under_way(x) && !container_is_running(x->previous))
                return -ESTALE;
        if (is_under_way(x) && may_be_ending(x))
                return -EAGAIN;
        return clear(x);
}

static int run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal goal,
               Problems *problems) {
        _cleanup_swap_ Swap x = {.name = settings->container};
        int r;

        r = engine_open(settings->docker_socket, CONTAINER_REQUEST_USEC, problems, &x.engine);
        if (r >= 0)
                r = swap_find(&x);
        if (r < 0)
                return r;
        if (goal == CONTAINER_SWAP_START)
                return swap_start(&x);
        return goal == CONTAINER_SWAP_REPLACE ? swap_replace(&x, environment_file) : swap_confirm(&x);
}

void container_swap_run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal goal,
                        ContainerSwapReport *ret) {
        *ret = (ContainerSwapReport){0};
        ret->error = run(settings, environment_file, goal, &ret->problems);
}
