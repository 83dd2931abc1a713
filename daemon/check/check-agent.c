/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <libgen.h>
#include <linux/capability.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "base/secret.h"
#include "check/check-parts.h"
#include "ecsconfig/environment-file.h"
#include "report/reason-texts.h"

static const char *consequence_of_no_state(const Check *c) {
        if (c->settings->restart.method == RESTART_METHOD_NONE)
                return "a restart loses its tasks";
        switch (c->settings->restart.unsaved_state) {
        case UNSAVED_STATE_FORCE:
                return "a restart loses its tasks (UnsavedState=force)";
        case UNSAVED_STATE_NEVER:
                return "it is not restarted (UnsavedState=never)";
        case UNSAVED_STATE_WAIT:
                break;
        }
        return "restarts wait until no task runs";
}

static void check_state(Check *c, const ObserveReport *r) {
        static const char *const misses[] = {
                [STATE_NO_DATADIR] = "ECS_DATADIR is not set",
                [STATE_NO_CHECKPOINT] = "ECS_CHECKPOINT=false",
                [STATE_NO_MOUNT] = "ECS_DATADIR is not on a mount of its container",
        };
        const char *name = c->settings->agent.container;

        if (r->state_kept == STATE_KEPT)
                say(c, "agent-keeps-state", name, OK, "the agent keeps its state over a restart", NULL);
        else
                say(c, "agent-keeps-state", name, WARNING,
                    text("the agent does not keep its state: %s; %s", misses[r->state_kept],
                         consequence_of_no_state(c)),
                    r->state_kept == STATE_NO_CHECKPOINT
                            ? "remove ECS_CHECKPOINT=false, and restart the agent"
                            : "set ECS_DATADIR=/data in its environment, with --volume /var/lib/ecs/data:/data, and "
                              "recreate its container");
}

/* Returns the value of ECS_CLUSTER in a file; NULL: unset, or the file cannot be read. */
static char *read_cluster(const char *path) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        Problems ignored = {0};

        return access(path, R_OK) >= 0 && envfile_open(path, &f, &ignored) >= 0 ? envfile_get(f, "ECS_CLUSTER") : NULL;
}

/* Returns the end of an ARN; or the name, if it is none. */
static const char *name_of_cluster(const char *s) {
        const char *slash = strrchr(s, '/');

        return slash ? slash + 1 : s;
}

/* Reports an ECS_CLUSTER with which the agent would refuse its next start. ecs-init gives it the two files; the later
 * one takes precedence. */
static void check_cluster(Check *c, const ObserveReport *r) {
        const char *file = c->settings->ecsconfig.environment_file, *registered = name_of_cluster(r->cluster), *name;
        _cleanup_free_ char *first = read_cluster("/var/lib/ecs/ecs.config"), *last = read_cluster(file);

        name = last ? last : first;
        name = str_empty(name) ? "default" : name_of_cluster(name);
        if (!str_empty(r->cluster) && !streq(name, registered))
                say(c, "agent-cluster", file, PROBLEM,
                    text("%s says ECS_CLUSTER=%s, and the agent is registered in %s: its next start ends with status 5",
                         file, name, r->cluster),
                    text("set ECS_CLUSTER=%s there", registered));
}

static void say_decision(Check *c, const Judgement *j) {
        const char *name = c->settings->agent.container, *file = c->settings->ecsconfig.environment_file;
        const Decision *d = &j->decision;
        char sentence[SENTENCE_MAX];

        if (d->reason == REASON_IMPOSTOR)
                return; /* a finding of its own */
        if (d->action == ACTION_DONE) {
                say(c, "agent-credentials", name, OK, text("container %s runs with what %s has", name, file), NULL);
        } else if (d->action != ACTION_RESTART && d->action != ACTION_START) {
                sentence_describe(c->settings, &j->facts, d, j->now, sentence, sizeof(sentence));
                say(c, "agent-restart", name, verdict_of_level(reason_text(&j->facts, d)->level), sentence, NULL);
        } else if (c->settings->restart.method == RESTART_METHOD_NONE)
                say(c, "agent-credentials", name, WARNING,
                    text("container %s runs with other credentials than %s, and Method=none restarts nothing", name,
                         file),
                    "restart the agent");
        else if (c->service_runs)
                say(c, "agent-credentials", name, OK,
                    text("container %s has to be restarted: the service is about to", name), NULL);
        else
                say(c, "agent-credentials", name, PROBLEM,
                    text("container %s runs with other credentials than %s", name, file),
                    "systemctl start ecs-authd, or: ecs-authd apply");
}

