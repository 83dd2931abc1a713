/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "base/foreign-file.h"
#include "base/json.h"
#include "base/secret.h"
#include "check/check-parts.h"
#include "credentials/registry-login.h"
#include "credentials/registry-name.h"
#include "ecsconfig/environment-file.h"

#define DISK_MIN_BYTES (1024 * 1024)
#define TEXT_MAX (1024 * 1024)

/* --- credentials --- */

static void check_mode(Check *c, const char *id, const char *path, const struct stat *st) {
        if (st->st_mode & 077)
                say(c, id, path, WARNING,
                    text("%s can be read by others than its owner (mode %04o)", path, st->st_mode & 07777).s,
                    text("chmod 600 %s", path).s);
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
                 distrust.path)
                    .s,
            text("chmod go-w %s", distrust.path).s);
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
                say(c, "credential-file", *path, OK, text("%s is there", *path).s, NULL);
        }
}

/* Returns the fix for a refused login: docker login, or an edit if the key has a path, because docker login writes no
 * such key except that of Docker Hub. */
static Text cure_of_login(const Credential *e) {
        if (e->source && !e->helper && strchr(e->registry, '/') && !streq(e->registry, REGISTRY_DOCKER_HUB))
                return text("correct the entry of %s in %s", e->key, e->source);
        return text("docker login %s", e->registry);
}

static void check_login(Check *c, const Credential *e) {
        char why[256];
        int r;

        announce(c, text("asking %s", e->registry).s);
        r = registry_login(e, why, sizeof(why));

        if (r > 0)
                say(c, "registry-login", e->registry, OK, text("%s takes these credentials", e->registry).s, NULL);
        else if (r == 0)
                say(c, "registry-login", e->registry, PROBLEM,
                    text("%s refuses these credentials: %s", e->registry, why).s, cure_of_login(e).s);
        else
                say(c, "registry-login", e->registry, WARNING, text("%s could not be asked: %s", e->registry, why).s,
                    NULL);
}

static void check_coverage(Check *c, const Credential *e, const Credentials *written) {
        const KeyCoverage coverage = key_coverage(sync_key_in_file(e), written);
        char images[512];

        if (coverage == KEY_COVERS_HOST)
                return;
        key_coverage_describe(sync_shown_name(e), coverage, images, sizeof(images));
        say(c, "registry-images", sync_shown_name(e), coverage == KEY_COVERS_NOTHING ? WARNING : OK,
            text("%s: used for %s", sync_shown_name(e), images).s,
            coverage == KEY_COVERS_NOTHING
                    ? text("take it out of %s, see WHICH IMAGES DOES A KEY COVER in ecs-authd(8)",
                           c->settings->ecsconfig.environment_file)
                              .s
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
                         e->identity_token ? ", an identity token" : "")
                            .s,
                    NULL);
                check_coverage(c, e, credentials);
                if (login)
                        check_login(c, e);
        }
}

/* --- the environment file --- */

static void check_directory(Check *c) {
        _cleanup_free_ char *directory = strdup(c->settings->ecsconfig.environment_file);
        struct statvfs fs;
        char *slash = directory ? strrchr(directory, '/') : NULL;

        if (!slash)
                return;
        slash[slash == directory ? 1 : 0] = 0;

        if (access(directory, F_OK) < 0)
                say(c, "environment-directory", directory, PROBLEM, text("%s does not exist", directory).s,
                    "install the ECS agent, or set [Agent] EnvironmentFile= in /etc/ecs-authd.conf");
        else if (statvfs(directory, &fs) == 0 && fs.f_flag & ST_RDONLY)
                say(c, "environment-directory", directory, PROBLEM,
                    text("%s is on a read-only file system", directory).s,
                    text("mount -o remount,rw \"$(findmnt -n -o TARGET -T %s)\"", directory).s);
        else if (statvfs(directory, &fs) == 0 && (uint64_t) fs.f_bavail * fs.f_frsize < DISK_MIN_BYTES)
                say(c, "environment-directory", directory, PROBLEM,
                    text("%s is on a file system that is full", directory).s, text("make room: df %s", directory).s);
        else if (access(directory, W_OK) < 0)
                say(c, "environment-directory", directory, PROBLEM,
                    text("%s cannot be written to: %s", directory, strerror(errno)).s,
                    geteuid() != 0 ? "run this as root" : text("chattr -i %s", directory).s);
}

