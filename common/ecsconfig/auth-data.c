/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/auth-data.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

#include "base/json.h"
#include "base/secret.h"
#include "credentials/acr-token.h"
#include "credentials/key-coverage.h"
#include "credentials/registry-name.h"

static const char *const auth_type_names[] = {
        [AUTH_TYPE_AUTO] = "auto",
        [AUTH_TYPE_DOCKERCFG] = "dockercfg",
        [AUTH_TYPE_DOCKER] = "docker",
};

const char *auth_type_to_string(AuthType t) {
        return auth_type_names[t];
}

int auth_type_from_string(const char *s, AuthType *ret) {
        for (size_t i = 0; i < ELEMENTSOF(auth_type_names); i++)
                if (streq(auth_type_names[i], s)) {
                        *ret = (AuthType) i;
                        return 0;
                }
        return -EINVAL;
}

/* base64 of "user:password"; NULL: no memory. */
static char *encode_auth(const Credential *c) {
        _cleanup_secret_ char *plain = NULL, *encoded = NULL;
        size_t n = strlen(c->username) + 1 + strlen(c->password);

        plain = malloc(n + 1);
        encoded = malloc(4 * ((n + 2) / 3) + 1);
        if (!plain || !encoded) {
                /* Nothing in them yet. */
                if (plain)
                        plain[0] = 0;
                if (encoded)
                        encoded[0] = 0;
                return NULL;
        }

        (void) snprintf(plain, n + 1, "%s:%s", c->username, c->password);
        (void) EVP_EncodeBlock((unsigned char *) encoded, (const unsigned char *) plain, (int) n);
        return STEAL_POINTER(encoded);
}

/* False: no memory. NULL is no string, and is left out. */
static bool add_string(json_object *o, const char *key, const char *value) {
        json_object *s = value ? json_object_new_string(value) : NULL;

        if (s && json_object_object_add(o, key, s) >= 0)
                return true;
        json_object_put(s);
        return !value;
}

/* systemd and docker run --env-file take an escape of JSON each in their own way: there must be none. */
static bool needs_escape(const char *s) {
        if (!json_is_utf8(s))
                return true; /* what is not UTF-8 cannot stand in JSON at all */
        for (; s && *s; s++)
                if ((unsigned char) *s < ' ' || *s == 0x7f || strchr("\"\\", *s))
                        return true;
        return false;
}

/* Nobody logs in with it: one that cannot be written is left out, and costs nothing. */
static bool add_email(json_object *entry, const Credential *c) {
        return needs_escape(c->email) || add_string(entry, "email", c->email);
}

static bool fill_dockercfg_entry(json_object *entry, const Credential *c) {
        _cleanup_secret_ char *auth = encode_auth(c);

        return auth && add_string(entry, "auth", auth) && add_email(entry, c);
}

static bool fill_docker_entry(json_object *entry, const Credential *c) {
        return add_string(entry, "username", c->username) && add_string(entry, "password", c->password) &&
               add_email(entry, c) && add_string(entry, "identitytoken", c->identity_token);
}

/* Returns why the type cannot carry the entry, or NULL. */
static const char *refuse(const Credential *c, AuthType type) {
        if (type == AUTH_TYPE_DOCKERCFG) {
                if (c->identity_token && !acr_token(c))
                        return "an identity token";
                if (!c->identity_token && strchr(c->username, ':'))
                        return "a user name with a colon";
                return NULL;
        }

        if (needs_escape(c->username) || needs_escape(c->password) || needs_escape(c->identity_token))
                return "a quote, a backslash, a control character or a byte that is not UTF-8";
        return NULL;
}

/* Returns the first entry that the type cannot carry, or NULL. */
static const Credential *find_refused(const Credentials *c, AuthType type) {
        for (size_t i = 0; i < c->n_items; i++)
                if (credential_is_usable(c->items[i]) && refuse(c->items[i], type))
                        return c->items[i];
        return NULL;
}

static bool has_identity_token(const Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++)
                if (c->items[i]->identity_token)
                        return true;
        return false;
}

