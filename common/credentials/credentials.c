/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/credentials.h"

#include <search.h>

#include "base/memory.h"
#include "base/secret.h"

void credential_done(Credential *c) {
        free(c->registry);
        free(c->key);
        free(c->source);
        secret_free(c->username);
        secret_free(c->password);
        secret_free(c->identity_token);
        free(c->email);
        free(c->helper);
        *c = (Credential){0};
}

static void credential_free(Credential *c) {
        credential_done(c);
        free(c);
}

static void keep_node(void *node _unused_) {
}

void credentials_done(Credentials *c) {
        tdestroy(c->by_registry, keep_node);
        for (size_t i = 0; i < c->n_items; i++)
                credential_free(c->items[i]);
        free(c->items);
        for (size_t i = 0; i < c->n_stores; i++) {
                free(c->stores[i].helper);
                free(c->stores[i].source);
        }
        free(c->stores);
        *c = (Credentials){0};
}

static int compare_registries(const void *a, const void *b) {
        const Credential *x = a, *y = b;

        return strcmp(x->registry, y->registry);
}

Credential *credentials_find(const Credentials *c, const char *registry) {
        const Credential wanted = {.registry = (char *) registry};
        Credential *const *node = tfind(&wanted, &c->by_registry, compare_registries);

        return node ? *node : NULL;
}

static int compare_items(const void *a, const void *b) {
        Credential *const *x = a, *const *y = b;

        return compare_registries(*x, *y);
}

void credentials_sort(Credentials *c) {
        if (c->n_items > 0)
                qsort(c->items, c->n_items, sizeof(Credential *), compare_items);
}

static void append_item(Credentials *c, const Credential *credential) {
        Credential *item = xcalloc(1, sizeof(Credential));

        *item = *credential;
        c->items = xroom_for_one_more(c->items, c->n_items, sizeof(Credential *));
        c->items[c->n_items++] = item;
        (void) xmemory(tsearch(item, &c->by_registry, compare_registries));
}

void credentials_put(Credentials *c, Credential *credential) {
        Credential *item = credentials_find(c, credential->registry);
        char *registry;

        if (!item) {
                append_item(c, credential);
        } else {
                /* The name by which it is found stays where it is. */
                registry = STEAL_POINTER(item->registry);
                credential_done(item);
                *item = *credential;
                free(item->registry);
                item->registry = registry;
        }
        *credential = (Credential){0};
}

void credentials_remove(Credentials *c, size_t i) {
        (void) tdelete(c->items[i], &c->by_registry, compare_registries);
        credential_free(c->items[i]);
        c->items[i] = c->items[--c->n_items];
}

static char *copy_field(const char *s) {
        return s ? xmemory(secret_dup(s, strlen(s))) : NULL;
}

void credential_forget_secrets(Credential *c) {
        c->username = secret_free(c->username);
        c->password = secret_free(c->password);
        c->identity_token = secret_free(c->identity_token);
}

void credential_copy_secrets(Credential *c, const Credential *other) {
        credential_forget_secrets(c);
        c->username = copy_field(other->username);
        c->password = copy_field(other->password);
        c->identity_token = copy_field(other->identity_token);
}

void credentials_put_copy(Credentials *c, const Credential *credential) {
        Credential item = *credential;

        item.registry = copy_field(credential->registry);
        item.key = copy_field(credential->key);
        item.source = copy_field(credential->source);
        item.helper = copy_field(credential->helper);
        item.email = copy_field(credential->email);
        item.username = item.password = item.identity_token = NULL;
        credential_copy_secrets(&item, credential);
        credentials_put(c, &item);
}

void credentials_copy(const Credentials *c, Credentials *ret) {
        *ret = (Credentials){.incomplete = c->incomplete};
        for (size_t i = 0; i < c->n_items; i++)
                credentials_put_copy(ret, c->items[i]);
}

