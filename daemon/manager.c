/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#include <inttypes.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "decide.h"
#include "log.h"
#include "service.h"
#include "status.h"
#include "watch.h"
#include "worker.h"

/* Where inotify fails us, the files are looked at this often instead. */
#define UNWATCHED_REFRESH_USEC (60 * USEC_PER_SEC)

/* A credential helper that hangs holds up neither the boot nor the end for longer than this. */
#define RETRY_WRITE_USEC (25 * USEC_PER_SEC) /* less than the 30 s after which decide() has us look again */
#define READY_LIMIT_USEC (10 * USEC_PER_SEC)
#define STOP_LIMIT_USEC (10 * USEC_PER_SEC)

struct Manager {
        ManagerMode mode;
        Config *config;
        const char *config_path;
        char *const *options;
        DigestKey key;

        sd_event *event;
        sd_event_source *pass;       /* deferred: runs the pass */
        sd_event_source *look_again; /* the time that decide() named */
        sd_event_source *refresh;    /* RefreshSec= */
        sd_event_source *give_up;    /* apply does not wait for ever */
        sd_event_source *ready_limit;
        sd_event_source *stop_limit;

        Worker *worker;
        Watch *watch;
        Service *service;
        Status *status;

        Facts facts;
        Decision decision;
        unsigned n_questions; /* of the observation under way: Docker, systemd */
        bool writing;
        uint64_t written_usec; /* when the job that writes last ended */
        bool ready;
        bool watching;
        bool stopping;
};

static void manager_pass(Manager *m);

static uint64_t manager_now(const Manager *m) {
        uint64_t now;

        /* Fails only for a clock that there is not. */
        return sd_event_now(m->event, CLOCK_MONOTONIC, &now) < 0 ? 0 : now;
}

/* "Look again". */
static void manager_wake(Manager *m, bool files) {
        m->facts.files_stale = m->facts.files_stale || files;
        m->facts.agent_stale = true;
        (void) sd_event_source_set_enabled(m->pass, SD_EVENT_ONESHOT);
}

/* Sets the timer for the moment, creating it when need be; 0 turns it off. */
static int arm_timer(Manager *m, sd_event_source **timer, uint64_t usec, sd_event_time_handler_t handler) {
        int r;

        if (usec == 0) {
                *timer = sd_event_source_disable_unref(*timer);
                return 0;
        }
        if (!*timer)
                return sd_event_add_time(m->event, timer, CLOCK_MONOTONIC, usec, 100 * USEC_PER_MSEC, handler, m);

        r = sd_event_source_set_time(*timer, usec);
        return r < 0 ? r : sd_event_source_set_enabled(*timer, SD_EVENT_ONESHOT);
}

static void manager_exit(Manager *m, int status) {
        m->stopping = true;
        (void) sd_event_exit(m->event, status);
}

static int manager_stop_status(const Manager *m) {
        return m->mode == MANAGER_RUN ? EXIT_SUCCESS : EXIT_STATUS_FAILED;
}

static int on_pass(sd_event_source *s _unused_, void *userdata) {
        manager_pass(userdata);
        return 0;
}

static int on_look_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        /* What could not be written is tried again as well, at a pace of its own: helpers may have to be asked. */
        manager_wake(m, m->facts.sync.outcome == SYNC_FAILED && manager_now(m) >= m->written_usec + RETRY_WRITE_USEC);
        return 0;
}

static void manager_start_watching(Manager *m);
static void manager_arm_refresh(Manager *m);

static int on_refresh(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        if (m->watching)
                manager_arm_refresh(m);
        else
                manager_start_watching(m);
        manager_wake(m, true);
        return 0;
}

static void manager_arm_refresh(Manager *m) {
        uint64_t interval = m->config->refresh_usec;

        if (!m->watching && (interval == 0 || interval > UNWATCHED_REFRESH_USEC))
                interval = UNWATCHED_REFRESH_USEC;
        (void) arm_timer(m, &m->refresh, interval > 0 ? manager_now(m) + interval : 0, on_refresh);
}

/* --- the job that writes --- */

