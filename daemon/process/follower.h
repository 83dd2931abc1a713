/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "settings/config.h"

/* Follows the Docker Engine's events in a child, as long as somebody wants to know. The stream is JSON of foreign
 * making: the child looks at none of it, and its one word is "look again". */

typedef struct Follower Follower;

int follower_new(Follower **ret, sd_event *event, void (*woken)(void *userdata), void *userdata);
Follower *follower_free(Follower *f);
DEFINE_CLEANUP_FUNC(Follower *, follower_free)

/* Follow, or go on to; NULL: stop. A stream that ends is taken up again. config must live as long. */
void follower_set(Follower *f, const Config *config);