static const char *cure_of_engine(int error) {
        switch (error) {
        case -ENOENT:
        case -ECONNREFUSED:
                return "systemctl start docker, or set [Agent] DockerSocket=";
        case -EACCES:
                return "sudo ecs-authd check";
        case -ETIMEDOUT:
                return "journalctl -u docker; then: systemctl restart docker";
        default:
                return "set [Agent] DockerSocket= to the socket of the Docker Engine";
        }
}

/* Returns the fix for an agent that is not running: how to start it with this Method=. */
static Text cure_of_container(const Settings *s, const ObserveReport *r, const UnitReport *unit) {
        switch (s->restart.method) {
        case RESTART_METHOD_SYSTEMD:
                return make_text("systemctl %s %s", unit->state == UNIT_ACTIVE ? "restart" : "start", s->unit);
        case RESTART_METHOD_UPSTART:
                return make_text("start %.*s", (int) strcspn(s->unit, "."), s->unit);
        default:
                if (r->agent == AGENT_ABSENT)
                        return make_text("start the agent, or set [Agent] Container= to the name of its container");
                return s->restart.method == RESTART_METHOD_DOCKER ? make_text("docker start %s", s->agent.container)
                                                                  : make_text("start the agent");
        }
}

void check_agent(Check *c, const Judgement *j) {
        const Settings *s = c->settings;
        const ObserveReport *r = &j->facts.agent;

        if (r->agent == AGENT_UNKNOWN) {
                say(c, "docker-engine", s->agent.docker_socket, PROBLEM,
                    text("the Docker Engine does not answer at %s: %s", s->agent.docker_socket,
                         strerror(-r->engine_error)),
                    cure_of_engine(r->engine_error));
                return;
        }
        say(c, "docker-engine", s->agent.docker_socket, OK, "the Docker Engine answers", NULL);
        if (j->facts.exits > 0 && j->facts.unit.state == UNIT_ACTIVE && !j->facts.refused) {
                say(c, "agent-container", s->agent.container, WARNING,
                    text("container %s ended with status %d, and is started again; the credentials are not the cause",
                         s->agent.container, r->exit_status),
                    text("docker logs %s", s->agent.container));
                return;
        }
        if (r->agent != AGENT_RUNNING && !j->facts.refused) {
                say(c, "agent-container", s->agent.container, WARNING,
                    text("container %s %s", s->agent.container,
                         r->agent == AGENT_ABSENT ? "does not exist" : "does not run"),
                    cure_of_container(s, r, &j->facts.unit).s);
                return;
        }

        say_decision(c, j);
        if (r->agent != AGENT_RUNNING)
                return;
        if (r->answers)
                say(c, "agent-answers", s->agent.introspection_url, OK,
                    text("the agent answers: %s, cluster %s", r->version, r->cluster), NULL);
        else if (!str_empty(r->impostor))
                say(c, "agent-port", r->impostor, WARNING,
                    text("port %u is held by %s, not by the agent, which cannot answer there", r->impostor_port,
                         r->impostor),
                    text("ss -ltnp 'sport = :%u' shows the process; end it", r->impostor_port));
        else
                say(c, "agent-answers", s->agent.introspection_url, WARNING,
                    text("the agent does not answer at %s: it has not registered with ECS (yet). The credentials are not "
                         "the cause",
                         s->agent.introspection_url),
                    text("docker logs %s", s->agent.container));
        check_cluster(c, r);
        check_state(c, r);
}

/* --- units --- */