static void run_sync(const void *context, void *report) {
        const Manager *m = context;

        sync_run(m->config, &m->key, report);
}

static const char *describe_worker_error(int error) {
        switch (error) {
        case -ETIMEDOUT:
                return "it hung and was killed at its time limit";
        case -ECONNABORTED:
                return "it crashed";
        default:
                return strerror(-error);
        }
}

static void fail_sync(const Manager *m, int error, SyncReport *ret) {
        *ret = (SyncReport){.outcome = SYNC_FAILED};
        problems_add(&ret->problems, LOG_ERR,
                     "%s: nothing was written, the job that reads the credential files did not end well: %s",
                     m->config->environment_file, describe_worker_error(error));
}

static void manager_take_sync(Manager *m, SyncReport *report) {
        SyncReport *known = &m->facts.sync;
        bool changed = report->outcome == SYNC_WRITTEN || report->outcome == SYNC_REMOVED;

        if (!report->digest_known) {
                /* Not even looked into: what is known of it still stands. */
                report->digest_known = known->digest_known;
                report->digest = known->digest;
                report->n_registries = known->n_registries;
                memcpy(report->registries, known->registries, sizeof(report->registries));
        } else if (known->digest_known && !digest_equal(&report->digest, &known->digest)) {
                changed = true;
        }
        if (changed) {
                m->facts.changed_usec = manager_now(m);
                if (m->facts.unsettled_usec == 0)
                        m->facts.unsettled_usec = m->facts.changed_usec;
                m->facts.attempt.failures = 0;
        }
        *known = *report;
}

/* From here on the agent may start: the file is as right as it can be. */
static void manager_tell_ready(Manager *m) {
        m->ready_limit = sd_event_source_disable_unref(m->ready_limit);
        if (m->mode != MANAGER_RUN || m->ready)
                return;
        m->ready = true;
        (void) sd_notify(false, "READY=1");
}

static int on_ready_limit(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        log_warning(
                "The credentials take long to be read (a credential helper?); the agent is not kept waiting for them");
        manager_tell_ready(userdata);
        return 0;
}

static void on_sync_done(void *userdata, int error, const void *child_report) {
        Manager *m = userdata;
        SyncReport report;

        if (error < 0)
                fail_sync(m, error, &report);
        else
                report = *(const SyncReport *) child_report;

        m->writing = false;
        m->written_usec = manager_now(m);
        m->facts.job_running = false;
        manager_take_sync(m, &report);
        status_tell_sync(m->status, m->config, &m->facts.sync);

        manager_tell_ready(m);

        if (m->stopping)
                manager_exit(m, manager_stop_status(m));
        else
                manager_pass(m);
}

static void manager_write(Manager *m) {
        int r;

        m->facts.files_stale = false;
        m->facts.agent_stale = true;
        m->facts.job_running = true;
        m->writing = true;

        r = worker_run(m->worker, run_sync, m, sizeof(SyncReport), sync_timeout_usec(m->config), on_sync_done, m);
        if (r < 0)
                on_sync_done(m, r, NULL);
}

/* --- the job that observes --- */

static void run_observe(const void *context, void *report) {
        const Manager *m = context;

        observe_run(m->config, &m->key, report);
}

static void manager_take_answer(Manager *m) {
        if (--m->n_questions > 0)
                return;
        m->facts.job_running = false;
        manager_pass(m);
}

static void on_observe_done(void *userdata, int error, const void *report) {
        Manager *m = userdata;

        if (error < 0)
                m->facts.agent = (ObserveReport){.agent = AGENT_UNKNOWN, .engine_error = error};
        else
                m->facts.agent = *(const ObserveReport *) report;
        manager_take_answer(m);
}

static void on_unit_queried(void *userdata, UnitState state, int error _unused_) {
        Manager *m = userdata;

        m->facts.unit = state;
        manager_take_answer(m);
}