void credentials_add_store(Credentials *c, const char *helper, const char *source) {
        CredentialStore store = {.helper = xstrdup(helper), .source = xstrdup(source)};
        size_t i = 0;

        while (i < c->n_stores && !streq(c->stores[i].helper, helper))
                i++;
        if (i < c->n_stores) {
                free(c->stores[i].helper);
                free(c->stores[i].source);
        } else {
                c->stores = xroom_for_one_more(c->stores, c->n_stores++, sizeof(CredentialStore));
        }
        c->stores[i] = store;
}

/* --- tokens of Azure --- */

#define TOKEN_USER "00000000-0000-0000-0000-000000000000"

static bool is_acr(const char *registry) {
        static const char *const suffixes[] = {".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de"};
        const size_t n = strcspn(registry, ":/");

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                const size_t length = strlen(suffixes[i]);

                if (n > length && strncmp(registry + n - length, suffixes[i], length) == 0)
                        return true;
        }
        return false;
}

const char *acr_token(const Credential *c) {
        if (!is_acr(c->registry))
                return NULL;
        if (c->identity_token)
                return c->identity_token;
        return c->username && streq(c->username, TOKEN_USER) && !str_empty(c->password) ? c->password : NULL;
}

Credential acr_token_as_password(const Credential *c) {
        Credential form = *c;

        form.username = (char *) TOKEN_USER;
        form.password = c->identity_token;
        form.identity_token = NULL;
        return form;
}

static bool same_field(const char *a, const char *b) {
        return streq(a ? a : "", b ? b : "");
}

bool acr_same_login(const Credential *a, const Credential *b) {
        const char *x = acr_token(a), *y = acr_token(b);

        if (x || y)
                return x && y && streq(x, y);
        return same_field(a->username, b->username) && same_field(a->password, b->password) &&
               same_field(a->identity_token, b->identity_token);
}

/* --- digests --- */

/* Bytes that are the same exactly when the credentials are: each field with its length. */
typedef struct Canonical {
        char *bytes;
        size_t size;
} Canonical;

static size_t canonical_size(const char *s) {
        return sizeof(uint64_t) + (s ? strlen(s) : 0);
}

static void canonical_append(Canonical *c, const char *s) {
        uint64_t n = s ? strlen(s) : 0;

        memcpy(c->bytes + c->size, &n, sizeof(n));
        c->size += sizeof(n);
        if (n > 0)
                memcpy(c->bytes + c->size, s, n);
        c->size += n;
}

static size_t canonical_size_of(const Credential *e) {
        return canonical_size(e->registry) + canonical_size(e->username) + canonical_size(e->password) +
               canonical_size(e->identity_token);
}

/* items: in order. */
static void digest_items(Credential *const *items, size_t n_items, const DigestKey *key, Digest *ret) {
        Canonical c = {0};
        size_t size = 1;

        for (size_t i = 0; i < n_items; i++)
                size += canonical_size_of(items[i]);
        c.bytes = xcalloc(1, size);
        for (size_t i = 0; i < n_items; i++) {
                /* The two forms of a token differ only in user name and password: leave both out. */
                const char *token = acr_token(items[i]);

                canonical_append(&c, items[i]->registry);
                canonical_append(&c, token ? NULL : items[i]->username);
                canonical_append(&c, token ? NULL : items[i]->password);
                canonical_append(&c, token ? token : items[i]->identity_token);
        }
        if (digest_compute(key, c.bytes, c.size, ret) < 0)
                memory_exhausted();
        secret_free_sized(c.bytes, size);
}

void credentials_digest(const Credentials *c, const DigestKey *key, Digest *ret) {
        _cleanup_free_ Credential **items = xcalloc(c->n_items + 1, sizeof(Credential *));

        if (c->n_items > 0) {
                memcpy(items, c->items, c->n_items * sizeof(Credential *));
                qsort(items, c->n_items, sizeof(Credential *), compare_items);
        }
        digest_items(items, c->n_items, key, ret);
}

void credential_digest(const Credential *c, const DigestKey *key, Digest *ret) {
        Credential copy = *c, *const item = &copy; /* of the pointers, for a list that is not changed */

        digest_items(&item, 1, key, ret);
}
