/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap-steps.h"

#include <limits.h>

#include "agent/container-create-body.h"
#include "base/clock.h"
#include "base/foreign-file.h"
#include "base/secret.h"

enum {
        ENVIRONMENT_SIZE_MAX = 1024 * 1024,
};

void swap_containers_done(SwapContainers *c) {
        json_object_put(c->old);
        json_object_put(c->fresh);
        json_object_put(c->named);
}

int swap_look(const Swap *x, SwapContainers *ret) {
        const SwapRecord *s = &x->record;
        _cleanup_containers_ SwapContainers c = {0};
        int r = 0;

        if (*s->old_id)
                r = container_inspect(&x->engine, s->old_id, &c.old);
        if (r >= 0)
                r = container_inspect(&x->engine, *s->new_id ? s->new_id : x->fresh_name, &c.fresh);
        if (r >= 0)
                r = container_inspect(&x->engine, s->container, &c.named);
        if (r < 0)
                return r;
        *ret = (SwapContainers){
                .old = STEAL_POINTER(c.old), .fresh = STEAL_POINTER(c.fresh), .named = STEAL_POINTER(c.named)};
        return 0;
}

/* --- the record --- */

void swap_name_leftovers(Swap *x) {
        (void) snprintf(x->fresh_name, sizeof(x->fresh_name), "%s.ecs-authd-new", x->record.container);
        (void) snprintf(x->previous_name, sizeof(x->previous_name), "%s.ecs-authd-previous", x->record.container);
}

int swap_complain_of_record(const Swap *x, int level, int error, const char *what) {
        char path[PATH_MAX];

        swap_record_path(path, sizeof(path));
        problems_add(x->problems, level, "%s: cannot be %s: %s", path, what, strerror(-error));
        return error;
}

static int save_stage(Swap *x, SwapStage stage) {
        SwapRecord next = x->record;
        int r;

        next.stage = stage;
        next.since_usec = clock_usec(CLOCK_REALTIME);
        r = swap_record_save(&next);
        if (r >= 0)
                x->record = next;
        return r;
}

/* For the steps that must not be taken without the record. */
static int note(Swap *x, SwapStage stage) {
        int r = save_stage(x, stage);

        return r < 0 ? swap_complain_of_record(x, LOG_ERR, r, "written, and no container is replaced without") : 0;
}

void swap_try_note(Swap *x, SwapStage stage) {
        int r = save_stage(x, stage);

        if (r < 0)
                (void) swap_complain_of_record(x, LOG_WARNING, r, "written");
        x->record.stage = stage;
}

int swap_forget(Swap *x) {
        int r = swap_record_remove();

        if (r < 0)
                return swap_complain_of_record(x, LOG_ERR, r, "removed");
        x->record = (SwapRecord){0};
        return 0;
}

void swap_copy_id(json_object *container, char *ret, size_t size) {
        (void) snprintf(ret, size, "%s", container ? container_id(container) : "");
}

void swap_take_policy(SwapRecord *s, json_object *container) {
        json_object *policy = json_get(container_host_config(container), "RestartPolicy", json_type_object);
        const char *name = json_get_string(policy, "Name");

        (void) snprintf(s->restart_policy, sizeof(s->restart_policy), "%s", name ? name : "no");
        s->retries = json_object_get_int(json_get(policy, "MaximumRetryCount", json_type_int));
}

bool swap_has_policy(const SwapRecord *s, json_object *container) {
        SwapRecord other = {0};

        swap_take_policy(&other, container);
        return streq(s->restart_policy, other.restart_policy) && s->retries == other.retries;
}

/* --- begin: what is left of a swap before goes --- */

/* A new one, of this container. old: what it is now. Nothing is written yet. */
static void begin_record(Swap *x, const char *container, json_object *old) {
        x->record = (SwapRecord){0};
        (void) snprintf(x->record.container, sizeof(x->record.container), "%s", container);
        swap_copy_id(old, x->record.old_id, sizeof(x->record.old_id));
        swap_take_policy(&x->record, old);
        swap_name_leftovers(x);
}

/* What is left of a swap before: one that runs, with another kept from before, has served. */
static int clear(Swap *x, const char *container) {
        _cleanup_json_ json_object *fresh = NULL, *previous = NULL;
        int r = 0;

        if (*x->record.old_id && streq(x->record.container, container))
                r = swap_remove_leftover(x);
        else if (*x->record.old_id)
                (void) swap_remove_leftover(x); /* of one that is the agent no more */
        begin_record(x, container, NULL);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &fresh);
        if (r >= 0)
                r = container_remove(&x->engine, fresh);
        if (r >= 0)
                r = container_inspect(&x->engine, x->previous_name, &previous);
        return r < 0 ? r : container_remove(&x->engine, previous);
}

