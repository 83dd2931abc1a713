/* SPDX-License-Identifier: Apache-2.0 */
#include "service/dbus-connection.h"

/* Upstart, on the old Amazon Linux AMI (upstart 0.6.5; com.ubuntu.Upstart.Job.xml and .Instance.xml in its dbus/
 * directory). A restart is Stop() and Start(), as in "stop ecs && start ecs": Restart() keeps the job's old definition,
 * and a job with a pre-stop script, as ecs has, would run on. */

#define DESTINATION "com.ubuntu.Upstart"
#define INTERFACE "com.ubuntu.Upstart0_6"
#define ERROR INTERFACE ".Error."

/* The agent may take long to save its state. */
#define CALL_TIMEOUT_USEC (300 * USEC_PER_SEC)

typedef struct UpstartService {
        DBusService dbus;
        uint64_t started_usec; /* end of the last Start() */
} UpstartService;

/* Returns the path of the job "ecs" for the unit "ecs.service". */
static int get_job_path(const Service *service, char **ret) {
        const char *unit = service->settings.unit;
        const char *dot = strrchr(unit, '.');
        _cleanup_free_ char *name = strndup(unit, dot && streq(dot, ".service") ? (size_t) (dot - unit) : strlen(unit));

        return name ? sd_bus_path_encode("/com/ubuntu/Upstart/jobs", name, ret) : -ENOMEM;
}

/* --- the query --- */

static void upstart_finish_query(UpstartService *s, UnitState state) {
        const UnitReport report = {.state = state, .started_usec = s->started_usec};

        dbus_service_finish_query(&s->dbus, &report);
}

typedef struct InstanceProperties {
        const char *goal;
        const char *state;
} InstanceProperties;

static int on_instance(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        static const DBusProperty properties[] = {
                {"goal", "s", offsetof(InstanceProperties, goal)},
                {"state", "s", offsetof(InstanceProperties, state)},
                {NULL, NULL, 0},
        };
        InstanceProperties p = {.goal = "", .state = ""};
        UnitState state = UNIT_CHANGING; /* also if the instance has just ended */

        if (dbus_read_properties(m, properties, &p) >= 0) {
                if (streq(p.goal, "start") && streq(p.state, "running"))
                        state = UNIT_ACTIVE;
                else if (streq(p.goal, "stop") && streq(p.state, "waiting"))
                        state = UNIT_INACTIVE;
        }
        upstart_finish_query(userdata, state);
        return 0;
}

static int on_instance_found(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;
        const char *path;

        if (sd_bus_message_is_method_error(m, ERROR "UnknownInstance"))
                upstart_finish_query(s, UNIT_INACTIVE);
        else if (sd_bus_message_get_errno(m) == EBADR) /* no such object, so no such job */
                upstart_finish_query(s, UNIT_NOT_FOUND);
        else if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "o", &path) < 0 ||
                 sd_bus_call_method_async(s->dbus.bus, NULL, DESTINATION, path, DBUS_PROPERTIES, "GetAll", on_instance,
                                          s, "s", INTERFACE ".Instance") < 0)
                upstart_finish_query(s, UNIT_UNKNOWN);
        return 0;
}

static int upstart_query(DBusService *s) {
        _cleanup_free_ char *path = NULL;
        int r = get_job_path(&s->service, &path);

        return r < 0 ? r
                     : sd_bus_call_method_async(s->bus, NULL, DESTINATION, path, INTERFACE ".Job", "GetInstanceByName",
                                                on_instance_found, s, "s", "");
}

/* --- stop and start --- */

static const char *get_error_text(sd_bus_message *m) {
        const sd_bus_error *e = sd_bus_message_get_error(m);

        return e->message ? e->message : e->name;
}

/* Stop(as env, b wait) or Start(as env, b wait): without variables; Upstart replies when it is done. */
static int upstart_begin(DBusService *s, const char *member, sd_bus_message_handler_t handler) {
        _cleanup_free_ char *path = NULL;
        int r = get_job_path(&s->service, &path);

        return r < 0 ? r : dbus_service_begin_job(s, path, INTERFACE ".Job", member, handler, "asb", 0, true);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;

        if (!sd_bus_message_is_method_error(m, NULL) || sd_bus_message_is_method_error(m, ERROR "AlreadyStarted")) {
                if (sd_event_now(s->dbus.service.event, CLOCK_MONOTONIC, &s->started_usec) < 0)
                        s->started_usec = 0;
                dbus_service_finish_job(&s->dbus, JOB_DONE, "done", NULL);
        } else if (dbus_is_without_answer(m)) {
                dbus_service_finish_job(&s->dbus, JOB_UNKNOWN, NULL, NULL);
        } else {
                dbus_service_finish_job(&s->dbus, JOB_FAILED, get_error_text(m), NULL);
        }
        return 0;
}

static int upstart_start(Service *service) {
        return upstart_begin((DBusService *) service, "Start", on_started);
}

static int on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;

        /* An operator was faster, or the job must not be stopped. After any other error (of a script on the way down,
         * or no reply in time) the job may be down, and is started. */
        if (sd_bus_message_is_method_error(m, ERROR "UnknownInstance") ||
            sd_bus_message_is_method_error(m, ERROR "AlreadyStopped") ||
            sd_bus_message_is_method_error(m, ERROR "PermissionDenied") || sd_bus_message_get_errno(m) == EBADR) {
                dbus_service_finish_job(&s->dbus, JOB_REFUSED, NULL, get_error_text(m));
                return 0;
        }
        dbus_service_abandon_job(&s->dbus.service);
        if (upstart_start(&s->dbus.service) < 0)
                dbus_service_finish_job(&s->dbus, JOB_UNKNOWN, NULL, NULL);
        return 0;
}

static int upstart_restart(Service *service) {
        return upstart_begin((DBusService *) service, "Stop", on_stopped);
}

/* A stopped job is started even if nobody waits for it. */
static void upstart_abandon_job(Service *service _unused_) {
}

static bool upstart_is_busy(const Service *service) {
        return ((const DBusService *) service)->working;
}

static int upstart_connected(DBusService *s) {
        int r = sd_bus_match_signal_async(s->bus, NULL, DESTINATION, NULL, INTERFACE ".Job", "InstanceAdded",
                                          dbus_on_changed, NULL, s);

        return r < 0 ? r
                     : sd_bus_match_signal_async(s->bus, NULL, DESTINATION, NULL, INTERFACE ".Job", "InstanceRemoved",
                                                 dbus_on_changed, NULL, s);
}

int service_upstart_new(Service **ret, const Service *common) {
        static const ServiceMethod method = {
                .free = dbus_service_free,
                .query = dbus_service_query,
                .restart = upstart_restart,
                .start = upstart_start,
                .abandon_job = upstart_abandon_job,
                .is_busy = upstart_is_busy,
        };
        static const DBusPeer peer = {
                .name = DESTINATION,
                .timeout_usec = CALL_TIMEOUT_USEC,
                .connected = upstart_connected,
                .query = upstart_query,
        };

        return dbus_service_new(ret, common, sizeof(UpstartService), &method, &peer);
}