#define SYSTEMD "org.freedesktop.systemd1"
#define UNIT_INTERFACE SYSTEMD ".Unit"
#define SERVICE_INTERFACE SYSTEMD ".Service"

#define OWN_UNIT "ecs-authd.service"

typedef struct Unit {
        sd_bus *bus;
        char path[512];
} Unit;

static int load_unit(sd_bus *bus, const char *name, Unit *ret) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        const char *path;
        int r;

        r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager", "LoadUnit", NULL, &m, "s",
                               name);
        if (r >= 0)
                r = sd_bus_message_read(m, "o", &path);
        if (r < 0)
                return r;
        ret->bus = bus;
        (void) snprintf(ret->path, sizeof(ret->path), "%s", path);
        return 0;
}

static bool has_string(const Unit *u, const char *name, const char *value) {
        _cleanup_free_ char *found = NULL;

        return sd_bus_get_property_string(u->bus, SYSTEMD, u->path, UNIT_INTERFACE, name, NULL, &found) >= 0 &&
               streq(found, value);
}

static int get(const Unit *u, const char *interface, const char *name, char type, void *ret) {
        return sd_bus_get_property_trivial(u->bus, SYSTEMD, u->path, interface, name, NULL, type, ret);
}

/* Returns true if systemd has not read a changed unit file or a new drop-in. */
static bool needs_reload(const Unit *u) {
        int value = 0;

        return get(u, UNIT_INTERFACE, "NeedDaemonReload", 'b', &value) >= 0 && value != 0;
}

/* Returns true if the unit reads environment files, but not this one. */
static bool reads_other_files(const Unit *u, const char *file) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        bool reads_this = false, reads_any = false;
        const char *name;
        int r, ignored;

        r = sd_bus_get_property(u->bus, SYSTEMD, u->path, SERVICE_INTERFACE, "EnvironmentFiles", NULL, &m, "a(sb)");
        if (r >= 0)
                r = sd_bus_message_enter_container(m, 'a', "(sb)");
        while (r >= 0 && (r = sd_bus_message_read(m, "(sb)", &name, &ignored)) > 0) {
                reads_any = true;
                reads_this = reads_this || streq(name, file);
        }
        return reads_any && !reads_this;
}

/* Reports the state of the unit as the service judges it. */
static void check_unit_state(Check *c, const UnitReport *unit) {
        const char *name = c->settings->unit;
        char end[256];

        switch (unit->state) {
        case UNIT_NOT_FOUND:
                say(c, "agent-unit", name, PROBLEM, text("there is no unit %s", name),
                    "install the ECS agent, or set [Restart] Unit= (SUSE: amazon-ecs.service), or Method=docker");
                break;
        case UNIT_MASKED:
                say(c, "agent-unit", name, PROBLEM, text("%s is masked", name), text("systemctl unmask %s", name));
                break;
        case UNIT_BAD_SETTING:
                say(c, "agent-unit", name, PROBLEM, text("%s has a mistake in its unit file", name),
                    text("systemctl status %s", name));
                break;
        case UNIT_FAILED:
        case UNIT_REFUSED:
        case UNIT_START_LIMIT:
                say(c, "agent-unit", name, PROBLEM,
                    text("%s %s", name,
                         unit->state == UNIT_START_LIMIT ? "was started too often in a short time (its start limit)"
                                                         : "has failed"),
                    text("journalctl -u %s; then: systemctl reset-failed %s && systemctl start %s", name, name, name));
                break;
        case UNIT_INACTIVE:
                sentence_describe_end(unit, end, sizeof(end));
                say(c, "agent-unit", name, WARNING, text("%s is not running: %s", name, end),
                    text("systemctl start %s", name));
                break;
        case UNIT_CHANGING:
                say(c, "agent-unit", name, WARNING, text("%s is starting or stopping, or has a job queued", name),
                    text("systemctl status %s", name));
                break;
        default:
                say(c, "agent-unit", name, OK, text("%s is running", name), NULL);
                break;
        }
}