int swap_begin(Swap *x, const char *container, json_object *old) {
        int r;

        if (!container_is_running(old))
                return -ESTALE;
        if (json_object_get_boolean(json_get(container_host_config(old), "AutoRemove", json_type_boolean)))
                return container_complain(
                        &x->engine, -EOPNOTSUPP, "replace", container,
                        "it was started with --rm and would be gone before the new one runs; start it without");

        r = clear(x, container);
        if (r < 0)
                return r;
        begin_record(x, container, old);
        return note(x, SWAP_CREATING);
}

int swap_begin_again(Swap *x) {
        _cleanup_json_ json_object *fresh = NULL;
        int r;

        x->record.new_id[0] = 0;
        r = note(x, x->record.stage);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &fresh);
        return r < 0 ? r : container_remove(&x->engine, fresh);
}

/* --- prepare: the new one is made, and the old one loses its restart policy --- */

static int read_file(const Swap *x, const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = -1;
        ForeignFile file;
        int r;

        r = foreign_file_open(path, &fd, &file, NULL);
        if (r >= 0)
                r = secret_read_fd(fd, ENVIRONMENT_SIZE_MAX, ret, ret_size);
        if (r < 0)
                problems_add(x->problems, LOG_ERR, "%s: cannot be read: %s; the container stays as it is", path,
                             strerror(-r));
        return r;
}

static int create(const Swap *x, json_object *old, const char *environment_file) {
        _cleanup_json_ json_object *body = NULL;
        char *environment = NULL;
        const char *image = NULL;
        size_t size = 0;
        int r;

        r = container_image(&x->engine, old, &image);
        if (r >= 0)
                r = read_file(x, environment_file, &environment, &size);
        if (r < 0)
                return r;
        r = container_body(old, environment, image, engine_is_at_least(&x->engine.engine, 1, 44), &body);
        secret_free_sized(environment, size);
        if (r < 0)
                return container_complain(&x->engine, r, "describe", x->record.container, strerror(-r));
        return container_create(&x->engine, x->fresh_name, body);
}

/* Those that it could not be created with. */
static int connect_networks(const Swap *x, json_object *old) {
        json_object *networks =
                json_get(json_get(old, "NetworkSettings", json_type_object), "Networks", json_type_object);
        int r = 0;

        if (!networks)
                return 0;
        json_object_object_foreach(networks, name, network) {
                _cleanup_json_ json_object *body = NULL;

                (void) network;
                r = container_connection(old, name, x->record.new_id, engine_is_at_least(&x->engine.engine, 1, 44),
                                         &body);
                if (r > 0)
                        r = container_connect(&x->engine, name, body, x->fresh_name);
                if (r < 0)
                        return r;
        }
        return r < 0 ? r : 0;
}

/* The new one is to have the policy that the old one had: where this is not the first time, it has lost it already. */
static int describe_policy(const SwapRecord *s, json_object *old) {
        json_object *policy = json_object_new_object(), *config = container_host_config(old);

        if (!config || !policy ||
            json_object_object_add(policy, "Name", json_object_new_string(s->restart_policy)) < 0 ||
            json_object_object_add(policy, "MaximumRetryCount", json_object_new_int(s->retries)) < 0 ||
            json_object_object_add(config, "RestartPolicy", json_object_get(policy)) < 0) {
                json_object_put(policy);
                return -ENOMEM;
        }
        json_object_put(policy);
        return 0;
}

int swap_prepare(Swap *x, json_object *old, const char *environment_file) {
        _cleanup_json_ json_object *fresh = NULL;
        int r = 0;

        if (*x->record.restart_policy)
                r = describe_policy(&x->record, old);
        if (r >= 0)
                r = create(x, old, environment_file);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &fresh);
        if (r == 0)
                r = container_complain(&x->engine, -EREMOTEIO, "find", x->fresh_name, "it is gone");
        if (r < 0)
                return r;
        (void) snprintf(x->record.new_id, sizeof(x->record.new_id), "%s", container_id(fresh));
        r = connect_networks(x, old);
        if (r >= 0)
                r = note(x, x->record.stage > SWAP_PREPARED ? x->record.stage : SWAP_PREPARED);
        /* So that an engine that starts in between does not start both. */
        return r < 0 ? r : container_set_restart_policy(&x->engine, old, "no", 0);
}

/* --- carry on: the old one is stopped, the new one gets the name and is started --- */

