/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/when-to-write.h"

/* What could not be written (a full disk, a busy file) is tried again even if no event tells of the cure. */
#define RETRY_USEC (30 * USEC_PER_SEC)

static uint64_t earlier(uint64_t a, uint64_t b) {
        return a == 0 || (b > 0 && b < a) ? b : a;
}

/* While files change all the time. */
#define ASK_LATE_USEC (2 * USEC_PER_SEC)

/* 0: not at all. */
static uint64_t next_ask(const FileFacts *f) {
        uint64_t next = !f->ask_all ? f->ask_usec : f->written_usec > 0 ? f->written_usec : 1;

        return next > 0 && next < f->pause_usec ? f->pause_usec : next;
}

/* Returns when the file may be written: at once, unless another program has undone the last writes. */
static uint64_t earliest_write(const FileFacts *f) {
        return f->n_restores < RESTORES_MAX ? 0 : f->restored_usec + RESTORE_PAUSE_USEC;
}

FileDecision decide_files(const FileFacts *f, uint64_t now) {
        uint64_t retry = f->known && f->sync.outcome == SYNC_FAILED ? f->written_usec + RETRY_USEC : 0;
        uint64_t ask = f->known && !f->asking ? next_ask(f) : 0;
        /* The problem ends with a write that has nothing to restore. */
        uint64_t calm = f->n_restores < RESTORES_MAX ? 0 : f->restored_usec + RESTORES_FORGOTTEN_USEC;
        bool due = f->stale || (retry > 0 && now >= retry) || (calm > 0 && now >= calm);
        bool write = !f->writing && due && now >= earliest_write(f);

        /* When all else is written. */
        if (ask > 0 && now >= ask && ((!write && !f->writing) || now >= ask + ASK_LATE_USEC))
                return (FileDecision){.write = write, .ask = true};
        if (write || f->writing)
                return (FileDecision){.write = write};
        return (FileDecision){.look_again_usec =
                                      earlier(due ? earliest_write(f) : 0, earlier(calm, earlier(retry, ask)))};
}

bool files_are_settled(const FileFacts *f, uint64_t now) {
        FileDecision d = decide_files(f, now);

        return f->known && !f->writing && !f->asking && !d.write && !d.ask;
}
