/* SPDX-License-Identifier: Apache-2.0 */
#include "service/dbus-connection.h"
#include "service/restart-method.h"

/* Upstart, on the old Amazon Linux AMI (upstart 0.6.5; com.ubuntu.Upstart.xml, .Job.xml and .Instance.xml in its
 * dbus/ directory). Its Restart() would keep the old environment of the job's processes, and ecs-init makes the
 * container when it starts: so it is Stop() and Start(), as in "stop ecs && start ecs". */

#define DESTINATION "com.ubuntu.Upstart"
#define MANAGER_PATH "/com/ubuntu/Upstart"
#define INTERFACE "com.ubuntu.Upstart0_6"
#define ERROR_PREFIX INTERFACE ".Error."

/* The agent takes its time to save its state. */
#define JOB_TIMEOUT_USEC (300 * USEC_PER_SEC)

typedef struct UpstartService {
        Service service;

        DBusConnection *bus;
        sd_event_source *answer;
        sd_bus_slot *query; /* GetJobByName, GetAllInstances, GetAll */
        sd_bus_slot *call;  /* GetJobByName, Stop, Start */
        bool querying, working;
        bool only_start;
        bool stopped;          /* by us, and not started again yet */
        uint64_t started_usec; /* when Start() was last done */
        char *job;             /* its path */
} UpstartService;

/* The job is "ecs" where the unit is ecs.service. */
static int get_job(UpstartService *s, sd_bus_slot **slot, sd_bus_message_handler_t handler) {
        char name[256];
        char *dot;

        (void) snprintf(name, sizeof(name), "%s", s->service.settings.unit);
        dot = strrchr(name, '.');
        if (dot && streq(dot, ".service"))
                *dot = 0;
        return dbus_connection_call(s->bus, slot, DESTINATION, MANAGER_PATH, INTERFACE, "GetJobByName", handler, s,
                                    name, NULL);
}

static bool is_error(sd_bus_message *m, const char *name) {
        const sd_bus_error *e = sd_bus_message_get_error(m);
        const char *rest = e && e->name ? startswith(e->name, ERROR_PREFIX) : NULL;

        return rest && streq(rest, name);
}

/* --- what it does --- */

static void finish_query(UpstartService *s, UnitState state) {
        const UnitReport report = {.state = state, .started_usec = s->started_usec};

        s->querying = false;
        s->query = sd_bus_slot_unref(s->query);
        s->answer = sd_event_source_disable_unref(s->answer);
        s->service.handlers->queried(s->service.userdata, &report);
}

static UnitState judge(const char *goal, const char *state) {
        if (streq(goal, "start") && streq(state, "running"))
                return UNIT_ACTIVE;
        return streq(goal, "stop") && streq(state, "waiting") ? UNIT_INACTIVE : UNIT_CHANGING;
}

/* a{sv} of an instance. */
static int on_instance(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        const char *name, *goal = "", *state = "";
        int r = sd_bus_message_is_method_error(m, NULL) ? -EIO : sd_bus_message_enter_container(m, 'a', "{sv}");

        while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
                r = sd_bus_message_read(m, "s", &name);
                if (r >= 0 && streq(name, "goal"))
                        r = sd_bus_message_read(m, "v", "s", &goal);
                else if (r >= 0 && streq(name, "state"))
                        r = sd_bus_message_read(m, "v", "s", &state);
                else if (r >= 0)
                        r = sd_bus_message_skip(m, "v");
                if (r >= 0)
                        r = sd_bus_message_exit_container(m);
        }
        /* One that is gone by now is on its way to the next. */
        finish_query(userdata, r < 0 ? UNIT_CHANGING : judge(goal, state));
        return 0;
}

static int on_instances(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;
        const char *path = NULL;
        int r = sd_bus_message_is_method_error(m, NULL) ? -EIO : sd_bus_message_enter_container(m, 'a', "o");

        if (r >= 0)
                r = sd_bus_message_read(m, "o", &path);
        if (r == 0) {
                finish_query(s, UNIT_INACTIVE);
                return 0;
        }
        if (r > 0)
                r = dbus_connection_call(s->bus, &s->query, DESTINATION, path, "org.freedesktop.DBus.Properties",
                                         "GetAll", on_instance, s, INTERFACE ".Instance", NULL);
        if (r < 0)
                finish_query(s, UNIT_UNKNOWN);
        return 0;
}

