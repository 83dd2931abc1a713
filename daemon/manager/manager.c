/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/manager.h"

#include <inttypes.h>
#include <signal.h>
#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "decision/apply-outcome.h"
#include "manager/look-and-act.h"

/* Where inotify fails us, the files are looked at this often instead. */
#define UNWATCHED_REFRESH_USEC (60 * USEC_PER_SEC)

/* A credential helper that hangs holds up neither the boot nor the end for longer than this. */
#define READY_LIMIT_USEC (10 * USEC_PER_SEC)
#define STOP_LIMIT_USEC (10 * USEC_PER_SEC)
#define STOP_BUSY_LIMIT_USEC (25 * USEC_PER_SEC) /* less than TimeoutStopSec= of the unit */

/* For settings in a file system that hangs. */
#define READ_TIMEOUT_USEC (5 * USEC_PER_SEC)

/* --- what wakes us --- */

static int on_refresh(sd_event_source *s, uint64_t usec, void *userdata);

static void manager_arm_refresh(Manager *m) {
        uint64_t interval = m->settings->credentials.refresh_usec;

        if (!m->watching && (interval == 0 || interval > UNWATCHED_REFRESH_USEC))
                interval = UNWATCHED_REFRESH_USEC;
        (void) manager_arm_timer(m, &m->refresh, interval > 0 ? manager_now(m) + interval : 0, on_refresh);
}

static int on_refresh(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        manager_arm_refresh(m);
        m->facts.file.stale = true;
        manager_wake_agent(m);
        return 0;
}

