/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/credential-file.h"

#include <openssl/evp.h>
#include <strings.h>

#include "base/foreign-file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/secret.h"
#include "credentials/file-form.h"
#include "credentials/registry-name.h"

enum {
        FILE_SIZE_MAX = 4 * 1024 * 1024,
};

/* No disk takes that long; a file system over the network that has gone away takes for ever. */
#define READ_TIMEOUT_USEC (2 * USEC_PER_SEC)

/* The file that is being read. */
typedef struct Source {
        const char *path;
        char *const *exclude;
        Problems *problems;
        const char *store;    /* credsStore, or NULL */
        json_object *helpers; /* credHelpers, or NULL */
} Source;

static bool is_path(const char *registry) {
        return !streq(registry, REGISTRY_DOCKER_HUB) && strchr(registry, '/');
}

void credfile_advise_login(const Credential *c, char *ret, size_t size) {
        if (streq(c->registry, REGISTRY_DOCKER_HUB))
                (void) snprintf(ret, size, "Run 'docker login'");
        else if (is_path(c->registry)) /* docker login stores a path under its host */
                (void) snprintf(ret, size, "Write its credentials into the file in an editor, or remove the entry");
        else
                (void) snprintf(ret, size, "Run 'docker login %s'", c->registry);
}

/* The password may be a key file of Google Cloud, which has line breaks of its own. */
static bool is_key_file(const Credential *c) {
        return startswith(c->username, "_json_key") || c->password[strspn(c->password, " \t\r\n")] == '{';
}

void credfile_check_newline(const Credential *c, Problems *problems) {
        size_t n = c->password ? strlen(c->password) : 0;
        char advice[PROBLEM_TEXT_MAX];

        if (n == 0 || !strchr("\r\n", c->password[n - 1]) || !c->username || is_key_file(c))
                return;
        credfile_advise_login(c, advice, sizeof(advice));
        problems_add(problems, LOG_WARNING,
                     "%s: the password of %s ends with a newline, which 'echo' may have added; it is used unchanged. "
                     "%s if pulls fail",
                     c->source, c->key, advice);
}

int credfile_decode_base64(const char *s, char **ret) {
        size_t length = strlen(s), n = 0, padding = 0;
        /* Zeroed: what is half done is wiped as a string. */
        _cleanup_secret_ char *clean = xcalloc(1, length + 4), *decoded = xcalloc(1, length + 4);
        int r;

        for (; *s; s++) {
                if (strchr(" \t\r\n", *s))
                        continue;
                if (*s == '=') {
                        padding++;
                        continue;
                }
                if (padding > 0)
                        break; /* something after the padding: refused below */
                clean[n++] = (char) (*s == '-' ? '+' : *s == '_' ? '/' : *s);
        }
        if (*s || padding > 2 || n % 4 == 1)
                return -EBADMSG;

        for (padding = 0; n % 4 != 0; padding++)
                clean[n++] = '=';

        r = EVP_DecodeBlock((unsigned char *) decoded, (const unsigned char *) clean, (int) n);
        if (r < 0 || (size_t) r < padding)
                return -EBADMSG;
        r -= (int) padding;
        decoded[r] = 0;
        *ret = STEAL_POINTER(decoded);
        return r;
}

/* "auth" is base64 of "user:password"; the password may have further colons. NULs at its end are cut off, as Docker's
 * CLI does (config file, decodeAuth). */
static int decode_auth(const char *auth, Credential *c) {
        _cleanup_secret_ char *plain = NULL;
        const char *colon;
        int n;

        n = credfile_decode_base64(auth, &plain);
        if (n < 0)
                return n;
        while (n > 0 && plain[n - 1] == 0)
                n--;
        if (strlen(plain) != (size_t) n)
                return -EBADMSG;

        colon = strchr(plain, ':');
        if (!colon || colon == plain)
                return -EBADMSG;

        c->username = xmemory(secret_dup(plain, (size_t) (colon - plain)));
        c->password = xmemory(secret_dup(colon + 1, strlen(colon + 1)));
        return 0;
}

static char *copy_string(json_object *o, const char *key) {
        const char *s = json_field_string(o, key);

        return s ? xmemory(secret_dup(s, strlen(s))) : NULL;
}

