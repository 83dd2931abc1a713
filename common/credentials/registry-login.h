/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/credentials.h"

/* Asks the registry whether it takes the credentials, as the Docker Engine does before a pull: GET /v2/, and where that
 * asks for a Bearer token, a token from the realm that it names (distribution, "Token Authentication Specification").
 * 1 it does, 0 it refuses them, negative errno: it could not be asked. why: in words. Blocks for 20 s at most. */
int registry_login(const Credential *c, char *why, size_t size);

/* Docker talks to it without TLS: localhost, 127.0.0.0/8 or ::1, and no name that only begins like these. host: with or
 * without a port. */
bool registry_is_local(const char *host);

/* The value of a parameter of a WWW-Authenticate header (RFC 9110), unquoted; false where there is none. */
bool challenge_parameter(const char *header, const char *name, char *ret, size_t size);
