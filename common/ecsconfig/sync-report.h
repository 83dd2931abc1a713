/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/problems.h"
#include "credentials/key-coverage.h"
#include "credentials/lease.h"
#include "ecsconfig/auth-data.h"
#include "ecsconfig/environment-file.h"

/* What the job that writes tells of it. No pointers and no secret, so that a worker can send it as it is. Its texts are
 * printable: names in the environment file come from other programs. */

/* The settings of [Agent] that say what is written, and where. */
typedef struct EcsConfigSettings {
        char *environment_file; /* an absolute path */
        AuthType auth_type;
        size_t line_max; /* the longest line that its reader takes (environment-file.h) */
} EcsConfigSettings;

typedef enum SyncOutcome {
        SYNC_FAILED,    /* nothing was written: the file is what it was */
        SYNC_UNCHANGED, /* it already says what the credentials say */
        SYNC_WRITTEN,
        SYNC_REMOVED, /* no credentials: our two lines are gone */
} SyncOutcome;

enum {
        SYNC_ENTRIES_MAX = 48,
        SYNC_ASK_NOW = 1, /* ask_in_usec */
};

/* One registry of those that stand in the environment file, and where it came from; or one that is to, and whose helper
 * fails. */
typedef struct SyncEntry {
        char registry[160]; /* cut short where they are longer */
        char source[200];   /* a credential file; empty: it stood in the environment file, and was kept */
        char helper[64];    /* "X" of docker-credential-X; empty: none */
        bool foreign;       /* another program or a person wrote it to the environment file */
        bool token;
        int64_t asked_usec; /* when its helper answered, when that ends (0: nobody says), and when it is asked again (0:
                               nobody knows); CLOCK_REALTIME */
        int64_t end_usec;
        int64_t due_usec;
        bool failing; /* its helper, */
        bool missing; /* which has never given anything */
        KeyCoverage coverage;
} SyncEntry;

typedef struct SyncReport {
        SyncOutcome outcome;
        bool digest_known;     /* false: not even the environment file could be read */
        bool behind;           /* the credentials are known, and the environment file does not have them */
        Digest digest;         /* of the credentials that stand in the environment file now (authdata_digest) */
        unsigned n_registries; /* in it, that the agent would use */
        unsigned n_foreign;    /* entries that ecs-authd did not write */
        unsigned n_ours;       /* other entries that an image can use */
        char registries[1024]; /* names of the entries that ecs-authd wrote, separated by ", "; cut short with "..." */
        char coverages[512];   /* keys that do not cover exactly the images of their host, each with its images */
        SyncEntry entries[SYNC_ENTRIES_MAX]; /* the first of them */
        uint64_t seen_usec;                  /* when that was, on CLOCK_MONOTONIC; 0: it was not looked at */
        uint64_t ask_in_usec;                /* from now, a helper is to be asked again; 0: none is; or SYNC_ASK_NOW */
        bool asked;                          /* those that were due have been, */
        bool forgotten;                      /* and what they said of that could not be kept */
        unsigned n_failed;                   /* of these: helpers that gave no answer */
        bool no_login_yet;     /* no credential file exists, and no entry of the environment file came from one */
        char other_login[200]; /* with no_login_yet: file with a login that File= does not name; "": none found */
        Problems problems;
} SyncReport;

/* Everything is as it should be: what is not stands among the problems. */
static inline bool sync_is_well(const SyncReport *r) {
        return r->outcome != SYNC_FAILED && problems_worst_level(&r->problems) > LOG_ERR;
}

/* Returns the key that the entry has in the environment file. A foreign entry keeps its spelling. */
const char *sync_key_in_file(const Credential *c);

/* Returns that key as it may be shown: without a user name and password. */
const char *sync_shown_name(const Credential *c);

/* Prints the names of the usable credentials, separated by ", ": only foreign ones, or only ours. Cuts the list after
 * the last name that fits. Returns their number. Keys of ours that no image can use do not count. */
unsigned sync_list_registries(const Credentials *credentials, bool foreign, char *ret, size_t size);

/* Describes which images are covered by keys that do not cover exactly the images of their host; "": no such key. */
void sync_describe_coverages(const Credentials *credentials, char *ret, size_t size);

/* The first of them into the report, with their leases (NULL: nothing is known of those). */
void sync_describe_entries(const Credentials *credentials, const Leases *leases, SyncReport *report);

/* Why the line with data was refused (an error of envfile_set()), and which entries to log out of. Puts the heaviest
 * first: the list is not used for anything else after this. */
void sync_explain_refused_line(const EcsConfigSettings *settings, int error, Credentials *credentials, const char *data,
                               Problems *problems);
