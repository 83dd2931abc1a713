/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/lease.h"

#include <search.h>
#include <sys/random.h>

#define RETRY_MIN_USEC ((int64_t) (5 * USEC_PER_SEC))
#define RETRY_MAX_USEC ((int64_t) (300 * USEC_PER_SEC))

static Lease *lease_free(Lease *l) {
        if (!l)
                return NULL;

        free(l->registry);
        free(l->key);
        free(l->helper);
        free(l->source);
        credential_done(&l->answer);
        free(l);
        return NULL;
}

DEFINE_CLEANUP_FUNC(Lease *, lease_free)

static void keep_node(void *node _unused_) {
}

void leases_done(Leases *l) {
        tdestroy(l->by_name, keep_node);
        for (size_t i = 0; i < l->n_items; i++)
                lease_free(l->items[i]);
        for (size_t i = 0; i < l->n_marks; i++)
                free(l->marks[i].path);
        free(l->items);
        free(l->marks);
        *l = (Leases){0};
}

static int compare_names(const void *a, const void *b) {
        const Lease *one = a, *other = b;
        int r = strcmp(one->registry, other->registry);

        return r != 0 ? r : strcmp(one->helper, other->helper);
}

Lease *leases_find(const Leases *l, const char *registry, const char *helper) {
        const Lease wanted = {.registry = (char *) registry, .helper = (char *) helper};
        Lease *const *node = tfind(&wanted, &l->by_name, compare_names);

        return node ? *node : NULL;
}

static Lease *lease_new(const char *registry, const char *helper) {
        _cleanup_(lease_freep) Lease *lease = calloc(1, sizeof(Lease));

        if (!lease)
                return NULL;
        lease->registry = strdup(registry);
        lease->helper = strdup(helper);
        lease->key = strdup("");
        lease->source = strdup("");
        if (!lease->registry || !lease->helper || !lease->key || !lease->source)
                return NULL;
        return STEAL_POINTER(lease);
}

Lease *leases_add(Leases *l, const char *registry, const char *helper) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        Lease *found = leases_find(l, registry, helper), **items;

        if (found)
                return found;
        items = room_for_one_more(l->items, l->n_items, sizeof(Lease *));
        if (!items)
                return NULL;
        l->items = items;

        lease = lease_new(registry, helper);
        if (!lease || !tsearch(lease, &l->by_name, compare_names))
                return NULL;
        return items[l->n_items++] = STEAL_POINTER(lease);
}

FileMark *leases_mark(Leases *l, const char *path) {
        FileMark *marks;

        for (size_t i = 0; i < l->n_marks; i++)
                if (streq(l->marks[i].path, path))
                        return &l->marks[i];
        marks = reallocarray(l->marks, l->n_marks + 1, sizeof(FileMark));
        if (!marks)
                return NULL;
        l->marks = marks;
        marks[l->n_marks] = (FileMark){.path = strdup(path)};
        return marks[l->n_marks].path ? &marks[l->n_marks++] : NULL;
}

void leases_prune(Leases *l, bool (*keep)(const Lease *lease, void *userdata), void *userdata) {
        size_t n = 0;

        for (size_t i = 0; i < l->n_items; i++) {
                if (keep(l->items[i], userdata)) {
                        l->items[n++] = l->items[i];
                        continue;
                }
                (void) tdelete(l->items[i], &l->by_name, compare_names);
                lease_free(l->items[i]);
        }
        l->n_items = n;
}

static int replace(char **target, const char *value) {
        char *copy;

        if (streq(*target, value))
                return 0;
        copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        free(*target);
        *target = copy;
        return 1;
}

/* --- one lease --- */

int lease_describe(Lease *lease, const LeaseTerms *terms) {
        int k = replace(&lease->key, terms->key), s = replace(&lease->source, terms->source);
        bool same = k == 0 && s == 0 && lease->entered == terms->entered &&
                    digest_equal(&lease->settings, &terms->settings);

        lease->listed = terms->listed;
        lease->entered = terms->entered;
        lease->settings = terms->settings;
        if (k < 0 || s < 0)
                return -ENOMEM;
        if (!same) {
                lease->answered = false;
                lease->due = 0;
                lease->failures = 0;
        }
        return 0;
}

bool lease_has_answered(const Lease *lease) {
        static const Digest none; /* that it has none is an answer, too */

        return lease->answered && !digest_equal(&lease->digest, &none);
}

void lease_begin(Lease *lease) {
        lease->fresh = true;
        credential_forget_secrets(&lease->answer);
        lease->before.failures = lease->failures;
        lease->before.answered = lease_has_answered(lease);
        lease->before.digest = lease->digest;
        lease->before.given = lease->given;
        lease->before.end = lease->end;
}

void lease_answered(Lease *lease, const Digest *digest, int64_t end, int64_t refresh_usec, int64_t asked, int64_t now) {
        int64_t length = end > 0 ? end - asked : refresh_usec;

        lease->answered = true;
        lease->digest = *digest;
        lease->asked = lease->given = asked;
        lease->end = end;
        lease->error = 0;
        lease->failures = 0;
        lease->login = 0;
        lease->due = length > 0 ? asked + lease_used_of(length) : 0;
        /* However short it is: who gives such ones is not asked all the time. */
        if (length > 0 && lease->due < now + RETRY_MIN_USEC)
                lease->due = now + RETRY_MIN_USEC;
}

static int64_t pause_after(unsigned times) {
        int64_t pause = RETRY_MIN_USEC;

        for (unsigned i = 0; i < times && pause < RETRY_MAX_USEC; i++)
                pause *= 2;
        return pause < RETRY_MAX_USEC ? pause : RETRY_MAX_USEC;
}

int64_t lease_restore_pause(const Lease *lease) {
        return pause_after(lease->restored);
}

void lease_failed(Lease *lease, int error, int64_t now) {
        int64_t pause = pause_after(lease->failures);
        uint16_t chance = 0;

        lease->failures++;
        lease->error = error;
        lease->asked = now;
        lease->login = 0;
        /* Between three quarters of it and the whole: a fleet does not come back at once. */
        if (getrandom(&chance, sizeof(chance), 0) != (ssize_t) sizeof(chance))
                chance = 0;
        lease->due = now + pause - pause / 4 * chance / UINT16_MAX;
}

void lease_not_written(Lease *lease, int64_t now) {
        int64_t asked = lease->asked;

        if (lease->failures == 0)
                lease->failures = lease->before.failures;
        lease->answered = lease->before.answered;
        lease->digest = lease->before.digest;
        lease->given = lease->before.given;
        lease->end = lease->before.end;
        lease_failed(lease, -ECANCELED, now);
        lease->asked = asked;
}

void lease_bring_forward(Lease *lease, int64_t due, int64_t now) {
        lease->login = now;
        if (lease->due == 0 || lease->due > due)
                lease->due = due;
}

bool lease_is_due(const Lease *lease, int64_t now) {
        /* Without RefreshSec= and with nobody who knows an end it is good until something changes. */
        return (!lease->answered && lease->failures == 0) || (lease->due > 0 && now >= lease->due) ||
               now < lease->asked;
}
