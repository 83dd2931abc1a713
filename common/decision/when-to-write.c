/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/when-to-write.h"

/* What could not be written (a full disk, a busy file) is tried again even if no event tells of the cure; not sooner,
 * since helpers may have to be asked. */
#define RETRY_USEC (30 * USEC_PER_SEC)

static uint64_t earlier(uint64_t a, uint64_t b) {
        return a == 0 || (b > 0 && b < a) ? b : a;
}

FileDecision decide_files(const FileFacts *f, uint64_t now) {
        uint64_t retry = f->known && f->sync.outcome == SYNC_FAILED ? f->written_usec + RETRY_USEC : 0;
        uint64_t next = earlier(retry, f->ask_usec);

        if (f->writing)
                return (FileDecision){0};
        if (f->stale || (next > 0 && now >= next))
                return (FileDecision){.write = true};
        return (FileDecision){.look_again_usec = next};
}
