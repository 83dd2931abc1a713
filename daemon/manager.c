/* SPDX-License-Identifier: Apache-2.0 */
#include "manager.h"

#include <inttypes.h>
#include <signal.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <systemd/sd-id128.h>

#include "base/log.h"
#include "decision/facts.h"
#include "process/docker-events.h"
#include "process/restart-lock.h"
#include "process/worker.h"
#include "report/announcer.h"
#include "service/service.h"
#include "watch.h"

/* Where inotify fails us, the files are looked at this often instead. */
#define UNWATCHED_REFRESH_USEC (60 * USEC_PER_SEC)

/* A credential helper that hangs holds up neither the boot nor the end for longer than this. */
#define RETRY_WRITE_USEC (25 * USEC_PER_SEC) /* less than the 30 s after which decide() has us look again */
#define RETRY_FINISH_USEC (5 * USEC_PER_SEC)
#define READY_LIMIT_USEC (10 * USEC_PER_SEC)
#define STOP_LIMIT_USEC (10 * USEC_PER_SEC)
#define STOP_BUSY_LIMIT_USEC (25 * USEC_PER_SEC) /* less than TimeoutStopSec= of the unit */

/* The Docker Engine tells that a container has ended a moment before its list says so (measured, 20.10). */
#define DOCKER_SETTLE_USEC (300 * USEC_PER_MSEC)

struct Manager {
        ManagerMode mode;
        Settings *settings;
        const char *config_path;
        char *const *options;
        DigestKey key;

        sd_event *event;
        sd_event_source *pass;           /* deferred: runs the pass */
        sd_event_source *look_again;     /* the time that decide() named */
        sd_event_source *refresh;        /* RefreshSec= */
        sd_event_source *give_up;        /* apply does not wait for ever */
        sd_event_source *docker_settled; /* one more look after an event */
        sd_event_source *ready_limit;
        sd_event_source *stop_limit;

        Worker *worker;
        Watch *watch;
        Service *service; /* NULL: nothing is restarted */
        DockerEvents *docker_events;
        RestartLock *restart_lock;
        Announcer *announcer;

        Facts facts;
        /* Of the observation under way: what is not answered yet, and the answers. */
        bool unit_asked;
        bool agent_asked;
        ObserveReport agent;
        UnitState unit;
        SyncMode sync_mode;
        bool writing;
        uint64_t written_usec; /* when the job that writes last ended */
        bool ready;
        bool watching;
        bool stopping;
        bool finishing;             /* what a restart that was cut off has left */
        uint64_t finish_again_usec; /* not before this, where that has failed */
        bool left_to_other;         /* apply: another instance was seen to be about to restart the agent */
};

static void manager_pass(Manager *m);

static uint64_t manager_now(const Manager *m) {
        uint64_t now;

        /* Fails only for a clock that there is not. */
        return sd_event_now(m->event, CLOCK_MONOTONIC, &now) < 0 ? 0 : now;
}

/* "Look again". */
static void manager_wake(Manager *m, bool files) {
        facts_wake(&m->facts, files);
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
        uint64_t interval = m->settings->refresh_usec;

        if (!m->watching && (interval == 0 || interval > UNWATCHED_REFRESH_USEC))
                interval = UNWATCHED_REFRESH_USEC;
        (void) arm_timer(m, &m->refresh, interval > 0 ? manager_now(m) + interval : 0, on_refresh);
}

/* --- the job that writes --- */

static void run_sync(const void *context, void *report) {
        const Manager *m = context;

        sync_run(&m->settings->credentials, &m->settings->ecsconfig, m->sync_mode, &m->key, report);
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
                     m->settings->ecsconfig.environment_file, describe_worker_error(error));
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
        facts_end_write(&m->facts, &report, manager_now(m));
        announcer_tell_sync(m->announcer, m->settings, &m->facts.sync);

        manager_tell_ready(m);

        if (m->stopping)
                manager_exit(m, manager_stop_status(m));
        else
                manager_pass(m);
}

