/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <glob.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <systemd/sd-bus.h>

#include "agent/observe.h"
#include "base/secret.h"
#include "credentials/registry-login.h"
#include "ecsconfig/environment-file.h"
#include "ecsconfig/sync.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

#define DISK_MIN_BYTES (1024 * 1024)

typedef enum Verdict { OK, WARNING, PROBLEM } Verdict;

typedef struct Check {
        const Settings *settings;
        unsigned counts[3];
        bool terminal;
        bool colour;
} Check;

/* cure: what to do, or NULL. */
static void say(Check *c, Verdict verdict, const char *text, const char *cure) {
        static const char *const words[] = {"ok", "warning", "problem"};
        static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};

        c->counts[verdict]++;
        if (c->terminal)
                (void) printf("\r\033[K");
        (void) printf("%s%-8s%s %s\n", c->colour ? colours[verdict] : "", words[verdict], c->colour ? "\033[0m" : "",
                      text);
        if (cure)
                (void) printf("         -> %s\n", cure);
        (void) fflush(stdout);
}

/* What may take longer than a moment is announced, on a terminal; the next line takes its place. */
static void announce(const Check *c, const char *what) {
        if (!c->terminal)
                return;
        (void) printf("...      %s", what);
        (void) fflush(stdout);
}

typedef struct Text {
        char s[1024];
} Text;

static Text _printf_(1, 2) text(const char *format, ...) {
        va_list ap;
        Text t;

        va_start(ap, format);
        (void) vsnprintf(t.s, sizeof(t.s), format, ap);
        va_end(ap);
        return t;
}

/* --- credentials --- */

static void check_mode(Check *c, const char *path, const struct stat *st) {
        if (st->st_mode & 077)
                say(c, WARNING,
                    text("%s can be read by others than its owner (mode %04o)", path, st->st_mode & 07777).s,
                    text("chmod 600 %s", path).s);
}

/* What the library says of it comes as problems; here is the rest. */
static void check_credential_files(Check *c) {
        for (char **file = c->settings->credentials.files; *file; file++) {
                struct stat st;

                if (stat(*file, &st) < 0)
                        continue;
                check_mode(c, *file, &st);
                if (S_ISREG(st.st_mode))
                        say(c, OK, text("%s is there", *file).s, NULL);
        }
}

/* Each problem is a sentence that ends with what to do. */
static void say_problems(Check *c, const Problems *problems) {
        for (unsigned i = 0; i < problems->n_items; i++) {
                const Problem *p = &problems->items[i];

                say(c, p->level <= LOG_ERR ? PROBLEM : p->level <= LOG_WARNING ? WARNING : OK, p->text, NULL);
        }
}

static void check_login(Check *c, const Credential *e) {
        char why[256];
        int r;

        announce(c, text("asking %s", e->registry).s);
        r = registry_login(e, why, sizeof(why));

        if (r > 0)
                say(c, OK, text("%s takes these credentials", e->registry).s, NULL);
        else if (r == 0)
                say(c, PROBLEM, text("%s refuses these credentials: %s", e->registry, why).s,
                    text("docker login %s", e->registry).s);
        else
                say(c, WARNING, text("%s could not be asked: %s", e->registry, why).s, NULL);
}

