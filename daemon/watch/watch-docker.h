/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Follows the Docker Engine's events. The loop discards what the engine sends, without parsing it: the only use of an
 * event is to observe the agent again. No call blocks, and however much the engine sends, it wakes the loop a few times
 * a second. */

typedef struct DockerEvents DockerEvents;

/* Calls observe_again() when the engine begins a stream or has sent events, and again 300 ms after the last event: the
 * engine announces the end of a container a moment before it lists the container as ended (measured, 20.10). */
int docker_events_new(DockerEvents **ret, sd_event *event, void (*observe_again)(void *userdata), void *userdata);
DockerEvents *docker_events_free(DockerEvents *f);
DEFINE_CLEANUP_FUNC(DockerEvents *, docker_events_free)

/* Follows this container (NULL: every container) of the engine at this socket, in that version of its API ("": the
 * engine's own); socket NULL: stops. Connects again after a pause when the stream ends. */
void docker_events_set(DockerEvents *f, const char *socket, const char *api_version, const char *container);