static int on_job(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;
        const char *path;
        int r;

        if (sd_bus_message_is_method_error(m, NULL)) {
                finish_query(s, is_error(m, "UnknownJob") ? UNIT_NOT_FOUND : UNIT_UNKNOWN);
                return 0;
        }
        dbus_connection_works(s->bus);
        r = sd_bus_message_read(m, "o", &path);
        if (r >= 0)
                r = dbus_connection_call(s->bus, &s->query, DESTINATION, path, INTERFACE ".Job", "GetAllInstances",
                                         on_instances, s, NULL, NULL);
        if (r < 0)
                finish_query(s, UNIT_UNKNOWN);
        return 0;
}

static int on_answer(sd_event_source *source _unused_, void *userdata) {
        finish_query(userdata, UNIT_UNKNOWN);
        return 0;
}

static int upstart_query(Service *service) {
        UpstartService *s = (UpstartService *) service;
        int r;

        if (s->querying)
                return -EBUSY;

        r = get_job(s, &s->query, on_job);
        if (r < 0)
                r = sd_event_add_defer(s->service.event, &s->answer, on_answer, s);
        if (r >= 0)
                s->querying = true;
        return r < 0 ? r : 0;
}

/* --- stop and start --- */

static void forget_job(UpstartService *s) {
        s->working = false;
        s->call = sd_bus_slot_unref(s->call);
        free(STEAL_POINTER(s->job));
}

static void upstart_abandon_job(Service *service) {
        UpstartService *s = (UpstartService *) service;

        /* What was stopped is started all the same: the call is on its way. */
        if (!s->stopped)
                forget_job(s);
}

static void finish_job(UpstartService *s, JobOutcome outcome, const char *result, const char *message) {
        forget_job(s);
        s->stopped = false;
        s->service.handlers->finished(s->service.userdata, outcome, result, message);
        s->service.handlers->changed(s->service.userdata);
}

static void refuse_job(UpstartService *s, sd_bus_message *m) {
        const sd_bus_error *e = m ? sd_bus_message_get_error(m) : NULL;

        finish_job(s, JOB_REFUSED, NULL, e ? (e->message ? e->message : e->name) : "it could not be called");
}

/* Stop(as, b) and Start(as, b): no variables; the reply comes when it is done. */
static int call_job(UpstartService *s, const char *member, sd_bus_message_handler_t handler) {
        __attribute__((cleanup(sd_bus_message_unrefp))) sd_bus_message *m = NULL;
        sd_bus *bus = dbus_connection_get(s->bus);
        int r;

        if (!bus)
                return -ENOTCONN;
        r = sd_bus_message_new_method_call(bus, &m, DESTINATION, s->job, INTERFACE ".Job", member);
        if (r >= 0)
                r = sd_bus_message_append(m, "asb", 0, true);
        if (r < 0)
                return r;
        s->call = sd_bus_slot_unref(s->call);
        return sd_bus_call_async(bus, &s->call, m, handler, s, JOB_TIMEOUT_USEC);
}

static int on_started(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;
        const sd_bus_error *e = sd_bus_message_get_error(m);

        if (e && sd_bus_message_get_errno(m) == ETIMEDOUT) {
                finish_job(s, JOB_UNKNOWN, NULL, NULL);
        } else if (!e || is_error(m, "AlreadyStarted")) {
                /* In the second case somebody else was faster: with what stands in the file, too. */
                if (sd_event_now(s->service.event, CLOCK_MONOTONIC, &s->started_usec) < 0)
                        s->started_usec = 0;
                finish_job(s, JOB_DONE, "done", NULL);
        } else {
                finish_job(s, JOB_FAILED, e->message ? e->message : e->name, NULL);
        }
        return 0;
}

static void start_job(UpstartService *s) {
        if (call_job(s, "Start", on_started) < 0)
                finish_job(s, JOB_UNKNOWN, NULL, NULL);
}

