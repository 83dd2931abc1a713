/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/macro.h"

/* Files that somebody else keeps for us, and that decide what we do: the settings, the credential files.
 *
 * Such a file is trusted if nobody but its keeper can have written it, judged as OpenSSH's StrictModes= does, and on
 * every directory on the way, symbolic links included. Their owners may be root, whom we run as, and one more user: the
 * keeper of a home, whose file it may be, too. Nobody else may write into any of them, but for a sticky directory
 * (/tmp), where nobody may replace what others have made; a file of its own there belongs to root, or is
 * not trusted. A group
 * that may write is somebody else, unless it is root's or has the number of the owner (a group of their own). An access
 * control list that lets others write shows in the mode of the group. A symbolic link that a user may change must lead
 * to a file of that user: root would read a file for the user that the user may not read. */

/* Who may change the file, and how. */
typedef struct Distrust {
        char path[PATH_MAX]; /* the file, or a directory or link on the way to it */
        bool is_owner;       /* uid, its owner; else others by its mode */
        bool is_link;        /* path is a symbolic link */
        uid_t uid;
        uid_t linked_by; /* the user who may change a symbolic link that leads to path, another user's file; 0: none */
} Distrust;

typedef struct ForeignFile {
        struct stat st;
        bool is_exposed; /* everybody on this host can read it, by its mode and those of the directories */
} ForeignFile;

/* Opens a regular file (or /dev/null) to be read, and never waits for who writes it. -EISDIR, -ENOTSUP: something else;
 * -EKEYREJECTED: it is not trusted (ret_distrust; NULL: anything is trusted); others as open(2). */
int foreign_file_open(const char *path, int *ret_fd, ForeignFile *ret, Distrust *ret_distrust);

/* Called for each name on the way to a file, before the name is looked up; directory has no symbolic links and ends in
 * a slash. is_last: no name is left, unless this one is a symbolic link. A negative errno ends the walk. */
typedef int (*walk_step_t)(void *userdata, const char *directory, const char *name, bool is_last);

/* Follows the path like foreign_file_open(), but opens no file. Errors as foreign_file_open(), and those of visit(). */
int foreign_file_walk(const char *path, walk_step_t visit, void *userdata);

/* What to do about it, as a sentence: "PATH can be written by others; run 'chmod go-w PATH'". */
void distrust_describe(const Distrust *d, char *ret, size_t size);

/* Opens the file like foreign_file_open() and reads all of it, like secret_read_fd(): in a thread unless the whole path
 * is on block devices. -ETIMEDOUT: the thread takes longer than timeout_usec (a file system that hangs); it ends with
 * this process. */
int foreign_file_read(const char *path, size_t max, uint64_t timeout_usec, char **ret, size_t *ret_size,
                      ForeignFile *ret_file, Distrust *ret_distrust);

/* Calls function(context) in a thread, and waits for its end: for any other call that such a file system may keep.
 * Needs little stack. -ETIMEDOUT: it goes on, and context is the thread's until this process ends. */
int run_in_time(void *(*function)(void *), void *context, uint64_t timeout_usec);
