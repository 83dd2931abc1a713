/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/auth-data.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

#include "base/json.h"
#include "base/secret.h"
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

static int make_entry(const Credential *c, AuthType type, json_object **ret) {
        const bool converts = type == AUTH_TYPE_DOCKERCFG && c->identity_token;
        const Credential form = converts ? acr_token_as_password(c) : *c;
        _cleanup_json_ json_object *entry = json_object_new_object();

        if (!entry ||
            !(type == AUTH_TYPE_DOCKERCFG ? fill_dockercfg_entry(entry, &form) : fill_docker_entry(entry, &form)))
                return -ENOMEM;
        *ret = STEAL_POINTER(entry);
        return 0;
}

static int add_entry(json_object *top, const Credential *c, AuthType type) {
        _cleanup_json_ json_object *entry = NULL;
        int r;

        r = make_entry(c, type, &entry);
        if (r < 0)
                return r;
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

        /* https://user:password@host: the name is shown. */
        if (naming == NAMING_REGISTRY && strchr(key, '@')) {
                if (asprintf(ret, "***@%s", registry_showable(key)) < 0)
                        return -ENOMEM;
                return 0;
        }
        rest = startswith(key, "http://");
        if (!rest)
                rest = startswith(key, "https://");
        name = strdup(rest ? rest : key);
        if (!name)
                return -ENOMEM;
        *ret = name;
        return 0;
}

/* Reads one entry as the agent does. An entry without credentials leaves c empty. */
static int read_entry(json_object *entry, AuthType type, Credential *c) {
        if (!entry)
                return 0; /* null is an entry with nothing in it */
        if (!json_object_is_type(entry, json_type_object))
                return -EBADMSG;
        return type == AUTH_TYPE_DOCKERCFG ? parse_dockercfg_entry(entry, c) : parse_docker_entry(entry, c);
}

static int parse_entry(const char *key, json_object *entry, AuthType type, Naming naming, Credentials *list) {
        _cleanup_(credential_done) Credential c = {0};
        const Credential *twin;
        int r;

        r = read_entry(entry, type, &c);
        if (r < 0 || !credential_is_usable(&c))
                return r;

        r = name_registry(key, naming, &c.registry);
        if (r < 0)
                return r;
        /* Of two spellings, the one that ecs-authd writes. */
        twin = naming == NAMING_REGISTRY ? credentials_find(list, c.registry) : NULL;
        if (twin && streq(twin->key, twin->registry))
                return 0;
        c.key = strdup(key);
        if (!c.key)
                return -ENOMEM;
        credentials_put(list, &c);
        return 0;
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

/* Another spelling of a registry whose entry was ours is foreign. */
static int add_twins(Credentials *c, const Credentials *back) {
        for (size_t i = 0; i < back->n_items; i++) {
                const Credential *known = credentials_find(c, back->items[i]->registry);

                if (known && credential_is_usable(known))
                        continue;
                credentials_put_copy(c, back->items[i]);
                credentials_find(c, back->items[i]->registry)->foreign = true;
        }
        credentials_sort(c);
        return 0;
}

/* json-c passes over failed allocations when it prints, and cuts the text short: what comes out is taken for good only
 * if it gives back what went in. No field at all and an empty one are one thing to the agent. */
static int check_written(Credentials *c, bool has_foreign, const char *type, const char *data) {
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
                if (!written || !acr_same_login(meant, written))
                        return -EIO;
                n++;
        }
        return n == back.n_items ? 0 : has_foreign ? add_twins(c, &back) : -EIO;
}

/* --- the line of one type --- */

typedef struct AuthLine {
        AuthType type;
        json_object *top;
        unsigned n_refused;   /* logins that the type cannot carry */
        unsigned n_revived;   /* foreign entries that the agent cannot use now, and could with this type */
        const char *conflict; /* key of a foreign entry that the type cannot carry; NULL: none */
} AuthLine;

static void auth_line_done(AuthLine *l) {
        json_object_put(l->top);
}

