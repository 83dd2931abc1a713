/* SPDX-License-Identifier: Apache-2.0 */
#include <libgen.h>
#include <pwd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/foreign-file.h"
#include "base/json.h"
#include "base/secret.h"
#include "check/check-parts.h"
#include "credentials/credential-file.h"
#include "credentials/other-logins.h"
#include "credentials/registry-login.h"
#include "credentials/registry-name.h"
#include "ecsconfig/environment-file.h"

#define DISK_MIN_BYTES (1024 * 1024)
#define TEXT_MAX (1024 * 1024)

/* --- credentials --- */

static void check_mode(Check *c, const char *id, const char *path, const struct stat *st) {
        if (st->st_mode & 077)
                say(c, id, path, WARNING,
                    text("%s can be read by others than its owner (mode %04o)", path, st->st_mode & 07777),
                    text("chmod 600 %s", path));
}

/* With StrictModes=yes such a file is not read, and a problem says so. Its owner may be who it is on purpose. */
static void check_writers(Check *c, const char *path) {
        _cleanup_close_ int fd = -1;
        Distrust distrust;
        ForeignFile file;

        if (c->settings->credentials.strict || foreign_file_open(path, &fd, &file, &distrust) != -EKEYREJECTED ||
            distrust.is_owner)
                return;
        say(c, "credential-file-writers", path, WARNING,
            text("%s can be written by others, who decide then what the agent pulls with (StrictModes=no)",
                 distrust.path),
            text("chmod go-w %s", distrust.path));
}

/* What the library says of it comes as problems; here is the rest. */
void check_credential_files(Check *c) {
        for (char **path = c->settings->credentials.files; *path; path++) {
                _cleanup_close_ int fd = -1;
                ForeignFile file;

                if (foreign_file_open(*path, &fd, &file, NULL) < 0)
                        continue;
                if (!file.is_exposed)
                        check_mode(c, "credential-file-mode", *path, &file.st);
                check_writers(c, *path);
                say(c, "credential-file", *path, OK, text("%s is there", *path), NULL);
        }
}

/* Returns the fix for a refused login: docker login, or an edit if the key has a path, because docker login writes no
 * such key except that of Docker Hub. */
static Text cure_of_login(const Credential *e) {
        if (e->source && !e->helper && strchr(e->registry, '/') && !streq(e->registry, REGISTRY_DOCKER_HUB))
                return make_text("correct the entry of %s in %s", e->key, e->source);
        return make_text("docker login %s", e->registry);
}

static void check_login(Check *c, const Credential *e) {
        char why[256];
        int r;

        announce(c, text("asking %s", e->registry));
        r = registry_login(e, why, sizeof(why));

        if (r > 0)
                say(c, "registry-login", e->registry, OK, text("%s takes these credentials", e->registry), NULL);
        else if (r == 0)
                say(c, "registry-login", e->registry, PROBLEM,
                    text("%s refuses these credentials: %s", e->registry, why), cure_of_login(e).s);
        else
                say(c, "registry-login", e->registry, WARNING, text("%s could not be asked: %s", e->registry, why),
                    NULL);
}

static void check_coverage(Check *c, const Credential *e, const Credentials *written) {
        const KeyCoverage coverage = key_coverage(sync_key_in_file(e), written);
        char images[512];

        if (coverage == KEY_COVERS_HOST)
                return;
        key_coverage_describe(sync_shown_name(e), coverage, images, sizeof(images));
        say(c, "registry-images", sync_shown_name(e), coverage == KEY_COVERS_NOTHING ? WARNING : OK,
            text("%s: used for %s", sync_shown_name(e), images),
            coverage == KEY_COVERS_NOTHING
                    ? text("take it out of %s, see WHICH IMAGES DOES A KEY COVER in ecs-authd(8)",
                           c->settings->ecsconfig.environment_file)
                    : NULL);
}

void check_registries(Check *c, const Credentials *credentials, bool login) {
        for (size_t i = 0; i < credentials->n_items; i++) {
                const Credential *e = credentials->items[i];

                if (!credential_is_usable(e))
                        continue;
                say(c, "registry", sync_shown_name(e), OK,
                    text("%s: credentials from %s%s%s%s", sync_shown_name(e),
                         e->foreign  ? "the environment file, in it by other means"
                         : e->source ? e->source
                                     : "the environment file",
                         e->helper ? ", docker-credential-" : "", e->helper ? e->helper : "",
                         e->identity_token ? ", an identity token" : ""),
                    NULL);
                check_coverage(c, e, credentials);
                if (login)
                        check_login(c, e);
        }
}

