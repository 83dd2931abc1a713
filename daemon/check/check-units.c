/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/capability.h>
#include <sys/stat.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "check/check-parts.h"
#include "report/sentence.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

#define OWN_UNIT "ecs-authd.service"

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

static uint64_t unit_usec(sd_bus *bus, const char *path, const char *name) {
        uint64_t value = 0;

        (void) sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Unit", name, NULL, 't', &value);
        return value;
}

/* Of a unit file that was changed, or a drop-in that was added. */
static bool needs_reload(sd_bus *bus, const char *path) {
        int value = 0;

        return sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Unit", "NeedDaemonReload", NULL, 'b',
                                           &value) >= 0 &&
               value != 0;
}

static int32_t service_int(sd_bus *bus, const char *path, const char *name) {
        int32_t value = 0;

        (void) sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service", name, NULL, 'i', &value);
        return value;
}

/* Fills in how the last run of an inactive unit ended. */
static void look_at_end(sd_bus *bus, const char *path, UnitReport *unit) {
        UnitRun run = {
                .started_usec = unit->started_usec,
                .active_end_usec = unit_usec(bus, path, "ActiveExitTimestampMonotonic"),
                .exit_code = service_int(bus, path, "ExecMainCode"),
                .exit_status = service_int(bus, path, "ExecMainStatus"),
        };
        int remains = 0;

        if (sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service", "ExecMainExitTimestampMonotonic", NULL,
                                        't', &run.main_exit_usec) < 0 ||
            sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service", "RemainAfterExit", NULL, 'b',
                                        &remains) < 0)
                return;
        run.is_active_without_process = remains != 0;
        unit->end = facts_judge_end(&run);
        unit->exit_status = run.exit_status;
}

/* What the service goes by. */
static UnitReport look_at_unit(sd_bus *bus, const char *path) {
        _cleanup_free_ char *load = unit_string(bus, path, "LoadState"),
                            *active = unit_string(bus, path, "ActiveState");
        UnitReport unit = {
                .state = UNIT_CHANGING,
                .started_usec = unit_usec(bus, path, "InactiveExitTimestampMonotonic"),
                .stopped_usec = unit_usec(bus, path, "InactiveEnterTimestampMonotonic"),
        };

        if (!load || !active)
                unit.state = UNIT_UNKNOWN;
        else if (streq(load, "not-found"))
                unit.state = UNIT_NOT_FOUND;
        else if (streq(load, "masked"))
                unit.state = UNIT_MASKED;
        else if (!streq(load, "loaded"))
                unit.state = UNIT_BAD_SETTING;
        else if (streq(active, "active"))
                unit.state = UNIT_ACTIVE;
        else if (streq(active, "inactive"))
                unit.state = UNIT_INACTIVE;
        else if (streq(active, "failed"))
                unit.state = UNIT_FAILED;
        if (unit.state == UNIT_INACTIVE)
                look_at_end(bus, path, &unit);
        return unit;
}

static void say_inactive(Check *c, const UnitReport *unit) {
        const char *name = c->settings->unit;
        char end[256];

        sentence_describe_end(unit, end, sizeof(end));
        say(c, "agent-unit", name, WARNING, text("%s is not running: %s", name, end).s,
            text("systemctl start %s", name).s);
}

