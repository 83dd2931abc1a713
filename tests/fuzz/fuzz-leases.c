/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "credentials/lease.h"
#include "credentials/registry-name.h"

static bool same_lease(const Lease *a, const Lease *b) {
        return same(a->registry, b->registry) && same(a->helper, b->helper) && same(a->key, b->key) &&
               same(a->source, b->source) && a->listed == b->listed && a->entered == b->entered &&
               digest_equal(&a->settings, &b->settings) && a->answered == b->answered && a->asked == b->asked &&
               a->given == b->given && a->due == b->due && a->end == b->end && a->error == b->error &&
               a->failures == b->failures && a->restored == b->restored && a->login == b->login &&
               digest_equal(&a->digest, &b->digest);
}

static bool same_mark(const FileMark *a, const FileMark *b) {
        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where there is a number of them, they are there. */
        return same(a->path, b->path) && a->stamp.inode == b->stamp.inode &&
               a->stamp.mtime_nsec == b->stamp.mtime_nsec && digest_equal(&a->stamp.digest, &b->stamp.digest) &&
               a->login == b->login;
}

static bool same_leases(const Leases *a, const Leases *b) {
        if (a->n_items != b->n_items || a->n_marks != b->n_marks)
                return false;
        for (size_t i = 0; i < a->n_items; i++)
                if (!same_lease(a->items[i], b->items[i]))
                        return false;
        for (size_t i = 0; i < a->n_marks; i++)
                if (!same_mark(&a->marks[i], &b->marks[i]))
                        return false;
        return true;
}

/* What everybody takes for granted who uses them. */
static void check_lease(const Leases *l, const Lease *lease) {
        _cleanup_free_ char *name = NULL;

        /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): likewise. */
        check(*lease->helper && leases_find(l, lease->registry, lease->helper) == lease);
        check(!*lease->registry || (registry_normalize(lease->registry, &name) == 0 && streq(name, lease->registry)));
        check(lease->asked >= 0 && lease->given >= 0 && lease->due >= 0 && lease->end >= 0 && lease->login >= 0);
        check(lease->error <= 0 && lease->error > -4096);
}

/* Rounds go on from it, wherever it stands. */
static void check_round(Leases *l) {
        static const Digest digest = {{7}};
        const int64_t now = 1000000 * (int64_t) USEC_PER_SEC;

        for (size_t i = 0; i < l->n_items; i++) {
                Lease *lease = l->items[i];

                (void) lease_is_due(lease, now);
                check(lease_restore_pause(lease) > 0);
                lease_begin(lease);
                lease_failed(lease, -EIO, now);
                check(lease->due > now);
                lease_not_written(lease, now);
                check(lease->due > now);
                lease_answered(lease, &digest, lease->end, (int64_t) USEC_PER_SEC, now, now);
                check(lease->due == 0 || lease->due > now);
                check(!lease_is_due(lease, now));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_(leases_done) Leases l = {0}, again = {0};
        _cleanup_free_ char *text = fuzz_text(bytes, size);
        int r;

        (void) setenv("STATE_DIRECTORY", fuzz_path(NULL), 1);
        r = leases_parse(text, &l);
        if (r < 0)
                check(!l.items && !l.marks);
        for (size_t i = 0; i < l.n_items; i++)
                check_lease(&l, l.items[i]);

        check(leases_save(&l) == 0);
        leases_load(&again);
        check(same_leases(&l, &again));
        check_round(&again);
        return 0;
}
