/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* Files without secrets that everybody may read. Their directory may belong to somebody else, and hang: for a child. */

/* What tells a file from one that was put in its place. */
typedef struct FileIdentity {
        uint64_t inode; /* 0: it is not known */
        int64_t mtime_nsec;
} FileIdentity;

int file_identify(const char *path, FileIdentity *ret);
bool file_identity_equal(const FileIdentity *a, const FileIdentity *b);

/* Puts a new file with this text in place of what is there; "PATH.new" is used on the way. */
int public_file_replace(const char *path, const char *text, size_t size, FileIdentity *ret);