static int carry_on(Swap *x) {
        _cleanup_containers_ SwapContainers c = {0};
        const SwapRecord *s = &x->record;
        int r;

        r = swap_look(x, &c);
        if (r < 0)
                return r;
        if (!c.fresh)
                return container_complain(&x->engine, -EREMOTEIO, "find", x->fresh_name, "it is gone");

        if (s->stage < SWAP_STOPPING)
                r = note(x, SWAP_STOPPING);
        if (r >= 0 && c.old && container_is_running(c.old))
                r = container_stop(&x->engine, c.old);
        if (r < 0)
                return r;

        swap_try_note(x, SWAP_RENAMING);
        if (c.old && container_is_named(c.old, s->container))
                r = container_rename(&x->engine, c.old, x->previous_name);
        if (r >= 0 && !container_is_named(c.fresh, s->container))
                r = container_rename(&x->engine, c.fresh, s->container);
        if (r < 0)
                return r;

        swap_try_note(x, SWAP_STARTING);
        r = container_start(&x->engine, c.fresh);
        if (r < 0)
                return r;
        swap_try_note(x, SWAP_STARTED);
        return 0;
}

int swap_carry_on_or_undo(Swap *x) {
        int r = carry_on(x);

        if (r == -EREMOTEIO || (r < 0 && x->record.stage < SWAP_STOPPING))
                (void) swap_undo(x);
        return r;
}

/* --- undo: the old one gets it all back --- */

/* Before it was asked to stop: nothing has happened to the old one but that it has lost its restart policy. */
int swap_take_back(Swap *x) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = swap_look(x, &c);
        if (r >= 0 && c.old && *x->record.restart_policy && !swap_has_policy(&x->record, c.old))
                r = container_set_restart_policy(&x->engine, c.old, x->record.restart_policy, x->record.retries);
        if (r < 0)
                return r;

        /* The agent is well; that one remains is for the next confirmation to mend, which keeps its pace. */
        swap_try_note(x, SWAP_UNDONE);
        if (container_remove(&x->engine, c.fresh) >= 0)
                (void) swap_forget(x);
        return 0;
}

static int put_old_back(const Swap *x, json_object *old, json_object *fresh) {
        const SwapRecord *s = &x->record;
        int r = 0;

        if (fresh && container_is_running(fresh))
                r = container_stop(&x->engine, fresh);
        /* The engine goes on with a stop that it was asked for, also when who asked is gone: only one that has ended
         * can be started. */
        if (r >= 0 && container_is_running(old))
                r = container_stop(&x->engine, old);
        if (r >= 0 && fresh && container_is_named(fresh, s->container))
                r = container_rename(&x->engine, fresh, x->fresh_name);
        if (r >= 0 && !container_is_named(old, s->container))
                r = container_rename(&x->engine, old, s->container);
        if (r >= 0 && *s->restart_policy && !swap_has_policy(s, old))
                r = container_set_restart_policy(&x->engine, old, s->restart_policy, s->retries);
        return r < 0 ? r : container_start(&x->engine, old);
}

int swap_undo(Swap *x) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        if (x->record.stage < SWAP_STOPPING)
                return swap_take_back(x);

        swap_try_note(x, SWAP_UNDOING);
        r = swap_look(x, &c);
        if (r >= 0 && !c.old) {
                problems_add(x->problems, LOG_ERR,
                             "The container that was %s is gone and cannot be put back: see docker ps -a",
                             x->record.container);
                return -ENOTRECOVERABLE;
        }
        if (r >= 0)
                r = put_old_back(x, c.old, c.fresh);
        if (r < 0) {
                problems_add(x->problems, LOG_ERR, "Container %s could not be put back yet: see docker ps -a",
                             x->record.container);
                return r;
        }
        problems_add(x->problems, LOG_WARNING, "Container %s was put back as it was", x->record.container);

        swap_try_note(x, SWAP_UNDONE); /* as above */
        (void) swap_remove_leftover(x);
        return 0;
}

/* --- the end: of the two one goes --- */

int swap_remove_leftover(Swap *x) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = swap_look(x, &c);
        if (r < 0)
                return r;
        if (!c.named) {
                problems_add(x->problems, LOG_ERR, "Container %s is gone; what is kept of it stays: see docker ps -a",
                             x->record.container);
                return -ESTALE;
        }
        if (c.old && !container_is_named(c.old, x->record.container))
                r = container_remove(&x->engine, c.old);
        if (r >= 0 && c.fresh && !container_is_named(c.fresh, x->record.container))
                r = container_remove(&x->engine, c.fresh);
        return r < 0 ? r : swap_forget(x);
}
