/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/problems.h"

/* The files that settings are in. Both functions add a problem for an error that they return. */

/* Reads one whole, to be freed with secret_free_sized(): it may name values that are nobody's business. Only a regular
 * file of at most 1 MiB is read, so that none can hold us up; /dev/null is an empty one. */
int settings_read_file(const char *path, char **ret, size_t *ret_size, Problems *problems);

/* The "*.conf" in these directories (NULL-terminated, from the one that counts most), ordered by their names over all
 * of them; of two with one name the one in the directory that counts more, as of systemd's own drop-ins. A directory
 * that does not exist is empty. The caller frees the paths with strv_free(). */
int settings_list_drop_ins(const char *const *directories, char ***ret, Problems *problems);