static void manager_write(Manager *m) {
        int r;

        m->sync_mode = facts_begin_write(&m->facts);
        m->writing = true;

        r = worker_run(m->worker, run_sync, m, sizeof(SyncReport), sync_timeout_usec(&m->settings->credentials),
                       on_sync_done, m);
        if (r < 0)
                on_sync_done(m, r, NULL);
}

/* --- the job that observes --- */

static void run_observe(const void *context, void *report) {
        const Manager *m = context;

        observe_run(&m->settings->agent, &m->key, report);
}

static void manager_take_answers(Manager *m) {
        if (m->unit_asked || m->agent_asked)
                return;
        facts_end_observe(&m->facts, &m->agent, m->unit, manager_now(m));
        manager_pass(m);
}

static void on_observe_done(void *userdata, int error, const void *report) {
        Manager *m = userdata;

        m->agent_asked = false;
        if (error < 0)
                m->agent = (ObserveReport){.agent = AGENT_UNKNOWN, .engine_error = error};
        else
                m->agent = *(const ObserveReport *) report;
        manager_take_answers(m);
}

static void on_unit_queried(void *userdata, UnitState state) {
        Manager *m = userdata;

        m->unit_asked = false;
        m->unit = state;
        manager_take_answers(m);
}

static void manager_observe(Manager *m) {
        /* Both are asked before either is taken, so that the pass goes on once. */
        facts_begin_observe(&m->facts);
        m->unit_asked = m->agent_asked = true;

        if (!m->service || service_query(m->service) < 0)
                on_unit_queried(m, UNIT_UNKNOWN);
        if (worker_run(m->worker, run_observe, m, sizeof(ObserveReport), 2 * OBSERVE_TIMEOUT_USEC, on_observe_done, m) <
            0)
                on_observe_done(m, -EAGAIN, NULL);
}

/* --- the restart --- */

static bool manager_is_busy(const Manager *m) {
        return m->writing || (m->service && service_is_busy(m->service));
}

static void on_unit_changed(void *userdata) {
        Manager *m = userdata;

        if (m->stopping && !manager_is_busy(m))
                manager_exit(m, manager_stop_status(m));
        else
                manager_wake(m, false);
}

static int on_docker_settled(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        manager_wake(userdata, false);
        return 0;
}

static void on_docker_event(void *userdata) {
        Manager *m = userdata;

        manager_wake(m, false);
        (void) arm_timer(m, &m->docker_settled, manager_now(m) + DOCKER_SETTLE_USEC, on_docker_settled);
}

static void on_restart_finished(void *userdata, JobOutcome outcome, const char *result, const char *message) {
        Manager *m = userdata;

        if (m->finishing) {
                m->finishing = false;
                if (outcome != JOB_DONE)
                        announcer_tell_job(m->settings, outcome, result, message);
                manager_wake(m, false);
                return;
        }
        if (m->facts.attempt.state != ATTEMPT_JOB)
                return; /* given up on already */

        announcer_tell_job(m->settings, outcome, result, message);
        facts_end_restart(&m->facts, outcome, manager_now(m));
        manager_wake(m, false);
}

static void manager_restart(Manager *m, const Decision *d) {
        int r;

        facts_begin_restart(&m->facts, d, manager_now(m));
        restart_lock_note_restart(m->restart_lock);
        if (!m->service)
                r = -ENOTCONN;
        else
                r = d->reason == REASON_REPAIR ? service_start(m->service) : service_restart(m->service);
        if (r < 0)
                on_restart_finished(m, JOB_REFUSED, NULL, strerror(-r));
}

/* Whoever was cut off over a restart: the agent may be down for it, whatever its credentials are. */
static void manager_finish(Manager *m) {
        if (!m->service || m->mode == MANAGER_APPLY_WRITE || m->facts.attempt.state == ATTEMPT_JOB ||
            service_is_busy(m->service) || manager_now(m) < m->finish_again_usec || !service_is_half_done(m->service) ||
            !restart_lock_claim(m->restart_lock))
                return;
        m->finish_again_usec = manager_now(m) + RETRY_FINISH_USEC;
        m->finishing = service_start(m->service) >= 0;
}

