/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* What docker-credential-* gets of an environment: these two, and what HelperEnvironment= names; no other variable of
 * ours. */

/* Where programs are looked for. Fixed, so that the service and a shell find the same ones, and nobody else's. */
#define HELPER_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* One word of HelperEnvironment=: NAME, for what the service's own environment has, or NAME=VALUE. -EINVAL: none,
 * *ret_expected says what it should have been, without the value. Refused are PATH and HOME, which are set here (a
 * helper is to find the same programs and files however we were started), and LD_*: they decide which code every
 * program runs, and a helper that needs that can be a script. */
int helper_environment_check(const char *word, const char **ret_expected);

/* "NAME=VALUE", NULL-terminated. words: NULL-terminated, or NULL; of two for one name the later one counts, and a NAME
 * that our environment does not have is left out. */
char **helper_environment_new(const char *home, char *const *words);
/* Wiped: a value may be a secret. Takes NULL, returns NULL. */
char **helper_environment_free(char **environment);
DEFINE_CLEANUP_FUNC(char **, helper_environment_free)
