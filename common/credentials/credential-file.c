/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/credential-file.h"

#include "base/foreign-file.h"
#include "base/json.h"
#include "base/secret.h"
#include "credentials/credential-entry.h"
#include "credentials/registry-name.h"

enum {
        FILE_SIZE_MAX = 4 * 1024 * 1024,
};

/* No disk takes that long; a file system over the network that has gone away takes for ever. */
#define READ_TIMEOUT_USEC (2 * USEC_PER_SEC)

/* What is being read, for messages. */
typedef struct Source {
        const char *path;
        Problems *problems;
        const char *store;    /* credsStore, or NULL */
        json_object *helpers; /* credHelpers, or NULL */
} Source;

static bool has_control_character(const char *s) {
        for (; s && *s; s++)
                if ((unsigned char) *s < ' ' || *s == 0x7f)
                        return true;
        return false;
}

void credfile_check_characters(const Credential *c, Problems *problems) {
        if (has_control_character(c->username) || has_control_character(c->password))
                problems_add(
                        problems, LOG_WARNING,
                        "%s: the user name or password of %s has a control character (the newline of echo?); used as "
                        "it is. If pulls fail: printf %%s PASSWORD | docker login --password-stdin",
                        c->source, c->key);
}

/* There is something behind the entry, here or with its helper. */
static bool has_source(const Credential *c) {
        return c->helper || credential_is_usable(c);
}

static bool same_string(const char *a, const char *b) {
        return (!a && !b) || (a && b && streq(a, b));
}

static bool same_credentials(const Credential *a, const Credential *b) {
        return same_string(a->username, b->username) && same_string(a->password, b->password) &&
               same_string(a->identity_token, b->identity_token) && same_string(a->helper, b->helper);
}

/* Of two keys for one registry, the one that Docker's CLI writes and looks up first: the full name of Docker Hub, a
 * bare host elsewhere; then the first by strcmp, so that it is always the same. */
static bool prefers(const char *a, const char *b, const char *registry) {
        if (streq(a, registry) != streq(b, registry))
                return streq(a, registry);
        return strcmp(a, b) < 0;
}

/* One file's entries are gathered by themselves: "later wins" is for files, not for keys. */
static int add_entry(Credentials *file, Credential *c, const Source *s) {
        const Credential *other = credentials_find(file, c->registry);
        bool take;

        if (!other)
                return credentials_put(file, c);

        /* An entry that holds nothing never takes the place of one that does. */
        if (!has_source(c))
                return 0;
        if (!has_source(other))
                return credentials_put(file, c);

        take = prefers(c->key, other->key, c->registry);
        if (!same_credentials(c, other))
                problems_add(s->problems, LOG_WARNING,
                             "%s: %s and %s are one registry with different credentials; those of %s "
                             "are used. Run 'docker logout' for the other one",
                             s->path, other->key, c->key, take ? c->key : other->key);
        return take ? credentials_put(file, c) : 0;
}

/* https://user:password@host is somebody's way to write a key; what may be shown of it. */
static const char *showable(const char *key) {
        const char *at = strrchr(key, '@');

        return at ? at + 1 : key;
}

/* The names of an entry that has nothing in it yet. 1: the key is refused, a problem says so. */
static int begin_entry(const char *key, const char *path, Credential *c, Problems *problems) {
        int r;

        r = registry_normalize(key, &c->registry);
        if (r == -EINVAL) {
                problems_add(problems, LOG_ERR, "%s: the key '%.64s' is not the name of a registry; left out", path,
                             showable(key));
                return 1;
        }
        if (r < 0)
                return r;

        c->key = strdup(key);
        c->source = strdup(path);
        return c->key && c->source ? 0 : -ENOMEM;
}

static int name_helper(Credential *c, const Source *s) {
        const char *helper = json_get_string(s->helpers, c->key);

        if (!helper)
                helper = s->store;
        if (!helper)
                return 0;
        c->helper = strdup(helper);
        return c->helper ? 0 : -ENOMEM;
}

static int parse_entry(Credentials *file, const char *key, json_object *entry, const Source *s) {
        _cleanup_(credential_done) Credential c = {0};
        int r;

        r = begin_entry(key, s->path, &c, s->problems);
        if (r != 0)
                return r < 0 ? r : 0;
        c.entered = true;
        r = name_helper(&c, s);
        if (r < 0)
                return r;

        r = credential_read_entry(entry, &c);
        if (r == -EBADMSG)
                problems_add(
                        s->problems, LOG_ERR,
                        "%s: the \"auth\" of %s is not base64 of user:password; the entry that the environment file has "
                        "for it stays. Run 'docker login %s' again",
                        s->path, key, key);
        else if (r < 0)
                return r;
        else if (!has_source(&c))
                problems_add(
                        s->problems, LOG_WARNING,
                        "%s: the entry of %s holds no credentials; the one that the environment file has for it stays. "
                        "Run 'docker login %s'",
                        s->path, key, key);
        credfile_check_characters(&c, s->problems);
        return add_entry(file, &c, s);
}

