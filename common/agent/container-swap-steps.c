/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap-steps.h"

#include <limits.h>

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

static void name_leftovers(Swap *x) {
        (void) snprintf(x->fresh_name, sizeof(x->fresh_name), "%s.ecs-authd-new", x->record.container);
        (void) snprintf(x->previous_name, sizeof(x->previous_name), "%s.ecs-authd-previous", x->record.container);
}

static int complain_of_record(const Swap *x, int level, int error, const char *what) {
        char path[PATH_MAX];

        swap_record_path(path, sizeof(path));
        problems_add(x->problems, level, "%s: cannot be %s: %s", path, what, strerror(-error));
        return error;
}

int swap_note(Swap *x, SwapStage stage) {
        SwapRecord next = x->record;
        int r;

        next.stage = stage;
        r = swap_record_save(&next);
        if (r < 0)
                return complain_of_record(x, LOG_ERR, r, "written, and no container is replaced without");
        x->record = next;
        return 0;
}

void swap_try_note(Swap *x, SwapStage stage) {
        SwapRecord next = x->record;
        int r;

        next.stage = stage;
        r = swap_record_save(&next);
        if (r < 0)
                (void) complain_of_record(x, LOG_WARNING, r, "written");
        x->record.stage = stage;
}

int swap_forget(Swap *x) {
        int r = swap_record_remove();

        if (r < 0)
                return complain_of_record(x, LOG_ERR, r, "removed");
        x->record = (SwapRecord){0};
        return 0;
}

static void copy_id(json_object *container, char *ret, size_t size) {
        (void) snprintf(ret, size, "%s", container ? container_id(container) : "");
}

static void take_policy(SwapRecord *s, json_object *container) {
        json_object *policy = json_get(container_host_config(container), "RestartPolicy", json_type_object);
        const char *name = json_get_string(policy, "Name");

        (void) snprintf(s->restart_policy, sizeof(s->restart_policy), "%s", name ? name : "no");
        s->retries = json_object_get_int(json_get(policy, "MaximumRetryCount", json_type_int));
}

static bool has_policy(const SwapRecord *s, json_object *container) {
        SwapRecord other = {0};

        take_policy(&other, container);
        return streq(s->restart_policy, other.restart_policy) && s->retries == other.retries;
}

void swap_begin(Swap *x, const char *container, json_object *old) {
        x->record = (SwapRecord){0};
        (void) snprintf(x->record.container, sizeof(x->record.container), "%s", container);
        copy_id(old, x->record.old_id, sizeof(x->record.old_id));
        take_policy(&x->record, old);
        name_leftovers(x);
}

/* How far it came, by what there is under the three names: where the record was lost, or was none. 0: all is well. */
static int guess_record(Swap *x) {
        _cleanup_json_ json_object *named = NULL, *fresh = NULL, *previous = NULL;
        SwapRecord s = {0};
        json_object *successor;
        int r;

        r = container_inspect(&x->engine, x->record.container, &named);
        if (r >= 0)
                r = container_inspect(&x->engine, x->fresh_name, &fresh);
        if (r >= 0)
                r = container_inspect(&x->engine, x->previous_name, &previous);
        if (r < 0 || (!fresh && !previous))
                return r < 0 ? r : 0;

        successor = previous && named ? named : fresh;
        memcpy(s.container, x->record.container, sizeof(s.container));
        copy_id(previous ? previous : named, s.old_id, sizeof(s.old_id));
        copy_id(successor, s.new_id, sizeof(s.new_id));
        if (successor)
                take_policy(&s, successor); /* it was made with that of the old one */
        if (previous && named)
                s.stage = container_is_running(named) ? SWAP_STARTED : SWAP_STARTING;
        else if (previous)
                s.stage = fresh ? SWAP_RENAMING : SWAP_UNDOING;
        else
                s.stage = named && !has_policy(&s, named) ? SWAP_STOPPING : SWAP_PREPARED;
        x->record = s;
        return 1;
}

int swap_find(Swap *x, const char *container) {
        bool useless;
        int r;

        r = swap_record_load(&x->record);
        useless = r == -EBADMSG;
        if (useless)
                (void) complain_of_record(x, LOG_WARNING, r, "understood, and the containers say how far it came");
        else if (r < 0)
                return complain_of_record(x, LOG_ERR, r, "read");
        if (r <= 0)
                (void) snprintf(x->record.container, sizeof(x->record.container), "%s", container);
        name_leftovers(x);
        if (r > 0)
                return 1;

        r = guess_record(x);
        return r == 0 && useless ? swap_forget(x) : r;
}

/* --- the end of a swap --- */

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

/* Before it was asked to stop: nothing has happened to the old one but that it has lost its restart policy. */
static int drop_new(Swap *x) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = swap_look(x, &c);
        if (r >= 0 && c.old && *x->record.restart_policy && !has_policy(&x->record, c.old))
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
        if (r >= 0 && *s->restart_policy && !has_policy(s, old))
                r = container_set_restart_policy(&x->engine, old, s->restart_policy, s->retries);
        return r < 0 ? r : container_start(&x->engine, old);
}

int swap_undo(Swap *x) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        if (x->record.stage < SWAP_STOPPING)
                return drop_new(x);

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
                r = swap_note(x, SWAP_STOPPING);
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