/* --- the pass --- */

/* The same on this host at any time, and another on each other one. */
static uint64_t jitter_of_this_host(uint64_t jitter_usec) {
        static const sd_id128_t id = SD_ID128_MAKE(3a, 5c, 1e, 9f, 60, 4d, 4b, 0d, 9a, 47, 2f, 83, b1, 6e, d7, 50);
        sd_id128_t host;

        if (jitter_usec == 0 || sd_id128_get_machine_app_specific(id, &host) < 0)
                return 0;
        return (uint64_t) (((unsigned __int128) host.qwords[0] * jitter_usec) >> 64);
}

static void manager_policy(Manager *m, Policy *ret) {
        *ret = (Policy){.settings = m->settings->restart, .other_instance = !restart_lock_claim(m->restart_lock)};
        ret->settings.jitter_usec = jitter_of_this_host(ret->settings.jitter_usec);
        if (m->mode == MANAGER_APPLY_WRITE)
                ret->settings.method = RESTART_METHOD_NONE;
        /* A person who waits in front of it has settled, and has chosen the moment. */
        if (m->mode != MANAGER_RUN)
                ret->settings.settle_usec = ret->settings.jitter_usec = 0;
}

/* apply ends with the first outcome. */
static void manager_finish_apply(Manager *m, const Decision *d) {
        bool failed = m->facts.sync.outcome == SYNC_FAILED || m->facts.attempt.failures > 0;

        m->left_to_other = m->left_to_other || d->reason == REASON_OTHER_INSTANCE;
        if (m->mode == MANAGER_RUN || m->facts.job_running || manager_is_busy(m))
                return;

        if (d->action == ACTION_DONE)
                manager_exit(m, failed || d->reason == REASON_ROLLED_BACK ? EXIT_STATUS_FAILED : EXIT_SUCCESS);
        else if (failed && (d->action == ACTION_HOLD || d->reason == REASON_BACKOFF))
                manager_exit(m, EXIT_STATUS_FAILED);
        else if (d->action == ACTION_HOLD || (d->reason == REASON_UNIT_CHANGING && !m->left_to_other))
                /* A queued start, as in user data before the boot is over, would wait for us. */
                manager_exit(m, EXIT_STATUS_HELD);
}

/* False: a job was begun that goes on with the pass when it is done. */
static bool manager_start_job(Manager *m, const Decision *d) {
        switch (d->action) {
        case ACTION_WRITE:
                manager_write(m);
                return false;
        case ACTION_OBSERVE:
                manager_observe(m);
                return false;
        case ACTION_RESTART:
                manager_restart(m, d);
                return true;
        case ACTION_VERIFY:
                service_abandon_restart(m->service);
                return true;
        case ACTION_DONE:
                if (m->service && (d->reason == REASON_LIVE || d->reason == REASON_ROLLED_BACK) &&
                    restart_lock_claim(m->restart_lock))
                        service_confirm(m->service);
                return true;
        default:
                return true;
        }
}

static void manager_rest(Manager *m, const Decision *d) {
        uint64_t look_again = d->look_again_usec;

        if (m->service && m->mode != MANAGER_APPLY_WRITE && service_is_half_done(m->service) &&
            (look_again == 0 || look_again > manager_now(m) + RETRY_FINISH_USEC))
                look_again = manager_now(m) + RETRY_FINISH_USEC;
        (void) arm_timer(m, &m->look_again, look_again, on_look_again);
        docker_events_set(m->docker_events, decision_awaits_docker(d) ? m->settings->agent.docker_socket : NULL);
        manager_finish_apply(m, d);
}