/* Docker's CLI reads none of the file's passwords if a field has another type than string. */
static const char *find_wrong_type(json_object *entry) {
        static const struct {
                const char *name, *flaw;
        } fields[] = {
                {"auth", "has an \"auth\" that is not a string: it must be in double quotes"},
                {"username", "has a \"username\" that is not a string: it must be in double quotes"},
                {"password", "has a \"password\" that is not a string: it must be in double quotes"},
                {"identitytoken", "has an \"identitytoken\" that is not a string: it must be in double quotes"},
        };

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                json_object_object_foreach(entry, name, value) {
                        if (strcasecmp(name, fields[i].name) == 0 && value &&
                            !json_object_is_type(value, json_type_string))
                                return fields[i].flaw;
                }
        }
        return NULL;
}

static void read_login(json_object *entry, Credential *c) {
        const char *auth = json_field_string(entry, "auth");

        /* As in Docker, the two plain fields are used only if there is no "auth". */
        if (auth) {
                /* Beside an identity token Docker writes "user:" with a password of zeros, or nothing that matters. */
                if (decode_auth(auth, c) < 0 && !c->identity_token)
                        c->flaw = "has an \"auth\" that is not base64 of user:password";
        } else if (json_field_string(entry, "username") && json_field_string(entry, "password")) {
                c->username = copy_string(entry, "username");
                c->password = copy_string(entry, "password");
        }
}

/* Reads one entry, {"auth":"BASE64", ...}: sets the user name, password, identity token and e-mail of c that the entry
 * contains. An entry that cannot be used sets c->flaw. */
static void read_entry(json_object *entry, Credential *c) {
        if (!entry)
                return; /* null is an empty entry */
        if (!json_object_is_type(entry, json_type_object)) {
                c->flaw = "is not an object";
                return;
        }

        c->identity_token = copy_string(entry, "identitytoken");
        c->email = copy_string(entry, "email");
        read_login(entry, c);
        if (!c->flaw && !credential_is_usable(c))
                c->flaw = find_wrong_type(entry);
}

/* Returns true if the secret is in the entry, or a helper has it. */
static bool has_source(const Credential *c) {
        return c->helper || credential_is_usable(c);
}

static bool same_credentials(const Credential *a, const Credential *b) {
        return acr_same_login(a, b) && streq(a->helper ? a->helper : "", b->helper ? b->helper : "");
}

/* Of two keys for one registry, prefers the one that Docker's CLI writes and looks up first: the full name of Docker
 * Hub, a bare host elsewhere. Otherwise the first by strcmp, so that the choice is always the same. */
static bool prefers(const char *a, const char *b, const char *registry) {
        if (streq(a, registry) != streq(b, registry))
                return streq(a, registry);
        return strcmp(a, b) < 0;
}

/* If one entry is broken, Docker's CLI reads no password of the file, and 'docker login' saves it without the passwords
 * of other registries (measured with 28.2.2). */
#define REMOVE_FIRST \
        "Correct or remove it in an editor first: 'docker login' would delete passwords of other registries"

/* Explains why c is not used. used: the entry that is used instead; NULL: none. */
static void explain_unusable(const Credential *c, const Credential *used, Problems *problems) {
        char instead[PROBLEM_TEXT_MAX] = "the environment file keeps its entry for it", advice[PROBLEM_TEXT_MAX];

        if (used)
                (void) snprintf(instead, sizeof(instead), "the entry %s of %s is used", used->key, used->source);
        credfile_advise_login(c, advice, sizeof(advice));
        problems_add(problems,
                     used      ? LOG_NOTICE
                     : c->flaw ? LOG_ERR
                               : LOG_WARNING,
                     "%s: the entry of %s %s; %s. %s", c->source, c->key, c->flaw ? c->flaw : "holds no credentials",
                     instead, c->flaw ? REMOVE_FIRST : advice);
}

/* Chooses between two entries of one file for one registry. The later file wins, but not the later key. */
static void choose_entry(Credentials *file, Credential *c, const Credential *other, const Source *s) {
        const bool usable = has_source(c), other_usable = has_source(other);
        bool take = prefers(c->key, other->key, c->registry);

        if (usable != other_usable) {
                const Credential *unusable = usable ? other : c;

                take = usable;
                if (unusable->flaw)
                        explain_unusable(unusable, usable ? c : other, s->problems);
        } else if (usable && !same_credentials(c, other)) {
                problems_add(s->problems, LOG_WARNING,
                             "%s: %s and %s are one registry with different credentials; those of %s are used. Remove "
                             "the entry of %s in an editor ('docker logout' removes both)",
                             s->path, other->key, c->key, take ? c->key : other->key, take ? other->key : c->key);
        }
        if (take)
                credentials_put(file, c);
}