/* --- the environment file --- */

/* Reads a file that another user may have made. Returns NULL if the file cannot be read or is not a small regular file.
 */
static char *read_text(const char *path) {
        _cleanup_close_ int fd = -1;
        char *text = NULL;
        ForeignFile file;
        size_t size;

        if (foreign_file_open(path, &fd, &file, NULL) < 0 || secret_read_fd(fd, TEXT_MAX, &text, &size) < 0)
                return NULL;
        return text;
}

/* Returns true if a line that is not a comment contains the word. */
static bool mentions(const char *path, const char *word) {
        _cleanup_secret_ char *text = read_text(path);

        for (const char *found = text; found && (found = strstr(found, word)); found++) {
                const char *end = memrchr(text, '\n', (size_t) (found - text)), *line = end ? end + 1 : text;

                if (line[strspn(line, " \t")] != '#')
                        return true;
        }
        return false;
}

static void check_directory(Check *c) {
        _cleanup_free_ char *path = xstrdup(c->settings->ecsconfig.environment_file);
        const char *directory = dirname(path);
        struct statvfs fs;

        if (access(directory, F_OK) < 0)
                say(c, "environment-directory", directory, PROBLEM, text("%s does not exist", directory),
                    "install the ECS agent, or set [Agent] EnvironmentFile= in /etc/ecs-authd.conf");
        else if (statvfs(directory, &fs) == 0 && fs.f_flag & ST_RDONLY)
                say(c, "environment-directory", directory, PROBLEM, text("%s is on a read-only file system", directory),
                    text("mount -o remount,rw \"$(findmnt -n -o TARGET -T %s)\"", directory));
        else if (statvfs(directory, &fs) == 0 && (uint64_t) fs.f_bavail * fs.f_frsize < DISK_MIN_BYTES)
                say(c, "environment-directory", directory, PROBLEM,
                    text("%s is on a file system that is full", directory), text("make room: df %s", directory));
        else if (access(directory, W_OK) < 0)
                say(c, "environment-directory", directory, PROBLEM,
                    text("%s cannot be written to: %s", directory, strerror(errno)),
                    geteuid() != 0 ? "run this as root" : text("chattr -i %s", directory));
}

void check_environment_file(Check *c, const DigestKey *key, const Plan *plan) {
        const char *path = c->settings->ecsconfig.environment_file;
        Digest planned;
        struct stat st;

        check_directory(c);
        if (stat(path, &st) < 0) {
                bool nothing_to_write = (plan->known && !plan->data) || c->no_login_yet;

                say(c, "environment-file", path, nothing_to_write ? OK : WARNING, text("%s does not exist yet", path),
                    nothing_to_write ? NULL : "systemctl start ecs-authd, or: ecs-authd apply --no-restart");
                return;
        }
        if (mentions(path, AUTHDATA_DATA_KEY))
                check_mode(c, "environment-file-mode", path, &st);
        if (!plan->known)
                return;
        authdata_digest(plan->type, plan->data, key, &planned);
        if (digest_equal(&planned, &plan->current.digest))
                say(c, "environment-file-credentials", path, OK, text("%s has these credentials", path), NULL);
        else
                say(c, "environment-file-credentials", path, PROBLEM, text("%s has other credentials", path),
                    "systemctl start ecs-authd, or: ecs-authd apply --no-restart");
}

/* Reports credentials in the agent's own settings. Ignores case, as Go does for names of members. */
static void check_agent_json(Check *c) {
        _cleanup_secret_ char *settings = read_text("/etc/ecs/ecs.config.json");

        if (settings && strcasestr(settings, "\"EngineAuth"))
                say(c, "agent-settings-file", "/etc/ecs/ecs.config.json", WARNING,
                    "/etc/ecs/ecs.config.json is read by the agent, too: without entries in ecs.config it takes credentials "
                    "from there",
                    "take EngineAuthType and EngineAuthData out of /etc/ecs/ecs.config.json");
}

static int is_no_dot(const struct dirent *entry) {
        return entry->d_name[0] != '.';
}