static const Credential *find_former(const AuthData *current, const char *registry) {
        const Credential *former = current ? credentials_find(&current->entries, registry) : NULL;

        return former && !former->foreign ? former : NULL;
}

/* Returns 1 if the entry can stay unchanged, 0 if its login differs from it, or if it is ours and its login has been
 * removed. */
static int is_entry_current(const Credentials *c, const AuthData *current, const char *key) {
        _cleanup_free_ char *registry = NULL;
        const Credential *login, *former;
        int r;

        r = name_registry(key, NAMING_REGISTRY, &registry);
        if (r < 0)
                return r;
        login = credentials_find(c, registry);
        former = find_former(current, registry);
        if (login && credential_is_usable(login))
                return former && streq(former->key, key) && acr_same_login(former, login);
        return !(former && streq(former->key, key));
}

int authdata_is_current(const Credentials *c, const AuthData *current, AuthType type) {
        bool any = false;

        for (size_t i = 0; i < c->n_items; i++) {
                if (!credential_is_usable(c->items[i]))
                        continue;
                if (!find_former(current, c->items[i]->registry))
                        return 0;
                any = true;
        }
        if (any && type != AUTH_TYPE_AUTO && type != current->type)
                return 0;
        if (!current->top)
                return 1;
        json_object_object_foreach(current->top, key, entry) {
                int r = is_entry_current(c, current, key);

                (void) entry;
                if (r <= 0)
                        return r;
        }
        return 1;
}

/* Returns the entry that goes into the line for a login: the login itself, or the former entry if the type cannot carry
 * the login. NULL: neither. */
static const Credential *choose_form(const Credential *login, const AuthData *current, AuthType type) {
        const Credential *former;

        if (!refuse(login, type))
                return login;
        former = find_former(current, login->registry);
        return former && !refuse(former, type) ? former : NULL;
}

/* Keeps an entry that the agent cannot use. With the other type it may turn into a login: *ret_revived. */
static int keep_useless_entry(json_object *entry, AuthType to, json_object **ret, bool *ret_revived) {
        _cleanup_(credential_done) Credential c = {0};
        int r = read_entry(entry, to, &c);

        if (r == -EBADMSG)
                return 0;
        if (r >= 0)
                *ret = json_object_get(entry);
        *ret_revived = credential_is_usable(&c);
        return r;
}

/* A NUL would end the user name or password early. */
static bool has_nul(json_object *entry) {
        json_object_object_foreach(entry, name, member) {
                (void) name;
                if (json_object_is_type(member, json_type_string) &&
                    strlen(json_object_get_string(member)) != (size_t) json_object_get_string_len(member))
                        return true;
        }
        return false;
}

/* Converts an entry to the form of another type. *ret is NULL if that type cannot carry the entry. */
static int convert_entry(const char *key, json_object *entry, AuthType from, AuthType to, json_object **ret,
                         bool *ret_revived) {
        _cleanup_(credential_done) Credential c = {0};
        _cleanup_json_ json_object *converted = NULL;
        int r;

        *ret = NULL;
        if (json_field_string(entry, "registrytoken"))
                return 0;
        r = read_entry(entry, from, &c);
        if (r >= 0)
                r = name_registry(key, NAMING_REGISTRY, &c.registry);
        if (r < 0)
                return r;
        if (!credential_is_usable(&c))
                return keep_useless_entry(entry, to, ret, ret_revived);
        if (refuse(&c, to) || has_nul(entry))
                return 0;
        if (!c.email && json_field_string(entry, "email")) {
                c.email = strdup(json_field_string(entry, "email"));
                if (!c.email)
                        return -ENOMEM;
        }
        r = make_entry(&c, to, &converted);
        if (r >= 0)
                *ret = STEAL_POINTER(converted);
        return r;
}