static void check_registries(Check *c, const Credentials *credentials, bool login) {
        for (size_t i = 0; i < credentials->n_items; i++) {
                const Credential *e = &credentials->items[i];

                if (!credential_is_usable(e))
                        continue;
                say(c, OK,
                    text("%s: credentials from %s%s%s%s", e->registry, e->source ? e->source : "the environment file",
                         e->helper ? ", docker-credential-" : "", e->helper ? e->helper : "",
                         e->identity_token ? ", an identity token" : "")
                            .s,
                    NULL);
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
                say(c, PROBLEM, text("%s does not exist", directory).s,
                    "install the ECS agent, or set [Agent] EnvironmentFile= in /etc/ecs-authd.conf");
        else if (statvfs(directory, &fs) == 0 && fs.f_flag & ST_RDONLY)
                say(c, PROBLEM, text("%s is on a read-only file system", directory).s,
                    text("mount -o remount,rw %s", directory).s);
        else if (statvfs(directory, &fs) == 0 && (uint64_t) fs.f_bavail * fs.f_frsize < DISK_MIN_BYTES)
                say(c, PROBLEM, text("%s is on a file system that is full", directory).s, text("df %s", directory).s);
        else if (access(directory, W_OK) < 0)
                say(c, PROBLEM, text("%s cannot be written to: %s", directory, strerror(errno)).s, "run this as root");
}

/* type and data: what should stand there. */
static void check_environment_file(Check *c, bool known, const char *type, const char *data) {
        const char *path = c->settings->ecsconfig.environment_file;
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        _cleanup_secret_ char *type_now = NULL, *data_now = NULL;
        Digest should = {0}, is = {0};
        Problems problems = {0};
        DigestKey key;
        struct stat st;

        check_directory(c);
        if (stat(path, &st) < 0) {
                say(c, WARNING, text("%s does not exist yet", path).s,
                    "systemctl start ecs-authd, or: ecs-authd apply --no-restart");
                return;
        }
        if (envfile_open(path, &f, &problems) < 0 || envfile_get(f, "ECS_ENGINE_AUTH_TYPE", &type_now) < 0 ||
            envfile_get(f, "ECS_ENGINE_AUTH_DATA", &data_now) < 0) {
                say_problems(c, &problems);
                return;
        }
        if (data_now)
                check_mode(c, path, &st);

        if (!known || digest_key_generate(&key) < 0 || authdata_digest(type, data, &key, &should) < 0 ||
            authdata_digest(type_now, data_now, &key, &is) < 0)
                return;
        if (digest_equal(&should, &is))
                say(c, OK, text("%s has these credentials", path).s, NULL);
        else
                say(c, PROBLEM, text("%s has other credentials", path).s,
                    "systemctl start ecs-authd, or: ecs-authd apply --no-restart");
}

static void check_other_places(Check *c) {
        if (access("/etc/ecs/ecs.config.json", F_OK) == 0)
                say(c, WARNING,
                    "/etc/ecs/ecs.config.json is read by the agent, too: without entries in ecs.config it takes credentials "
                    "from there",
                    "take EngineAuthData out of /etc/ecs/ecs.config.json");
}

static bool mentions(const char *path, const char *what) {
        _cleanup_free_ char *line = NULL;
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        size_t size = 0;
        bool found = false;

        while (f && !found && getline(&line, &size, f) >= 0)
                found = line[strspn(line, " \t")] != '#' && strstr(line, what);
        return found;
}

/* What runs now and then, and may write the file as well. */
static void check_other_writers(Check *c) {
        static const char *const places[] = {
                "/etc/crontab",       "/etc/cron.d/*",     "/etc/cron.hourly/*",        "/etc/cron.daily/*",
                "/etc/cron.weekly/*", "/var/spool/cron/*", "/var/spool/cron/crontabs/*"};
        glob_t files;

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                if (glob(places[i], 0, NULL, &files) != 0)
                        continue;
                for (size_t k = 0; k < files.gl_pathc; k++)
                        if (mentions(files.gl_pathv[k], c->settings->ecsconfig.environment_file))
                                say(c, WARNING,
                                    text("%s names %s: what it writes there stays, and our two lines come back after it",
                                         files.gl_pathv[k], c->settings->ecsconfig.environment_file)
                                            .s,
                                    text("if it writes credentials, take that out of %s", files.gl_pathv[k]).s);
                globfree(&files);
        }
}

/* --- engine and agent --- */

static void check_state(Check *c, const ObserveReport *r) {
        static const struct {
                StateKept kept;
                const char *text, *cure;
        } misses[] = {
                {STATE_NO_DATADIR, "the agent does not keep its state: ECS_DATADIR is not set",
                 "set ECS_DATADIR=/data in its environment, with --volume /var/lib/ecs/data:/data"},
                {STATE_NO_CHECKPOINT, "the agent does not keep its state: ECS_CHECKPOINT=false",
                 "remove ECS_CHECKPOINT=false"},
                {STATE_NO_MOUNT, "the agent does not keep its state: ECS_DATADIR is not on a mount of its container",
                 "mount a directory of the host there: --volume /var/lib/ecs/data:/data"},
        };

        for (size_t i = 0; i < ELEMENTSOF(misses); i++)
                if (misses[i].kept == r->state_kept)
                        say(c, WARNING, text("%s; restarts wait until no task runs", misses[i].text).s, misses[i].cure);
        if (r->state_kept == STATE_KEPT)
                say(c, OK, "the agent keeps its state over a restart", NULL);
}

