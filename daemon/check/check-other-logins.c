/* SPDX-License-Identifier: Apache-2.0 */
#include <glob.h>
#include <pwd.h>
#include <sys/stat.h>

#include "base/foreign-file.h"
#include "check/check-parts.h"
#include "credentials/credential-file.h"
#include "credentials/other-logins.h"

#define ROOTS_HOME "/root"
#define ROOTS_FILE ROOTS_HOME "/.docker/config.json"

enum {
        USERS_MAX = 256, /* limited, because reading a home may mount it */
        SEARCH_SECONDS = 5,
};

/* Returns true if no watched file contains a login, as far as that can be known. */
static bool nothing_is_watched(const Check *c, const Credentials *credentials) {
        const CredentialSettings *s = &c->settings->credentials;

        for (size_t i = 0; i < credentials->n_items; i++)
                if (credentials->items[i]->source)
                        return false;
        for (char **file = s->files; *file; file++) {
                _cleanup_(credentials_done) Credentials found = {0};
                Problems ignored = {0};
                int r = credfile_load(&found, *file, s->strict, NULL, NULL, NULL, &ignored);

                if (found.n_items > 0 || (r < 0 && r != -ENOENT))
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

/* Searches each directory for file; NULL: for the usual files of a home. */
static void search_each(OtherLogins *l, const char *pattern, const char *file) {
        glob_t found;

        if (glob(pattern, 0, NULL, &found) != 0)
                return;
        for (char **directory = found.gl_pathv; *directory; directory++)
                if (file)
                        (void) other_logins_try(l, *directory, file);
                else
                        other_logins_try_home(l, *directory);
        globfree(&found);
}

static void *search_own(void *context) {
        other_logins_try_home(context, ROOTS_HOME);
        other_logins_try_own(context);
        return NULL;
}

static void *search_homes(void *context) {
        OtherLogins *l = context;

        search_each(l, "/home/[!.]*", NULL);
        search_each(l, "/run/user/[!.]*", "containers/auth.json");
        search_each(l, "/run/containers/[!.]*", "auth.json");
        return NULL;
}

static void search_home_of(OtherLogins *l, const struct passwd *user) {
        if (user && user->pw_dir && user->pw_dir[0] == '/')
                other_logins_try_home(l, user->pw_dir);
}

/* Searches the home of SUDO_USER first, because some user databases (LDAP) find a user but list none. No other thread
 * calls these functions. */
static void *search_user_database(void *context) {
        const char *sudo_user = getenv("SUDO_USER"); /* NOLINT(concurrency-mt-unsafe) */
        const struct passwd *user;

        if (!str_empty(sudo_user))
                search_home_of(context, getpwnam(sudo_user)); /* NOLINT(concurrency-mt-unsafe) */
        setpwent();                                           /* NOLINT(concurrency-mt-unsafe) */
        for (unsigned i = 0; i < USERS_MAX; i++) {
                user = getpwent(); /* NOLINT(concurrency-mt-unsafe) */
                if (!user)
                        break;
                search_home_of(context, user);
        }
        endpwent(); /* NOLINT(concurrency-mt-unsafe) */
        return NULL;
}

/* Returns true if ProtectHome=tmpfs in ecs-authd.service hides the path. */
static bool is_hidden(const char *path) {
        return startswith(path, "/home/") || startswith(path, "/run/user/");
}

/* Returns the advice to add a drop-in that lets the service read the file; "": none is needed. */
static Text drop_in(const OtherLogin *l) {
        char real[PATH_MAX];
        struct stat st;
        bool hidden = is_hidden(l->path) || (realpath(l->path, real) && is_hidden(real));
        bool foreign = stat(l->path, &st) >= 0 && st.st_uid != 0;

        if (!hidden && !foreign)
                return make_text("%s", "");
        return make_text("; run systemctl edit ecs-authd and add to [Service]: %s%s%s%.*s (ecs-authd(8), PRIVILEGES)",
                         foreign ? "CapabilityBoundingSet=CAP_DAC_READ_SEARCH" : "", foreign && hidden ? " and " : "",
                         hidden ? "BindReadOnlyPaths=-" : "", hidden ? (int) l->n_directory : 0, l->path);
}

static void say_found(Check *c, const OtherLogin *l) {
        const Text lines = drop_in(l);
        /* Docker as a snap writes another file. */
        const bool login_helps = roots_file_is_watched(c) && !strstr(l->path, "/snap/docker/");

        say(c, "other-login", l->path, WARNING,
            text("%s has a login, but is not a file that ecs-authd watches", l->path),
            text("%sadd the line File=%s to [Credentials] in /etc/ecs-authd.conf%s; then: systemctl %s ecs-authd",
                 login_helps ? "sudo docker login REGISTRY; or: " : "", l->path, lines.s,
                 str_empty(lines.s) ? "reload" : "restart"));
}

/* Runs one search in a thread. Takes ownership of `before`. Returns its logins and the new ones; or `before`, if the
 * search times out because a file system or a user database hangs: the thread then keeps its copy. */
static OtherLogins *search(OtherLogins *before, void *(*function)(void *) ) {
        OtherLogins *l = xcalloc(1, sizeof(OtherLogins));

        *l = *before;
        if (run_in_time(function, l, SEARCH_SECONDS * USEC_PER_SEC) == -ETIMEDOUT)
                return before;
        free(before);
        return l;
}

void check_other_logins(Check *c, const Credentials *credentials) {
        OtherLogins *l;

        if (!nothing_is_watched(c, credentials))
                return;
        l = xcalloc(1, sizeof(OtherLogins));
        l->settings = &c->settings->credentials;
        l = search(l, search_own);
        l = search(l, search_homes);
        l = search(l, search_user_database);
        for (size_t i = 0; i < l->n_items; i++)
                say_found(c, &l->items[i]);
        free(l);
}