/* credHelpers also name registries that "auths" does not. */
static int parse_helpers(Credentials *file, const Source *s) {
        if (!s->helpers)
                return 0;

        json_object_object_foreach(s->helpers, key, member) {
                _cleanup_(credential_done) Credential c = {0};
                int r;

                if (!json_object_is_type(member, json_type_string) || str_empty(json_object_get_string(member)))
                        continue;
                r = begin_entry(key, s->path, &c, s->problems);
                if (r < 0)
                        return r;
                if (r > 0 || credentials_find(file, c.registry))
                        continue;
                r = name_helper(&c, s);
                if (r >= 0)
                        r = credentials_put(file, &c);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int parse_entries(Credentials *file, json_object *entries, const Source *s) {
        json_object_object_foreach(entries, key, entry) {
                int r;

                if (!json_object_is_type(entry, json_type_object)) {
                        problems_add(s->problems, LOG_ERR, "%s: the entry of %.64s is not an object; left out", s->path,
                                     showable(key));
                        continue;
                }
                r = parse_entry(file, key, entry, s);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ~/.dockercfg: the entries stand at the top. */
static bool is_dockercfg(json_object *top) {
        bool any = false;

        json_object_object_foreach(top, key, member) {
                (void) key;
                if (!json_object_is_type(member, json_type_object))
                        return false;
                if (json_field(member, "auth", json_type_string) || json_field(member, "username", json_type_string) ||
                    json_field(member, "identitytoken", json_type_string))
                        any = true;
        }
        return any;
}

/* Line and column (in bytes) of an offset, both from 1. */
static void locate(const char *text, size_t offset, unsigned *ret_line, unsigned *ret_column) {
        *ret_line = *ret_column = 1;

        for (size_t i = 0; i < offset; i++) {
                (*ret_column)++;
                if (text[i] == '\n') {
                        (*ret_line)++;
                        *ret_column = 1;
                }
        }
}

static int explain_json(const char *path, const char *text, size_t offset, const char *why, Problems *problems) {
        unsigned line, column;

        locate(text, offset, &line, &column);
        problems_add(problems, LOG_ERR, "%s:%u:%u: %s. Run 'docker login' again, or mend the file", path, line, column,
                     why);
        return -EBADMSG;
}

static int parse_json(const char *path, const char *text, size_t size, json_object **ret, Problems *problems) {
        _cleanup_json_ json_object *top = NULL;
        const char *reason = NULL;
        size_t offset = 0;
        char why[128];
        int r;

        r = json_parse_strict(text, size, JSON_TOKENER_VALIDATE_UTF8, &top, &offset, &reason);
        if (r == -EBADMSG || r == -EFBIG) {
                (void) snprintf(why, sizeof(why), r == -EFBIG ? "%s" : "not valid JSON (%s)", reason);
                return explain_json(path, text, offset, why, problems);
        }
        if (r < 0)
                return r;
        if (!json_object_is_type(top, json_type_object))
                return explain_json(path, text, strspn(text, " \t\r\n"), "not a Docker credential file: no JSON object",
                                    problems);

        *ret = STEAL_POINTER(top);
        return 0;
}

static int parse_top(Credentials *file, json_object *top, Source *s) {
        json_object *auths = NULL;
        int r = 0;

        if (json_field_last(top, "auths", &auths) && auths && !json_object_is_type(auths, json_type_object)) {
                problems_add(s->problems, LOG_ERR, "%s: \"auths\" is not an object. Mend the file", s->path);
                return -EBADMSG;
        }

        s->store = json_field_string(top, "credsStore");
        (void) json_field_last(top, "credHelpers", &s->helpers);
        if (!json_object_is_type(s->helpers, json_type_object))
                s->helpers = NULL;
        if (s->store && (!auths || json_object_object_length(auths) == 0)) {
                r = credentials_add_store(file, s->store, s->path);
                if (r < 0)
                        return r;
        }

        if (auths)
                r = parse_entries(file, auths, s);
        else if (is_dockercfg(top))
                r = parse_entries(file, top, s);
        return r < 0 ? r : parse_helpers(file, s);
}

int credfile_parse(Credentials *c, const char *path, const char *text, size_t size, Problems *problems) {
        _cleanup_(credentials_done) Credentials file = {0};
        _cleanup_json_ json_object *top = NULL;
        Source source = {.path = path, .problems = problems};
        int r;

        r = parse_json(path, text, size, &top, problems);
        if (r < 0)
                return r;
        r = parse_top(&file, top, &source);
        if (r < 0)
                return r;

        for (size_t i = 0; i < file.n_items; i++) {
                const Credential *other = credentials_find(c, file.items[i]->registry);

                if (other && has_source(other) && !has_source(file.items[i]))
                        continue;
                r = credentials_put(c, file.items[i]);
                if (r < 0)
                        return r;
        }
        credentials_sort(c);
        for (size_t i = 0; i < file.n_stores; i++) {
                r = credentials_add_store(c, file.stores[i].helper, file.stores[i].source);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* Docker's own stores keep two more secrets for Docker Hub, below its name, which are no credentials of a registry. */
static bool is_store_internal(const char *registry) {
        return startswith(registry, "index.docker.io/") != NULL;
}

int credfile_parse_list(Credentials *c, const CredentialStore *store, const char *answer, Problems *problems) {
        _cleanup_json_ json_object *top = NULL;
        int parsed = answer ? json_parse_answer(answer, &top) : -EBADMSG;

        if (parsed < 0)
                return parsed;
        if (!json_object_is_type(top, json_type_object))
                return -EBADMSG;

        json_object_object_foreach(top, key, user) {
                _cleanup_(credential_done) Credential entry = {0};
                int r;

                (void) user;
                r = begin_entry(key, store->source, &entry, problems);
                if (r < 0)
                        return r;
                if (r > 0 || is_store_internal(entry.registry) || credentials_find(c, entry.registry))
                        continue;
                entry.listed = true;
                entry.yields = store->yields;
                entry.helper = strdup(store->helper);
                if (!entry.helper)
                        return -ENOMEM;
                r = credentials_put(c, &entry);
                if (r < 0)
                        return r;
        }
        return 0;
}

static bool is_in_a_home_directory(const char *path) {
        return startswith(path, "/home/") || startswith(path, "/run/user/");
}

static const char *advise(const char *path, int r) {
        switch (r) {
        case -ENOENT:
        case -ENOTDIR:
                if (is_in_a_home_directory(path))
                        return "Run 'docker login'; the service sees no home directory but root's without a drop-in "
                               "(ecs-authd(8), PRIVILEGES)";
                return "Run 'docker login', or set [Credentials] File=";
        case -EACCES:
        case -EPERM:
                if (geteuid() != 0)
                        return "Run this as root (sudo)";
                return "Look at its owner and mode, and at those of its directories (namei -l); the service reads "
                       "another user's files with a drop-in only (ecs-authd(8), PRIVILEGES)";
        case -EISDIR:
        case -ENOTSUP:
                return "It has to be a regular file";
        case -EFBIG:
                return "No credential file is that long";
        case -ETIMEDOUT:
                return "The file system that it lies on does not answer";
        default:
                return "See what the error says";
        }
}

static void complain(const char *path, int error, const Distrust *distrust, Problems *problems) {
        char why[PROBLEM_TEXT_MAX];

        if (error == -EKEYREJECTED) {
                distrust_describe(distrust, why, sizeof(why));
                problems_add(
                        problems, LOG_ERR,
                        "%s: is not read, since others can change it: %s, or see StrictModes= in ecs-authd.conf(5)",
                        path, why);
                return;
        }
        /* Before the first login there is none. */
        if (error == -ENOENT)
                problems_add(problems, LOG_NOTICE, "%s: there is no such file. %s", path, advise(path, error));
        else
                problems_add(problems, LOG_ERR, "%s: cannot be read: %s. %s", path, strerror(-error),
                             advise(path, error));
}

static int make_stamp(const struct stat *st, const DigestKey *key, const char *text, size_t size, CredFileStamp *ret) {
        ret->inode = st->st_ino;
        ret->mtime_nsec = (int64_t) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
        return digest_compute(key, text, size, &ret->digest);
}

int credfile_load(Credentials *c, const char *path, bool strict, const DigestKey *key, CredFileStamp *ret_stamp,
                  Problems *problems) {
        CredFileStamp stamp = {0};
        Distrust distrust;
        ForeignFile file;
        char *text = NULL;
        size_t size = 0;
        int r;

        r = foreign_file_read(path, FILE_SIZE_MAX, READ_TIMEOUT_USEC, &text, &size, &file, strict ? &distrust : NULL);
        if (r < 0) {
                complain(path, r, &distrust, problems);
                return r;
        }
        if (file.is_exposed)
                problems_add(problems, LOG_WARNING,
                             "%s: everybody on this host can read the passwords in it; run 'chmod 600 %s'", path, path);

        r = credfile_parse(c, path, text, size, problems);
        if (r >= 0 && ret_stamp)
                r = make_stamp(&file.st, key, text, size, &stamp);
        secret_free_sized(text, size);
        if (r >= 0 && ret_stamp)
                *ret_stamp = stamp;
        return r;
}
