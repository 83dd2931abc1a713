/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* A small file in the state directory, for root alone. */

/* The whole file, NUL-terminated; the caller frees it. -ENOENT: there is none; -EBADMSG: it is not ours, others may
 * write or read it, or it is longer than max; -EILSEQ: it holds a NUL. */
int state_file_read(const char *name, size_t max, char **ret);

/* Replaces it, with its directory made where it is not there. Durable when it returns 0; the old one whenever it fails.
 */
int state_file_write(const char *name, const char *text);

/* Opens the file for flock(2), creating it and its directory if needed, and returns the descriptor. -EPERM, -EBADMSG:
 * other users may write into the directory, or the file may be theirs, so that they could hold the lock. */
int state_file_open_lock(const char *name);

/* What instances that were killed while they wrote have left behind. */
void state_files_clean(void);

/* Durable, too; one that is not there is no error. */
int state_file_remove(const char *name);