static void check_agent(Check *c, bool known, const char *type, const char *data) {
        const char *name = c->settings->agent.container;
        const Settings *settings = c->settings;
        ObserveReport r;
        Digest should = {0};
        DigestKey key;

        if (digest_key_generate(&key) < 0)
                return;
        observe_run(&settings->agent, &key, &r);

        if (r.agent == AGENT_UNKNOWN) {
                say(c, PROBLEM,
                    text("the Docker Engine does not answer at %s: %s", settings->agent.docker_socket,
                         strerror(-r.engine_error))
                            .s,
                    "systemctl start docker, or set [Agent] DockerSocket=");
                return;
        }
        say(c, OK, "the Docker Engine answers", NULL);
        if (r.agent != AGENT_RUNNING) {
                say(c, WARNING,
                    text("container %s %s", name, r.agent == AGENT_ABSENT ? "does not exist" : "does not run").s,
                    text("systemctl start %s", settings->unit).s);
                return;
        }

        if (known && authdata_digest(type, data, &key, &should) >= 0 && digest_equal(&should, &r.digest))
                say(c, OK, text("container %s runs with these credentials", name).s, NULL);
        else
                say(c, PROBLEM, text("container %s runs with other credentials", name).s,
                    "systemctl start ecs-authd, or: ecs-authd apply");
        if (r.answers)
                say(c, OK, text("the agent answers: %s, cluster %s", r.version, r.cluster).s, NULL);
        else
                say(c, PROBLEM,
                    text("the agent does not answer at %s: it has not registered", settings->agent.introspection_url).s,
                    text("docker logs %s", name).s);
        check_state(c, &r);
}

/* --- units --- */

static int load_unit(sd_bus *bus, const char *unit, char **ret) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        const char *path;
        int r;

        r = sd_bus_call_method(bus, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "LoadUnit", NULL, &m, "s", unit);
        if (r >= 0)
                r = sd_bus_message_read(m, "o", &path);
        if (r < 0)
                return r;
        *ret = strdup(path);
        return *ret ? 0 : -ENOMEM;
}

/* "" where it has none. */
static char *unit_string(sd_bus *bus, const char *path, const char *name) {
        char *value = NULL;

        if (sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Unit", name, NULL, &value) < 0)
                return strdup("");
        return value;
}

/* 1 it reads the file, 0 it reads others, -ENODATA it reads none. */
static int reads_file(sd_bus *bus, const char *path, const char *file) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        const char *name;
        int r, found = -ENODATA, ignored;

        r = sd_bus_get_property(bus, SYSTEMD, path, SYSTEMD ".Service", "EnvironmentFiles", NULL, &m, "a(sb)");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(sb)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(sb)", &name, &ignored)) > 0)
                if (streq(name, file) || found < 0)
                        found = found == 1 || streq(name, file);
        return found;
}

static void check_unit_file(Check *c, sd_bus *bus, const char *path) {
        const Settings *k = c->settings;
        _cleanup_free_ char *load = unit_string(bus, path, "LoadState"),
                            *active = unit_string(bus, path, "ActiveState"),
                            *enabled = unit_string(bus, path, "UnitFileState");

        if (!load || !active || !enabled)
                return;
        if (streq(load, "not-found")) {
                say(c, PROBLEM, text("there is no unit %s", k->unit).s,
                    "install the ECS agent, or set [Restart] Unit= (SUSE: amazon-ecs.service), or Method=docker");
                return;
        }
        if (streq(load, "masked")) {
                say(c, PROBLEM, text("%s is masked", k->unit).s, text("systemctl unmask %s", k->unit).s);
                return;
        }
        if (!streq(load, "loaded")) {
                say(c, PROBLEM, text("%s has a mistake in its unit file", k->unit).s,
                    text("systemctl status %s", k->unit).s);
                return;
        }

        if (streq(active, "failed"))
                say(c, PROBLEM, text("%s has failed", k->unit).s,
                    text("journalctl -u %s; then: systemctl reset-failed %s && systemctl start %s", k->unit, k->unit,
                         k->unit)
                            .s);
        else if (!streq(active, "active"))
                say(c, WARNING, text("%s is not running", k->unit).s, text("systemctl start %s", k->unit).s);
        else
                say(c, OK, text("%s is running", k->unit).s, NULL);
        if (streq(enabled, "disabled"))
                say(c, WARNING, text("%s is not started at boot", k->unit).s, text("systemctl enable %s", k->unit).s);
        if (reads_file(bus, path, k->ecsconfig.environment_file) == 0)
                say(c, WARNING,
                    text("%s reads other environment files than %s", k->unit, k->ecsconfig.environment_file).s,
                    "set [Agent] EnvironmentFile= to the one that it reads");
}

