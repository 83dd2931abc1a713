/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/facts.h"

/* The first decision: credential files -> environment file. Nothing but the writer stands in its way: neither Docker
 * nor the service manager nor a restart. Pure. */

typedef struct FileDecision {
        bool write;               /* now */
        uint64_t look_again_usec; /* write at the latest then; 0 = when something happens */
} FileDecision;

FileDecision decide_files(const FileFacts *f, uint64_t now);
