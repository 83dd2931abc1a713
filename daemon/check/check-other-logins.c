/* SPDX-License-Identifier: Apache-2.0 */
#include <pwd.h>

#include "base/foreign-file.h"
#include "base/json.h"
#include "base/secret.h"
#include "check/check-parts.h"

#define FILE_MAX (4 * 1024 * 1024)
#define ROOTS_FILE "/root/.docker/config.json"

enum {
        FOUND_MAX = 16,   /* said of so many; the cure is the same for each */
        FILE_SECONDS = 1, /* homes may be on a file system that hangs */
        LOOK_SECONDS = 5,
};

/* Where docker login and podman login leave what somebody else than the service's user types. */
static const struct {
        const char *directory, *file;
} places[] = {
        {"/home", ".docker/config.json"},
        {"/run/user", "containers/auth.json"},
        {"/run/containers", "auth.json"},
};

/* Of paths with a login. */
typedef struct Search {
        char found[FOUND_MAX][PATH_MAX];
        size_t n_found;
} Search;

static bool has_members(json_object *o, const char *name) {
        json_object *map = json_field(o, name, json_type_object);

        return map && json_object_object_length(map) > 0;
}

/* 1 it names a registry, 0 it does not. */
static int names_a_registry(const char *path, bool strict) {
        _cleanup_json_ json_object *o = NULL;
        Distrust distrust;
        ForeignFile file;
        char *text = NULL;
        size_t size = 0;
        int r;

        r = foreign_file_read(path, FILE_MAX, FILE_SECONDS * USEC_PER_SEC, &text, &size, &file,
                              strict ? &distrust : NULL);
        if (r < 0)
                return r;
        r = json_parse_strict(text, size, 0, &o, NULL, NULL);
        secret_free_sized(text, size);
        return r < 0 ? r : has_members(o, "auths") || has_members(o, "credHelpers");
}

/* Nobody has logged in with what is watched, as far as anybody can tell. */
static bool nothing_is_watched(const Check *c, const Credentials *credentials) {
        const CredentialSettings *s = &c->settings->credentials;

        for (size_t i = 0; i < credentials->n_items; i++)
                if (credentials->items[i]->source)
                        return false;
        for (char **file = s->files; *file; file++) {
                int r = names_a_registry(*file, s->strict);

                if (r != 0 && r != -ENOENT)
                        return false;
        }
        return true;
}

static bool roots_file_is_watched(const Check *c) {
        for (char **file = c->settings->credentials.files; *file; file++)
                if (streq(*file, ROOTS_FILE))
                        return true;
        return false;
}

/* A file that somebody else than its keeper can change is no one's login. */
static void look_at(Search *s, const char *path) {
        for (size_t i = 0; i < s->n_found; i++)
                if (streq(s->found[i], path))
                        return;
        if (s->n_found < FOUND_MAX && names_a_registry(path, true) > 0)
                (void) snprintf(s->found[s->n_found++], PATH_MAX, "%s", path);
}

static int is_no_dot(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

static void look_below(Search *s, const char *directory, const char *file) {
        struct dirent **entries = NULL;
        int n = scandir(directory, &entries, is_no_dot, alphasort);

        for (int i = 0; i < n; i++) {
                look_at(s, text("%s/%s/%s", directory, entries[i]->d_name, file).s);
                free(entries[i]);
        }
        free(entries);
}

/* Whom the list of users knows from elsewhere (LDAP), too. */
static void look_in_home_of_sudo(Search *s) {
        const char *name = getenv("SUDO_USER"); /* NOLINT(concurrency-mt-unsafe): no one else asks for any of it */
        const struct passwd *user = str_empty(name) ? NULL : getpwnam(name); /* NOLINT(concurrency-mt-unsafe) */

        if (user && user->pw_dir[0] == '/')
                look_at(s, text("%s/.docker/config.json", user->pw_dir).s);
}

static void *look_everywhere(void *context) {
        look_at(context, ROOTS_FILE);
        for (size_t i = 0; i < ELEMENTSOF(places); i++)
                look_below(context, places[i].directory, places[i].file);
        look_in_home_of_sudo(context);
        return NULL;
}

static void say_found(Check *c, const char *path) {
        say(c, "other-login", path, WARNING, text("%s has a login, but is not a file that ecs-authd watches", path).s,
            text("%sset [Credentials] File=%s%s", roots_file_is_watched(c) ? "sudo docker login REGISTRY; or: " : "",
                 path,
                 streq(path, ROOTS_FILE)
                         ? ""
                         : ", with the drop-in for a credential file of another user in ecs-authd(8), PRIVILEGES")
                    .s);
}

void check_other_logins(Check *c, const Credentials *credentials) {
        Search *s;
        int r;

        if (!nothing_is_watched(c, credentials))
                return;
        s = calloc(1, sizeof(Search));
        if (!s)
                return;
        r = run_in_time(look_everywhere, s, LOOK_SECONDS * USEC_PER_SEC);
        if (r == -ETIMEDOUT)
                return; /* homes on a file system that hangs; the thread still has it */
        for (size_t i = 0; r >= 0 && i < s->n_found; i++)
                say_found(c, s->found[i]);
        free(s);
}
