/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/history.h"

#include <setjmp.h>

#include "base/clock.h"

/* Walks at random through the histories that test-every-history.c plays up to a few events: long ones. A walk that
 * breaks something is shrunk to a short one and printed. make walk runs it: WALK_STEPS= (per kind of host),
 * WALK_SEED=. */

enum {
        WALK_MAX = 1000,
        REST_EVERY = 16, /* events between two checks of how the history would end */
        REPORTS_MAX = 8, /* per kind */
};

typedef struct Walk {
        unsigned n;
        uint8_t events[WALK_MAX];
        const char *broken; /* NULL: nothing */
        bool at_the_end;    /* the check of the end has found it */
} Walk;

static jmp_buf on_broken;
static const char *broken_what;
static State broken_state;
static uint64_t random_state;

_Noreturn static void broken(const char *what) {
        broken_what = what;
        if (checked_state)
                broken_state = *checked_state;
        longjmp(on_broken, 1);
}

/* xorshift64*. */
static uint64_t draw(void) {
        random_state ^= random_state >> 12;
        random_state ^= random_state << 25;
        random_state ^= random_state >> 27;
        return random_state * 0x2545F4914F6CDD1DULL;
}

static bool is_new_rest(uint64_t hash _unused_) {
        return true;
}

static Event draw_event(uint64_t events) {
        for (;;) {
                Event e = (Event) ((draw() >> 32) % N_EVENTS);

                if (events & BIT(e))
                        return e;
        }
}

/* Notes what broke() reported. */
static void note_broken(Walk *walk) {
        walk->broken = broken_what;
        walk->at_the_end = at_the_end;
        at_the_end = false;
}

/* Each walk leaves out some events, so that the others come in a row. */
static void walk_at_random(const Kind *k, Walk *walk, unsigned length) {
        static State s;
        const uint64_t half = draw(), most = half | draw();
        const uint64_t events = (k->events & most) | BIT(EVENT_TIMER);

        *walk = (Walk){0};
        if (setjmp(on_broken)) { /* NOLINT(cert-err52-cpp): no cleanup is skipped */
                note_broken(walk);
                return;
        }
        s = begin_history(k);
        for (unsigned tries = 0; walk->n < length && tries < 8 * length; tries++) {
                Event e = draw_event(events);
                static State next;

                next = s;
                walk->events[walk->n++] = (uint8_t) e;
                if (!apply_event(&next, e)) {
                        walk->n--;
                        continue;
                }
                s = next;
                if (walk->n % REST_EVERY == 0)
                        come_to_rest(s, is_new_rest);
        }
        come_to_rest(s, is_new_rest);
}

/* Returns true if the walk still breaks the same. */
static bool breaks(const Kind *k, Walk *walk, const char *what, bool at_end) {
        static State s, next;

        walk->broken = NULL;
        if (setjmp(on_broken)) { /* NOLINT(cert-err52-cpp): no cleanup is skipped */
                note_broken(walk);
                return streq(walk->broken, what) && walk->at_the_end == at_end;
        }
        s = begin_history(k);
        for (unsigned i = 0; i < walk->n; i++) {
                next = s;
                if (apply_event(&next, walk->events[i]))
                        s = next;
        }
        if (at_end)
                come_to_rest(s, is_new_rest);
        return false;
}

static Walk without(const Walk *walk, unsigned at, unsigned n) {
        Walk w = *walk;

        memmove(w.events + at, w.events + at + n, walk->n - at - n);
        w.n -= n;
        return w;
}

/* Leaves out as many events as possible: first long pieces, at last single events. */
static void shrink(const Kind *k, Walk *walk) {
        const unsigned before = walk->n;

        for (unsigned size = walk->n / 2; size > 0; size /= 2) {
                for (unsigned at = 0; at + size <= walk->n;) {
                        Walk w = without(walk, at, size);

                        if (breaks(k, &w, walk->broken, walk->at_the_end)) {
                                *walk = w;
                        } else {
                                at += size > 4 ? size : 1;
                        }
                }
        }
        if (walk->n < before)
                shrink(k, walk);
}

static void print_walk(const Kind *k, const Walk *walk) {
        print_message("On a host of kind \"%s\":\n", k->name);
        for (unsigned i = 0; i < walk->n; i++)
                print_message("  %s\n", event_names[walk->events[i]]);
        print_state(&broken_state);
        print_message("%s%s\n", walk->at_the_end ? "  and then nothing but time\n" : "", walk->broken);
}

/* Prints a short walk to each thing that breaks. Returns how many walks broke something. */
static unsigned walk_kind(const Kind *k, uint64_t steps) {
        const char *reported[REPORTS_MAX] = {0};
        const uint64_t begin = clock_monotonic_usec();
        unsigned n_reported = 0, n_broken = 0, n_walks = 0;
        static Walk walk;

        for (uint64_t n = 0; n < steps; n += walk.n + 1, n_walks++) {
                bool is_known = false;

                walk_at_random(k, &walk, 1 + (unsigned) (draw() >> 32) % (draw() & BIT(40) ? WALK_MAX : WALK_MAX / 20));
                if (!walk.broken)
                        continue;
                n_broken++;
                for (unsigned i = 0; i < n_reported; i++)
                        is_known |= streq(reported[i], walk.broken);
                if (is_known || n_reported == REPORTS_MAX)
                        continue;
                reported[n_reported++] = walk.broken;
                shrink(k, &walk);
                (void) breaks(k, &walk, walk.broken, walk.at_the_end);
                print_walk(k, &walk);
        }
        print_message("%s: %u walks, %llu steps, %u broken, %.1f s\n", k->name, n_walks, (unsigned long long) steps,
                      n_broken, (double) (clock_monotonic_usec() - begin) / USEC_PER_SEC);
        return n_broken;
}

int main(int argc, char **argv) {
        const uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
        unsigned n_broken = 0;

        random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
        random_state = random_state * 0x9E3779B97F4A7C15ULL | 1;
        for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
                n_broken += walk_kind(&kinds[i], steps);
        return n_broken > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