static void check_unit_file(Check *c, sd_bus *bus, const char *path, const UnitReport *unit) {
        const Settings *k = c->settings;
        _cleanup_free_ char *load = unit_string(bus, path, "LoadState"),
                            *active = unit_string(bus, path, "ActiveState"),
                            *enabled = unit_string(bus, path, "UnitFileState");

        if (!load || !active || !enabled)
                return;
        if (streq(load, "not-found")) {
                say(c, "agent-unit", k->unit, PROBLEM, text("there is no unit %s", k->unit).s,
                    "install the ECS agent, or set [Restart] Unit= (SUSE: amazon-ecs.service), or Method=docker");
                return;
        }
        if (streq(load, "masked")) {
                say(c, "agent-unit", k->unit, PROBLEM, text("%s is masked", k->unit).s,
                    text("systemctl unmask %s", k->unit).s);
                return;
        }
        if (!streq(load, "loaded")) {
                say(c, "agent-unit", k->unit, PROBLEM, text("%s has a mistake in its unit file", k->unit).s,
                    text("systemctl status %s", k->unit).s);
                return;
        }

        if (streq(active, "failed"))
                say(c, "agent-unit", k->unit, PROBLEM, text("%s has failed", k->unit).s,
                    text("journalctl -u %s; then: systemctl reset-failed %s && systemctl start %s", k->unit, k->unit,
                         k->unit)
                            .s);
        else if (streq(active, "activating") || streq(active, "deactivating"))
                say(c, "agent-unit", k->unit, WARNING, text("%s is starting or stopping", k->unit).s,
                    text("systemctl status %s", k->unit).s);
        else if (!streq(active, "active"))
                say_inactive(c, unit);
        else
                say(c, "agent-unit", k->unit, OK, text("%s is running", k->unit).s, NULL);
        if (streq(enabled, "disabled"))
                say(c, "agent-unit-enabled", k->unit, WARNING, text("%s is not started at boot", k->unit).s,
                    text("systemctl enable %s", k->unit).s);
        if (needs_reload(bus, path))
                say(c, "agent-unit-reload", k->unit, WARNING,
                    text("the unit file of %s has changed, and systemd has not read it", k->unit).s,
                    "systemctl daemon-reload");
        if (reads_file(bus, path, k->ecsconfig.environment_file) == 0)
                say(c, "agent-unit-files", k->unit, WARNING,
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

/* Whoever runs the check may read what the service may not. */
static void check_own_rights(Check *c, sd_bus *bus, const char *path) {
        const uint64_t to_give = UINT64_C(1) << CAP_CHOWN,
                       to_read = UINT64_C(1) << CAP_DAC_OVERRIDE | UINT64_C(1) << CAP_DAC_READ_SEARCH;
        const char *environment_file = c->settings->ecsconfig.environment_file;
        uint64_t rights;
        struct stat st;

        if (sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service", "CapabilityBoundingSet", NULL, 't',
                                        &rights) < 0)
                return;
        if (!(rights & to_give) && stat(environment_file, &st) >= 0 && (st.st_uid != 0 || st.st_gid != 0))
                say(c, "service-rights", environment_file, PROBLEM,
                    text("%s belongs to %u:%u, and ecs-authd.service may not write it for them", environment_file,
                         st.st_uid, st.st_gid)
                            .s,
                    text("chown root:root %s, or: the drop-in in ecs-authd(8), PRIVILEGES", environment_file).s);
        for (char **file = c->settings->credentials.files; *file; file++)
                if (!(rights & to_read) && stat(*file, &st) >= 0 && st.st_uid != 0 && !(st.st_mode & S_IROTH))
                        say(c, "service-rights", *file, PROBLEM,
                            text("%s belongs to user %u, and ecs-authd.service may not read it", *file, st.st_uid).s,
                            text("chown root %s, or: the drop-in in ecs-authd(8), PRIVILEGES", *file).s);
}

/* The file of ExecStart=. */
static char *program_of(sd_bus *bus, const char *path) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        const char *program;

        if (sd_bus_get_property(bus, SYSTEMD, path, SYSTEMD ".Service", "ExecStart", NULL, &m, "a(sasbttttuii)") < 0 ||
            sd_bus_message_enter_container(m, 'a', "(sasbttttuii)") <= 0 ||
            sd_bus_message_enter_container(m, 'r', "sasbttttuii") <= 0 || sd_bus_message_read(m, "s", &program) <= 0)
                return NULL;
        return strdup(program);
}

