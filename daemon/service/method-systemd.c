/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>

#include "service/dbus-connection.h"

#define DESTINATION "org.freedesktop.systemd1"
#define MANAGER_PATH "/org/freedesktop/systemd1"
#define MANAGER_INTERFACE DESTINATION ".Manager"

#define CALL_TIMEOUT_USEC (10 * USEC_PER_SEC)

typedef struct SystemdService {
        DBusService dbus;
        char watched[256]; /* the unit's name in its signals; empty: not known yet */
        char job[64];      /* path of our last job; empty: systemd has not answered yet */

        bool limit_reached;           /* start limit, by the last query */
        uint64_t started_usec;        /* start of the unit's last run, by the last query */
        uint32_t unit_job;            /* the unit's last job that is known, */
        uint64_t run_before_job_usec; /* and started_usec at its beginning */
        bool other_job_done;          /* another process queued that job, and it succeeded */
} SystemdService;

/* JobRemoved(u id, o job, s unit, s result), which never comes before the reply with the job's path: systemd sends the
 * reply before it runs the job. */
static int on_job_removed(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        const char *path, *result;
        uint32_t id;
        JobOutcome outcome = JOB_FAILED; /* failed, timeout, dependency */

        if (sd_bus_message_read(m, "uoss", &id, &path, NULL, &result) < 0)
                return 0;
        if (id == s->unit_job && !streq(path, s->job)) {
                s->other_job_done = streq(result, "done");
                return dbus_on_changed(m, s, NULL);
        }
        if (!s->dbus.working || !streq(path, s->job))
                return 0;

        if (streq(result, "done"))
                outcome = JOB_DONE;
        else if (streq(result, "canceled"))
                outcome = JOB_CANCELED;
        else if (streq(result, "skipped"))
                outcome = JOB_REFUSED;
        dbus_service_finish_job(&s->dbus, outcome, result, NULL);
        return 0;
}

/* PropertiesChanged(s interface, a{sv} changed, ...), which comes before JobRemoved. A job that does nothing (JOB_NOP),
 * as try-restart of a unit that is down, is no job of the unit. */
static int on_unit_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        static const DBusProperty job[] = {{"Job", "(uo)", 0}, {NULL, NULL, 0}};
        SystemdService *s = userdata;
        uint32_t id = 0;

        if (sd_bus_message_skip(m, "s") >= 0 && dbus_read_properties(m, job, &id) >= 0 && id != 0 &&
            id != s->unit_job) {
                s->unit_job = id;
                s->run_before_job_usec = s->started_usec;
                s->other_job_done = false;
        }
        return dbus_on_changed(m, userdata, error);
}

static int systemd_subscribe(DBusService *dbus) {
        return sd_bus_call_method_async(dbus->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "Subscribe",
                                        NULL, NULL, "");
}

static int systemd_connected(DBusService *dbus) {
        SystemdService *s = (SystemdService *) dbus;
        int r;

        s->watched[0] = 0;
        r = sd_bus_match_signal_async(dbus->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved",
                                      on_job_removed, NULL, s);
        if (r < 0)
                return r;
        /* After daemon-reload the unit file may be new, removed or masked, which changes no property of the unit. */
        return sd_bus_match_signal_async(dbus->bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE, "Reloading",
                                         dbus_on_changed, NULL, s);
}

/* --- the query --- */

typedef struct UnitProperties {
        const char *id;
        const char *load_state;
        const char *active_state;
        const char *result;
        uint32_t job_id;
        uint64_t stopped_usec;
        UnitRun run;
        int remain_after_exit;
} UnitProperties;

static const DBusProperty properties[] = {
        {"Id", "s", offsetof(UnitProperties, id)},
        {"LoadState", "s", offsetof(UnitProperties, load_state)},
        {"ActiveState", "s", offsetof(UnitProperties, active_state)},
        {"Result", "s", offsetof(UnitProperties, result)},
        {"Job", "(uo)", offsetof(UnitProperties, job_id)},
        {"InactiveEnterTimestampMonotonic", "t", offsetof(UnitProperties, stopped_usec)},
        {"InactiveExitTimestampMonotonic", "t", offsetof(UnitProperties, run.started_usec)},
        {"ActiveExitTimestampMonotonic", "t", offsetof(UnitProperties, run.active_end_usec)},
        {"ExecMainExitTimestampMonotonic", "t", offsetof(UnitProperties, run.main_exit_usec)},
        {"ExecMainCode", "i", offsetof(UnitProperties, run.exit_code)},
        {"ExecMainStatus", "i", offsetof(UnitProperties, run.exit_status)},
        {"RemainAfterExit", "b", offsetof(UnitProperties, remain_after_exit)},
        {NULL, NULL, 0},
};

static UnitState judge_failure(const UnitProperties *p) {
        if (streq(p->result, "start-limit-hit"))
                return UNIT_START_LIMIT;
        return streq(p->result, "exit-code") && p->run.exit_status == AGENT_EXIT_TERMINAL ? UNIT_REFUSED : UNIT_FAILED;
}

static UnitState judge_unit(const UnitProperties *p) {
        if (streq(p->load_state, "masked"))
                return UNIT_MASKED;
        if (streq(p->load_state, "bad-setting") || streq(p->load_state, "error"))
                return UNIT_BAD_SETTING;
        if (streq(p->load_state, "not-found"))
                return UNIT_NOT_FOUND;
        if (p->job_id != 0)
                return UNIT_CHANGING;
        if (streq(p->active_state, "active"))
                return UNIT_ACTIVE;
        if (streq(p->active_state, "inactive"))
                return UNIT_INACTIVE;
        if (streq(p->active_state, "failed"))
                return judge_failure(p);
        return UNIT_CHANGING; /* activating, deactivating, reloading, maintenance */
}

