/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* The name of a registry, as credential files spell it and as the agent looks it up (dockerauth.go of
 * amazon-ecs-agent: the scheme is cut off, nothing else is changed). */

/* The agent looks up exactly this key for images of Docker Hub. */
#define REGISTRY_DOCKER_HUB "https://index.docker.io/v1/"

/* The one spelling under which an entry goes out: Docker Hub under the name above however Docker accepts it,
 * anything else as host[:port][/path] without scheme, trailing slashes and API path (/v1 or /v2 directly after the
 * host). Case stays: an image name may have capitals in its host, and Docker's CLI (measured, 28.2) and the agent
 * compare hosts exactly. -EINVAL: empty, no host, or a byte that no line of the environment file could carry (control
 * character, blank, quote, backslash, invalid UTF-8). */
int registry_normalize(const char *key, char **ret);

/* The rules about names below take a name as registry_normalize() returns it. They hold wherever a name comes from: an
 * entry of a file, credHelpers, the list of a store, or a lease. */

/* Returns true for the names under which Docker's own programs keep their own tokens beside the logins: docker login in
 * a browser (CLI 27.2 and later) and hub-tool. They are not registries. */
bool registry_is_docker_own(const char *registry);

/* Compares the host with a shell pattern, or the whole name if the pattern contains a slash, in upper or lower case.
 * The pattern may also be a name as people write it: docker.io, https://registry.example/v2/. Returns true if it
 * matches. */
bool registry_matches(const char *registry, const char *pattern);

/* Returns true if the host of the name, without its path, is one of these. */
bool registry_has_host(const char *name, const char *const *hosts, size_t n_hosts);

/* Returns true if Docker and the agent use Docker Hub for the host of the name, whatever its path. */
bool registry_is_hub_host(const char *name);

/* Returns the part of a key that may be shown: a key may contain a password (https://user:password@host). */
const char *registry_showable(const char *key);

/* Returns true if one of the patterns of Exclude= matches. exclude: NULL-terminated, or NULL. */
bool registry_is_excluded(const char *registry, char *const *exclude);
