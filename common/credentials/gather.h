/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/problem-texts.h"
#include "credentials/credential-list.h"

/* How long what a helper says is good, for the registries that a pattern names. */
typedef struct HelperLifetime {
        char *pattern; /* NULL: for all others */
        uint64_t usec;
} HelperLifetime;

typedef struct HelperLifetimes {
        HelperLifetime *items;
        size_t n_items;
} HelperLifetimes;

/* The settings of [Credentials]. */
typedef struct CredentialSettings {
        char **files;   /* NULL-terminated, absolute paths; where two name a registry, the later one counts */
        char **exclude; /* NULL-terminated shell patterns of hosts that are left out, or NULL */
        uint64_t helper_timeout_usec;     /* how long docker-credential-* may take for one answer */
        char **helper_environment;        /* NULL-terminated: NAME, or NAME=VALUE (helper-environment.h); or NULL */
        HelperLifetimes helper_lifetimes; /* in the order of the settings: helper_lifetime_usec() */
} CredentialSettings;

/* Every credential that the settings lead to: the files, later ones over earlier ones; what credential stores and
 * helpers keep for them; without the hosts that are left out.
 *
 * An entry whose secret cannot be had stands in the list without one, and the list is marked incomplete where not even
 * the registries are known (a file that cannot be read among others, a store that does not answer): the caller keeps
 * what it has for them. A negative errno, with problems added: no file could be read at all. */
int gather_credentials(const CredentialSettings *settings, Credentials *ret, Problems *problems);
