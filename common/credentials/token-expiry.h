/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* When a token that is a JWT (RFC 7519) ends, by its claim "exp", in seconds of CLOCK_REALTIME. Nothing is verified: it
 * is for the registry to trust it. -ENODATA: it is none, or does not say. */
int jwt_expiry(const char *token, int64_t *ret_sec);