/* Returns the first entry that only the type docker can carry, or NULL. */
static const Credential *find_docker_only(const Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++)
                if (credential_is_usable(c->items[i]) && refuse(c->items[i], AUTH_TYPE_DOCKERCFG) &&
                    !refuse(c->items[i], AUTH_TYPE_DOCKER))
                        return c->items[i];
        return NULL;
}

/* docker carries an identity token as it is. dockercfg carries only one of Azure, as a password, but it carries any
 * password: in docker some would need JSON's escapes, and systemd removes these. */
static AuthType choose_type(const Credentials *c) {
        if (find_docker_only(c))
                return AUTH_TYPE_DOCKER;
        return has_identity_token(c) && !find_refused(c, AUTH_TYPE_DOCKER) ? AUTH_TYPE_DOCKER : AUTH_TYPE_DOCKERCFG;
}

static int convert_tokens(Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++) {
                int r = c->items[i]->identity_token ? acr_token_to_password(c->items[i]) : 0;

                if (r < 0)
                        return r;
        }
        return 0;
}

static int add_entry(json_object *top, const Credential *c, AuthType type) {
        _cleanup_json_ json_object *entry = json_object_new_object();

        if (!entry || !(type == AUTH_TYPE_DOCKERCFG ? fill_dockercfg_entry(entry, c) : fill_docker_entry(entry, c)))
                return -ENOMEM;
        if (json_object_object_add(top, c->registry, entry) < 0)
                return -ENOMEM;
        entry = NULL; /* top owns it */
        return 0;
}

/* Go's decoder takes the name in any case of its letters, and of several the last one; null for "not set"; and fails
 * the whole on any other type. */
static int take_string(json_object *entry, const char *key, bool may_be_empty, char **ret) {
        json_object *last;
        const char *s;

        json_object_object_foreach(entry, name, member) {
                if (member && strcasecmp(name, key) == 0 && !json_object_is_type(member, json_type_string))
                        return -EBADMSG;
        }

        last = json_field(entry, key, json_type_string);
        s = last ? json_object_get_string(last) : NULL;
        if (s && (*s || may_be_empty)) {
                *ret = secret_dup(s, strlen(s));
                if (!*ret)
                        return -ENOMEM;
        }
        return 0;
}

/* Standard base64 with padding, as Go's decoder takes it: line breaks are passed over, anything else is a mistake,
 * and nothing comes of it. ret: zeroes, as many as auth has, and one more. */
static void decode_strict(char *auth, char *ret) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        size_t n = 0, padding;

        for (const char *s = auth; *s; s++)
                if (*s != '\r' && *s != '\n')
                        auth[n++] = *s;
        auth[n] = 0;

        padding = n - strspn(auth, alphabet);
        if (n % 4 == 0 && padding <= 2 && strspn(auth + n - padding, "=") == padding)
                /* To it the padding is zeroes. */
                (void) EVP_DecodeBlock((unsigned char *) ret, (const unsigned char *) auth, (int) n);
}

/* What the agent drops alone has no credentials. */
static int parse_dockercfg_entry(json_object *entry, Credential *c) {
        _cleanup_secret_ char *auth = NULL, *plain = NULL;
        const char *colon;
        int r;

        r = take_string(entry, "auth", false, &auth);
        if (r < 0 || !auth)
                return r;

        plain = calloc(1, strlen(auth) + 1);
        if (!plain)
                return -ENOMEM;
        decode_strict(auth, plain);
        colon = strchr(plain, ':');
        if (!colon)
                return 0;
        c->username = secret_dup(plain, (size_t) (colon - plain));
        c->password = secret_dup(colon + 1, strlen(colon + 1));
        return c->username && c->password ? 0 : -ENOMEM;
}

static int parse_docker_entry(json_object *entry, Credential *c) {
        int r;

        r = take_string(entry, "username", false, &c->username);
        if (r >= 0)
                r = take_string(entry, "password", true, &c->password);
        if (r >= 0)
                r = take_string(entry, "email", false, &c->email);
        if (r >= 0)
                r = take_string(entry, "identitytoken", false, &c->identity_token);
        /* A name without a password is a login to Go, which has no other word for "not there". */
        if (r >= 0 && c->username && !c->password) {
                c->password = secret_dup("", 0);
                r = c->password ? 0 : -ENOMEM;
        }
        return r;
}

