/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/problems.h"

/* The environment file (/etc/ecs/ecs.config). Three programs read it, each its own way: ecs-init, systemd
 * (EnvironmentFile=) and docker run --env-file. We change the lines of the keys we are asked to set and leave every
 * other byte, the order of lines, owner, mode and extended attributes as they are. */

enum {
        /* The longest line, KEY=VALUE without the newline, that each reader takes (measured). */
        ENVFILE_LINE_MAX_DOCKER = 65535, /* docker run --env-file: bufio.Scanner's limit */
        ENVFILE_LINE_MAX_EXEC = 131071, /* the kernel, for one string of the environment: MAX_ARG_STRLEN less the NUL */
};

typedef struct EnvFile EnvFile;

/* Makes an empty file in memory, which cannot be saved. */
EnvFile *envfile_new(const char *path);

/* Opens and reads the file, for those who only look. A symbolic link is followed; a file that does not exist is an
 * empty one, its directory must exist. Negative errno after adding one problem. */
int envfile_open(const char *path, EnvFile **ret, Problems *problems);

/* The same, after waiting until no other instance of ourselves is between this and its envfile_free(); nothing slow
 * belongs there. One that cannot have the state directory, not being root, does not wait. What an instance that was
 * killed left beside the file is removed. */
int envfile_open_for_change(const char *path, EnvFile **ret, Problems *problems);
EnvFile *envfile_free(EnvFile *f);
DEFINE_CLEANUP_FUNC(EnvFile *, envfile_free)

/* Nobody was writing it while it was read, nor is now. */
bool envfile_is_whole(const EnvFile *f);

/* Returns the value of key as ecs-init reads it (the last line wins); NULL: not set. The caller frees it with
 * secret_free(). */
char *envfile_get(const EnvFile *f, const char *key);

/* Returns the number of lines that set key. */
unsigned envfile_count(const EnvFile *f, const char *key);

/* Returns true if a line sets key with a blank before the "=". To systemd that sets the key, to ecs-init another key.
 */
bool envfile_has_blank(const EnvFile *f, const char *key);

/* Sets key to value, or removes it when value is NULL, in memory: the first line that sets key is replaced, further
 * ones are removed, a missing one is added at the end. -EINVAL: the line would not mean the same bytes to every reader
 * (backslash, control character, blank at an end, leading quote); -E2BIG: longer than line_max. */
int envfile_set(EnvFile *f, const char *key, const char *value, size_t line_max);

/* In memory it is another one than on disk: envfile_save() would write. */
bool envfile_is_changed(const EnvFile *f);

/* Replaces the file if its content changed: 1 written, 0 nothing to do. The new file is written beside the old one,
 * synced, exchanged with it, and the directory synced. The file on disk is the old one, whole, whenever this fails (one
 * problem is added). -EAGAIN, without a problem: another program has the file open for writing, or changed it since it
 * was read, up to the very moment at which it was replaced: its version is in place; open it again and try again.
 */
int envfile_save(EnvFile *f, Problems *problems);