static void check_unit(Check *c, sd_bus *bus, const UnitReport *unit) {
        const char *name = c->settings->unit, *file = c->settings->ecsconfig.environment_file;
        Unit u;

        check_unit_state(c, unit);
        if (unit->state == UNIT_NOT_FOUND || unit->state == UNIT_MASKED || unit->state == UNIT_BAD_SETTING ||
            load_unit(bus, name, &u) < 0)
                return;
        if (has_string(&u, "UnitFileState", "disabled"))
                say(c, "agent-unit-enabled", name, WARNING, text("%s is not started at boot", name),
                    text("systemctl enable %s", name));
        if (needs_reload(&u))
                say(c, "agent-unit-reload", name, WARNING,
                    text("the unit file of %s has changed, and systemd has not read it", name),
                    "systemctl daemon-reload");
        if (reads_other_files(&u, file))
                say(c, "agent-unit-files", name, WARNING, text("%s reads other environment files than %s", name, file),
                    "set [Agent] EnvironmentFile= to the one that it reads");
}

/* Returns true if the unit is ordered before another one. */
static bool comes_before(const Unit *u, const char *other) {
        char **names = NULL;
        bool found = false;

        if (sd_bus_get_property_strv(u->bus, SYSTEMD, u->path, UNIT_INTERFACE, "Before", NULL, &names) < 0)
                return false;
        for (char **name = names; name && *name; free(*name++))
                found = found || streq(*name, other);
        free(names);
        return found;
}

Text advise_drop_in(const char *path, size_t n_directory, bool foreign) {
        return make_text("run systemctl edit ecs-authd and add to [Service]: %s%s%s%.*s (ecs-authd(8), PRIVILEGES)",
                         foreign ? "CapabilityBoundingSet=CAP_DAC_READ_SEARCH" : "",
                         foreign && n_directory > 0 ? " and " : "", n_directory > 0 ? "BindReadOnlyPaths=-" : "",
                         (int) n_directory, path);
}

/* Returns true if the process with this PID does not have the path, for example because of ProtectHome=. */
static bool is_hidden_from(uint32_t pid, const char *path) {
        struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};
        _cleanup_close_ int root = open(text("/proc/%u/root", pid), O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;

        if (root < 0)
                return false;
        fd = (int) syscall(SYS_openat2, root, path, &how, sizeof(how));
        return fd < 0 && errno == ENOENT;
}

/* Reports a credential file that the service cannot read although the user of check can. */
static void check_own_sight(Check *c, uint32_t pid, bool reads_all, const char *file) {
        _cleanup_free_ char *copy = xstrdup(file);
        const char *directory = dirname(copy);
        struct stat st;
        bool hidden, foreign;

        if (stat(file, &st) < 0)
                return;
        hidden = pid > 0 && is_hidden_from(pid, file);
        foreign = !reads_all && st.st_uid != 0 && !(st.st_mode & S_IROTH);
        if (hidden)
                say(c, "service-rights", file, PROBLEM,
                    text("ecs-authd.service does not see %s: ProtectHome= in its unit hides %s", file, directory),
                    text("%s; then: systemctl restart ecs-authd", advise_drop_in(file, strlen(directory), foreign).s));
        else if (foreign)
                say(c, "service-rights", file, PROBLEM,
                    text("%s belongs to user %u, and ecs-authd.service may not read it", file, st.st_uid),
                    text("chown root %s, or: the drop-in in ecs-authd(8), PRIVILEGES", file));
}

/* Reports files that the service cannot use although the user of check can. */
static void check_own_rights(Check *c, const Unit *u) {
        const uint64_t to_give = UINT64_C(1) << CAP_CHOWN,
                       to_read = UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH;
        const char *environment_file = c->settings->ecsconfig.environment_file;
        uint32_t pid = 0;
        uint64_t rights;
        struct stat st;

        if (get(u, SERVICE_INTERFACE, "CapabilityBoundingSet", 't', &rights) < 0 ||
            get(u, SERVICE_INTERFACE, "MainPID", 'u', &pid) < 0)
                return;
        if (!(rights & to_give) && stat(environment_file, &st) >= 0 && (st.st_uid != 0 || st.st_gid != 0))
                say(c, "service-rights", environment_file, PROBLEM,
                    text("%s belongs to %u:%u, and ecs-authd.service may not write it for them", environment_file,
                         st.st_uid, st.st_gid),
                    text("chown root:root %s, or: the drop-in in ecs-authd(8), PRIVILEGES", environment_file));
        for (char **file = c->settings->credentials.files; *file; file++)
                check_own_sight(c, pid, rights & to_read, *file);
}