static void add_entry(Credentials *file, Credential *c, const Source *s) {
        const Credential *other = credentials_find(file, c->registry);

        if (other)
                choose_entry(file, c, other, s);
        else
                credentials_put(file, c);
}

/* Sets registry, key and source of an empty entry. Every key passes through here, so that the rules about names apply
 * to all. Returns false if the entry is left out. */
static bool begin_entry(const char *key, const Source *s, Credential *c) {
        if (registry_normalize(key, &c->registry) < 0) {
                problems_add(
                        s->problems, LOG_ERR,
                        "%s: the key '%.64s' is not the name of a registry; left out. Remove the entry in an editor",
                        s->path, registry_showable(key));
                return false;
        }
        if (registry_is_docker_own(c->registry))
                return false;
        if (registry_is_excluded(c->registry, s->exclude)) {
                problems_add(s->problems, LOG_INFO, "%s: %s is left out, as Exclude= says", s->path, c->registry);
                return false;
        }
        c->key = xstrdup(key);
        c->source = xstrdup(s->path);
        return true;
}

/* Sets the helper that Docker's CLI uses: credHelpers comes before credsStore, and an empty value means the file
 * itself. Docker looks up and queries the name of the registry, whatever the key in "auths" is (measured with 28.2.2).
 */
static void name_helper(Credential *c, const Source *s) {
        const char *helper = s->store;
        json_object *value = NULL;

        if (json_object_object_get_ex(s->helpers, c->registry, &value)) {
                helper = json_string_of(value);
                if (value && !json_object_is_type(value, json_type_string))
                        c->flaw = "has a value in \"credHelpers\" that is not a string";
        }
        if (!helper)
                return;
        free(c->key);
        c->key = xstrdup(c->registry);
        c->helper = xstrdup(helper);
}

static void parse_entry(Credentials *file, const char *key, json_object *entry, const Source *s) {
        _cleanup_(credential_done) Credential c = {0};

        if (!begin_entry(key, s, &c))
                return;
        c.entered = true;
        name_helper(&c, s);
        read_entry(entry, &c);
        add_entry(file, &c, s);
}

static void parse_entries(Credentials *file, json_object *entries, const Source *s) {
        json_object_object_foreach(entries, key, entry) {
                parse_entry(file, key, entry, s);
        }
}

/* credHelpers also names registries that "auths" does not. */
static void parse_helpers(Credentials *file, json_object *auths, const Source *s) {
        json_object_object_foreach(s->helpers, key, member) {
                _cleanup_(credential_done) Credential c = {0};

                (void) member;
                if (json_object_object_get_ex(auths, key, NULL) || !begin_entry(key, s, &c) ||
                    credentials_find(file, c.registry))
                        continue;
                if (!streq(key, c.registry)) {
                        problems_add(
                                s->problems, LOG_WARNING,
                                "%s: Docker does not use the key '%.64s' of \"credHelpers\"; left out. Replace the key "
                                "by '%.64s'",
                                s->path, registry_showable(key), c.registry);
                        continue;
                }
                name_helper(&c, s);
                c.file_only = !c.helper && !c.flaw;
                credentials_put(file, &c);
        }
}

/* docker-credential-ecr-login has credentials of Amazon ECR and of nothing else. Returns true if Exclude= leaves out
 * ECR. */
static bool supplies_only_excluded(const char *store, char *const *exclude) {
        return streq(store, "ecr-login") && registry_is_excluded("public.ecr.aws", exclude) &&
               registry_is_excluded("123456789012.dkr.ecr.us-east-1.amazonaws.com", exclude);
}

static void add_store(Credentials *file, const Source *s) {
        if (supplies_only_excluded(s->store, s->exclude))
                problems_add(s->problems, LOG_INFO,
                             "%s: docker-credential-%s is not queried, as Exclude= leaves out all of its "
                             "registries",
                             s->path, s->store);
        else
                credentials_add_store(file, s->store, s->path);
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
        problems_add(problems, LOG_ERR, "%s:%u:%u: %s", path, line, column, why);
        return -EBADMSG;
}

static bool is_blank(const char *text, size_t size) {
        return strspn(text, " \t\r\n") >= size;
}

/* Docker's CLI replaces a file that it cannot parse, and with it every login in it (measured with 28.2.2). */
static const char *advise_on_json(const char *text, size_t size) {
        return is_blank(text, size) ? "Run 'docker login', or restore the file"
                                    : "Correct it in an editor: 'docker login' would delete the other logins in it";
}

