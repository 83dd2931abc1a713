/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/auth-data.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <strings.h>

#include "base/memory.h"
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

/* Returns the base64 of "user:password". */
static char *encode_auth(const Credential *c) {
        size_t n = strlen(c->username) + 1 + strlen(c->password);
        _cleanup_secret_ char *plain = xcalloc(1, n + 1);
        char *encoded = xcalloc(1, 4 * ((n + 2) / 3) + 1);

        (void) snprintf(plain, n + 1, "%s:%s", c->username, c->password);
        (void) EVP_EncodeBlock((unsigned char *) encoded, (const unsigned char *) plain, (int) n);
        return encoded;
}

static void add_string(json_object *o, const char *key, const char *value) {
        if (value)
                xjson_set_string(o, key, value);
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

static json_object *make_entry(const Credential *c, AuthType type) {
        json_object *entry = xmemory(json_object_new_object());
        const bool is_docker = type == AUTH_TYPE_DOCKER;
        const Credential form = !is_docker && c->identity_token ? acr_token_as_password(c) : *c;

        if (is_docker) {
                add_string(entry, "username", form.username);
                add_string(entry, "password", form.password);
        } else {
                _cleanup_secret_ char *auth = encode_auth(&form);

                add_string(entry, "auth", auth);
        }
        /* The email address has no effect: leave it out if it needs an escape. */
        if (!needs_escape(form.email))
                add_string(entry, "email", form.email);
        if (is_docker)
                add_string(entry, "identitytoken", form.identity_token);
        return entry;
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
        if (s && (*s || may_be_empty))
                *ret = xmemory(secret_dup(s, strlen(s)));
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

        plain = xcalloc(1, strlen(auth) + 1);
        decode_strict(auth, plain);
        colon = strchr(plain, ':');
        if (!colon)
                return 0;
        c->username = xmemory(secret_dup(plain, (size_t) (colon - plain)));
        c->password = xmemory(secret_dup(colon + 1, strlen(colon + 1)));
        return 0;
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
        if (r >= 0 && c->username && !c->password)
                c->password = xmemory(secret_dup("", 0));
        return r;
}

/* How an entry is named in the list: as registry-name.h does it, to be matched with a credential file, or as the agent
 * does it, which cuts off the scheme and compares what is left. */
typedef enum Naming {
        NAMING_REGISTRY,
        NAMING_AGENT,
} Naming;

static char *name_registry(const char *key, Naming naming) {
        const char *rest;
        char *name;

        if (naming == NAMING_REGISTRY) {
                int r = registry_normalize(key, &name);

                if (r >= 0)
                        return name;
                if (r != -EINVAL)
                        memory_exhausted();
                /* https://user:password@host: the name is shown. */
                if (strchr(key, '@'))
                        return xasprintf("***@%s", registry_showable(key));
        }
        /* The agent also uses keys that cannot be normalized. */
        rest = startswith(key, "http://");
        if (!rest)
                rest = startswith(key, "https://");
        return xstrdup(rest ? rest : key);
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

        c.registry = name_registry(key, naming);
        /* Of two spellings, the one that ecs-authd writes. */
        twin = naming == NAMING_REGISTRY ? credentials_find(list, c.registry) : NULL;
        if (twin && streq(twin->key, twin->registry))
                return 0;
        c.key = xstrdup(key);
        credentials_put(list, &c);
        return 0;
}

static void ignore(AuthData *a, const char *format, ...) _printf_(2, 3);
static void ignore(AuthData *a, const char *format, ...) {
        va_list args;

        va_start(args, format);
        (void) vsnprintf(a->ignored, sizeof(a->ignored), format, args);
        va_end(args);
}

/* Parses the two values into type and top. -EBADMSG: the agent drops all entries; ret->ignored contains the reason. */
static int parse_values(const char *type, const char *data, AuthData *ret) {
        const char *why = NULL;
        int r;

        if (str_empty(type)) {
                if (!str_empty(data))
                        ignore(ret, AUTHDATA_TYPE_KEY " is not set");
                return 0;
        }
        if (auth_type_from_string(type, &ret->type) < 0 || ret->type == AUTH_TYPE_AUTO) {
                ignore(ret, AUTHDATA_TYPE_KEY " is neither dockercfg nor docker");
                return -EBADMSG;
        }
        r = json_parse_strict(data ? data : "", data ? strlen(data) : 0, 0, &ret->top, NULL, &why);
        if (r == -ENOMEM)
                memory_exhausted();
        if (r < 0)
                ignore(ret, AUTHDATA_DATA_KEY " is not valid JSON (%s)", why);
        else if (!json_object_is_type(ret->top, json_type_object))
                ignore(ret, AUTHDATA_DATA_KEY " is not a JSON object");
        return *ret->ignored ? -EBADMSG : 0;
}

/* Lists the entries that the agent uses. -EBADMSG: it drops all of them; a->ignored contains the reason. */
static int list_entries(AuthData *a, Naming naming, Credentials *ret) {
        if (!a->top)
                return 0;
        json_object_object_foreach(a->top, key, entry) {
                int r = parse_entry(key, entry, a->type, naming, ret);

                if (r < 0) {
                        ignore(a, AUTHDATA_DATA_KEY ": '%.64s' is not an auth entry", registry_showable(key));
                        credentials_done(ret);
                        return r;
                }
        }
        credentials_sort(ret);
        return 0;
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

/* Returns whether the entry of current with this key is ours. */
static bool is_ours(const AuthData *current, const char *registry, const char *key) {
        const Credential *former = find_former(current, registry);

        return former && streq(former->key, key);
}

static const Credential *find_login(const Credentials *c, const char *registry) {
        const Credential *login = credentials_find(c, registry);

        return login && credential_is_usable(login) ? login : NULL;
}

/* Returns true if the entry can stay unchanged: its login equals it, or it has no login and is not ours. */
static bool is_entry_current(const Credentials *c, const AuthData *current, const char *key) {
        _cleanup_free_ char *registry = name_registry(key, NAMING_REGISTRY);
        const Credential *login = find_login(c, registry);
        bool ours = is_ours(current, registry, key);

        return login ? ours && acr_same_login(find_former(current, registry), login) : !ours;
}

bool authdata_is_current(const Credentials *c, const AuthData *current, AuthType type) {
        bool any = false;

        for (size_t i = 0; i < c->n_items; i++) {
                if (!credential_is_usable(c->items[i]))
                        continue;
                if (!find_former(current, c->items[i]->registry))
                        return false;
                any = true;
        }
        if (any && type != AUTH_TYPE_AUTO && type != current->type)
                return false;
        if (!current->top)
                return true;
        json_object_object_foreach(current->top, key, entry) {
                (void) entry;
                if (!is_entry_current(c, current, key))
                        return false;
        }
        return true;
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

/* Returns the form of a foreign entry in the type of the line; NULL: that type cannot carry the entry. An entry that
 * the agent cannot use now may turn into a login. */
static json_object *convert_entry(AuthLine *line, const char *key, json_object *entry, AuthType from) {
        _cleanup_(credential_done) Credential c = {0}, other = {0};

        if (from == line->type)
                return json_object_get(entry);
        /* The agent can read entry, because it uses the data. */
        if (json_field_string(entry, "registrytoken") || read_entry(entry, from, &c) < 0)
                return NULL;
        if (!credential_is_usable(&c)) {
                if (read_entry(entry, line->type, &other) < 0)
                        return NULL;
                line->n_revived += credential_is_usable(&other);
                return json_object_get(entry);
        }
        c.registry = name_registry(key, NAMING_REGISTRY);
        if (refuse(&c, line->type) || has_nul(entry))
                return NULL;
        if (!c.email && json_field_string(entry, "email"))
                c.email = xstrdup(json_field_string(entry, "email"));
        return make_entry(&c, line->type);
}

/* Adds a foreign entry, or sets line->conflict if the type cannot carry it. */
static void add_foreign_entry(AuthLine *line, const char *key, json_object *entry, AuthType from) {
        _cleanup_json_ json_object *form = entry ? convert_entry(line, key, entry, from) : NULL;
        bool carried = !needs_escape(key) && (!entry || form);

        if (carried && form)
                carried = !strchr(xjson_to_text(form, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE), '\\');
        if (!carried)
                line->conflict = key;
        else if (json_object_object_add(line->top, key, STEAL_POINTER(form)) < 0)
                memory_exhausted();
}

/* Returns true if the entry stays: no login replaces it, and ecs-authd did not write it. Version 0.2.0 wrote tokens of
 * Docker's own programs, which are no credentials of a registry. */
static bool stays(const Credentials *c, const AuthData *current, const char *key, AuthType type) {
        _cleanup_free_ char *registry = name_registry(key, NAMING_REGISTRY);
        const Credential *login = find_login(c, registry);

        return !registry_is_docker_own(registry) && !(login && choose_form(login, current, type)) &&
               !is_ours(current, registry, key);
}

/* Makes the line of one type. c must be sorted. */
static void make_line(const Credentials *c, const AuthData *current, AuthType type, AuthLine *ret) {
        *ret = (AuthLine){.type = type, .top = xmemory(json_object_new_object())};
        if (current && current->top) {
                json_object_object_foreach(current->top, key, entry) {
                        if (stays(c, current, key, type))
                                add_foreign_entry(ret, key, entry, current->type);
                }
        }
        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *login = c->items[i], *form;

                if (!credential_is_usable(login))
                        continue;
                form = choose_form(login, current, type);
                ret->n_refused += form != login;
                if (form)
                        xjson_set(ret->top, form->registry, make_entry(form, type));
        }
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

/* AuthType=auto: returns the line that carries all foreign entries and the most logins. If both carry everything: that
 * of the type of the foreign entries. Without any: docker if there is an identity token, because docker carries it as
 * it is; otherwise dockercfg, because it carries any password, while systemd removes the escapes of JSON that docker
 * needs. */
static AuthLine *choose_line(const Credentials *c, const AuthData *current, AuthLine *dockercfg, AuthLine *docker) {
        const bool prefers_docker = prefer_type(c, current) == AUTH_TYPE_DOCKER;
        AuthLine *first = prefers_docker ? docker : dockercfg, *second = prefers_docker ? dockercfg : docker;
        const bool is_complete = first->n_refused == 0 && first->n_revived == 0 && !first->conflict;

        return is_complete || !carries_more(second, first) ? first : second;
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

/* Makes c match the line: replaces each login that the type cannot carry by its former entry, or removes it. */
static void settle_refused(Credentials *c, const AuthData *current, const Refusal *refusal, Problems *problems) {
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
}

void authdata_add_foreign(Credentials *c, const AuthData *current) {
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
}

static Refusal describe_refusal(const Credentials *c, AuthType asked, const AuthLine *line, const AuthLine *other) {
        const bool is_auto = asked == AUTH_TYPE_AUTO;

        return (Refusal){
                .type = line->type,
                .conflict = is_auto ? other->conflict : NULL,
                .auto_carries_all = !is_auto && other->n_refused == 0 && !other->conflict,
                .needed = is_auto && line->type == AUTH_TYPE_DOCKER ? find_docker_only(c) : NULL,
        };
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

/* Computes a digest that no list has: the first field of a list would be longer than these bytes. */
static void digest_dropped(const DigestKey *key, Digest *ret) {
        static const char dropped[] = "\xff\xff\xff\xff\xff\xff\xff\xff the agent drops everything";

        if (digest_compute(key, dropped, sizeof(dropped), ret) < 0)
                memory_exhausted();
}

static void digest_entries(Credentials *list, const DigestKey *key, Digest *ret) {
        for (size_t i = list->n_items; i-- > 0;)
                if (key_covers_nothing(list->items[i]->registry, list))
                        credentials_remove(list, i);
        credentials_digest(list, key, ret);
}

/* Lists the entries that have the form of the other type. */
static void list_useless(AuthData *a) {
        const AuthType other = a->type == AUTH_TYPE_DOCKER ? AUTH_TYPE_DOCKERCFG : AUTH_TYPE_DOCKER;
        const size_t size = sizeof(a->useless);
        size_t used = 0;

        json_object_object_foreach(a->top, key, entry) {
                _cleanup_(credential_done) Credential now = {0}, then = {0};

                if (!entry || read_entry(entry, a->type, &now) < 0 || credential_is_usable(&now) ||
                    read_entry(entry, other, &then) < 0 || !credential_is_usable(&then) || used >= size)
                        continue;
                used += (size_t) snprintf(a->useless + used, size - used, "%s%.64s", used > 0 ? ", " : "",
                                          registry_showable(key));
        }
}

/* Whether a whole config.json was pasted, of which the agent uses nothing. */
static bool is_config_json(json_object *top, const Credentials *entries) {
        return entries->n_items == 0 && json_get(top, "auths", json_type_object);
}

void authdata_read(const char *type, const char *data, const DigestKey *key, AuthData *ret) {
        _cleanup_(credentials_done) Credentials looked_up = {0};
        AuthData a = {0};
        int r;

        r = parse_values(type, data, &a);
        if (r >= 0)
                r = list_entries(&a, NAMING_AGENT, &looked_up);
        if (r >= 0)
                r = list_entries(&a, NAMING_REGISTRY, &a.entries);
        if (r < 0)
                digest_dropped(key, &a.digest);
        else
                digest_entries(&looked_up, key, &a.digest);
        if (r >= 0 && is_config_json(a.top, &a.entries))
                ignore(&a, AUTHDATA_DATA_KEY " has the outer \"auths\" of config.json, which the agent does not know");

        if (*a.ignored) {
                json_object_put(a.top);
                a.top = NULL;
                a.type = AUTH_TYPE_AUTO;
        } else if (a.top)
                list_useless(&a);
        *ret = a;
}

/* Reads the new values, marks the entries that are not in c as foreign, and adds them to c. Compares the other entries
 * with c: json-c may omit parts if an allocation fails while it prints. To the agent, a missing field equals an empty
 * one. */
static int read_back(Credentials *c, bool has_foreign, const char *type, const char *data, const DigestKey *key,
                     AuthData *ret) {
        size_t n = 0;

        authdata_read(type, data, key, ret);
        for (size_t i = 0; i < ret->entries.n_items; i++)
                ret->entries.items[i]->foreign = !find_login(c, ret->entries.items[i]->registry);
        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *meant = c->items[i], *written = credentials_find(&ret->entries, meant->registry);

                if (!credential_is_usable(meant))
                        continue;
                if (!written && str_empty(meant->username) && str_empty(meant->identity_token))
                        continue; /* the agent does not use an entry without a name */
                if (!written || !acr_same_login(meant, written))
                        return -EIO;
                n++;
        }
        if (*ret->ignored || (n < ret->entries.n_items && !has_foreign))
                return -EIO;
        authdata_add_foreign(c, ret);
        return 0;
}

int authdata_format(Credentials *c, const AuthData *current, AuthType type, const DigestKey *key, const char **ret_type,
                    char **ret_data, AuthData *ret, Problems *problems) {
        _cleanup_(auth_line_done) AuthLine dockercfg = {0}, docker = {0};
        _cleanup_secret_ char *data = NULL;
        const AuthLine *line, *other;
        const char *text;
        Refusal refusal;
        int r;

        credentials_sort(c);
        make_line(c, current, AUTH_TYPE_DOCKERCFG, &dockercfg);
        make_line(c, current, AUTH_TYPE_DOCKER, &docker);
        line = type == AUTH_TYPE_AUTO     ? choose_line(c, current, &dockercfg, &docker)
               : type == AUTH_TYPE_DOCKER ? &docker
                                          : &dockercfg;
        other = line == &docker ? &dockercfg : &docker;
        if (line->conflict)
                return refuse_line(line, type, problems);

        refusal = describe_refusal(c, type, line, other);
        settle_refused(c, current, &refusal, problems);
        if (json_object_object_length(line->top) > 0) {
                text = xjson_to_text(line->top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
                data = xmemory(secret_dup(text, strlen(text)));
        }
        *ret_type = data ? auth_type_names[line->type] : NULL;
        *ret_data = NULL;
        r = read_back(c, current && current->top, *ret_type, data, key, ret);
        if (r >= 0)
                *ret_data = STEAL_POINTER(data);
        else
                *ret_type = NULL;
        return r;
}

void authdata_digest(const char *type, const char *data, const DigestKey *key, Digest *ret) {
        _cleanup_(authdata_done) AuthData a = {0};

        authdata_read(type, data, key, &a);
        *ret = a.digest;
}

void authdata_done(AuthData *a) {
        json_object_put(a->top);
        credentials_done(&a->entries);
        *a = (AuthData){0};
}

/* Masks every member except those that are known to be no secret. Go ignores the case of names. */
static void mask_entry(json_object *entry) {
        static const char *const shown[] = {"username", "email", "serveraddress"};

        if (!json_object_is_type(entry, json_type_object))
                return;
        json_object_object_foreach(entry, name, member) {
                bool show = !member;

                for (size_t i = 0; i < ELEMENTSOF(shown); i++)
                        show |= strcasecmp(name, shown[i]) == 0 && json_object_is_type(member, json_type_string);
                if (!show)
                        xjson_set_string(entry, name, "***");
        }
}

int authdata_mask(const char *data, char **ret) {
        _cleanup_json_ json_object *top = NULL, *shown = xmemory(json_object_new_object());
        int r;

        r = json_parse_strict(data, strlen(data), 0, &top, NULL, NULL);
        if (r < 0)
                return r;
        if (!json_object_is_type(top, json_type_object))
                return -EBADMSG;

        json_object_object_foreach(top, key, entry) {
                /* The key without a user name and password: https://user:password@host. */
                _cleanup_free_ char *name = xasprintf("%s%s", strchr(key, '@') ? "***@" : "", registry_showable(key));

                mask_entry(entry);
                if (json_object_object_add(shown, name, json_object_get(entry)) < 0)
                        memory_exhausted();
        }
        *ret = xstrdup(xjson_to_text(shown, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        return 0;
}
