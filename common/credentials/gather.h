/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/problems.h"
#include "credentials/credentials.h"
#include "credentials/lease.h"

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
        char **files;          /* NULL-terminated, absolute paths; where two name a registry, the later one counts */
        bool strict;           /* a file that others can change is not read (base/foreign-file.h) */
        char **exclude;        /* NULL-terminated shell patterns of hosts that are left out, or NULL */
        uint64_t refresh_usec; /* look again this often, even if nothing tells of a change; 0 = never */
        uint64_t helper_timeout_usec;     /* how long docker-credential-* may take for one answer */
        char **helper_environment;        /* NULL-terminated: NAME, or NAME=VALUE (helper-environment.h); or NULL */
        HelperLifetimes helper_lifetimes; /* in the order of the settings: helper_lifetime_usec() */
} CredentialSettings;

typedef enum Asking {
        ASK_NOBODY, /* what is due stays as it is, and is said to be due */
        ASK_DUE,
        ASK_ALL, /* somebody wants it: SIGHUP, apply */
} Asking;

/* What decides whether a helper is asked, and what comes of it. */
typedef struct HelperRound {
        const DigestKey *key;
        const Credentials *current; /* what stands in the environment file; NULL: nobody can tell */
        bool owned;                 /* ecs-authd wrote at least one entry of `current` */
        int64_t now;                /* CLOCK_REALTIME in microseconds, when it begins */
        int64_t took;               /* helpers, so far */
        Asking ask;

        Credentials *useless; /* for copies of the entries that no image can use; or NULL */
        Leases *leases;       /* as they were, and as they are then */
        int64_t next;         /* when the next one is due; 0: none is */
} HelperRound;

/* Gathers the credentials of all files (later files win), credential stores and helpers, without excluded registries
 * and keys that no image can use.
 *
 * An entry whose secret is unavailable or was not requested is listed without a secret. A yielding entry has a secret,
 * but gives way to another entry in the environment file. If some registries are unknown (one of several files cannot
 * be read, a store does not answer), the list is marked incomplete, and the caller keeps its current entries. If no
 * file can be read, returns a negative errno and adds problems. -ENOENT: no file exists. */
int gather_credentials(const CredentialSettings *settings, HelperRound *round, Credentials *ret, Problems *problems);

/* How long the secret that a helper gives for this registry (a name as of registry_normalize()) is good, as
 * HelperLifetime= says; 0: it says nothing. A pattern is matched with the host and with the whole name. Of several that
 * match, the one with the most characters that stand for themselves counts, then the one with fewer that do not, then
 * the later one; without any, the span that stands without a pattern. */
uint64_t helper_lifetime_usec(const CredentialSettings *settings, const char *registry);

/* When a token that is a JWT (RFC 7519) ends, by its claim "exp", in seconds of CLOCK_REALTIME. Nothing is verified: it
 * is for the registry to trust it. -ENODATA: it is none, or does not say. */
int jwt_expiry(const char *token, int64_t *ret_sec);

/* What to add to the message of a helper that failed with this error: that the unit keeps it from the network, where it
 * does (IPAddressDeny= of systemd.resource-control(5)). Such a helper sees connections that nobody answers, and looks
 * as if its server hung. Empty: there is nothing to add. */
const char *helper_network_hint(int error);
