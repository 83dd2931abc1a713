/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* A new file beside the one that it is to replace, ".NAME.ecs-authd.XXXXXXXX", which is no other program's and no other
 * instance's. It holds secrets. */

typedef struct TemporaryFile {
        int directory_fd; /* borrowed */
        char *name;
        int fd; /* for reading; locked (flock) as long as it is open */
} TemporaryFile;

/* Makes, writes and syncs it, mode 0600. */
int temporary_make(int directory_fd, const char *name, const char *content, size_t size, TemporaryFile *ret);

/* Whatever has its name now is removed. */
void temporary_done(TemporaryFile *t);

/* Owner, mode and extended attributes of another file, where they differ. */
int temporary_copy_attributes(const TemporaryFile *t, int from);

/* -EAGAIN: its name is not its own any more. */
int temporary_check(const TemporaryFile *t);

/* Those beside name that nobody works on: a kill leaves them behind. */
void temporary_remove_leftovers(int directory_fd, const char *name);
