/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/digest.h"
#include "credentials/credential-file.h"

/* What a helper has answered is good for a time, its lease: until that is due the helper is not asked again, and the
 * entry that stands in the environment file is its answer. Times are CLOCK_REALTIME in microseconds. */

/* What an entry says of itself, and what the settings say for it: where that changes, its helper is asked. */
typedef struct LeaseTerms {
        const char *key;    /* as the helper is asked for it */
        const char *source; /* the file that names the helper */
        bool listed;        /* it is the store's list that names the registry, and no file */
        bool entered;       /* "auths" has an entry for it, as docker login makes one */
        Digest settings;    /* of those that its answer depends on */
} LeaseTerms;

typedef struct Lease {
        char *registry; /* registry_normalize() of the key; "" for a store, which was asked for its list */
        char *helper;
        char *key; /* these five: LeaseTerms */
        char *source;
        bool listed;
        bool entered;
        Digest settings;

        bool answered; /* digest, given and end are of an answer */
        int64_t asked; /* when it was last asked, whatever came of it */
        int64_t given; /* when it last answered */
        int64_t due;   /* when it is asked again */
        int64_t end;   /* when its answer ends; 0: it does not say, nor does anybody */
        int error;     /* of the last time, as HelperCall has it; -ENOKEY: it has none; -EKEYEXPIRED: none that is good;
                          -ECANCELED: what it gave could not be written */
        unsigned failures; /* in a row */
        unsigned restored; /* how often it was asked again since its answer was not in the environment file */
        int64_t login;     /* when somebody last logged in, as far as it was not asked since */
        Digest digest;     /* of the credentials that it gave (credential_digest) */

        /* Of this process, and not saved. */
        Credential answer; /* secrets of a new answer; unused: the rest */
        bool fresh;        /* it was asked; before: as it was */
        struct {
                unsigned failures;
                bool answered;
                Digest digest;
                int64_t given, end;
        } before;
        bool named; /* by a file or store */
} Lease;

/* A credential file as it was: one that is written again with the same content was a login to a registry whose secret a
 * helper keeps. */
typedef struct FileMark {
        char *path;
        CredFileStamp stamp;
        int64_t login; /* when its helpers are asked, or were, for the last such login */
} FileMark;

/* A zeroed struct is an empty one. */
typedef struct Leases {
        Lease **items; /* in the order in which they came */
        size_t n_items;
        void *by_name; /* a tree of them: tsearch(3) */
        FileMark *marks;
        size_t n_marks;
} Leases;

void leases_done(Leases *l);

Lease *leases_find(const Leases *l, const char *registry, const char *helper);

/* Returns the lease, which is added if it does not exist. */
Lease *leases_add(Leases *l, const char *registry, const char *helper);

/* Returns the mark of a file. A new mark is empty. */
FileMark *leases_mark(Leases *l, const char *path);

/* Those of helpers that nobody names any more: keep() says of which that is not so. */
void leases_prune(Leases *l, bool (*keep)(const Lease *lease, void *userdata), void *userdata);

/* It is asked in this round. */
void lease_begin(Lease *lease);

/* Updates the terms; a change makes the lease due. */
void lease_describe(Lease *lease, const LeaseTerms *terms);

/* After how much of its length it is asked again: early enough to try more than once, should it fail. */
static inline int64_t lease_used_of(int64_t length) {
        return length / 3 * 2;
}

/* It was asked then, and answered now: with credentials of this digest, that end then (0: nobody says) or are looked at
 * again after this. It is asked again at two thirds of that, and not sooner than after 5 s. */
void lease_answered(Lease *lease, const Digest *digest, int64_t end, int64_t refresh_usec, int64_t asked, int64_t now);

/* Records a failure. The pause before the helper is run again grows from 5 s to 5 min, with some chance in it. */
void lease_failed(Lease *lease, int error, int64_t now);

/* The pause after which it is asked for an answer that somebody took out of the environment file; it grows likewise. */
int64_t lease_restore_pause(const Lease *lease);

/* Restores the previous answer and counts a failure, because the answer of this round could not be written. */
void lease_not_written(Lease *lease, int64_t now);

/* Somebody has logged in: it is to be asked by then. */
void lease_bring_forward(Lease *lease, int64_t due, int64_t now);

/* It has given credentials, whatever has come since. */
bool lease_has_answered(const Lease *lease);

/* It has to be asked, also after a clock that went back. */
bool lease_is_due(const Lease *lease, int64_t now);

/* --- the file --- */

/* Leases are kept in the state directory, without secrets, so that they outlive the daemon. */

/* Reads the leases from the state directory. None if the file is missing, damaged, or may be of another user. */
void leases_load(Leases *ret);

/* Parses the content of the file. -EBADMSG: the text is not JSON. */
int leases_parse(const char *text, Leases *ret);

/* Writes the file, unless the content is the same. It is durable when this returns 0. */
int leases_save(const Leases *l);