/* An upgrade replaces the file; what runs is the old one until a restart. */
static void check_own_program(Check *c, sd_bus *bus, const char *path) {
        _cleanup_free_ char *program = program_of(bus, path);
        struct stat running, installed;
        uint32_t pid = 0;

        if (!program ||
            sd_bus_get_property_trivial(bus, SYSTEMD, path, SYSTEMD ".Service", "MainPID", NULL, 'u', &pid) < 0 ||
            pid == 0 || stat(text("/proc/%u/exe", pid).s, &running) < 0 || stat(program, &installed) < 0)
                return;
        if (running.st_dev != installed.st_dev || running.st_ino != installed.st_ino)
                say(c, "service-program", OWN_UNIT, WARNING,
                    text("%s has been replaced, and ecs-authd.service still runs the old one", program).s,
                    "systemctl restart ecs-authd");
}

static void check_own_unit(Check *c, sd_bus *bus) {
        _cleanup_free_ char *path = NULL, *load = NULL, *enabled = NULL, *active = NULL;

        if (load_unit(bus, OWN_UNIT, &path) < 0)
                return;
        load = unit_string(bus, path, "LoadState");
        enabled = unit_string(bus, path, "UnitFileState");
        active = unit_string(bus, path, "ActiveState");
        if (!load || !enabled || !active)
                return;

        if (!streq(load, "loaded")) {
                say(c, "service", OWN_UNIT, PROBLEM, "ecs-authd.service is not installed",
                    "make install && systemctl daemon-reload");
                return;
        }
        c->service_runs = streq(active, "active");
        if (!c->service_runs)
                say(c, "service", OWN_UNIT, WARNING, "ecs-authd.service is not running", "systemctl start ecs-authd");
        if (!streq(enabled, "enabled"))
                say(c, "service-enabled", OWN_UNIT, WARNING, "ecs-authd.service is not started at boot",
                    "systemctl enable ecs-authd");
        if (!comes_before(bus, path, c->settings->unit))
                say(c, "service-order", OWN_UNIT, WARNING,
                    text("at boot, ecs-authd.service is not ordered before %s", c->settings->unit).s,
                    text("systemctl edit ecs-authd, and add two lines: '[Unit]', and 'Before=%s'", c->settings->unit)
                            .s);
        else if (streq(active, "active") && streq(enabled, "enabled"))
                say(c, "service", OWN_UNIT, OK,
                    text("ecs-authd.service is running, and comes before %s at boot", c->settings->unit).s, NULL);
        if (needs_reload(bus, path))
                say(c, "service-reload", OWN_UNIT, WARNING,
                    "the unit file of ecs-authd.service has changed, and systemd has not read it",
                    "systemctl daemon-reload && systemctl restart ecs-authd");
        check_own_program(c, bus, path);
        check_own_rights(c, bus, path);
}

void check_units(Check *c, UnitReport *ret_unit) {
        __attribute__((cleanup(sd_bus_flush_close_unrefp))) sd_bus *bus = NULL;
        _cleanup_free_ char *path = NULL;

        *ret_unit = (UnitReport){.state = UNIT_ACTIVE};
        if (c->settings->restart.method != RESTART_METHOD_SYSTEMD)
                return;
        ret_unit->state = UNIT_UNKNOWN;
        if (sd_bus_open_system(&bus) < 0 || load_unit(bus, c->settings->unit, &path) < 0) {
                if (sd_booted() > 0)
                        say(c, "systemd", NULL, PROBLEM, "systemd cannot be reached over D-Bus",
                            "systemctl start dbus");
                else
                        say(c, "systemd", NULL, PROBLEM, "systemd does not run here, and so restarts no agent",
                            "set [Restart] Method= to upstart, docker or none (ecs-authd.conf(5))");
                return;
        }
        *ret_unit = look_at_unit(bus, path);
        check_unit_file(c, bus, path, ret_unit);
        check_own_unit(c, bus);
}
