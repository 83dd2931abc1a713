/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "base/macro.h"

/* Files that ecs-authd writes whole, and those of them that it keeps in the state directory for root alone. */

/* Identifies a version of a file: differs after a change or replacement. */
typedef struct FileIdentity {
        uint64_t inode; /* 0: unknown */
        int64_t mtime_nsec;
} FileIdentity;

FileIdentity file_identity_of(const struct stat *st);

/* Follows symbolic links. Returns an unknown identity if the file cannot be read. */
FileIdentity file_identity_at(const char *path);

/* Returns false if one of them is unknown. */
bool file_identity_equal(const FileIdentity *a, const FileIdentity *b);

/* Writes all n bytes. On failure, any number of them has been written. */
int write_all(int fd, const char *text, size_t n);

/* Replaces a file by a new one with this text and mode: writes PATH.new and renames it. The caller prevents two
 * processes from doing so at once. durable: the new file's content is on disk before the rename. path may be relative
 * to directory_fd (or AT_FDCWD). ret: identity of the new file, or NULL. */
int file_replace(int directory_fd, const char *path, const char *text, mode_t mode, bool durable, FileIdentity *ret);

/* Reads the whole file, NUL-terminated; the caller frees it. -ENOENT: no such file; -EBADMSG: other users may read or
 * write it, or it is longer than max; -EILSEQ: it contains a NUL. */
int state_file_read(const char *name, size_t max, char **ret);

/* Replaces the file, and creates the directory if it is missing. If it returns 0, the new content is durable; if it
 * fails, the old content stays. */
int state_file_write(const char *name, const char *text);

/* Opens the file for flock(2), creating it and its directory if needed, and returns the descriptor. -EPERM, -EBADMSG:
 * other users may write into the directory, or the file may be theirs, so that they could hold the lock. */
int state_file_open_lock(const char *name);

/* Opens the file like state_file_open_lock() and locks it until the descriptor is closed. Waits for at most wait_usec.
 * -EWOULDBLOCK: another process holds the lock. */
int state_file_lock(const char *name, uint64_t wait_usec);

/* Removes the file durably, if it exists. */
int state_file_remove(const char *name);