static void manager_observe(Manager *m) {
        /* Both are asked before either is taken, so that the pass goes on once. */
        m->facts.agent_stale = false;
        m->facts.job_running = true;
        m->n_questions = 2;

        if (service_query(m->service) < 0)
                on_unit_queried(m, UNIT_UNKNOWN, 0);
        if (worker_run(m->worker, run_observe, m, sizeof(ObserveReport), 2 * OBSERVE_TIMEOUT_USEC, on_observe_done, m) <
            0)
                on_observe_done(m, -EAGAIN, NULL);
}

/* --- the restart --- */

static void on_unit_changed(void *userdata) {
        manager_wake(userdata, false);
}

static void manager_begin_verification(Manager *m) {
        m->facts.attempt.state = ATTEMPT_VERIFYING;
        m->facts.attempt.verifying_usec = manager_now(m);
        m->facts.agent_stale = true;
}

static void on_restart_finished(void *userdata, const char *result, int error, const char *message) {
        Manager *m = userdata;
        Attempt *attempt = &m->facts.attempt;

        if (attempt->state != ATTEMPT_JOB)
                return; /* given up on already */

        status_tell_job(m->config, result, error, message);

        if ((result && streq(result, "done")) || error == -ECONNRESET) {
                manager_begin_verification(m);
        } else {
                /* Also where somebody canceled it: not to be repeated at once. */
                attempt->state = ATTEMPT_NONE;
                attempt->failures++;
        }
        manager_wake(m, false);
}

static void manager_restart(Manager *m) {
        Attempt *attempt = &m->facts.attempt;
        int r;

        attempt->state = ATTEMPT_JOB;
        attempt->fruitless = false;
        attempt->started_usec = manager_now(m);
        attempt->digest = m->facts.sync.digest;
        memcpy(attempt->old_container_id, m->facts.agent.container_id, sizeof(attempt->old_container_id));

        r = service_restart(m->service);
        if (r < 0)
                on_restart_finished(m, NULL, r, NULL);
}

/* --- the pass --- */

static void manager_policy(const Manager *m, Policy *ret) {
        const Config *c = m->config;

        *ret = (Policy){
                .method = m->mode == MANAGER_APPLY_WRITE ? RESTART_METHOD_NONE : c->method,
                .unsaved_state = c->unsaved_state,
                /* A person who waits in front of it has settled. */
                .settle_usec = m->mode == MANAGER_RUN ? c->settle_usec : 0,
                .min_interval_usec = c->min_interval_usec,
                .verify_usec = c->verify_usec,
        };
}

/* apply ends with the first outcome. */
static void manager_finish_apply(Manager *m, const Decision *d) {
        bool failed = m->facts.sync.outcome == SYNC_FAILED;

        if (m->mode == MANAGER_RUN || m->facts.job_running)
                return;

        if (failed || d->action == ACTION_NOT_VERIFIED || m->facts.attempt.failures > 0)
                manager_exit(m, EXIT_STATUS_FAILED);
        else if (d->action == ACTION_HOLD || d->reason == REASON_UNIT_CHANGING)
                /* A queued start, as in user data before the boot is over, would wait for us. */
                manager_exit(m, EXIT_STATUS_HELD);
        else if (d->action == ACTION_DONE)
                manager_exit(m, EXIT_SUCCESS);
}

static bool manager_act(Manager *m, const Decision *d) {
        Attempt *attempt = &m->facts.attempt;

        switch (d->action) {
        case ACTION_WRITE:
                manager_write(m);
                return false;
        case ACTION_OBSERVE:
                manager_observe(m);
                return false;
        case ACTION_RESTART:
                m->facts.unsettled_usec = 0;
                manager_restart(m);
                return true;
        case ACTION_VERIFY:
                service_abandon_restart(m->service);
                manager_begin_verification(m);
                return true;
        case ACTION_NOT_VERIFIED:
                attempt->state = ATTEMPT_NONE;
                attempt->failures++;
                attempt->fruitless = d->reason == REASON_NO_NEW_CONTAINER || d->reason == REASON_OTHER_CREDENTIALS;
                return true;
        case ACTION_DONE:
                m->facts.unsettled_usec = 0;
                if (attempt->state == ATTEMPT_VERIFYING) {
                        attempt->state = ATTEMPT_NONE;
                        attempt->failures = 0;
                        return true; /* newer credentials may have come meanwhile */
                }
                return false;
        case ACTION_HOLD:
                if (attempt->state == ATTEMPT_VERIFYING)
                        attempt->state = ATTEMPT_NONE;
                return false;
        case ACTION_WAIT:
                break;
        }
        return false;
}

