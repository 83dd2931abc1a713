/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "settings/settings.h"

/* Writes the status file in the event loop, and the metrics in a child, because their file system may hang. */

typedef struct Publisher Publisher;

/* stale: called if there is something newer to publish; publisher_tell() is expected then. */
int publisher_new(Publisher **ret, sd_event *event, void (*stale)(void *userdata), void *userdata);
Publisher *publisher_free(Publisher *p); /* removes both files */
DEFINE_CLEANUP_FUNC(Publisher *, publisher_free)

/* Makes the next publisher_tell() write the metrics even if their text is the same: the file may be gone. */
void publisher_tell_again(Publisher *p);

/* Builds both texts, and writes each that has changed. */
void publisher_tell(Publisher *p, const Settings *settings, const Facts *facts, const Decision *d,
                    const char *sentence);
