/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/macro.h"

/* What tells a file as it is from one that was changed, or put in its place, since. */
typedef struct FileIdentity {
        uint64_t inode; /* 0: it is not known */
        int64_t mtime_nsec;
} FileIdentity;

FileIdentity file_identity_of(const struct stat *st);

/* Of the file that stands there now, behind a symbolic link; of none where there is none. */
FileIdentity file_identity_at(const char *path);

/* False where one is not known. */
bool file_identity_equal(const FileIdentity *a, const FileIdentity *b);