static void manager_pass(Manager *m) {
        bool again = true;

        while (again && !m->stopping) {
                Decision d;
                Policy policy;

                manager_policy(m, &policy);
                d = decide(&m->facts, &policy, manager_now(m));
                status_tell_decision(m->status, m->config, &m->facts, &d, manager_now(m));
                again = manager_act(m, &d);
                if (!again && d.action != ACTION_WRITE && d.action != ACTION_OBSERVE) {
                        (void) arm_timer(m, &m->look_again, d.look_again_usec, on_look_again);
                        manager_finish_apply(m, &d);
                }
        }
}

/* --- what wakes us --- */

static void on_files_changed(void *userdata, int error) {
        Manager *m = userdata;

        if (error < 0) {
                m->watching = false;
                log_warning("The files cannot be watched any more: %s; looking at them every minute", strerror(-error));
                manager_arm_refresh(m);
        }
        manager_wake(m, true);
}

static size_t count_files(char *const *files) {
        size_t n = 0;

        while (files[n])
                n++;
        return n;
}

static const char *watch_advice(int error) {
        switch (error) {
        case -EMFILE:
                return " (sysctl fs.inotify.max_user_instances)";
        case -ENOSPC:
                return " (sysctl fs.inotify.max_user_watches)";
        default:
                return "";
        }
}

static void manager_start_watching(Manager *m) {
        size_t n = count_files(m->config->credential_files);
        _cleanup_free_ const char **files = calloc(n + 2, sizeof(char *));
        int r = -ENOMEM;

        if (files) {
                for (size_t i = 0; i < n; i++)
                        files[i] = m->config->credential_files[i];
                files[n] = m->config->environment_file;
                r = watch_set_files(m->watch, files);
        }

        m->watching = r >= 0;
        if (r < 0)
                log_warning("The files cannot be watched: %s%s; looking at them every minute", strerror(-r),
                            watch_advice(r));
        else
                log_event(LOG_INFO, MESSAGE_WATCHING,
                          LOG_FIELDS({"FILE", m->config->environment_file}, {"UNIT", m->config->unit}),
                          "Watching %s%s and %s", m->config->credential_files[0], n > 1 ? " (and more)" : "",
                          m->config->environment_file);
        manager_arm_refresh(m);
}

static int manager_connect(Manager *m) {
        static const ServiceHandlers handlers = {
                .changed = on_unit_changed,
                .queried = on_unit_queried,
                .finished = on_restart_finished,
        };

        return service_new(&m->service, m->event, m->config->unit, &handlers, m);
}

/* The new settings, or why they are not taken. */
static int manager_reload(Manager *m) {
        _cleanup_(config_freep) Config *config = NULL, *old = NULL;
        Problems problems = {0};
        int r;

        r = config_load(m->config_path, m->options, &config, &problems);
        if (r < 0) {
                for (unsigned i = 0; i < problems.n_items; i++)
                        log_event(LOG_ERR, MESSAGE_SETTINGS_KEPT, NULL, "%s", problems.items[i].text);
                log_event(LOG_ERR, MESSAGE_SETTINGS_KEPT, NULL, "The settings in use stay in use");
                return r;
        }

        old = m->config;
        m->config = STEAL_POINTER(config);
        if (!streq(old->environment_file, m->config->environment_file))
                m->facts.sync = (SyncReport){0};

        if (!streq(old->unit, m->config->unit)) {
                m->facts.attempt = (Attempt){0};
                r = service_set_unit(m->service, m->config->unit);
                if (r < 0)
                        return r;
        }
        manager_start_watching(m);
        return 0;
}