/* In the list of units that it comes before. */
static bool comes_before(sd_bus *bus, const char *path, const char *unit) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        const char *name;
        bool found = false;
        int r;

        r = sd_bus_get_property(bus, SYSTEMD, path, SYSTEMD ".Unit", "Before", NULL, &m, "as");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "s");
        while (r >= 0 && (r = sd_bus_message_read(m, "s", &name)) > 0)
                found = found || streq(name, unit);
        return found;
}

static void check_own_unit(Check *c, sd_bus *bus) {
        _cleanup_free_ char *path = NULL, *load = NULL, *enabled = NULL, *active = NULL;

        if (load_unit(bus, "ecs-authd.service", &path) < 0)
                return;
        load = unit_string(bus, path, "LoadState");
        enabled = unit_string(bus, path, "UnitFileState");
        active = unit_string(bus, path, "ActiveState");
        if (!load || !enabled || !active)
                return;

        if (!streq(load, "loaded")) {
                say(c, PROBLEM, "ecs-authd.service is not installed", "make install && systemctl daemon-reload");
                return;
        }
        if (!streq(active, "active"))
                say(c, WARNING, "ecs-authd.service is not running", "systemctl start ecs-authd");
        if (!streq(enabled, "enabled"))
                say(c, WARNING, "ecs-authd.service is not started at boot", "systemctl enable ecs-authd");
        if (!comes_before(bus, path, c->settings->unit))
                say(c, WARNING, text("at boot, ecs-authd.service is not ordered before %s", c->settings->unit).s,
                    text("systemctl edit ecs-authd, and add: [Unit] Before=%s", c->settings->unit).s);
        else if (streq(active, "active") && streq(enabled, "enabled"))
                say(c, OK, text("ecs-authd.service is running, and comes before %s at boot", c->settings->unit).s,
                    NULL);
}

static void check_units(Check *c) {
        __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;

        if (c->settings->restart.method != RESTART_METHOD_SYSTEMD)
                return;
        if (sd_bus_open_system(&bus) < 0 || load_unit(bus, c->settings->unit, &path) < 0) {
                say(c, PROBLEM, "systemd cannot be reached over D-Bus", "systemctl start dbus");
                return;
        }
        check_unit_file(c, bus, path);
        check_own_unit(c, bus);
}

static void check_inotify(Check *c) {
        _cleanup_close_ int fd = inotify_init1(IN_CLOEXEC);

        if (fd < 0)
                say(c, PROBLEM, text("files cannot be watched: %s", strerror(errno)).s,
                    "sysctl -w fs.inotify.max_user_instances=512, and the same in /etc/sysctl.d/");
        else if (inotify_add_watch(fd, "/", IN_ATTRIB) < 0)
                say(c, PROBLEM, text("files cannot be watched: %s", strerror(errno)).s,
                    "sysctl -w fs.inotify.max_user_watches=65536, and the same in /etc/sysctl.d/");
}

int check_host(const Settings *settings, bool login) {
        Check c = {.settings = settings};
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_secret_ char *data = NULL;
        const char *no_colour = getenv("NO_COLOR"), *type = NULL;
        Problems problems = {0};
        bool known;

        c.terminal = isatty(STDOUT_FILENO);
        c.colour = c.terminal && str_empty(no_colour);
        check_credential_files(&c);
        announce(&c, "asking credential stores and helpers");
        known = sync_render(&settings->credentials, &settings->ecsconfig, &credentials, &type, &data, &problems) >= 0;
        say_problems(&c, &problems);
        check_registries(&c, &credentials, login);
        if (known && !data)
                say(&c, WARNING, "no registry has credentials: images are pulled without", "docker login REGISTRY");

        check_environment_file(&c, known, type, data);
        check_other_places(&c);
        check_other_writers(&c);
        announce(&c, "asking the Docker Engine and the agent");
        check_agent(&c, known, type, data);
        announce(&c, "asking systemd");
        check_units(&c);
        check_inotify(&c);

        if (c.terminal)
                (void) printf("\r\033[K");
        (void) printf("\n%u ok, %u warning%s, %u problem%s\n", c.counts[OK], c.counts[WARNING],
                      c.counts[WARNING] == 1 ? "" : "s", c.counts[PROBLEM], c.counts[PROBLEM] == 1 ? "" : "s");
        return fflush(stdout) == 0 && c.counts[PROBLEM] == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
