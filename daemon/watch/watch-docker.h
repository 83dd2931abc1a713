/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Follows the Docker Engine's events. The loop discards what the engine sends, without parsing it: the only use of an
 * event is to observe the agent again. However much the engine sends, it wakes the loop a few times a second. */

typedef struct DockerEvents DockerEvents;

/* Calls observe_again() when the engine begins a stream or has sent events, and again 300 ms after the last event: the
 * engine announces the end of a container a moment before it lists the container as ended (measured, 20.10). Also calls
 * it while there is no stream, after pauses that grow from 1 s to 30 s. */
int docker_events_new(DockerEvents **ret, sd_event *event, void (*observe_again)(void *userdata), void *userdata);
DockerEvents *docker_events_free(DockerEvents *f);
DEFINE_CLEANUP_FUNC(DockerEvents *, docker_events_free)

/* Follows this container (NULL: every container) of the engine at this socket, in that version of its API ("": the
 * engine's own); socket NULL: stops. Call after an observation for which the engine has answered: this connects to the
 * socket if a stream is due, and only the observation, in its child, may wait for a path that hangs. */
void docker_events_set(DockerEvents *f, const char *socket, const char *api_version, const char *container);