/* Adds a foreign entry. Returns 1 if the type cannot carry it. */
static int add_foreign_entry(AuthLine *line, const char *key, json_object *entry, AuthType from) {
        _cleanup_json_ json_object *form = NULL;
        bool revived = false;
        const char *text;
        int r = 0;

        if (from == line->type || !entry)
                form = json_object_get(entry);
        else
                r = convert_entry(key, entry, from, line->type, &form, &revived);
        if (r < 0)
                return r;
        if (entry && !form)
                return 1;
        text = form ? json_to_text(form, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE) : NULL;
        if (form && !text)
                return -ENOMEM;
        if (needs_escape(key) || (text && strchr(text, '\\')))
                return 1;
        if (json_object_object_add(line->top, key, form) < 0)
                return -ENOMEM;
        form = NULL; /* top owns it */
        line->n_revived += revived;
        return 0;
}

/* Sets *ret to true if the entry stays: no login replaces it, and ecs-authd did not write it. */
static int stays(const Credentials *c, const AuthData *current, const char *key, AuthType type, bool *ret) {
        _cleanup_free_ char *registry = NULL;
        const Credential *login, *entry;
        int r;

        r = name_registry(key, NAMING_REGISTRY, &registry);
        if (r < 0)
                return r;
        login = credentials_find(c, registry);
        entry = find_former(current, registry);
        /* Version 0.2.0 wrote tokens of Docker's own programs, which are no credentials of a registry. */
        *ret = !registry_is_docker_own(registry) &&
               !(login && credential_is_usable(login) && choose_form(login, current, type)) &&
               !(entry && streq(entry->key, key));
        return 0;
}

static int add_foreign_entries(const Credentials *c, const AuthData *current, AuthLine *line) {
        if (!current || !current->top)
                return 0;

        json_object_object_foreach(current->top, key, entry) {
                bool foreign;
                int r;

                r = stays(c, current, key, line->type, &foreign);
                if (r >= 0 && foreign)
                        r = add_foreign_entry(line, key, entry, current->type);
                if (r < 0)
                        return r;
                if (r > 0)
                        line->conflict = key;
        }
        return 0;
}

/* Makes the line of one type. c must be sorted. */
static int make_line(const Credentials *c, const AuthData *current, AuthType type, AuthLine *ret) {
        _cleanup_(auth_line_done) AuthLine line = {.type = type, .top = json_object_new_object()};
        int r;

        if (!line.top)
                return -ENOMEM;
        r = add_foreign_entries(c, current, &line);
        for (size_t i = 0; r >= 0 && i < c->n_items; i++) {
                const Credential *login = c->items[i], *form;

                if (!credential_is_usable(login))
                        continue;
                form = choose_form(login, current, type);
                line.n_refused += form != login;
                if (form)
                        r = add_entry(line.top, form, type);
        }
        if (r < 0)
                return r;
        *ret = line;
        line = (AuthLine){0};
        return 0;
}

static bool has_identity_token(const Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++)
                if (c->items[i]->identity_token)
                        return true;
        return false;
}

/* The type that is tried first: that of foreign entries, whose form then stays as it is. */
static AuthType prefer_type(const Credentials *c, const AuthData *current) {
        for (size_t i = 0; current && i < current->entries.n_items; i++)
                if (current->entries.items[i]->foreign)
                        return current->type;
        return has_identity_token(c) ? AUTH_TYPE_DOCKER : AUTH_TYPE_DOCKERCFG;
}

static bool carries_more(const AuthLine *l, const AuthLine *other) {
        if (l->conflict || other->conflict)
                return !l->conflict;
        if (l->n_refused != other->n_refused)
                return l->n_refused < other->n_refused;
        return l->n_revived != other->n_revived ? l->n_revived < other->n_revived : l->type == AUTH_TYPE_DOCKER;
}

/* AuthType=auto: the type that carries all foreign entries and the most logins. If both carry everything: that of the
 * foreign entries. Without any: docker if there is an identity token, because docker carries it as it is; otherwise
 * dockercfg, because it carries any password, while systemd removes the escapes of JSON that docker needs.
 * *ret_conflict: key of the foreign entry that the other type cannot carry, or NULL. */
