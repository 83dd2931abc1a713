/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap-recovery.h"

#include "base/clock.h"

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

/* Somebody has made another one by hand: that is the agent now. */
static bool is_somebody_elses(const Swap *x, const SwapContainers *c) {
        return c->named && !container_is(c->named, x->record.old_id) &&
               !(c->fresh && container_is(c->named, container_id(c->fresh)));
}

/* Where it was asked to stop, it still may: the engine goes on with that. */
static bool may_be_ending(const Swap *x, json_object *old) {
        int64_t since = clock_usec(CLOCK_REALTIME) - x->record.since_usec;

        return container_is_running(old) && since >= 0 &&
               since < (int64_t) (container_stop_usec(old) + CONTAINER_REQUEST_USEC);
}

/* --- what becomes of it --- */

static int leave_to_somebody(Swap *x) {
        problems_add(x->problems, LOG_WARNING, "Somebody else has made container %s; it stays as it is",
                     x->record.container);
        swap_try_note(x, SWAP_CONFIRMED);
        return swap_remove_leftover(x);
}

static int ended(int r) {
        return r < 0 ? r : SWAP_ENDED;
}

/* The new one was started, and has been taken down since. */
static int start_again(Swap *x, const SwapContainers *c) {
        if (!c->named)
                return c->old ? ended(swap_undo(x)) : swap_forget(x);
        return container_is_running(c->named) ? 0 : ended(swap_carry_on_or_undo(x));
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
        if (is_somebody_elses(x, &c)) {
                (void) leave_to_somebody(x);
                return 0;
        }

        switch (x->record.stage) {
        case SWAP_CREATING:
        case SWAP_PREPARED:
                return swap_undo(x);
        case SWAP_STOPPING:
                if (!container_is_running(c.old))
                        return ended(swap_carry_on_or_undo(x));
                return may_be_ending(x, c.old) ? SWAP_MAY_BE_ENDING : swap_take_back(x);
        case SWAP_RENAMING:
        case SWAP_STARTING:
                return ended(swap_carry_on_or_undo(x));
        case SWAP_UNDOING:
                return ended(swap_undo(x));
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
        if (r <= 0)
                return r < 0 ? r : -ESTALE;
        return container_is_running(named) ? 0 : container_start(&x->engine, named);
}

/* The old one got it all back; what is not needed any more may be there still. */
static int remove_rest(Swap *x, int r) {
        return r < 0 || !*x->record.old_id ? r : swap_remove_leftover(x);
}

int swap_confirm(Swap *x, const char *container) {
        _cleanup_containers_ SwapContainers c = {0};
        int r;

        r = find(x, container);
        if (r <= 0)
                return r;
        if (x->record.stage < SWAP_STOPPING)
                return remove_rest(x, swap_undo(x));
        if (x->record.stage > SWAP_STARTED)
                return swap_remove_leftover(x);

        r = swap_look(x, &c);
        if (r < 0)
                return r;
        if (is_somebody_elses(x, &c))
                return leave_to_somebody(x);
        if (!container_is_running(c.named))
                return -ESTALE;
        if (!c.fresh || !container_is(c.named, container_id(c.fresh)))
                return may_be_ending(x, c.named) ? 0 : remove_rest(x, swap_take_back(x));
        /* From here on one that is stopped is stopped by somebody else. */
        swap_try_note(x, SWAP_CONFIRMED);
        return swap_remove_leftover(x);
}