/* How an entry is named in the list: as registry-name.h does it, to be matched with a credential file, or as the agent
 * does it, which cuts off the scheme and compares what is left. */
typedef enum Naming {
        NAMING_REGISTRY,
        NAMING_AGENT,
} Naming;

static int name_registry(const char *key, Naming naming, char **ret) {
        const char *rest;
        char *name;
        int r = naming == NAMING_REGISTRY ? registry_normalize(key, ret) : -EINVAL;

        /* A key that cannot be normalized is still one to the agent. */
        if (r != -EINVAL)
                return r;

        rest = startswith(key, "http://");
        if (!rest)
                rest = startswith(key, "https://");
        name = strdup(rest ? rest : key);
        if (!name)
                return -ENOMEM;
        *ret = name;
        return 0;
}

static int parse_entry(const char *key, json_object *entry, AuthType type, Naming naming, Credentials *list) {
        _cleanup_(credential_done) Credential c = {0};
        int r;

        if (!entry)
                return 0; /* null is an entry with nothing in it */
        if (!json_object_is_type(entry, json_type_object))
                return -EBADMSG;

        r = type == AUTH_TYPE_DOCKERCFG ? parse_dockercfg_entry(entry, &c) : parse_docker_entry(entry, &c);
        if (r < 0)
                return r;
        if (!credential_is_usable(&c))
                return 0;

        r = name_registry(key, naming, &c.registry);
        if (r < 0)
                return r;
        c.key = strdup(key);
        return c.key ? credentials_put(list, &c) : -ENOMEM;
}

/* The two values, read once. */
typedef struct AuthValues {
        AuthType type;
        json_object *top; /* NULL: without a type the agent does not look at the data */
} AuthValues;

static void auth_values_done(AuthValues *v) {
        json_object_put(v->top);
}

static int parse_values(const char *type, const char *data, AuthValues *ret) {
        _cleanup_json_ json_object *top = NULL;
        AuthType t = AUTH_TYPE_AUTO;
        int r;

        if (str_empty(type))
                return 0;
        if (auth_type_from_string(type, &t) < 0 || t == AUTH_TYPE_AUTO)
                return -EBADMSG;

        r = json_parse_strict(data ? data : "", data ? strlen(data) : 0, 0, &top, NULL, NULL);
        if (r == -EFBIG)
                return -EBADMSG; /* far longer than any process can be started with */
        if (r < 0)
                return r;
        if (!json_object_is_type(top, json_type_object))
                return -EBADMSG;

        *ret = (AuthValues){.type = t, .top = STEAL_POINTER(top)};
        return 0;
}

static int list_entries(const AuthValues *v, Naming naming, Credentials *ret) {
        _cleanup_(credentials_done) Credentials list = {0};
        int r;

        if (!v->top) {
                *ret = (Credentials){0};
                return 0;
        }

        json_object_object_foreach(v->top, key, entry) {
                r = parse_entry(key, entry, v->type, naming, &list);
                if (r < 0)
                        return r;
        }

        credentials_sort(&list);
        *ret = list;
        list = (Credentials){0};
        return 0;
}

int authdata_parse(const char *type, const char *data, Credentials *ret) {
        _cleanup_(auth_values_done) AuthValues values = {0};
        int r;

        r = parse_values(type, data, &values);
        return r < 0 ? r : list_entries(&values, NAMING_REGISTRY, ret);
}

static bool same_field(const char *a, const char *b) {
        return streq(a ? a : "", b ? b : "");
}

/* json-c passes over failed allocations when it prints, and cuts the text short: what comes out is taken for good only
 * if it gives back what went in. No field at all and an empty one are one thing to the agent. */
