/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/files.h"

/* What could not be written (a full disk, a busy file) is tried again even if no event tells of the cure; not sooner,
 * since helpers may have to be asked. */
#define RETRY_USEC (30 * USEC_PER_SEC)

FileDecision decide_files(const FileFacts *f, uint64_t now) {
        if (f->writing)
                return (FileDecision){0};
        if (f->stale)
                return (FileDecision){.write = true};
        if (!f->known || f->sync.outcome != SYNC_FAILED)
                return (FileDecision){0};
        if (now >= f->written_usec + RETRY_USEC)
                return (FileDecision){.write = true};
        return (FileDecision){.look_again_usec = f->written_usec + RETRY_USEC};
}