static void manager_pass(Manager *m) {
        bool again = true;

        while (again && !m->stopping) {
                Decision d;
                Policy policy;

                manager_finish(m);
                manager_policy(m, &policy);
                d = decide(&m->facts, &policy, manager_now(m));
                facts_note_waiting(&m->facts, &d, manager_now(m));
                announcer_tell_decision(m->announcer, m->settings, &m->facts, &d, manager_now(m));
                if (!manager_start_job(m, &d))
                        return;
                again = facts_take_decision(&m->facts, &d, manager_now(m)) || d.action == ACTION_RESTART;
                if (!again)
                        manager_rest(m, &d);
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
        size_t n = count_files(m->settings->credentials.files);
        _cleanup_free_ const char **files = calloc(n + 2, sizeof(char *));
        int r = -ENOMEM;

        if (files) {
                for (size_t i = 0; i < n; i++)
                        files[i] = m->settings->credentials.files[i];
                files[n] = m->settings->ecsconfig.environment_file;
                r = watch_set_files(m->watch, files);
        }

        m->watching = r >= 0;
        if (r < 0)
                log_warning("The files cannot be watched: %s%s; looking at them every minute", strerror(-r),
                            watch_advice(r));
        else
                log_event(LOG_INFO, MESSAGE_WATCHING,
                          LOG_FIELDS({"FILE", m->settings->ecsconfig.environment_file}, {"UNIT", m->settings->unit}),
                          "Watching %s%s and %s", m->settings->credentials.files[0], n > 1 ? " (and more)" : "",
                          m->settings->ecsconfig.environment_file);
        manager_arm_refresh(m);
}

static ServiceSettings service_settings(const Settings *s) {
        return (ServiceSettings){
                .method = s->restart.method,
                .unit = s->unit,
                .agent = &s->agent,
                .environment_file = s->ecsconfig.environment_file,
        };
}

static int manager_connect(Manager *m) {
        const ServiceSettings settings = service_settings(m->settings);
        static const ServiceHandlers handlers = {
                .changed = on_unit_changed,
                .queried = on_unit_queried,
                .finished = on_restart_finished,
        };

        m->service = service_free(m->service);
        if (m->settings->restart.method == RESTART_METHOD_NONE)
                return 0;
        return service_new(&m->service, m->event, &settings, &handlers, m);
}

/* Another unit, or another way to restart it: what was asked of the one before is not answered any more. */
static int manager_reconnect(Manager *m) {
        int r;

        m->facts.attempt = (Attempt){0};
        m->finishing = false;
        r = manager_connect(m);
        if (m->unit_asked)
                on_unit_queried(m, UNIT_UNKNOWN);
        return r;
}

/* The new settings, or why they are not taken. */
static int manager_reload(Manager *m) {
        _cleanup_(settings_freep) Settings *settings = NULL, *old = NULL;
        Problems problems = {0};
        int r;

        r = settings_load(m->config_path, m->options, &settings, &problems);
        if (r < 0) {
                for (unsigned i = 0; i < problems.n_items; i++)
                        log_event(LOG_ERR, MESSAGE_SETTINGS_KEPT, NULL, "%s", problems.items[i].text);
                log_event(LOG_ERR, MESSAGE_SETTINGS_KEPT, NULL, "The settings in use stay in use");
                return r;
        }

        old = m->settings;
        m->settings = STEAL_POINTER(settings);
        docker_events_set(m->docker_events, NULL);
        if (!streq(old->ecsconfig.environment_file, m->settings->ecsconfig.environment_file))
                m->facts.sync = (SyncReport){0};
        manager_start_watching(m);

        if (m->service && streq(old->unit, m->settings->unit) && old->restart.method == m->settings->restart.method) {
                const ServiceSettings same = service_settings(m->settings);

                service_set_settings(m->service, &same);
                return 0;
        }
        return manager_reconnect(m);
}

static int on_sighup(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, manager_now(m));
        log_event(LOG_INFO, MESSAGE_RELOADED, NULL, "Reading the settings again and looking again, as asked (SIGHUP)");
        if (manager_reload(m) == -ENOMEM)
                log_error("Out of memory; the settings in use stay in use");
        facts_retry(&m->facts);
        announcer_say_again(m->announcer);
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
        /* A write in hand is finished first, and a container that is half replaced. */
        if (!manager_is_busy(m))
                manager_exit(m, manager_stop_status(m));
        else
                (void) arm_timer(m, &m->stop_limit,
                                 manager_now(m) + (m->writing ? STOP_LIMIT_USEC : STOP_BUSY_LIMIT_USEC), on_stop_limit);
        return 0;
}

