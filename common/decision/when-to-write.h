/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/facts.h"

/* The first decision: credential files -> environment file. Nothing but the writer stands in its way: neither Docker
 * nor the service manager nor a restart; nor a helper, which is asked when all else is written. Pure. */

typedef struct FileDecision {
        bool write;               /* now */
        bool ask;                 /* helpers, now */
        uint64_t look_again_usec; /* decide again at the latest then; 0 = when something happens */
} FileDecision;

FileDecision decide_files(const FileFacts *f, uint64_t now);

/* Nothing is to be done, or being done, at this moment: the file is as right as it can be. */
bool files_are_settled(const FileFacts *f, uint64_t now);