static UnitReport report_unit(UnitProperties *p) {
        UnitReport report = {
                .state = judge_unit(p),
                .started_usec = p->run.started_usec,
                .stopped_usec = p->stopped_usec,
                .exit_status = p->run.exit_status,
                .terminated = p->run.exit_code == CLD_KILLED && p->run.exit_status == SIGTERM,
        };

        p->run.is_active_without_process = p->remain_after_exit != 0;
        if (report.state == UNIT_INACTIVE)
                report.end = facts_judge_end(&p->run);
        return report;
}

/* Returns true if an operator has stopped or masked the unit, perhaps while it was down already: then the stop changes
 * no time of the unit. Any other job that succeeds starts the unit, or needs one that runs. */
static bool has_been_stopped(SystemdService *s, const UnitReport *report) {
        s->started_usec = report->started_usec;
        if (report->state == UNIT_ACTIVE)
                s->other_job_done = false;
        return report->state == UNIT_MASKED ||
               (s->other_job_done && report->state != UNIT_CHANGING && s->started_usec == s->run_before_job_usec);
}

static int systemd_get_unit(SystemdService *s, const char *name);

/* Watches the unit under its real name, which Unit= is not if it is an alias. */
static int systemd_watch_unit(SystemdService *s, const char *name) {
        _cleanup_free_ char *path = NULL;
        int r;

        if (strlen(name) >= sizeof(s->watched))
                return -ENAMETOOLONG;
        r = sd_bus_path_encode(MANAGER_PATH "/unit", name, &path);
        if (r >= 0)
                r = sd_bus_match_signal_async(s->dbus.bus, NULL, DESTINATION, path, DBUS_PROPERTIES,
                                              "PropertiesChanged", on_unit_changed, NULL, s);
        /* Incomplete in sd-bus, the match would abort this process at the next signal. */
        if (r == -ENOMEM)
                (void) sd_event_exit(s->dbus.service.event, r);
        if (r >= 0)
                (void) snprintf(s->watched, sizeof(s->watched), "%s", name);
        return r;
}

static int on_properties(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        UnitProperties p = {.id = "", .load_state = "", .active_state = "", .result = ""};
        UnitReport report = {.state = UNIT_UNKNOWN};
        int r = dbus_read_properties(m, properties, &p);

        /* Read again: changes before the match were not announced. */
        if (r >= 0 && !streq(s->watched, p.id)) {
                r = systemd_watch_unit(s, p.id);
                if (r >= 0)
                        r = systemd_get_unit(s, p.id);
                if (r >= 0)
                        return 0;
        }
        if (r >= 0) {
                report = report_unit(&p);
                s->limit_reached = report.state == UNIT_START_LIMIT;
                report.stop_requested = has_been_stopped(s, &report);
        }
        dbus_service_finish_query(&s->dbus, &report);
        return 0;
}

/* Without an interface, GetAll returns the properties of Unit and of Service together. systemd loads the unit if
 * needed, also one that does not exist. */
static int systemd_get_unit(SystemdService *s, const char *name) {
        _cleanup_free_ char *path = NULL;
        int r = sd_bus_path_encode(MANAGER_PATH "/unit", name, &path);

        return r < 0 ? r
                     : sd_bus_call_method_async(s->dbus.bus, NULL, DESTINATION, path, DBUS_PROPERTIES, "GetAll",
                                                on_properties, s, "s", "");
}

static int systemd_query(DBusService *dbus) {
        return systemd_get_unit((SystemdService *) dbus, dbus->service.settings.unit);
}

/* --- jobs --- */

static int on_reply(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        SystemdService *s = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *path;

        if (e && !dbus_is_without_answer(m))
                dbus_service_finish_job(&s->dbus, JOB_REFUSED, NULL, e->message ? e->message : e->name);
        else if (e || sd_bus_message_read(m, "o", &path) < 0)
                dbus_service_finish_job(&s->dbus, JOB_UNKNOWN, NULL, NULL);
        else
                (void) snprintf(s->job, sizeof(s->job), "%s", path);
        return 0;
}

static int systemd_begin(SystemdService *s, const char *method) {
        if (!s->dbus.working)
                s->job[0] = 0;
        /* "fail": a queued stop stays. */
        return dbus_service_begin_job(&s->dbus, MANAGER_PATH, MANAGER_INTERFACE, method, on_reply, "ss",
                                      s->dbus.service.settings.unit, "fail");
}

/* "Try": a unit that has stopped since the last query stays stopped. */
static int systemd_restart(Service *service) {
        return systemd_begin((SystemdService *) service, "TryRestartUnit");
}

/* Resets only a unit that has reached its start limit: an inactive unit no longer shows that it failed. */
static int systemd_start(Service *service) {
        SystemdService *s = (SystemdService *) service;
        int r = 0;

        if (s->dbus.bus && s->limit_reached)
                r = sd_bus_call_method_async(s->dbus.bus, NULL, DESTINATION, MANAGER_PATH, MANAGER_INTERFACE,
                                             "ResetFailedUnit", NULL, NULL, "s", s->dbus.service.settings.unit);
        return r < 0 ? r : systemd_begin(s, "StartUnit");
}

int service_systemd_new(Service **ret, const Service *common) {
        static const ServiceMethod method = {
                .free = dbus_service_free,
                .query = dbus_service_query,
                .restart = systemd_restart,
                .start = systemd_start,
                .abandon_job = dbus_service_abandon_job,
        };
        static const DBusPeer peer = {
                .name = DESTINATION,
                .timeout_usec = CALL_TIMEOUT_USEC,
                .connected = systemd_connected,
                .subscribe = systemd_subscribe,
                .query = systemd_query,
        };

        return dbus_service_new(ret, common, sizeof(SystemdService), &method, &peer);
}