/* type and data: what should stand there. */
void check_environment_file(Check *c, bool known, const char *type, const char *data) {
        const char *path = c->settings->ecsconfig.environment_file;
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        _cleanup_secret_ char *type_now = NULL, *data_now = NULL;
        _cleanup_(authdata_done) AuthData now = {0};
        Digest should = {0};
        Problems problems = {0};
        DigestKey key;
        struct stat st;

        check_directory(c);
        if (stat(path, &st) < 0) {
                bool nothing_to_write = (known && !data) || c->no_login_yet;

                say(c, "environment-file", path, nothing_to_write ? OK : WARNING, text("%s does not exist yet", path).s,
                    nothing_to_write ? NULL : "systemctl start ecs-authd, or: ecs-authd apply --no-restart");
                return;
        }
        if (envfile_open(path, &f, &problems) < 0) {
                say_problems(c, "environment-file", &problems);
                return;
        }
        type_now = envfile_get(f, "ECS_ENGINE_AUTH_TYPE");
        data_now = envfile_get(f, "ECS_ENGINE_AUTH_DATA");
        if (data_now)
                check_mode(c, "environment-file-mode", path, &st);

        if (!known || digest_key_generate(&key) < 0)
                return;
        authdata_digest(type, data, &key, &should);
        authdata_read(type_now, data_now, &key, &now);
        if (*now.ignored && !data)
                return; /* reported among the problems of the credential files */
        if (digest_equal(&should, &now.digest))
                say(c, "environment-file-credentials", path, OK, text("%s has these credentials", path).s, NULL);
        else
                say(c, "environment-file-credentials", path, PROBLEM, text("%s has other credentials", path).s,
                    "systemctl start ecs-authd, or: ecs-authd apply --no-restart");
}

/* Of a file that somebody else may have put there; NULL: it has no end, or cannot be read. */
static char *read_text(const char *path) {
        _cleanup_close_ int fd = -1;
        char *text = NULL;
        ForeignFile file;
        size_t size;

        if (foreign_file_open(path, &fd, &file, NULL) < 0 || secret_read_fd(fd, TEXT_MAX, &text, &size) < 0)
                return NULL;
        return text;
}

static bool mentions(const char *path, const char *what) {
        _cleanup_free_ char *text = read_text(path);
        char *rest = text, *line;

        while ((line = strsep(&rest, "\n")))
                if (line[strspn(line, " \t")] != '#' && strstr(line, what))
                        return true;
        return false;
}

/* Reports credentials in the agent's own settings. Ignores case, as Go does for names of members. */
static void check_agent_json(Check *c) {
        _cleanup_free_ char *settings = read_text("/etc/ecs/ecs.config.json");

        if (settings && strcasestr(settings, "\"EngineAuth"))
                say(c, "agent-settings-file", "/etc/ecs/ecs.config.json", WARNING,
                    "/etc/ecs/ecs.config.json is read by the agent, too: without entries in ecs.config it takes credentials "
                    "from there",
                    "take EngineAuthType and EngineAuthData out of /etc/ecs/ecs.config.json");
}

static void check_cron_file(Check *c, const char *path) {
        if (mentions(path, c->settings->ecsconfig.environment_file))
                say(c, "cron", path, WARNING,
                    text("%s names %s: what it writes there stays, and our two lines come back after it", path,
                         c->settings->ecsconfig.environment_file)
                            .s,
                    text("if it writes credentials, take that out of %s", path).s);
}

/* What runs now and then, and may write the file as well. */
static void check_cron(Check *c) {
        static const char *const directories[] = {"/etc/cron.d",      "/etc/cron.hourly", "/etc/cron.daily",
                                                  "/etc/cron.weekly", "/var/spool/cron",  "/var/spool/cron/crontabs"};

        check_cron_file(c, "/etc/crontab");
        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_closedir_ DIR *dir = opendir(directories[i]);
                const struct dirent *entry;

                while (dir && (entry = readdir(dir)))
                        if (entry->d_name[0] != '.')
                                check_cron_file(c, text("%s/%s", directories[i], entry->d_name).s);
        }
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
        _cleanup_free_ char *present = read_text(text("/proc/sys/fs/inotify/%s", limit).s);

        say(c, "inotify", NULL, PROBLEM, text("files cannot be watched: %s", strerror(error)).s,
            text("sysctl -w fs.inotify.%s=%llu, and the same in /etc/sysctl.d/", limit,
                 2 * strtoull(present ? present : "256", NULL, 10))
                    .s);
}

void check_inotify(Check *c) {
        _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC);

        if (fd < 0)
                say_unwatchable(c, errno, "max_user_instances");
        else if (inotify_add_watch(fd, "/", IN_ATTRIB) < 0)
                say_unwatchable(c, errno, "max_user_watches");
}