/* Looking at it all again tells it again. */
static void on_announcement_stale(void *userdata) {
        manager_wake(userdata);
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

static void manager_tell_watching(Manager *m, int error) {
        char *const *credentials = m->settings->credentials.files;

        if (error < 0 && error != m->watch_error)
                log_warning("The files cannot be watched: %s%s; looking at them every minute",
                            error == -ECONNABORTED ? "the process that watches them has ended" : strerror(-error),
                            watch_advice(error));
        m->watch_error = error;
        if (error >= 0 && !m->watch_told)
                log_event(LOG_INFO, MESSAGE_WATCHING,
                          LOG_FIELDS({"FILE", m->settings->ecsconfig.environment_file}, {"UNIT", m->settings->unit}),
                          "Watching %s%s and %s", credentials[0], credentials[1] ? " (and more)" : "",
                          m->settings->ecsconfig.environment_file);
        m->watch_told = error >= 0;
}

static void on_watch(void *userdata, const WatchMessage *message) {
        Manager *m = userdata;

        if (message->kind != WATCH_CHANGED) {
                m->watching = message->kind == WATCH_STARTED;
                manager_arm_refresh(m);
        }
        if (message->kind == WATCH_STARTED || message->kind == WATCH_FAILED)
                manager_tell_watching(m, message->error);
        m->facts.file.stale = true; /* also for what has happened before the start */
        manager_wake(m);
}

static void on_docker_event(void *userdata) {
        manager_wake_agent(userdata);
}

/* Leases end at a time of day. */
static int on_clock_changed(sd_event_source *s _unused_, int fd, uint32_t revents _unused_, void *userdata) {
        Manager *m = userdata;

        clock_change_rearm(fd);
        m->facts.file.stale = true;
        manager_wake_agent(m);
        return 0;
}

static int list_watched_files(const Settings *settings, const char ***ret) {
        char *const *credentials = settings->credentials.files;
        const char **files;
        size_t n = 0;

        while (credentials[n])
                n++;
        files = calloc(n + 2, sizeof(char *));
        if (!files)
                return -ENOMEM;
        files[0] = settings->ecsconfig.environment_file;
        memcpy(files + 1, credentials, n * sizeof(char *));
        *ret = files;
        return 0;
}

/* Takes the list. Nothing waits for the child: where it hangs, the files are looked at every minute. */
static void manager_start_watching(Manager *m, const char **files) {
        m->watching = m->watch_told = false;
        watch_set_files(m->watch, files);
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
        static const ServiceHandlers handlers = {
                .changed = manager_on_unit_changed,
                .queried = manager_on_unit_queried,
                .finished = manager_on_job_finished,
        };
        const ServiceSettings settings = service_settings(m->settings);

        m->service = service_free(m->service);
        if (m->settings->restart.method == RESTART_METHOD_NONE)
                return 0;
        return service_new(&m->service, m->event, &settings, &handlers, m);
}

/* Another unit, or another way to restart it: what was asked of the one before is not answered any more. */
static int manager_reconnect(Manager *m) {
        const UnitReport unknown = {.state = UNIT_UNKNOWN};
        int r;

        facts_forget_restart(&m->facts);
        r = manager_connect(m);
        observer_take_unit(m->observer, &unknown);
        return r;
}

static void manager_keep_settings(Manager *m, int error, const Problems *problems) {
        (void) snprintf(m->facts.settings_problem, sizeof(m->facts.settings_problem), "%s",
                        problems->n_items > 0 ? problems->items[0].text : "The settings cannot be read");
        for (unsigned i = 0; i < problems->n_items; i++)
                log_event(LOG_ERR, MESSAGE_SETTINGS_KEPT, NULL, "%s", problems->items[i].text);
        if (problems->n_items == 0)
                log_event(LOG_ERR, MESSAGE_SETTINGS_KEPT, NULL, "The settings cannot be read: %s", strerror(-error));
        log_event(LOG_ERR, MESSAGE_SETTINGS_KEPT, NULL, "The settings in use stay in use");
}

/* The new settings instead of those in use. */
static int manager_take_settings(Manager *m, Problems *problems) {
        _cleanup_(settings_freep) Settings *settings = NULL, *old = NULL;
        const char **files = NULL;
        int r;

        r = settings_load(m->config_path, m->options, &settings, problems);
        if (r >= 0)
                r = list_watched_files(settings, &files);
        if (r < 0)
                return r;

        /* What they do is of the settings before. */
        write_job_cancel(&m->write);
        write_job_cancel(&m->ask);
        old = m->settings;
        m->settings = STEAL_POINTER(settings);
        if (!streq(old->ecsconfig.environment_file, m->settings->ecsconfig.environment_file))
                facts_forget_file(&m->facts);
        manager_start_watching(m, files);

        if (m->service && streq(old->unit, m->settings->unit) && old->restart.method == m->settings->restart.method) {
                m->service->settings = service_settings(m->settings);
                return 0;
        }
        return manager_reconnect(m);
}

/* Runs in a child: only finds out whether reading the files hangs. */
static void try_settings(const void *context, void *report _unused_) {
        _cleanup_(settings_freep) Settings *settings = NULL;
        const Manager *m = context;
        Problems ignored = {0};

        (void) settings_load(m->config_path, m->options, &settings, &ignored);
}

/* Reads the settings for use, because the child has shown that the files do not hang. */
static void on_settings_tried(void *userdata, int error, const void *report _unused_) {
        Manager *m = userdata;
        Problems problems = {0};
        int r = error;

        if (m->pass.stopping)
                return;
        if (r >= 0)
                r = manager_take_settings(m, &problems);
        m->facts.settings_problem[0] = 0;
        if (r < 0)
                manager_keep_settings(m, r, &problems);
        facts_retry(&m->facts);
        announcer_say_again(m->announcer);
        if (m->ready) {
                m->ready = m->settled = false;
                (void) manager_arm_timer(m, &m->ready_limit, manager_now(m) + READY_LIMIT_USEC, manager_on_ready_limit);
        }
        manager_wake(m);
}

static int on_sighup(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;
        int r;

        (void) sd_notifyf(false, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, manager_now(m));
        announcer_flush(m->announcer);
        log_event(LOG_INFO, MESSAGE_RELOADED, NULL, "Reading the settings again and looking again, as asked (SIGHUP)");
        worker_stop(m->reload); /* the previous reload may hang in a file that has been replaced since */
        r = worker_run(m->reload, try_settings, m, 1, READ_TIMEOUT_USEC, on_settings_tried, m);
        if (r < 0)
                on_settings_tried(m, r, NULL);
        return 0;
}

/* What has not been written by now is not begun: the environment file is whole at any moment. */
static int on_stop_limit(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        manager_end(userdata);
        return 0;
}

static int on_sigterm(sd_event_source *s _unused_, const struct signalfd_siginfo *si _unused_, void *userdata) {
        Manager *m = userdata;
        uint64_t limit = service_is_busy(m->service) ? STOP_BUSY_LIMIT_USEC : STOP_LIMIT_USEC;

        (void) sd_notify(false, "STOPPING=1\nSTATUS=Stopping");
        m->pass.stopping = true;
        write_job_cancel(&m->ask); /* a helper may take long; its lease says that it is still to be asked */
        /* A write in hand is finished first, and a container that is half replaced. */
        if (!manager_is_busy(m))
                manager_end(m);
        else
                (void) manager_arm_timer(m, &m->stop_limit, manager_now(m) + limit, on_stop_limit);
        return 0;
}

static int on_deadline(sd_event_source *s _unused_, uint64_t usec, void *userdata) {
        Manager *m = userdata;

        /* What is half done has a limit of its own. */
        if (manager_is_busy(m))
                return manager_arm_timer(m, &m->stop_limit, usec + STOP_BUSY_LIMIT_USEC, on_deadline);
        if (outcome_at_deadline(&m->facts) == OUTCOME_HELD) {
                log_warning("Not waiting any longer: written, but the agent was not seen with the new credentials");
                manager_exit(m, EXIT_STATUS_HELD);
                return 0;
        }
        log_error("Not waiting any longer: see what was said before");
        manager_exit(m, EXIT_STATUS_FAILED);
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
        const char **files = NULL;
        int r;

        r = sd_event_set_watchdog(m->event, true);
        if (r < 0)
                return r;
        r = watch_new(&m->watch, m->event, on_watch, m);
        if (r >= 0)
                r = clock_change_new(&m->clock_change, m->event, on_clock_changed, m);
        if (r >= 0)
                r = worker_new(&m->reload, m->event);
        if (r >= 0)
                r = list_watched_files(m->settings, &files);
        if (r < 0)
                return r;
        manager_start_watching(m, files);
        return manager_arm_timer(m, &m->ready_limit, manager_now(m) + READY_LIMIT_USEC, manager_on_ready_limit);
}

static int manager_start_apply(Manager *m) {
        m->deadline_usec = manager_now(m) + apply_timeout_usec(&m->settings->credentials, &m->settings->restart);
        return manager_arm_timer(m, &m->stop_limit, m->deadline_usec, on_deadline);
}

/* A struct with nothing in it: what is freed half-built. */
static int manager_build(Manager *m) {
        int r;

        m->pass = (Pass){.operations = &manager_operations, .userdata = m, .facts = &m->facts, .lock = -1};
        m->write = (WriteJob){.manager = m, .done = manager_on_written};
        m->ask = (WriteJob){.manager = m, .done = manager_on_asked};
        digest_prepare();
        r = digest_key_load(&m->key);
        if (r >= 0)
                r = sd_event_new(&m->event);
        if (r >= 0)
                r = manager_handle_signals(m);
        if (r >= 0)
                r = worker_new(&m->write.worker, m->event);
        if (r >= 0)
                r = worker_new(&m->ask.worker, m->event);
        if (r >= 0)
                r = observer_new(&m->observer, m->event, manager_on_observed, m);
        if (r >= 0)
                r = announcer_new(&m->announcer, m->mode == MANAGER_RUN ? m->event : NULL, on_announcement_stale, m);
        if (r >= 0)
                r = docker_events_new(&m->docker_events, m->event, on_docker_event, m);
        if (r >= 0)
                r = manager_connect(m);
        if (r >= 0)
                r = sd_event_add_defer(m->event, &m->pass_source, manager_on_pass, m);
        return r;
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
        m->facts.file.stale = true;
        m->facts.agent_stale = true;
        /* A person asks. */
        m->facts.file.ask_all = mode != MANAGER_RUN;

        r = manager_build(m);
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

        worker_free(m->write.worker);
        worker_free(m->ask.worker);
        observer_free(m->observer);
        worker_free(m->reload);
        watch_free(m->watch);
        docker_events_free(m->docker_events);
        sd_event_source_disable_unref(m->clock_change);
        service_free(m->service);
        restart_lock_release(&m->pass.lock);
        announcer_free(m->announcer);
        sd_event_source_disable_unref(m->pass_source);
        sd_event_source_disable_unref(m->write_again);
        sd_event_source_disable_unref(m->look_again);
        sd_event_source_disable_unref(m->refresh);
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
