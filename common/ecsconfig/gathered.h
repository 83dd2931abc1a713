/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/gather.h"
#include "ecsconfig/sync-report.h"

/* What the credential files and helpers say. */
typedef struct Gathered {
        int error;
        Credentials credentials;
        Credentials useless; /* logins that no image can use */
        Leases leases;
        int64_t next; /* when a helper is due */
        Problems problems;
} Gathered;

/* round: with what is asked, and what is known of the environment file and of answers before. fresh: of a round before,
 * or NULL. */
void gathered_fill(Gathered *ret, const CredentialSettings *sources, HelperRound *round, const Leases *fresh);
void gathered_done(Gathered *g);

/* Helpers have been, and how many of them failed. */
bool gathered_was_asked(const Gathered *g);
unsigned gathered_count_failed(const Gathered *g);

/* An answer that does not stand in the environment file now is nobody's: it is asked for again, after a pause. current:
 * what stands there; NULL: none of it, nothing was written. */
void gathered_give_back(Gathered *g, const Credentials *current, const DigestKey *key);

/* So that who comes after us asks nobody again. */
void gathered_keep(const Gathered *g, SyncReport *report);