static int on_give_up(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        log_warning("Not waiting any longer: written, but the agent was not seen with the new credentials");
        manager_exit(m, EXIT_STATUS_HELD);
        return 0;
}

/* A session that is lost ends an apply as SIGTERM does, after what is half done; not where nohup(1) said otherwise. */
static bool hangup_matters(const Manager *m) {
        struct sigaction sa;

        return m->mode == MANAGER_RUN || (sigaction(SIGHUP, NULL, &sa) >= 0 && sa.sa_handler != SIG_IGN);
}

static int manager_handle_signals(Manager *m) {
        bool hangup = hangup_matters(m);
        sigset_t mask;
        int r;

        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        (void) sigaddset(&mask, SIGTERM);
        (void) sigaddset(&mask, SIGINT);
        if (hangup)
                (void) sigaddset(&mask, SIGHUP);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return negative_errno();

        r = sd_event_add_signal(m->event, NULL, SIGTERM, on_sigterm, m);
        if (r >= 0)
                r = sd_event_add_signal(m->event, NULL, SIGINT, on_sigterm, m);
        if (r >= 0 && hangup)
                r = sd_event_add_signal(m->event, NULL, SIGHUP, m->mode == MANAGER_RUN ? on_sighup : on_sigterm, m);
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
        uint64_t limit = sync_timeout_usec(&m->settings->credentials) + 2 * OBSERVE_TIMEOUT_USEC +
                         2 * m->settings->restart.verify_usec;

        return arm_timer(m, &m->give_up, manager_now(m) + limit, on_give_up);
}

/* The last restart may have been one of an instance before us. */
static int manager_join(Manager *m) {
        uint64_t now, ago;
        int r;

        r = restart_lock_new(&m->restart_lock);
        if (r >= 0)
                r = sd_event_now(m->event, CLOCK_MONOTONIC, &now);
        if (r < 0)
                return r;

        ago = restart_lock_last_restart_ago_usec(m->restart_lock);
        m->facts.attempt.started_usec = ago < now ? now - ago : 0;
        return 0;
}

int manager_new(Manager **ret, ManagerMode mode, Settings **settings, const char *config_path, char *const *options) {
        _cleanup_(manager_freep) Manager *m = calloc(1, sizeof(Manager));
        int r;

        if (!m)
                return -ENOMEM;

        m->mode = mode;
        m->settings = STEAL_POINTER(*settings);
        m->config_path = config_path;
        m->options = options;
        m->facts.files_stale = m->facts.agent_stale = true;

        r = digest_key_generate(&m->key);
        if (r >= 0)
                r = sd_event_new(&m->event);
        if (r >= 0)
                r = manager_handle_signals(m);
        if (r >= 0)
                r = manager_join(m);
        if (r >= 0)
                r = worker_new(&m->worker, m->event);
        if (r >= 0)
                r = announcer_new(&m->announcer, mode == MANAGER_RUN);
        if (r >= 0)
                r = docker_events_new(&m->docker_events, m->event, on_docker_event, m);
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
        docker_events_free(m->docker_events);
        restart_lock_free(m->restart_lock);
        service_free(m->service);
        announcer_free(m->announcer);
        sd_event_source_disable_unref(m->pass);
        sd_event_source_disable_unref(m->look_again);
        sd_event_source_disable_unref(m->refresh);
        sd_event_source_disable_unref(m->give_up);
        sd_event_source_disable_unref(m->docker_settled);
        sd_event_source_disable_unref(m->ready_limit);
        sd_event_source_disable_unref(m->stop_limit);
        sd_event_unref(m->event);
        settings_free(m->settings);
        free(m);
        return NULL;
}

int manager_loop(Manager *m) {
        return sd_event_loop(m->event);
}
