/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"

/* Credentials for registries, wherever they come from. */

typedef struct Credential {
        char *registry; /* registry_normalize() of the key */
        char *key;      /* as its source spells it: for messages, and for its helper */
        char *source;   /* the file it came from */
        char *helper;   /* "X" of docker-credential-X that keeps its secret; NULL: none */
        char *username; /* NULL together with password: the source names the registry, but not (yet) its secret */
        char *password;
        char *identity_token; /* NULL when there is none; stands beside or instead of the password */
        char *email;          /* NULL when there is none */
        bool listed;          /* only the list of a store names it, no file */
        bool entered;         /* "auths" of its file has an entry for it, whatever that holds */
        bool foreign;         /* an entry of the environment file that ecs-authd did not write */
        bool file_only; /* credHelpers assigns the registry to the file, which has no entry: no store must supply one */
        const char *flaw; /* static text: why the entry of the file cannot be used; NULL: no flaw, or it is empty */
        bool yields; /* a file that comes later could not be read: what stands in the environment file for it stays */
} Credential;

/* A credential store that alone knows for which registries it has something. */
typedef struct CredentialStore {
        char *helper;
        char *source; /* the file that names it */
        bool yields;  /* as of an entry: so does each that it lists */
} CredentialStore;

/* One entry for each registry, however many there are. A zeroed struct is an empty list. */
typedef struct Credentials {
        Credential **items; /* in any order; credentials_sort() */
        size_t n_items;
        void *by_registry; /* a tree of them: tsearch(3) */
        CredentialStore *stores;
        size_t n_stores;
        bool incomplete; /* there may be more: a source could not be read */
} Credentials;

/* Both wipe and free, and leave what can be used again. */
void credential_done(Credential *c);
void credentials_done(Credentials *c);

/* There is something to log in with. */
static inline bool credential_is_usable(const Credential *c) {
        return (c->username && c->password) || c->identity_token;
}

Credential *credentials_find(const Credentials *c, const char *registry);

/* Takes over what *credential holds, replacing an entry for the same registry. */
void credentials_put(Credentials *c, Credential *credential);
void credentials_put_copy(Credentials *c, const Credential *credential);

/* The last one takes its place. */
void credentials_remove(Credentials *c, size_t i);

/* By registry (strcmp): as they are asked for, written and shown. */
void credentials_sort(Credentials *c);

/* Replaces the user name, password and token of c by copies of those of other. */
void credential_copy_secrets(Credential *c, const Credential *other);
void credential_forget_secrets(Credential *c);

/* Another list with the same entries; without the stores, which have been asked by then. */
void credentials_copy(const Credentials *c, Credentials *ret);

/* Computes a digest that is equal if and only if all registries, user names, passwords and tokens are equal. The two
 * forms of acr_token() count as equal. */
void credentials_digest(const Credentials *c, const DigestKey *key, Digest *ret);
void credential_digest(const Credential *c, const DigestKey *key, Digest *ret);

/* One that several files name is one, of the last of them. */
void credentials_add_store(Credentials *c, const char *helper, const char *source);

/* --- tokens of Azure --- */

/* Azure Container Registry takes an identity token also as the password of the user
 * 00000000-0000-0000-0000-000000000000 (Microsoft, "az acr login --expose-token"). In this form dockercfg can carry
 * it. */

/* Returns the identity token of an entry of Azure Container Registry, in either form; NULL: the entry has no token, or
 * belongs to another registry. */
const char *acr_token(const Credential *c);

/* Returns the entry with its identity token as a password. Its strings still belong to c. */
Credential acr_token_as_password(const Credential *c);

/* Returns whether both entries log in with the same names and secrets; the two forms of a token are the same. */
bool acr_same_login(const Credential *a, const Credential *b);
