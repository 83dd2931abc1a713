/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/file-identity.h"

/* Files without secrets that everybody may read. Their directory may belong to somebody else, and hang: for a child. */

/* Puts a new file with this text in place of what is there; "PATH.new" is used on the way. */
int public_file_replace(const char *path, const char *text, size_t size, FileIdentity *ret);