static int on_sighup(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, manager_now(m));
        log_event(LOG_INFO, MESSAGE_RELOADED, NULL, "Reading the settings again and looking again, as asked (SIGHUP)");
        if (manager_reload(m) == -ENOMEM)
                log_error("Out of memory; the settings in use stay in use");
        m->facts.attempt.fruitless = false;
        if (m->ready)
                (void) sd_notify(false, "READY=1");
        manager_wake(m, true);
        return 0;
}

/* What has not been written by now is not begun: the environment file is whole at any moment. */
static int on_stop_limit(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        manager_exit(userdata, manager_stop_status(userdata));
        return 0;
}

static int on_sigterm(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;

        (void) sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
        m->stopping = true;
        /* A write in hand is finished first. */
        if (!m->writing)
                manager_exit(m, manager_stop_status(m));
        else
                (void) arm_timer(m, &m->stop_limit, manager_now(m) + STOP_LIMIT_USEC, on_stop_limit);
        return 0;
}

static int on_give_up(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        log_warning("Not waiting any longer: written, but the agent was not seen with the new credentials");
        manager_exit(m, EXIT_STATUS_HELD);
        return 0;
}

static int manager_handle_signals(Manager *m) {
        sigset_t mask;
        int r;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        if (m->mode == MANAGER_RUN)
                (void) sigaddset(&mask, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return negative_errno();

        r = sd_event_add_signal(m->event, NULL, SIGTERM, on_sigterm, m);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGINT, on_sigterm, m);
        if (r >= 0 && m->mode == MANAGER_RUN)
                r = sd_event_add_signal(m->event, NULL, SIGHUP, on_sighup, m);
        return r;
}

static int manager_start_run(Manager *m) {
        int r;

        r = sd_event_set_watchdog(m->event, true);
        if (r < 0)
                return r;
        r = watch_new(&m->watch, m->event, on_files_changed, m);
        if (r < 0)
                return r;
        manager_start_watching(m);
        return arm_timer(m, &m->ready_limit, manager_now(m) + READY_LIMIT_USEC, on_ready_limit);
}

static int manager_start_apply(Manager *m) {
        /* The restart and its verification, and what may come before them. */
        uint64_t limit = sync_timeout_usec(m->config) + 2 * OBSERVE_TIMEOUT_USEC + 2 * m->config->verify_usec;

        return arm_timer(m, &m->give_up, manager_now(m) + limit, on_give_up);
}

int manager_new(Manager **ret, ManagerMode mode, Config **config, const char *config_path, char *const *options) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(Manager));
        int r;

        if (!m)
                return -ENOMEM;

        m->mode = mode;
        m->config = STEAL_POINTER(*config);
        m->config_path = config_path;
        m->options = options;
        m->facts.files_stale = m->facts.agent_stale = true;

        r = digest_key_generate(&m->key);
        if (r >= 0)
                r = sd_event_new(&m->event);
        if (r >= 0)
                r = manager_handle_signals(m);
        if (r >= 0)
                r = worker_new(&m->worker, m->event);
        if (r >= 0)
                r = status_new(&m->status, mode == MANAGER_RUN);
        if (r >= 0)
                r = manager_connect(m);
        if (r >= 0)
                r = sd_event_add_defer(m->event, &m->pass, on_pass, m);
        if (r >= 0)
                r = mode == MANAGER_RUN ? manager_start_run(m) : manager_start_apply(m);
        if (r < 0)
                return r;

        *ret = STEAL_POINTER(m);
        return 0;
}

Manager *manager_free(Manager *m) {
        if (!m)
                return NULL;

        worker_free(m->worker);
        watch_free(m->watch);
        service_free(m->service);
        status_free(m->status);
        sd_event_source_disable_unref(m->pass);
        sd_event_source_disable_unref(m->look_again);
        sd_event_source_disable_unref(m->refresh);
        sd_event_source_disable_unref(m->give_up);
        sd_event_source_disable_unref(m->ready_limit);
        sd_event_source_disable_unref(m->stop_limit);
        sd_event_unref(m->event);
        config_free(m->config);
        free(m);
        return NULL;
}

int manager_loop(Manager *m) {
        return sd_event_loop(m->event);
}