/* Reports that an upgrade has replaced the file of ExecStart=, but the service still runs the old one. */
static void check_own_program(Check *c, const Unit *u) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        struct stat running, installed;
        const char *program;
        uint32_t pid = 0;

        if (sd_bus_get_property(u->bus, SYSTEMD, u->path, SERVICE_INTERFACE, "ExecStart", NULL, &m, "a(sasbttttuii)") <
                    0 ||
            sd_bus_message_enter_container(m, 'a', "(sasbttttuii)") <= 0 ||
            sd_bus_message_enter_container(m, 'r', "sasbttttuii") <= 0 || sd_bus_message_read(m, "s", &program) <= 0)
                return;
        if (get(u, SERVICE_INTERFACE, "MainPID", 'u', &pid) < 0 || pid == 0 ||
            stat(text("/proc/%u/exe", pid), &running) < 0 || stat(program, &installed) < 0)
                return;
        if (running.st_dev != installed.st_dev || running.st_ino != installed.st_ino)
                say(c, "service-program", OWN_UNIT, WARNING,
                    text("%s has been replaced, and ecs-authd.service still runs the old one", program),
                    "systemctl restart ecs-authd");
}

static void check_own_unit(Check *c, sd_bus *bus) {
        bool enabled;
        Unit u;

        if (load_unit(bus, OWN_UNIT, &u) < 0)
                return;
        if (!has_string(&u, "LoadState", "loaded")) {
                say(c, "service", OWN_UNIT, PROBLEM, "ecs-authd.service is not installed",
                    "make install && systemctl daemon-reload");
                return;
        }
        c->service_runs = has_string(&u, "ActiveState", "active");
        enabled = has_string(&u, "UnitFileState", "enabled");
        if (!c->service_runs)
                say(c, "service", OWN_UNIT, WARNING, "ecs-authd.service is not running", "systemctl start ecs-authd");
        if (!enabled)
                say(c, "service-enabled", OWN_UNIT, WARNING, "ecs-authd.service is not started at boot",
                    "systemctl enable ecs-authd");
        if (!comes_before(&u, c->settings->unit))
                say(c, "service-order", OWN_UNIT, WARNING,
                    text("at boot, ecs-authd.service is not ordered before %s", c->settings->unit),
                    text("systemctl edit ecs-authd, and add two lines: '[Unit]', and 'Before=%s'", c->settings->unit));
        else if (c->service_runs && enabled)
                say(c, "service", OWN_UNIT, OK,
                    text("ecs-authd.service is running, and comes before %s at boot", c->settings->unit), NULL);
        if (needs_reload(&u))
                say(c, "service-reload", OWN_UNIT, WARNING,
                    "the unit file of ecs-authd.service has changed, and systemd has not read it",
                    "systemctl daemon-reload && systemctl restart ecs-authd");
        check_own_program(c, &u);
        check_own_rights(c, &u);
}

void check_units(Check *c, const UnitReport *unit) {
        __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;

        if (c->settings->restart.method != RESTART_METHOD_SYSTEMD)
                return;
        if (unit->state == UNIT_UNKNOWN || sd_bus_open_system(&bus) < 0) {
                if (sd_booted() > 0)
                        say(c, "systemd", NULL, PROBLEM, "systemd cannot be reached over D-Bus",
                            "systemctl start dbus");
                else
                        say(c, "systemd", NULL, PROBLEM, "systemd does not run here, and so restarts no agent",
                            "set [Restart] Method= to upstart, docker or none (ecs-authd.conf(5))");
                return;
        }
        check_unit(c, bus, unit);
        check_own_unit(c, bus);
}
