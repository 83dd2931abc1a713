/* SPDX-License-Identifier: Apache-2.0 */
#include "base/file-identity.h"

FileIdentity file_identity_of(const struct stat *st) {
        return (FileIdentity){.inode = st->st_ino,
                              .mtime_nsec = (int64_t) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
}

FileIdentity file_identity_at(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return (FileIdentity){0};
        return file_identity_of(&st);
}

bool file_identity_equal(const FileIdentity *a, const FileIdentity *b) {
        return a->inode > 0 && a->inode == b->inode && a->mtime_nsec == b->mtime_nsec;
}
