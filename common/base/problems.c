/* SPDX-License-Identifier: Apache-2.0 */
#include "base/problems.h"

#include <stdarg.h>

#include "base/json.h"

/* Where one of this level goes; NULL: nowhere. In a full list it takes the place of a lesser one, so that no number of
 * notes hides a failure. */
static Problem *find_place(Problems *p, int level) {
        Problem *least = &p->items[0];

        if (p->n_items < PROBLEMS_MAX)
                return &p->items[p->n_items++];

        for (unsigned i = 1; i < p->n_items; i++)
                if (p->items[i].level >= least->level)
                        least = &p->items[i];
        p->n_dropped++;
        return level < least->level ? least : NULL;
}

void problems_add(Problems *p, int level, const char *format, ...) {
        Problem *item = find_place(p, level);
        va_list ap;

        if (!item)
                return;

        item->level = level;
        va_start(ap, format);
        (void) vsnprintf(item->text, sizeof(item->text), format, ap);
        va_end(ap);

        make_printable(item->text);
}

void problems_append(Problems *p, const Problems *other) {
        for (unsigned i = 0; i < other->n_items; i++)
                problems_add(p, other->items[i].level, "%s", other->items[i].text);
        p->n_dropped += other->n_dropped;
}

void problems_raise(Problems *p, int level) {
        for (unsigned i = 0; i < p->n_items; i++)
                if (p->items[i].level > level)
                        p->items[i].level = level;
}

int problems_worst_level(const Problems *p) {
        int worst = LOG_DEBUG;

        for (unsigned i = 0; i < p->n_items; i++)
                if (p->items[i].level < worst)
                        worst = p->items[i].level;
        return worst;
}

unsigned problems_count(const Problems *p, int level) {
        unsigned n = 0;

        for (unsigned i = 0; i < p->n_items; i++)
                n += p->items[i].level <= level;
        /* Where a note is there still, nothing but notes was dropped. */
        return n < p->n_items ? n : n + p->n_dropped;
}

bool problems_equal(const Problems *a, const Problems *b) {
        if (a->n_items != b->n_items || a->n_dropped != b->n_dropped)
                return false;

        for (unsigned i = 0; i < a->n_items; i++)
                if (a->items[i].level != b->items[i].level || !streq(a->items[i].text, b->items[i].text))
                        return false;

        return true;
}
