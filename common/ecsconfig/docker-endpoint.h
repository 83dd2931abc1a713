/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/problems.h"

/* The member DockerEndpoint of the agent's settings file (ecs.config.json beside ecs.config). With it the agent
 * connects to the proxy instead of Docker's own socket. Only the agent reads the file: ecs-init does not, so that its
 * own connection to Docker stays direct. An agent that finds broken JSON there exits again and again (measured,
 * v1.105.1). */

#define DOCKER_ENDPOINT "unix:///var/run/ecs-authd-proxy/docker.sock"

/* Sets the member to DOCKER_ENDPOINT, or removes it if it has that value. Keeps all other members. Returns 1 if the
 * file changed, 0 if not, or a negative errno after adding a problem; the file is unchanged then. -EBADMSG: the file is
 * not a JSON object. -EEXIST: the member has another value. -EAGAIN: another program is writing the file. Waits for
 * another ecs-authd like envfile_open_for_change(). */
int docker_endpoint_set(const char *environment_file, bool set, Problems *problems);
