/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/credentials.h"

#include <search.h>

#include "base/secret.h"
#include "credentials/acr-token.h"

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

static Credential *credential_free(Credential *c) {
        if (c)
                credential_done(c);
        free(c);
        return NULL;
}

DEFINE_CLEANUP_FUNC(Credential *, credential_free)

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

Credential *credentials_find_item(const Credentials *c, const char *registry) {
        const Credential wanted = {.registry = (char *) registry};
        Credential *const *node = tfind(&wanted, &c->by_registry, compare_registries);

        return node ? *node : NULL;
}

const Credential *credentials_find(const Credentials *c, const char *registry) {
        return credentials_find_item(c, registry);
}

static int compare_items(const void *a, const void *b) {
        Credential *const *x = a, *const *y = b;

        return compare_registries(*x, *y);
}

void credentials_sort(Credentials *c) {
        if (c->n_items > 0)
                qsort(c->items, c->n_items, sizeof(Credential *), compare_items);
}

static int append_item(Credentials *c, Credential *credential) {
        _cleanup_(credential_freep) Credential *item = calloc(1, sizeof(Credential));
        Credential **items = room_for_one_more(c->items, c->n_items, sizeof(Credential *));

        if (items)
                c->items = items;
        if (!item || !items)
                return -ENOMEM;
        item->registry = credential->registry;
        if (!tsearch(item, &c->by_registry, compare_registries)) {
                item->registry = NULL; /* it is the caller's still */
                return -ENOMEM;
        }
        *item = *credential;
        c->items[c->n_items++] = STEAL_POINTER(item);
        return 0;
}

int credentials_put(Credentials *c, Credential *credential) {
        Credential *item = credentials_find_item(c, credential->registry);
        char *registry;
        int r;

        if (!item) {
                r = append_item(c, credential);
                if (r < 0)
                        return r;
        } else {
                /* The name by which it is found stays where it is. */
                registry = STEAL_POINTER(item->registry);
                credential_done(item);
                *item = *credential;
                free(item->registry);
                item->registry = registry;
        }
        *credential = (Credential){0};
        return 0;
}

void credentials_remove(Credentials *c, size_t i) {
        (void) tdelete(c->items[i], &c->by_registry, compare_registries);
        credential_free(c->items[i]);
        c->items[i] = c->items[--c->n_items];
}

static int copy_field(const char *s, char **ret) {
        *ret = s ? secret_dup(s, strlen(s)) : NULL;
        return s && !*ret ? -ENOMEM : 0;
}

static int copy_item(const Credential *c, Credential *ret) {
        int r;

        ret->listed = c->listed;
        ret->entered = c->entered;
        ret->foreign = c->foreign;
        ret->file_only = c->file_only;
        ret->flaw = c->flaw;
        ret->yields = c->yields;
        ret->registry = strdup(c->registry);
        if (!ret->registry)
                return -ENOMEM;
        r = copy_field(c->key, &ret->key);
        if (r >= 0)
                r = copy_field(c->source, &ret->source);
        if (r >= 0)
                r = copy_field(c->helper, &ret->helper);
        if (r >= 0)
                r = copy_field(c->username, &ret->username);
        if (r >= 0)
                r = copy_field(c->password, &ret->password);
        if (r >= 0)
                r = copy_field(c->identity_token, &ret->identity_token);
        return r < 0 ? r : copy_field(c->email, &ret->email);
}

void credential_forget_secrets(Credential *c) {
        c->username = secret_free(c->username);
        c->password = secret_free(c->password);
        c->identity_token = secret_free(c->identity_token);
}

int credential_copy_secrets(Credential *c, const Credential *other) {
        int r;

        credential_forget_secrets(c);
        r = copy_field(other->username, &c->username);
        if (r >= 0)
                r = copy_field(other->password, &c->password);
        if (r >= 0)
                r = copy_field(other->identity_token, &c->identity_token);
        if (r < 0)
                credential_forget_secrets(c);
        return r;
}

int credentials_put_copy(Credentials *c, const Credential *credential) {
        _cleanup_(credential_done) Credential item = {0};
        int r;

        r = copy_item(credential, &item);
        return r < 0 ? r : credentials_put(c, &item);
}

int credentials_copy(const Credentials *c, Credentials *ret) {
        _cleanup_(credentials_done) Credentials list = {.incomplete = c->incomplete};

        for (size_t i = 0; i < c->n_items; i++) {
                int r = credentials_put_copy(&list, c->items[i]);

                if (r < 0)
                        return r;
        }

        *ret = list;
        list = (Credentials){0};
        return 0;
}

int credentials_add_store(Credentials *c, const char *helper, const char *source) {
        CredentialStore store = {.helper = strdup(helper), .source = strdup(source)}, *stores = NULL;
        size_t i = 0;

        while (i < c->n_stores && !streq(c->stores[i].helper, helper))
                i++;
        if (store.helper && store.source)
                stores = reallocarray(c->stores, c->n_stores + 1, sizeof(CredentialStore));
        if (!stores) {
                free(store.helper);
                free(store.source);
                return -ENOMEM;
        }

        c->stores = stores;
        if (i < c->n_stores) {
                free(stores[i].helper);
                free(stores[i].source);
        } else {
                c->n_stores++;
        }
        stores[i] = store;
        return 0;
}

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
static int digest_items(Credential *const *items, size_t n_items, const DigestKey *key, Digest *ret) {
        Canonical c = {0};
        size_t size = 1;
        int r;

        for (size_t i = 0; i < n_items; i++)
                size += canonical_size_of(items[i]);
        c.bytes = calloc(1, size);
        if (!c.bytes)
                return -ENOMEM;

        for (size_t i = 0; i < n_items; i++) {
                /* The two forms of a token differ only in user name and password: leave both out. */
                const char *token = acr_token(items[i]);

                canonical_append(&c, items[i]->registry);
                canonical_append(&c, token ? NULL : items[i]->username);
                canonical_append(&c, token ? NULL : items[i]->password);
                canonical_append(&c, token ? token : items[i]->identity_token);
        }
        r = digest_compute(key, c.bytes, c.size, ret);
        secret_free_sized(c.bytes, size);
        return r;
}

int credentials_digest(const Credentials *c, const DigestKey *key, Digest *ret) {
        _cleanup_free_ Credential **items = calloc(c->n_items + 1, sizeof(Credential *));

        if (!items)
                return -ENOMEM;
        if (c->n_items > 0) {
                memcpy(items, c->items, c->n_items * sizeof(Credential *));
                qsort(items, c->n_items, sizeof(Credential *), compare_items);
        }
        return digest_items(items, c->n_items, key, ret);
}

int credential_digest(const Credential *c, const DigestKey *key, Digest *ret) {
        Credential copy = *c, *const item = &copy; /* of the pointers, for a list that is not changed */

        return digest_items(&item, 1, key, ret);
}
