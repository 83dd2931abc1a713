/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* The name of a registry, as credential files spell it and as the agent looks it up (dockerauth.go of
 * amazon-ecs-agent: the scheme is cut off, nothing else is changed). */

/* The agent looks up exactly this key for images of Docker Hub. */
#define REGISTRY_DOCKER_HUB "https://index.docker.io/v1/"

/* The one spelling under which an entry goes out: Docker Hub under the name above however Docker accepts it,
 * anything else as host[:port][/path] with the host in lower case, without scheme, trailing slashes and API path
 * (/v1, /v2). -EINVAL: empty, no host, or a byte that no line of the environment file could carry (control character,
 * blank, quote, backslash, invalid UTF-8). */
int registry_normalize(const char *key, char **ret);