static int check_written(const Credentials *c, const char *type, const char *data) {
        _cleanup_(credentials_done) Credentials back = {0};
        size_t n = 0;
        int r;

        r = authdata_parse(type, data, &back);
        if (r < 0)
                return r == -ENOMEM ? r : -EIO;

        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *meant = c->items[i], *written = credentials_find(&back, meant->registry);

                if (!credential_is_usable(meant))
                        continue;
                if (!written && str_empty(meant->username) && str_empty(meant->identity_token))
                        continue; /* a name is what the agent would log in with: to it that is no entry */
                if (!written || !same_field(meant->username, written->username) ||
                    !same_field(meant->password, written->password) ||
                    !same_field(meant->identity_token, written->identity_token))
                        return -EIO;
                n++;
        }
        return n == back.n_items ? 0 : -EIO;
}

/* Which fix the message names for entries that the type cannot carry. */
typedef struct Refusal {
        AuthType type;
        bool auto_carries_all;    /* AuthType=auto carries every entry */
        const Credential *needed; /* with AuthType=auto: the entry that needs the type docker */
} Refusal;

static void advise(const Credential *c, const Refusal *why, char *ret, size_t size) {
        if (why->auto_carries_all)
                (void) snprintf(ret, size, "Set [Agent] AuthType=auto, which carries all of these credentials");
        else if (c->identity_token && why->type == AUTH_TYPE_DOCKERCFG)
                (void) snprintf(ret, size, "Log in to %s with a user name and a password", c->registry);
        else if (why->type == AUTH_TYPE_DOCKERCFG)
                (void) snprintf(ret, size, "Log in to %s with a user name that has no colon", c->registry);
        else if (streq(c->username ? c->username : "", "_json_key"))
                (void) snprintf(ret, size,
                                "Log in with the key file as base64: base64 -w0 KEY.json | docker login -u "
                                "_json_key_base64 --password-stdin %s",
                                c->registry);
        else
                (void) snprintf(ret, size,
                                "Log in to %s with another password, or move this one to AWS Secrets Manager "
                                "(repositoryCredentials in the task definition) and run 'docker logout %s'",
                                c->registry, c->registry);
}

static void explain_refused(const Credential *c, const Refusal *why, bool keeps, Problems *problems) {
        char advice[256];

        advise(c, why, advice, sizeof(advice));
        problems_add(problems, LOG_ERR,
                     "%s: the credentials of %s cannot be written as AuthType=%s%s%s: they have %s. %s; the others are "
                     "written. %s",
                     c->source ? c->source : "credentials", c->registry, auth_type_names[why->type],
                     why->needed ? ", needed for " : "", why->needed ? why->needed->registry : "", refuse(c, why->type),
                     keeps ? "The entry that the environment file has for it stays" : "It is left out", advice);
}

/* An entry that the type cannot carry costs itself and no other: it keeps its former form, where there is one that can
 * be carried, or is left out. */
static int replace_refused(Credentials *c, const Credentials *former, const Refusal *refusal, Problems *problems) {
        for (size_t i = c->n_items; i-- > 0;) {
                const AuthType chosen = refusal->type;
                const char *why = credential_is_usable(c->items[i]) ? refuse(c->items[i], chosen) : NULL;
                const Credential *before = why && former ? credentials_find(former, c->items[i]->registry) : NULL;
                bool keeps = before && credential_is_usable(before) && !refuse(before, chosen);
                int r;

                if (!why)
                        continue;
                explain_refused(c->items[i], refusal, keeps, problems);
                if (!keeps) {
                        credentials_remove(c, i);
                        continue;
                }
                r = credentials_put_copy(c, before);
                if (r < 0)
                        return r;
        }
        return 0;
}

static Refusal describe_refusal(const Credentials *c, AuthType type) {
        const AuthType automatic = choose_type(c);

        return (Refusal){.type = type == AUTH_TYPE_AUTO ? automatic : type,
                         .auto_carries_all = !find_refused(c, automatic),
                         .needed = type == AUTH_TYPE_AUTO ? find_docker_only(c) : NULL};
}