static int choose_line(const Credentials *c, const AuthData *current, AuthLine *ret, const char **ret_conflict) {
        const AuthType preferred = prefer_type(c, current);
        _cleanup_(auth_line_done) AuthLine first = {0}, second = {0};
        AuthLine *chosen = &first;
        int r;

        r = make_line(c, current, preferred, &first);
        if (r >= 0 && (first.n_refused > 0 || first.n_revived > 0 || first.conflict)) {
                r = make_line(c, current, preferred == AUTH_TYPE_DOCKER ? AUTH_TYPE_DOCKERCFG : AUTH_TYPE_DOCKER,
                              &second);
                if (r >= 0 && carries_more(&second, &first))
                        chosen = &second;
        }
        if (r < 0)
                return r;
        *ret_conflict = chosen == &first ? second.conflict : first.conflict;
        *ret = *chosen;
        *chosen = (AuthLine){0};
        return 0;
}

/* Why the type cannot carry some logins; the advice in the message depends on this. */
typedef struct Refusal {
        AuthType type;
        const char *conflict;     /* key of the foreign entry that rules the other type out, or NULL */
        bool auto_carries_all;    /* AuthType=auto would carry every login */
        const Credential *needed; /* with AuthType=auto: the login that needs the type docker, or NULL */
} Refusal;

static void advise(const Credential *c, const Refusal *why, char *ret, size_t size) {
        if (why->conflict)
                (void) snprintf(ret, size,
                                "The entry of %.80s, which is in ecs.config by other means, needs that type: delete "
                                "that entry, or replace it by a login with a password",
                                registry_showable(why->conflict));
        else if (why->auto_carries_all)
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

/* Returns the first login that only the type docker can carry, or NULL. */
static const Credential *find_docker_only(const Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++)
                if (credential_is_usable(c->items[i]) && refuse(c->items[i], AUTH_TYPE_DOCKERCFG) &&
                    !refuse(c->items[i], AUTH_TYPE_DOCKER))
                        return c->items[i];
        return NULL;
}

static int describe_refusal(const Credentials *c, const AuthData *current, AuthType asked, const AuthLine *line,
                            Refusal *ret) {
        _cleanup_(auth_line_done) AuthLine other = {0};
        const char *conflict;
        int r;

        if (asked == AUTH_TYPE_AUTO) {
                ret->needed = line->type == AUTH_TYPE_DOCKER ? find_docker_only(c) : NULL;
                return 0;
        }
        r = line->n_refused > 0 ? choose_line(c, current, &other, &conflict) : 0;
        ret->auto_carries_all = other.top && other.n_refused == 0 && !other.conflict;
        return r;
}

/* Makes c match the line: replaces each login that the type cannot carry by its former entry, or removes it. */
static int settle_refused(Credentials *c, const AuthData *current, const Refusal *refusal, Problems *problems) {
        for (size_t i = c->n_items; i-- > 0;) {
                const Credential *login = c->items[i], *form;

                if (!credential_is_usable(login))
                        continue;
                form = choose_form(login, current, refusal->type);
                if (form == login)
                        continue;
                explain_refused(login, refusal, form != NULL, problems);
                if (form)
                        credentials_put_copy(c, form);
                else
                        credentials_remove(c, i);
        }
        credentials_sort(c);
        return 0;
}

int authdata_add_foreign(Credentials *c, const AuthData *current) {
        for (size_t i = 0; i < current->entries.n_items; i++) {
                const Credential *entry = current->entries.items[i];
                Credential *named = credentials_find(c, entry->registry);

                if (!entry->foreign || (named && credential_is_usable(named)) ||
                    registry_is_docker_own(entry->registry))
                        continue;
                if (!named) {
                        credentials_put_copy(c, entry);
                        continue;
                }
                credential_copy_secrets(named, entry);
                named->foreign = true;
        }
        credentials_sort(c);
        return 0;
}

