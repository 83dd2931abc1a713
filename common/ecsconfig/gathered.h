/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/gather.h"
#include "ecsconfig/sync-report.h"

/* What the credential files and helpers say. */
typedef struct Gathered {
        int error;
        int ask_error; /* failure of the call that ran helpers, or 0; later calls fail with it */
        Credentials credentials;
        Credentials useless; /* logins that no image can use */
        Leases leases;
        bool leases_loaded;
        bool leases_locked; /* another process holds the lock on the leases, so they are not saved */
        int64_t next;       /* when a helper is due */
        Problems problems;
} Gathered;

/* Locks the leases on disk: until the descriptor is closed, no other process runs a helper and saves its answer. Waits
 * for at most wait_usec. -EWOULDBLOCK: another process holds the lock. Other errors: the state directory has no lock,
 * and the leases cannot be saved there either. */
int gathered_lock(uint64_t wait_usec);

/* Gathers the credentials of files and helpers. round: which helpers are requested, and the content of the environment
 * file. A second call on the same g reads the files again and keeps the leases with the answers of the first. */
void gathered_fill(Gathered *g, const CredentialSettings *sources, HelperRound *round);
void gathered_done(Gathered *g);

/* Helpers have been, and how many of them failed. */
bool gathered_was_asked(const Gathered *g);
unsigned gathered_count_failed(const Gathered *g);

/* An answer that does not stand in the environment file now is nobody's: it is asked for again, after a pause. current:
 * what stands there; NULL: none of it, nothing was written. */
void gathered_give_back(Gathered *g, const Credentials *current, const DigestKey *key);

/* So that who comes after us asks nobody again. */
void gathered_keep(const Gathered *g, SyncReport *report);