int authdata_format(Credentials *c, const Credentials *former, AuthType type, const char **ret_type, char **ret_data,
                    Problems *problems) {
        _cleanup_json_ json_object *top = json_object_new_object();
        const Refusal refusal = describe_refusal(c, type);
        const AuthType chosen = refusal.type;
        const char *text;
        char *data;
        int r;

        if (!top)
                return -ENOMEM;
        r = replace_refused(c, former, &refusal, problems);
        if (r >= 0 && chosen == AUTH_TYPE_DOCKERCFG)
                r = convert_tokens(c);
        credentials_sort(c);
        for (size_t i = 0; r >= 0 && i < c->n_items; i++)
                if (credential_is_usable(c->items[i]))
                        r = add_entry(top, c->items[i], chosen);
        if (r < 0)
                return r;

        if (json_object_object_length(top) == 0) {
                *ret_type = NULL;
                *ret_data = NULL;
                return 0;
        }

        text = json_to_text(top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        data = text ? secret_dup(text, strlen(text)) : NULL;
        if (!data)
                return -ENOMEM;
        r = check_written(c, auth_type_names[chosen], data);
        if (r < 0) {
                secret_free(data);
                return r;
        }
        *ret_type = auth_type_names[chosen];
        *ret_data = data;
        return 0;
}

static int digest_values(const AuthValues *v, const DigestKey *key, Digest *ret) {
        _cleanup_(credentials_done) Credentials list = {0};
        int r;

        r = list_entries(v, NAMING_AGENT, &list);
        if (r < 0)
                return r;
        for (size_t i = list.n_items; i-- > 0;)
                if (key_covers_nothing(list.items[i]->registry, &list))
                        credentials_remove(&list, i);
        return credentials_digest(&list, key, ret);
}

static int digest_dropped(const DigestKey *key, Digest *ret) {
        /* No list has this form: its first field would be longer than the whole. */
        static const char dropped[] = "\xff\xff\xff\xff\xff\xff\xff\xff the agent drops everything";

        return digest_compute(key, dropped, sizeof(dropped), ret);
}

int authdata_digest(const char *type, const char *data, const DigestKey *key, Digest *ret) {
        _cleanup_(auth_values_done) AuthValues values = {0};
        int r;

        r = parse_values(type, data, &values);
        if (r >= 0)
                r = digest_values(&values, key, ret);
        return r == -EBADMSG ? digest_dropped(key, ret) : r;
}

int authdata_look(const char *type, const char *data, const DigestKey *key, Credentials *ret, Digest *ret_digest) {
        _cleanup_(auth_values_done) AuthValues values = {0};
        _cleanup_(credentials_done) Credentials list = {0};
        int r;

        r = parse_values(type, data, &values);
        if (r >= 0)
                r = digest_values(&values, key, ret_digest);
        if (r >= 0)
                r = list_entries(&values, NAMING_REGISTRY, &list);
        if (r == -EBADMSG)
                r = digest_dropped(key, ret_digest);
        if (r < 0)
                return r;
        *ret = list;
        list = (Credentials){0};
        return 0;
}

/* In any case of its letters: Go's decoder takes the names of members so. */
static int mask_entry(json_object *entry) {
        static const char *const secrets[] = {"auth", "password", "identitytoken", "registrytoken"};

        if (!json_object_is_type(entry, json_type_object))
                return 0;

        json_object_object_foreach(entry, name, member) {
                for (size_t i = 0; i < ELEMENTSOF(secrets); i++)
                        if (strcasecmp(name, secrets[i]) == 0 && json_object_is_type(member, json_type_string) &&
                            !json_object_set_string(member, "***"))
                                return -ENOMEM;
        }
        return 0;
}

int authdata_mask(const char *data, char **ret) {
        _cleanup_json_ json_object *top = NULL;
        const char *text;
        char *masked;
        int r;

        r = json_parse_strict(data, strlen(data), 0, &top, NULL, NULL);
        if (r < 0)
                return r;
        if (!json_object_is_type(top, json_type_object))
                return -EBADMSG;

        json_object_object_foreach(top, key, entry) {
                (void) key;
                r = mask_entry(entry);
                if (r < 0)
                        return r;
        }

        text = json_to_text(top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        masked = text ? strdup(text) : NULL;
        if (!masked)
                return -ENOMEM;
        *ret = masked;
        return 0;
}