static int parse_json(const char *path, const char *text, size_t size, json_object **ret, Problems *problems) {
        _cleanup_json_ json_object *top = NULL;
        const char *reason = NULL;
        size_t offset = 0;
        char why[256];
        int r;

        r = json_parse_strict(text, size, JSON_TOKENER_VALIDATE_UTF8, &top, &offset, &reason);
        if (r == -EBADMSG || r == -EFBIG) {
                (void) snprintf(why, sizeof(why), r == -EFBIG ? "%s. %s" : "not valid JSON (%s). %s", reason,
                                advise_on_json(text, size));
                return explain_json(path, text, offset, why, problems);
        }
        if (r < 0)
                return r;
        if (!json_object_is_type(top, json_type_object))
                return explain_json(
                        path, text, strspn(text, " \t\r\n"),
                        "not a Docker credential file: no JSON object. Name the right file in [Credentials] "
                        "File=",
                        problems);

        *ret = STEAL_POINTER(top);
        return 0;
}

static void parse_top(Credentials *file, json_object *top, FileForm form, Source *s) {
        json_object *auths = json_field(top, "auths", json_type_object);

        if (form == FORM_DOCKERCFG) {
                parse_entries(file, top, s);
                return;
        }
        s->store = json_field_string(top, "credsStore");
        s->helpers = json_field(top, "credHelpers", json_type_object);
        if (s->store && (!auths || json_object_object_length(auths) == 0))
                add_store(file, s);
        if (auths)
                parse_entries(file, auths, s);
        if (s->helpers)
                parse_helpers(file, auths, s);
}

/* Adds the entries of a file to those of the files before it. */
static void merge_file(Credentials *c, Credentials *file, Problems *problems) {
        for (size_t i = 0; i < file->n_items; i++) {
                Credential *item = file->items[i];
                const Credential *other = credentials_find(c, item->registry);
                const bool keep = other && !has_source(item) && (has_source(other) || item->file_only);

                if (!has_source(item) && !item->file_only)
                        explain_unusable(item, keep ? other : NULL, problems);
                else if (!item->helper)
                        credfile_check_newline(item, problems);
                if (!keep)
                        credentials_put(c, item);
        }
        for (size_t i = 0; i < file->n_stores; i++)
                credentials_add_store(c, file->stores[i].helper, file->stores[i].source);
        credentials_sort(c);
}

int credfile_parse(Credentials *c, const char *path, const char *text, size_t size, char *const *exclude,
                   Problems *problems) {
        _cleanup_(credentials_done) Credentials file = {0};
        _cleanup_json_ json_object *top = NULL;
        Source source = {.path = path, .exclude = exclude, .problems = problems};
        char why[FORM_WHY_MAX] = "";
        FileForm form = FORM_CONFIG;
        size_t offset = 0;
        int r;

        r = parse_json(path, text, size, &top, problems);
        if (r < 0)
                return r;
        r = file_form_recognize(top, text, size, &form, &offset, why);
        if (r < 0)
                return explain_json(path, text, offset, why, problems);
        parse_top(&file, top, form, &source);
        merge_file(c, &file, problems);
        return 0;
}

int credfile_parse_list(Credentials *c, const CredentialStore *store, const char *answer, char *const *exclude,
                        Problems *problems) {
        const Source source = {.path = store->source, .exclude = exclude, .problems = problems};
        _cleanup_json_ json_object *top = NULL;
        int parsed = answer ? json_parse_answer(answer, &top) : -EBADMSG;

        if (parsed < 0)
                return parsed;
        if (!json_object_is_type(top, json_type_object))
                return -EBADMSG;

        json_object_object_foreach(top, key, user) {
                _cleanup_(credential_done) Credential entry = {0};

                (void) user;
                if (!begin_entry(key, &source, &entry) || credentials_find(c, entry.registry))
                        continue;
                entry.listed = true;
                entry.yields = store->yields;
                entry.helper = xstrdup(store->helper);
                credentials_put(c, &entry);
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

int credfile_load(Credentials *c, const char *path, bool strict, char *const *exclude, const DigestKey *key,
                  CredFileStamp *ret_stamp, Problems *problems) {
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

        r = credfile_parse(c, path, text, size, exclude, problems);
        if (r >= 0 && ret_stamp)
                r = make_stamp(&file.st, key, text, size, &stamp);
        secret_free_sized(text, size);
        if (r >= 0 && ret_stamp)
                *ret_stamp = stamp;
        return r;
}
