/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "credentials/credentials.h"

/* The record of the entries that ecs-authd has written to environment files: the file "written" in the state directory.
 * It contains names and keyed digests, and no secret. An entry of an environment file that is not in the record belongs
 * to another program or a person. */

typedef struct WrittenEntry {
        const char *digest; /* hexadecimal */
        const char *registry;
        const char *file; /* the environment file, as the settings spell it */
} WrittenEntry;

/* A zeroed struct is an empty record. */
typedef struct WrittenRecord {
        char *text; /* all strings of the entries */
        WrittenEntry *entries;
        size_t n_entries;
} WrittenRecord;

/* Reads the record. A missing record is an empty one. -EBADMSG: the file is damaged, or other users may change it. */
int written_record_load(WrittenRecord *ret);
void written_record_done(WrittenRecord *w);

/* Returns 1 if ecs-authd has written this entry to the file, 0 if not. */
int written_record_has(const WrittenRecord *w, const char *file, const Credential *entry, const DigestKey *key);

/* Replaces the record of one environment file: it then contains the entries of both lists that are not foreign. Call
 * before the environment file is replaced, with its entries before and after: whichever is in place after a crash, its
 * entries are on record. Records of environment files that no longer exist are dropped. Writes nothing if the record
 * already contains the same. */
int written_record_save(const WrittenRecord *w, const char *file, const Credentials *before, const Credentials *after,
                        const DigestKey *key);
