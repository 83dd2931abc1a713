/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "base/clock.h"
#include "service/restart-lock-and-record.h"

/* The file of the state directory that records a restart. */

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
        check_restart(bytes, size);
        return 0;
}