/* Calls the function with each path in a directory. Not with glob(): if no memory is left, that of glibc 2.36 frees
 * memory twice. */
static void for_each_in(const char *directory, void (*function)(void *context, const char *path), void *context) {
        struct dirent **entries = NULL;
        int n = scandir(directory, &entries, is_no_dot, alphasort);

        for (int i = 0; i < n; i++) {
                function(context, text("%s/%s", directory, entries[i]->d_name));
                free(entries[i]);
        }
        free(entries);
}

/* Reports a cron job that may write the environment file, too. */
static void check_cron_file(void *context, const char *path) {
        Check *c = context;
        const char *file = c->settings->ecsconfig.environment_file;

        if (mentions(path, file))
                say(c, "cron", path, WARNING,
                    text("%s names %s: what it writes there stays, and our two lines come back after it", path, file),
                    text("if it writes credentials, take that out of %s", path));
}

static void check_cron(Check *c) {
        static const char *const directories[] = {"/etc/cron.d",      "/etc/cron.hourly", "/etc/cron.daily",
                                                  "/etc/cron.weekly", "/var/spool/cron",  "/var/spool/cron/crontabs"};

        check_cron_file(c, "/etc/crontab");
        for (size_t i = 0; i < ELEMENTSOF(directories); i++)
                for_each_in(directories[i], check_cron_file, c);
}

/* The agent refuses to start where cloud-init has fallen back to it (agent/app/agent.go, since v1.105.0). */
static void check_cloud_init(Check *c) {
        _cleanup_free_ char *text_of_result = read_text("/var/lib/cloud/data/result.json");
        _cleanup_json_ json_object *result = NULL;
        const char *source;

        if (!text_of_result || json_parse_answer(text_of_result, &result) < 0)
                return;
        source = json_get_string(json_get(result, "v1", json_type_object), "datasource");
        if (source && startswith(source, "DataSourceNone"))
                say(c, "cloud-init", "/var/lib/cloud/data/result.json", WARNING,
                    "cloud-init found no data source (/var/lib/cloud/data/result.json): where there is user data, the "
                    "agent ends with status 5 at its next start",
                    "cloud-init status --long");
}

void check_other_places(Check *c) {
        check_agent_json(c);
        check_cron(c);
        check_cloud_init(c);
}

/* Reports that this limit of fs.inotify is reached, and advises twice its present value. */
static void say_unwatchable(Check *c, int error, const char *limit) {
        _cleanup_free_ char *present = read_text(text("/proc/sys/fs/inotify/%s", limit));

        say(c, "inotify", NULL, PROBLEM, text("files cannot be watched: %s", strerror(error)),
            text("sysctl -w fs.inotify.%s=%llu, and the same in /etc/sysctl.d/", limit,
                 2 * strtoull(present ? present : "256", NULL, 10)));
}

void check_inotify(Check *c) {
        _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC);

        if (fd < 0)
                say_unwatchable(c, errno, "max_user_instances");
        else if (inotify_add_watch(fd, "/", IN_ATTRIB) < 0)
                say_unwatchable(c, errno, "max_user_watches");
}

/* --- logins of other users --- */

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

static void search_home(void *context, const char *home) {
        other_logins_try_home(context, home);
}

static void search_run_user(void *context, const char *directory) {
        (void) other_logins_try(context, directory, "containers/auth.json");
}

static void search_run_containers(void *context, const char *directory) {
        (void) other_logins_try(context, directory, "auth.json");
}

static void *search_own(void *context) {
        other_logins_try_home(context, ROOTS_HOME);
        other_logins_try_own(context);
        return NULL;
}

static void *search_homes(void *context) {
        for_each_in("/home", search_home, context);
        for_each_in("/run/user", search_run_user, context);
        for_each_in("/run/containers", search_run_containers, context);
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

/* Returns the advice to add a drop-in that lets the service read a file of another login; "": none is needed. */
static Text drop_in(const OtherLogin *l) {
        char real[PATH_MAX];
        struct stat st;
        bool hidden = is_hidden(l->path) || (realpath(l->path, real) && is_hidden(real));
        bool foreign = stat(l->path, &st) >= 0 && st.st_uid != 0;

        return hidden || foreign ? make_text("; %s", advise_drop_in(l->path, hidden ? l->n_directory : 0, foreign).s)
                                 : make_text("%s", "");
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
