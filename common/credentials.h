/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "problem.h"

/* What Docker credential files say: config.json with "auths" (Docker CLI, Podman auth.json, Kubernetes
 * .dockerconfigjson) and the older ~/.dockercfg, which is the inner object alone. */

typedef struct Credential {
        char *registry; /* registry_normalize() of the key */
        char *key;      /* as the file spells it, for messages */
        char *source;   /* the file it came from */
        char *username; /* NULL together with password: the file names the registry, but not its secret */
        char *password;
        char *identity_token; /* NULL when there is none; stands beside or instead of the password */
        char *email;          /* NULL when there is none */
} Credential;

/* One entry for each registry, ordered by registry (strcmp). A zeroed struct is an empty list. */
typedef struct Credentials {
        Credential *items;
        size_t n_items;
} Credentials;

/* Both wipe and free, and leave what can be used again. */
void credential_done(Credential *c);
void credentials_done(Credentials *c);

/* Merges one file into c; an entry that is there already is replaced (the later file wins).
 * Returns 0, or a negative errno after adding one problem that names file, line and column, with c as it was:
 * -ENOENT no such file; -EBADMSG not JSON or not of this form; -EFBIG; others as open(2) and read(2).
 * An entry that cannot be used (does not decode, refused key) is a problem of its own and is left out, or, where the
 * registry is known, stands in the list without username and password. */
int credentials_load(Credentials *c, const char *path, Problems *problems);

/* The same from memory; path is for messages only. */
int credentials_parse(Credentials *c, const char *path, const char *text, size_t size, Problems *problems);

/* There is something to log in with. */
static inline bool credential_is_usable(const Credential *c) {
        return (c->username && c->password) || c->identity_token;
}

const Credential *credentials_find(const Credentials *c, const char *registry);

/* Takes over what *credential holds, replacing an entry for the same registry. */
int credentials_put(Credentials *c, Credential *credential);
