/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/history.h"

/* Every history up to so many events on a small host, breadth first: credentials and files change, the agent and AWS go
 * and come back, tasks come and go, an operator does what he likes, jobs end in every way, ecs-authd is killed at any
 * step and has another one beside it. What is true of all of them is checked at each restart (daemon-model.h) and, once
 * nothing happens any more, at the end. A state that was reached before is not gone through again, so that the first
 * history that breaks something is a shortest one. */

/* --- how a state was reached --- */

typedef struct Origin {
        unsigned before;
        int event;
} Origin;

static Origin *origins;
static unsigned looked_at;
static int looked_at_event;

static void print_from(unsigned i) {
        if (i == 0)
                return;
        print_from(origins[i].before);
        print_message("  %s\n", event_names[origins[i].event]);
}

_Noreturn static void broken(const char *what) {
        print_message("On a host of kind \"%s\":\n", kind->name);
        print_from(looked_at);
        print_message("  %s%s\n", event_names[looked_at_event], at_the_end ? ", and then nothing but time" : "");
        print_state(checked_state);
        fail_msg("%s", what);
        abort();
}

/* The states that were reached, by what they hash to. */
typedef struct Set {
        uint64_t *places;
        unsigned size, n; /* size: a power of two */
} Set;

/* False: it is there already. */
static bool set_add(Set *set, uint64_t hash) {
        uint64_t *place = &set->places[hash & (set->size - 1)];

        for (; *place; place = place == &set->places[set->size - 1] ? set->places : place + 1)
                if (*place == hash)
                        return false;
        assert_true(++set->n < set->size / 4 * 3);
        *place = hash;
        return true;
}

enum {
        STATES_MAX = 1 << 19,
};

static State *states;
static unsigned n_states;
static uint64_t n_histories;
static Set seen, resting;

static bool is_new_rest(uint64_t hash) {
        return set_add(&resting, hash);
}

/* --- all of them --- */

static void explore(const Kind *k) {
        unsigned begin = 0, end;
        State first = begin_history(k);

        n_states = 0;
        n_histories = 0;
        seen.n = resting.n = 0;
        memset(seen.places, 0, seen.size * sizeof(uint64_t));
        memset(resting.places, 0, resting.size * sizeof(uint64_t));
        (void) set_add(&seen, hash_state(&first));
        states[n_states++] = first;

        for (unsigned depth = 0; depth < k->depth; depth++, begin = end) {
                end = n_states;
                for (unsigned i = begin; i < end; i++)
                        for (Event e = 0; e < N_EVENTS; e++) {
                                State next = states[i];

                                if (!(k->events & BIT(e)))
                                        continue;
                                looked_at = i;
                                looked_at_event = (int) e;
                                if (!apply_event(&next, e))
                                        continue;
                                n_histories++;
                                if (!set_add(&seen, hash_state(&next)))
                                        continue;
                                assert_true(n_states < STATES_MAX);
                                origins[n_states] = (Origin){.before = i, .event = (int) e};
                                states[n_states++] = next;
                                come_to_rest(next, is_new_rest);
                        }
        }
        print_message("%s: %u states within %u events, by %llu ways\n", k->name, n_states, k->depth,
                      (unsigned long long) n_histories);
}

static int set_up(void **state _unused_) {
        states = calloc(STATES_MAX, sizeof(State));
        origins = calloc(STATES_MAX, sizeof(Origin));
        seen = (Set){.places = calloc(STATES_MAX * 2, sizeof(uint64_t)), .size = STATES_MAX * 2};
        resting = (Set){.places = calloc(STATES_MAX * 4, sizeof(uint64_t)), .size = STATES_MAX * 4};
        return states && origins && seen.places && resting.places ? 0 : -1;
}

static int tear_down(void **state _unused_) {
        free(states);
        free(origins);
        free(seen.places);
        free(resting.places);
        return 0;
}

static void test_kind(void **state) {
        explore(*state);
}

int main(void) {
        struct CMUnitTest tests[ELEMENTSOF(kinds)];

        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                tests[i] = (struct CMUnitTest){
                        .name = kinds[i].name, .test_func = test_kind, .initial_state = (void *) &kinds[i]};
        return cmocka_run_group_tests_name("every history", tests, set_up, tear_down);
}