static int on_stopped(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;

        /* Somebody has stopped it since we looked, or it may not be stopped. Whatever else went wrong (a script that
         * failed on the way down, no reply in time): it may be down for it, and is started. */
        if (is_error(m, "UnknownInstance") || is_error(m, "AlreadyStopped") || is_error(m, "PermissionDenied"))
                refuse_job(s, m);
        else
                start_job(s);
        return 0;
}

static int on_job_found(sd_bus_message *m, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;
        const char *path;

        if (sd_bus_message_is_method_error(m, NULL)) {
                refuse_job(s, m);
                return 0;
        }
        if (sd_bus_message_read(m, "o", &path) < 0 || !(s->job = strdup(path))) {
                refuse_job(s, NULL);
                return 0;
        }

        if (s->only_start) {
                start_job(s);
                return 0;
        }
        s->stopped = true;
        if (call_job(s, "Stop", on_stopped) < 0)
                refuse_job(s, NULL);
        return 0;
}

static int begin_job(UpstartService *s, bool only_start) {
        int r;

        if (s->working)
                return -EBUSY;
        r = get_job(s, &s->call, on_job_found);
        if (r < 0)
                return r;
        s->working = true;
        s->only_start = only_start;
        return 0;
}

static int upstart_restart(Service *service) {
        return begin_job((UpstartService *) service, false);
}

static int upstart_start(Service *service) {
        return begin_job((UpstartService *) service, true);
}

static bool upstart_is_busy(const Service *service) {
        return ((const UpstartService *) service)->stopped;
}

/* --- the connection --- */

static int on_changed(sd_bus_message *m _unused_, void *userdata, sd_bus_error *error _unused_) {
        UpstartService *s = userdata;

        s->service.handlers->changed(s->service.userdata);
        return 0;
}

static int on_owner_changed(sd_bus_message *m, void *userdata, sd_bus_error *error) {
        UpstartService *s = userdata;

        /* What it was to start is started when it is back: the restart is on record. */
        if (s->working)
                finish_job(s, JOB_UNKNOWN, NULL, NULL);
        return on_changed(m, userdata, error);
}

static int watch(UpstartService *s, sd_bus *bus, const char *member) {
        return sd_bus_match_signal_async(bus, NULL, DESTINATION, NULL, INTERFACE ".Job", member, on_changed, NULL, s);
}

static int upstart_connected(void *userdata, sd_bus *bus) {
        UpstartService *s = userdata;
        int r;

        r = watch(s, bus, "InstanceAdded");
        if (r >= 0)
                r = watch(s, bus, "InstanceRemoved");
        return r < 0 ? r : dbus_connection_watch_owner(bus, DESTINATION, on_owner_changed, s);
}

static void upstart_lost(void *userdata) {
        UpstartService *s = userdata;

        s->query = sd_bus_slot_unref(s->query);
        if (s->querying)
                finish_query(s, UNIT_UNKNOWN);
        if (s->working)
                finish_job(s, JOB_UNKNOWN, NULL, NULL);
}

static Service *upstart_free(Service *service) {
        UpstartService *s = (UpstartService *) service;

        sd_bus_slot_unref(s->query);
        sd_bus_slot_unref(s->call);
        dbus_connection_free(s->bus);
        sd_event_source_disable_unref(s->answer);
        free(s->job);
        sd_event_unref(s->service.event);
        free(s);
        return NULL;
}

static const ServiceMethod upstart_method = {
        .free = upstart_free,
        .query = upstart_query,
        .restart = upstart_restart,
        .start = upstart_start,
        .abandon_job = upstart_abandon_job,
        .is_busy = upstart_is_busy,
};

int service_upstart_new(Service **ret, const Service *common) {
        static const DBusConnectionHandlers handlers = {.connected = upstart_connected, .lost = upstart_lost};
        UpstartService *s = calloc(1, sizeof(UpstartService));
        int r;

        if (!s)
                return -ENOMEM;

        s->service = *common;
        s->service.method = &upstart_method;
        sd_event_ref(s->service.event);

        r = dbus_connection_new(&s->bus, s->service.event, &handlers, s);
        if (r < 0) {
                upstart_free(&s->service);
                return r;
        }

        *ret = &s->service;
        return 0;
}