static int refuse_line(const AuthLine *line, AuthType asked, Problems *problems) {
        problems_add(problems, LOG_ERR,
                     "the entry of %.80s, which is in ecs.config by other means, cannot be written as AuthType=%s; "
                     "nothing was written, and no login is used that is not in the file yet. %s",
                     registry_showable(line->conflict), auth_type_names[asked],
                     asked == AUTH_TYPE_AUTO ? "Delete that entry, or run docker login for its registry"
                                             : "Set [Agent] AuthType=auto, or delete that entry");
        return -EOPNOTSUPP;
}

static int print_line(const AuthLine *line, Credentials *c, bool has_foreign, char **ret) {
        const char *text = json_to_text(line->top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        _cleanup_secret_ char *data = text ? secret_dup(text, strlen(text)) : NULL;
        int r;

        if (!data)
                return -ENOMEM;
        r = check_written(c, has_foreign, auth_type_names[line->type], data);
        if (r >= 0)
                *ret = STEAL_POINTER(data);
        return r;
}

int authdata_format(Credentials *c, const AuthData *current, AuthType type, const char **ret_type, char **ret_data,
                    Problems *problems) {
        _cleanup_(auth_line_done) AuthLine line = {0};
        Refusal refusal = {0};
        int r;

        credentials_sort(c);
        r = type == AUTH_TYPE_AUTO ? choose_line(c, current, &line, &refusal.conflict)
                                   : make_line(c, current, type, &line);
        if (r < 0)
                return r;
        if (line.conflict)
                return refuse_line(&line, type, problems);

        refusal.type = line.type;
        r = describe_refusal(c, current, type, &line, &refusal);
        if (r >= 0)
                r = settle_refused(c, current, &refusal, problems);
        if (r >= 0 && current)
                r = authdata_add_foreign(c, current);
        if (r < 0)
                return r;

        *ret_type = NULL;
        *ret_data = NULL;
        if (json_object_object_length(line.top) == 0)
                return 0;
        r = print_line(&line, c, current && current->top, ret_data);
        if (r >= 0)
                *ret_type = auth_type_names[line.type];
        return r;
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
        credentials_digest(&list, key, ret);
        return 0;
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

/* Explains why the agent ignores the whole content. */
static void explain_ignored(const char *type, const char *data, char *ret, size_t size) {
        _cleanup_json_ json_object *top = NULL;
        const char *why = NULL;
        AuthType t;

        if (str_empty(type)) {
                (void) snprintf(ret, size, AUTHDATA_TYPE_KEY " is not set");
                return;
        }
        if (auth_type_from_string(type, &t) < 0 || t == AUTH_TYPE_AUTO) {
                (void) snprintf(ret, size, AUTHDATA_TYPE_KEY " is neither dockercfg nor docker");
                return;
        }
        if (json_parse_strict(data ? data : "", data ? strlen(data) : 0, 0, &top, NULL, &why) < 0) {
                (void) snprintf(ret, size, AUTHDATA_DATA_KEY " is not valid JSON (%s)", why ? why : "no memory");
                return;
        }
        (void) snprintf(ret, size, AUTHDATA_DATA_KEY " is not a JSON object");
        if (!json_object_is_type(top, json_type_object))
                return;
        json_object_object_foreach(top, key, entry) {
                _cleanup_(credential_done) Credential c = {0};

                if (read_entry(entry, t, &c) < 0)
                        (void) snprintf(ret, size, AUTHDATA_DATA_KEY ": '%.64s' is not an auth entry",
                                        registry_showable(key));
        }
}

/* Lists the entries that have the form of the other type. */
static void list_useless(const AuthValues *v, char *ret, size_t size) {
        const AuthType other = v->type == AUTH_TYPE_DOCKER ? AUTH_TYPE_DOCKERCFG : AUTH_TYPE_DOCKER;
        size_t used = 0;

        json_object_object_foreach(v->top, key, entry) {
                _cleanup_(credential_done) Credential now = {0}, then = {0};

                if (!entry || read_entry(entry, v->type, &now) < 0 || credential_is_usable(&now) ||
                    read_entry(entry, other, &then) < 0 || !credential_is_usable(&then) || used >= size)
                        continue;
                used += (size_t) snprintf(ret + used, size - used, "%s%.64s", used > 0 ? ", " : "",
                                          registry_showable(key));
        }
}

/* Whether a whole config.json was pasted, of which the agent uses nothing. */
static bool is_config_json(json_object *top, const Credentials *entries) {
        return entries->n_items == 0 && json_get(top, "auths", json_type_object);
}

int authdata_read(const char *type, const char *data, const DigestKey *key, AuthData *ret) {
        _cleanup_(auth_values_done) AuthValues values = {0};
        _cleanup_(credentials_done) Credentials entries = {0};
        AuthData a = {0};
        int r;

        r = parse_values(type, data, &values);
        if (r >= 0)
                r = digest_values(&values, key, &a.digest);
        if (r >= 0)
                r = list_entries(&values, NAMING_REGISTRY, &entries);
        if (r == -EBADMSG || (r >= 0 && !values.top && !str_empty(data)))
                explain_ignored(type, data, a.ignored, sizeof(a.ignored));
        if (r >= 0 && is_config_json(values.top, &entries))
                (void) snprintf(a.ignored, sizeof(a.ignored),
                                AUTHDATA_DATA_KEY
                                " has the outer \"auths\" of config.json, which the agent does not know");
        if (r == -EBADMSG)
                r = digest_dropped(key, &a.digest);
        if (r < 0)
                return r;

        if (!*a.ignored && values.top)
                list_useless(&values, a.useless, sizeof(a.useless));
        if (!*a.ignored) {
                a.type = values.type;
                a.top = STEAL_POINTER(values.top);
                a.entries = entries;
                entries = (Credentials){0};
        }
        *ret = a;
        return 0;
}

void authdata_done(AuthData *a) {
        json_object_put(a->top);
        credentials_done(&a->entries);
        *a = (AuthData){0};
}

/* Masks every member but those that are known to be no secret, in any case of their letters, as Go reads them. */
static int mask_entry(json_object *entry) {
        static const char *const shown[] = {"username", "email", "serveraddress"};

        if (!json_object_is_type(entry, json_type_object))
                return 0;

        json_object_object_foreach(entry, name, member) {
                bool show = !member;

                for (size_t i = 0; i < ELEMENTSOF(shown); i++)
                        show |= strcasecmp(name, shown[i]) == 0 && json_object_is_type(member, json_type_string);
                if (!show && !add_string(entry, name, "***"))
                        return -ENOMEM;
        }
        return 0;
}

/* Adds the entry under a key without a user name and password: https://user:password@host. */
static int add_masked(json_object *top, const char *key, json_object *entry) {
        _cleanup_free_ char *name = NULL;
        int r;

        r = mask_entry(entry);
        if (r < 0)
                return r;
        if (asprintf(&name, "%s%s", strchr(key, '@') ? "***@" : "", registry_showable(key)) < 0)
                return -ENOMEM;
        if (json_object_object_add(top, name, json_object_get(entry)) < 0) {
                json_object_put(entry);
                return -ENOMEM;
        }
        return 0;
}

int authdata_mask(const char *data, char **ret) {
        _cleanup_json_ json_object *top = NULL, *shown = json_object_new_object();
        const char *text;
        char *masked;
        int r;

        r = json_parse_strict(data, strlen(data), 0, &top, NULL, NULL);
        if (r < 0)
                return r;
        if (!json_object_is_type(top, json_type_object))
                return -EBADMSG;
        if (!shown)
                return -ENOMEM;

        json_object_object_foreach(top, key, entry) {
                r = add_masked(shown, key, entry);
                if (r < 0)
                        return r;
        }

        text = json_to_text(shown, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        masked = text ? strdup(text) : NULL;
        if (!masked)
                return -ENOMEM;
        *ret = masked;
        return 0;
}
