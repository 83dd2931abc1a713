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

/* Merges one file into c. An entry replaces that of an earlier file, unless the new entry is empty. strict: refuses a
 * file that other users can change (base/foreign-file.h). exclude: the patterns of Exclude=, or NULL: entries of these
 * registries are left out. ret_stamp may be NULL. On an error, adds one problem that names file, line and column, and
 * leaves c unchanged. -ENOENT: no such file. -EBADMSG: not JSON, or not a credential file (file-form.h). Other errors:
 * see foreign_file_read(). Each unusable entry (does
 * not decode, refused key) adds a problem and is left out; if its registry is known, it is listed without user name and
 * password. As in Docker, credHelpers come before credsStore, and both before the entry's own content: an entry with a
 * helper names the helper. */
int credfile_load(Credentials *c, const char *path, bool strict, char *const *exclude, const DigestKey *key,
                  CredFileStamp *ret_stamp, Problems *problems);

/* Like credfile_load(), but from memory; path is for messages only. */
int credfile_parse(Credentials *c, const char *path, const char *text, size_t size, char *const *exclude,
                   Problems *problems);

/* The answer of a credential store to "list", {"SERVER":"USER", ...}: an entry without a secret for each server that is
 * not in c yet. -EBADMSG: not such an answer; others as json_parse_answer(). */
int credfile_parse_list(Credentials *c, const CredentialStore *store, const char *answer, char *const *exclude,
                        Problems *problems);

/* Decodes base64 with or without padding, in either alphabet, with line breaks. Returns the number of bytes. The caller
 * frees the result, which ends with a NUL, with secret_free(). -EBADMSG: it is not base64. */
int credfile_decode_base64(const char *s, char **ret);

/* Adds a problem if the password ends with a newline that is probably not part of it. */
void credfile_check_newline(const Credential *c, Problems *problems);

/* Writes the advice that gets credentials for the registry of c into its file or store. */
void credfile_advise_login(const Credential *c, char *ret, size_t size);
