/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap-recovery.h"

/* --- what is found --- */

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
        swap_copy_id(previous ? previous : named, s.old_id, sizeof(s.old_id));
        swap_copy_id(successor, s.new_id, sizeof(s.new_id));
        if (successor)
                swap_take_policy(&s, successor); /* it was made with that of the old one */
        if (previous && named)
                s.stage = container_is_running(named) ? SWAP_STARTED : SWAP_STARTING;
        else if (previous)
                s.stage = fresh ? SWAP_RENAMING : SWAP_UNDOING;
        else
                s.stage = named && !swap_has_policy(&s, named) ? SWAP_STOPPING : SWAP_PREPARED;
        x->record = s;
        return 1;
}

/* The one that the record tells of, or, where that is lost, the containers under the names of this one. 1 there is one,
 * or what is left of one; 0 all is well. */
static int find(Swap *x, const char *container) {
        bool useless;
        int r;

        r = swap_record_load(&x->record);
        useless = r == -EBADMSG;
        if (useless)
                (void) swap_complain_of_record(x, LOG_WARNING, r, "understood, and the containers say how far it came");
        else if (r < 0)
                return swap_complain_of_record(x, LOG_ERR, r, "read");
        if (r <= 0)
                (void) snprintf(x->record.container, sizeof(x->record.container), "%s", container);
        swap_name_leftovers(x);
        if (r > 0)
                return 1;

        r = guess_record(x);
        return r == 0 && useless ? swap_forget(x) : r;
}

/* --- what becomes of it --- */

/* The new one was started, and has been taken down since. */
static int start_again(Swap *x, const SwapContainers *c) {
        if (!c->named)
                return c->old ? swap_undo(x) : swap_forget(x);
        return container_is_running(c->named) ? 0 : swap_carry_on_or_undo(x);
}

int swap_recover(Swap *x, const char *container) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = find(x, container);
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

int swap_start_agent(const Swap *x, const char *container) {
        _cleanup_json_ json_object *named = NULL;
        int r;

        r = container_inspect(&x->engine, container, &named);
        return r > 0 && !container_is_running(named) ? container_start(&x->engine, named) : r;
}

int swap_confirm(Swap *x, const char *container) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = find(x, container);
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
        /* The old one, and it is not known whether it was asked to stop: see swap_recover(). */
        if (!c.fresh || !container_is(c.named, container_id(c.fresh)))
                return 0;
        /* From here on one that is stopped is stopped by somebody else. */
        swap_try_note(x, SWAP_CONFIRMED);
        return swap_remove_leftover(x);
}
