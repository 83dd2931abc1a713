/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/stat.h>

#include "base/macro.h"

/* Replaces a file that other programs may write at the same moment, so that no change of theirs is lost: neither that
 * of one that puts another file in its place, nor that of one that has it open. */

/* A file as it was at some moment. */
typedef struct FileVersion {
        int fd; /* -1: there was none */
        struct stat st;
        char *content; /* may hold secrets */
        size_t size;
} FileVersion;

/* A file that does not exist has no bytes. -EISDIR, -ENOTSUP: not a regular file; -EFBIG: larger than any environment
 * file. */
int file_version_read(int directory_fd, const char *name, FileVersion *ret);
void file_version_done(FileVersion *v);

/* Whether it is whole, and still the one that stands there. -EAGAIN: somebody has it open for writing, or changed it.
 */
int file_version_check(int directory_fd, const char *name, const FileVersion *v);

/* Puts the content in the place of old, with its owner, mode and extended attributes (0600 where there was no file). It
 * is on disk when this returns, unless *ret_synced says why it may not be. -EAGAIN: another program has the file
 * open for writing, or changed it since; its version is in place, ours is not. -ENOLCK: the file system has neither
 * leases nor an atomic exchange, so that a change of another program at the same moment would be lost. */
int replace_file(int directory_fd, const char *name, const FileVersion *old, const char *content, size_t size,
                 int *ret_synced);

/* Removes the temporary files for name that killed instances left behind. */
void remove_leftovers(int directory_fd, const char *name);
