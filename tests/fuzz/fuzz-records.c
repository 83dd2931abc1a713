/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "agent/container-swap-record.h"
#include "base/clock.h"
#include "service/restart-lock-and-record.h"

/* The small files of the state directory that say what was begun: a restart, and a swap of the container. */

static bool same_swap(const SwapRecord *a, const SwapRecord *b) {
        return a->stage == b->stage && streq(a->container, b->container) && streq(a->old_id, b->old_id) &&
               streq(a->new_id, b->new_id) && streq(a->restart_policy, b->restart_policy) && a->retries == b->retries &&
               a->since_usec == b->since_usec;
}

static void check_swap(const uint8_t *bytes, size_t size) {
        SwapRecord record = {.since_usec = 7}, again;
        int r;

        fuzz_put("swap", bytes, size);
        fuzz_count();
        r = swap_record_load(&record);
        (void) fuzz_stop();
        check(swap_record_exists() && (r >= 0 || swap_record_is_pending()));
        while (fuzz_fail(bytes, size)) {
                int s = swap_record_load(&again);

                (void) fuzz_stop();
                check(s < 0 || (r > 0 && s > 0 && same_swap(&record, &again)));
        }

        if (r < 0) {
                check(record.since_usec == 7);
                return;
        }
        check(r == 1 && *record.container && record.stage < _SWAP_STAGE_MAX && record.since_usec >= 0);
        fuzz_count();
        check(swap_record_save(&record) == 0 && swap_record_load(&again) == 1 && same_swap(&record, &again));
        (void) fuzz_stop();
        while (fuzz_fail(bytes, size)) {
                SwapRecord other = record, kept;
                int s;

                other.stage = record.stage == SWAP_UNDONE ? SWAP_CREATING : SWAP_UNDONE;
                s = swap_record_save(&other);
                (void) fuzz_stop();
                check(swap_record_load(&kept) == 1 &&
                      (same_swap(&kept, &other) || (s < 0 && same_swap(&kept, &record))));
                check(swap_record_save(&record) == 0);
        }
        check(swap_record_remove() == 0 && !swap_record_exists() && !swap_record_is_pending());
}

static bool same_restart(const RestartRecord *a, const RestartRecord *b) {
        return a->restart_usec == b->restart_usec && a->tried_usec == b->tried_usec && a->failures == b->failures &&
               a->open == b->open && a->done == b->done && a->fruitless == b->fruitless &&
               streq(a->old_container_id, b->old_container_id) && digest_equal(&a->digest, &b->digest);
}

static bool is_none(const RestartRecord *r) {
        static const RestartRecord none;

        return same_restart(r, &none);
}

static void check_restart(const uint8_t *bytes, size_t size) {
        RestartRecord record, again;

        fuzz_put("restart", bytes, size);
        restart_record_load(&record);
        check(memchr(record.old_container_id, 0, sizeof(record.old_container_id)));
        check(record.restart_usec <= clock_monotonic_usec() && record.tried_usec <= clock_monotonic_usec());

        /* Of this boot from now on, whichever it was of. */
        fuzz_count();
        check(restart_record_save(&record) == 0);
        restart_record_load(&again);
        (void) fuzz_stop();
        check(same_restart(&record, &again));

        while (fuzz_fail(bytes, size)) {
                RestartRecord other = record, kept;
                int r;

                other.open = !record.open;
                r = restart_record_save(&other);
                restart_record_load(&again);
                (void) fuzz_stop();
                restart_record_load(&kept);
                check(same_restart(&kept, &other) || (r < 0 && same_restart(&kept, &record)));
                check(is_none(&again) || same_restart(&again, &kept));
                check(restart_record_save(&record) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        (void) setenv("STATE_DIRECTORY", fuzz_path(NULL), 1);
        check_swap(bytes, size);
        check_restart(bytes, size);
        return 0;
}
