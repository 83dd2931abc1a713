/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/problems.h"
#include "credentials/credentials.h"

/* What Docker credential files say: config.json with "auths" (Docker CLI, Podman auth.json, Kubernetes
 * .dockerconfigjson) and the older ~/.dockercfg, which is the inner object alone. */

/* What tells a file that was written anew from one that was not. */
typedef struct CredFileStamp {
        uint64_t inode;
        int64_t mtime_nsec;
        Digest digest; /* of its content */
} CredFileStamp;

/* Merges one file into c; an entry that is there already is replaced (the later file wins), but never by one that holds
 * nothing. strict: not one that others can change (base/foreign-file.h). exclude: the patterns of Exclude=, or NULL:
 * entries of these registries are left out. ret_stamp may be NULL. Returns 0, or a
 * negative errno after adding one problem that names file, line and column, with c as it was: -ENOENT no such file;
 * -EBADMSG not JSON or not of this form (file-form.h); others as foreign_file_read(). -ENOMEM: no problem, and c may
 * hold a part of it. An entry that cannot be used (does not decode, refused key) is a problem of its own and is left
 * out, or, where the registry is known, stands in the list without username and password. As in Docker, credHelpers
 * come before credsStore, and both before what the entry itself holds: such an entry names its helper. */
int credfile_load(Credentials *c, const char *path, bool strict, char *const *exclude, const DigestKey *key,
                  CredFileStamp *ret_stamp, Problems *problems);

/* Like credfile_load(), but from memory; path is for messages only. */
int credfile_parse(Credentials *c, const char *path, const char *text, size_t size, char *const *exclude,
                   Problems *problems);

/* The answer of a credential store to "list", {"SERVER":"USER", ...}: an entry without a secret for each server that is
 * not in c yet. -EBADMSG: not such an answer; others as json_parse_answer(). */
int credfile_parse_list(Credentials *c, const CredentialStore *store, const char *answer, char *const *exclude,
                        Problems *problems);

/* Adds a problem if the password ends with a newline that is probably not part of it. */
void credfile_check_newline(const Credential *c, Problems *problems);

/* Writes the advice that gets credentials for the registry of c into its file or store. */
void credfile_advise_login(const Credential *c, char *ret, size_t size);
