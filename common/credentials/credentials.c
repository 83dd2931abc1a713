/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/credentials.h"

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

void credentials_done(Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++)
                credential_done(&c->items[i]);
        free(c->items);
        for (size_t i = 0; i < c->n_stores; i++) {
                free(c->stores[i].helper);
                free(c->stores[i].source);
        }
        free(c->stores);
        *c = (Credentials){0};
}

static Credential *find_item(const Credentials *c, const char *registry) {
        for (size_t i = 0; i < c->n_items; i++)
                if (streq(c->items[i].registry, registry))
                        return &c->items[i];
        return NULL;
}

const Credential *credentials_find(const Credentials *c, const char *registry) {
        return find_item(c, registry);
}

/* A place for registry in the ordered list, with nothing in it; NULL when there is no memory. */
static Credential *insert_item(Credentials *c, const char *registry) {
        Credential *items = reallocarray(c->items, c->n_items + 1, sizeof(Credential));
        size_t i = 0;

        if (!items)
                return NULL;
        c->items = items;

        while (i < c->n_items && strcmp(items[i].registry, registry) < 0)
                i++;
        memmove(items + i + 1, items + i, (c->n_items - i) * sizeof(Credential));
        items[i] = (Credential){0};
        c->n_items++;
        return &items[i];
}

int credentials_put(Credentials *c, Credential *credential) {
        Credential *item = find_item(c, credential->registry);

        if (!item)
                item = insert_item(c, credential->registry);
        if (!item)
                return -ENOMEM;

        credential_done(item);
        *item = *credential;
        *credential = (Credential){0};
        return 0;
}

void credentials_remove(Credentials *c, size_t i) {
        credential_done(&c->items[i]);
        c->n_items--;
        memmove(c->items + i, c->items + i + 1, (c->n_items - i) * sizeof(Credential));
}

static int copy_field(const char *s, char **ret) {
        *ret = s ? secret_dup(s, strlen(s)) : NULL;
        return s && !*ret ? -ENOMEM : 0;
}

static int copy_item(const Credential *c, Credential *ret) {
        int r;

        ret->listed = c->listed;
        ret->entered = c->entered;
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
                int r = credentials_put_copy(&list, &c->items[i]);

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

int credentials_digest(const Credentials *list, const DigestKey *key, Digest *ret) {
        Canonical c = {0};
        size_t size = 1;
        int r;

        for (size_t i = 0; i < list->n_items; i++) {
                const Credential *e = &list->items[i];

                size += canonical_size(e->registry) + canonical_size(e->username) + canonical_size(e->password) +
                        canonical_size(e->identity_token);
        }
        c.bytes = calloc(1, size);
        if (!c.bytes)
                return -ENOMEM;

        for (size_t i = 0; i < list->n_items; i++) {
                const Credential *e = &list->items[i];

                canonical_append(&c, e->registry);
                canonical_append(&c, e->username);
                canonical_append(&c, e->password);
                canonical_append(&c, e->identity_token);
        }
        r = digest_compute(key, c.bytes, c.size, ret);
        secret_free_sized(c.bytes, size);
        return r;
}

int credential_digest(const Credential *c, const DigestKey *key, Digest *ret) {
        Credential copy = *c; /* of the pointers, for a list that is not changed */
        const Credentials one = {.items = &copy, .n_items = 1};

        return credentials_digest(&one, key, ret);
}
