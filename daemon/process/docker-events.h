/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Follows the Docker Engine's events in a child, as long as somebody wants to know. The stream is JSON of foreign
 * making: the child looks at none of it, and its one word is "look again". */

typedef struct DockerEvents DockerEvents;

int docker_events_new(DockerEvents **ret, sd_event *event, void (*woken)(void *userdata), void *userdata);
DockerEvents *docker_events_free(DockerEvents *f);
DEFINE_CLEANUP_FUNC(DockerEvents *, docker_events_free)

/* Follow, or go on to, those of the engine at this socket, of this container (NULL: of any); socket NULL: stop. A
 * stream that ends is taken up again. Both must live as long. */
void docker_events_set(DockerEvents *f, const char *socket, const char *container);
