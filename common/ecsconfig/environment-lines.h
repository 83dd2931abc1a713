/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* The content of an environment file, in memory. What the functions promise is said in environment-file.h, which passes
 * them on. */

typedef struct EnvLines {
        char *bytes; /* wiped by whoever has it */
        size_t size;
} EnvLines;

int env_lines_get(const EnvLines *l, const char *key, char **ret);
unsigned env_lines_count(const EnvLines *l, const char *key);
bool env_lines_has_blank(const EnvLines *l, const char *key);
int env_lines_set(EnvLines *l, const char *key, const char *value, size_t line_max);
int env_lines_check(const char *key, const char *value, size_t line_max);
