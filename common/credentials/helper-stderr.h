/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

enum {
        HELPER_COMPLAINT_MAX = 200,
};

/* The last line of what a program wrote on standard error, for people: at most HELPER_COMPLAINT_MAX bytes, without
 * control characters, and with *** in place of whatever looks like a secret: 20 and more characters that are neither
 * words nor a path nor a host, a user and password in a URL, what follows "Bearer" or "password=". whole: the text has
 * its beginning; otherwise what stands before its first blank may be the rest of a secret, and is left out. NULL: there
 * is no such line, or no memory. */
char *helper_complaint(const char *text, size_t size, bool whole);
