/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "settings/settings.h"

/* Writes status.json and the file for metrics, in a child: what they lie on may hang, and json-c may fail badly where
 * memory is short. */

typedef struct Publisher Publisher;

/* stale: something else is to be written by now than what was; publisher_tell() is waited for. */
int publisher_new(Publisher **ret, sd_event *event, void (*stale)(void *userdata), void *userdata);
Publisher *publisher_free(Publisher *p); /* removes the status file: there is nothing to see any more */
DEFINE_CLEANUP_FUNC(Publisher *, publisher_free)

/* What was told does not count any more: the settings may have changed. */
void publisher_tell_again(Publisher *p);

/* What is so. The same as last time is not written again. */
void publisher_tell(Publisher *p, const Settings *settings, const Facts *facts, const Decision *d,
                    const char *sentence);
