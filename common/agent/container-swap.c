/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap.h"

#include <fcntl.h>

#include "agent/container-create-body.h"
#include "agent/container-swap-steps.h"
#include "base/secret.h"

enum {
        ENVIRONMENT_SIZE_MAX = 1024 * 1024,
};

/* The new one was started, and has been taken down since. */
static int start_again(Swap *x, const SwapContainers *c) {
        if (!c->named)
                return c->old ? swap_undo(x) : swap_forget(x);
        return container_is_running(c->named) ? 0 : swap_carry_on_or_undo(x);
}

/* 1: the old one runs, and it is not known whether it was asked to stop. One that was is down soon, and then this is
 * finished; one that was not may have tasks by now. */
static int finish(Swap *x, const char *container) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = swap_find(x, container);
        if (r <= 0 || x->record.stage == SWAP_CONFIRMED || x->record.stage == SWAP_UNDONE)
                return r < 0 ? r : 0;
        r = swap_look(x, &c);
        if (r < 0)
                return r;

        /* Somebody has made another one by hand: that is the agent now. */
        if (c.named && !container_is(c.named, x->record.old_id) &&
            !(c.fresh && container_is(c.named, container_id(c.fresh)))) {
                problems_add(x->problems, LOG_WARNING, "Somebody else has made container %s; it stays as it is",
                             x->record.container);
                swap_try_note(x, SWAP_CONFIRMED);
                (void) swap_remove_leftover(x);
                return 0;
        }

        switch (x->record.stage) {
        case SWAP_CREATING:
        case SWAP_PREPARED:
        case SWAP_UNDOING:
                return swap_undo(x);
        case SWAP_STOPPING:
                return container_is_running(c.old) ? 1 : swap_carry_on_or_undo(x);
        case SWAP_RENAMING:
        case SWAP_STARTING:
                return swap_carry_on_or_undo(x);
        case SWAP_STARTED:
                return start_again(x, &c);
        default:
                return 0;
        }
}

/* Nothing is half done any more, and it is down all the same: it has ended before it was to be stopped. */
static int start(const Swap *x, const char *container) {
        _cleanup_json_ json_object *named = NULL;
        int r;

        r = container_inspect(&x->engine, container, &named);
        return r > 0 && !container_is_running(named) ? container_start(&x->engine, named) : r;
}

static int confirm(Swap *x, const char *container) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = swap_find(x, container);
        if (r <= 0)
                return r;
        if (x->record.stage < SWAP_STOPPING)
                return swap_undo(x);
        if (x->record.stage > SWAP_STARTED)
                return swap_remove_leftover(x);

        r = swap_look(x, &c);
        if (r < 0)
                return r;
        if (!container_is_running(c.named))
                return -ESTALE;
        /* The old one, and it is not known whether it was asked to stop: see finish(). */
        if (!c.fresh || !container_is(c.named, container_id(c.fresh)))
                return 0;
        /* From here on one that is stopped is stopped by somebody else. */
        swap_try_note(x, SWAP_CONFIRMED);
        return swap_remove_leftover(x);
}

/* --- a new swap --- */

static int read_file(const Swap *x, const char *path, char **ret, size_t *ret_size) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        int r;

        r = fd < 0 ? negative_errno() : secret_read_fd(fd, ENVIRONMENT_SIZE_MAX, ret, ret_size);
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

static int prepare(Swap *x, json_object *old, const char *environment_file) {
        _cleanup_json_ json_object *fresh = NULL;
        int r;

        r = create(x, old, environment_file);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &fresh);
        if (r == 0)
                r = container_complain(&x->engine, -EREMOTEIO, "find", x->fresh_name, "it is gone");
        if (r < 0)
                return r;
        (void) snprintf(x->record.new_id, sizeof(x->record.new_id), "%s", container_id(fresh));
        /* The old one has lost it already where this is not the first time. */
        if (x->record.stage > SWAP_PREPARED && *x->record.restart_policy)
                r = container_set_restart_policy(&x->engine, fresh, x->record.restart_policy, x->record.retries);
        if (r >= 0)
                r = connect_networks(x, old);
        if (r >= 0)
                r = swap_note(x, x->record.stage > SWAP_PREPARED ? x->record.stage : SWAP_PREPARED);
        /* So that an engine that starts in between does not start both. */
        return r < 0 ? r : container_set_restart_policy(&x->engine, old, "no", 0);
}

/* What is left of a swap before: one that runs, with another kept from before, has served. */
static int clear(Swap *x, const char *container) {
        _cleanup_json_ json_object *fresh = NULL, *previous = NULL;
        int r = 0;

        if (*x->record.old_id && streq(x->record.container, container))
                r = swap_remove_leftover(x);
        else if (*x->record.old_id)
                (void) swap_remove_leftover(x); /* of one that is the agent no more */
        swap_begin(x, container, NULL);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &fresh);
        if (r >= 0)
                r = container_remove(&x->engine, fresh);
        if (r >= 0)
                r = container_inspect(&x->engine, x->previous_name, &previous);
        return r < 0 ? r : container_remove(&x->engine, previous);
}

static int begin(Swap *x, const char *container, json_object *old) {
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
        swap_begin(x, container, old);
        return swap_note(x, SWAP_CREATING);
}

/* One that was cut off where the old one is stopped: the new one may have been made from other variables. The record
 * stays, as the old one may be about to end because of it. */
static int begin_again(Swap *x) {
        _cleanup_json_ json_object *fresh = NULL;
        int r;

        r = container_inspect(&x->engine, x->fresh_name, &fresh);
        if (r >= 0)
                r = container_remove(&x->engine, fresh);
        if (r >= 0)
                x->record.new_id[0] = 0;
        return r;
}

static int replace(Swap *x, const char *container, const char *environment_file) {
        _cleanup_json_ json_object *old = NULL;
        bool cut_off;
        int r;

        r = finish(x, container);
        cut_off = r > 0;
        if (r >= 0)
                r = container_inspect(&x->engine, container, &old);
        if (r >= 0)
                r = cut_off ? begin_again(x) : begin(x, container, old);
        if (r < 0)
                return r;
        r = prepare(x, old, environment_file);
        if (r < 0) {
                (void) swap_undo(x);
                return r;
        }
        return swap_carry_on_or_undo(x);
}

static int run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal step,
               Problems *problems) {
        Swap x = {.problems = problems};
        int r;

        r = container_engine_open(settings->docker_socket, problems, &x.engine);
        if (r < 0)
                return r;

        switch (step) {
        case CONTAINER_SWAP_FINISH:
                r = finish(&x, settings->container);
                return r == 0 ? start(&x, settings->container) : r;
        case CONTAINER_SWAP_REPLACE:
                return replace(&x, settings->container, environment_file);
        case CONTAINER_SWAP_CONFIRM:
                return confirm(&x, settings->container);
        }
        return -EINVAL;
}

void container_swap_run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal step,
                        ContainerSwapReport *ret) {
        Problems problems = {0};
        int r;

        r = run(settings, environment_file, step, &problems);
        *ret = (ContainerSwapReport){.error = r < 0 ? r : 0, .problems = problems};
}

bool container_swap_is_pending(void) {
        return swap_record_is_pending();
}
