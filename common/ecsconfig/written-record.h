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
        const char *file; /* the environment file, with links resolved */
} WrittenEntry;

/* A zeroed struct is an empty record. */
typedef struct WrittenRecord {
        char *file; /* the environment file that it was loaded for, with links resolved */
        int error;  /* why the record could not be read, a negative errno; it is empty then. -EBADMSG or -EILSEQ:
                     * damaged, or not root's alone; written_record_save() replaces it. 0: read, or there is none */
        char *text; /* all strings of the entries */
        WrittenEntry *entries;
        size_t n_entries;
} WrittenRecord;

/* Reads the record, for questions about one environment file. ret->error contains an error. */
void written_record_load(const char *file, WrittenRecord *ret);
void written_record_done(WrittenRecord *w);

/* Returns whether ecs-authd has written this entry to the file. */
bool written_record_has(const WrittenRecord *w, const Credential *entry, const DigestKey *key);

/* Replaces the record of the environment file: it then contains the entries of both lists that are not foreign. Call
 * before the environment file is replaced, with its entries before and after: whichever file a crash leaves in place,
 * its entries are recorded. Drops the records of environment files that no longer exist. Writes nothing if the
 * record already contains the same. */
int written_record_save(const WrittenRecord *w, const Credentials *before, const Credentials *after,
                        const DigestKey *key);
