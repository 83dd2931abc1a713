/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "settings/settings.h"

/* The journal lines about what was written to the environment file. The first is said at once; of those that follow
 * within two seconds of it, as in a burst of logins, the last one stands for all. */

#define WRITTEN_LINES_FOLD_USEC (2 * USEC_PER_SEC)

typedef struct WrittenLines WrittenLines;

/* event: NULL: each is said at once. */
int written_lines_new(WrittenLines **ret, sd_event *event);
/* Says what is left. */
WrittenLines *written_lines_free(WrittenLines *w);
DEFINE_CLEANUP_FUNC(WrittenLines *, written_lines_free)

/* The job that writes has ended. */
void written_lines_tell(WrittenLines *w, const Settings *settings, const SyncReport *report);

/* Another line follows that is to stand behind what was written before it. */
void written_lines_flush(WrittenLines *w);

/* The next report may be about another file. */
void written_lines_forget(WrittenLines *w);
