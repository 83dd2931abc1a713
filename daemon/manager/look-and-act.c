/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/look-and-act.h"

#include <systemd/sd-daemon.h>
#include <systemd/sd-id128.h>

#include "base/log.h"
#include "decision/apply-outcome.h"

/* Somebody waits for what happens then, and nothing happens often. */
#define ACCURACY_USEC (10 * USEC_PER_MSEC)

/* READY=1 waits this long for the first observation of the agent, so that the status is written. */
#define OBSERVED_LIMIT_USEC (500 * USEC_PER_MSEC)

static void manager_pass(Manager *m);

uint64_t manager_now(const Manager *m) {
        uint64_t now;

        /* Fails only for a clock that there is not. */
        return sd_event_now(m->event, CLOCK_MONOTONIC, &now) < 0 ? 0 : now;
}

/* "Look again". */
void manager_wake(Manager *m) {
        (void) sd_event_source_set_enabled(m->pass_source, SD_EVENT_ONESHOT);
}

void manager_wake_agent(Manager *m) {
        m->facts.agent_stale = true;
        manager_wake(m);
}

/* Sets the timer for the moment, creating it when need be; 0 turns it off. */
int manager_arm_timer(Manager *m, sd_event_source **timer, uint64_t usec, sd_event_time_handler_t handler) {
        int r;

        if (usec == 0) {
                *timer = sd_event_source_disable_unref(*timer);
                return 0;
        }
        if (!*timer)
                return sd_event_add_time(m->event, timer, CLOCK_MONOTONIC, usec, ACCURACY_USEC, handler, m);

        r = sd_event_source_set_time(*timer, usec);
        return r < 0 ? r : sd_event_source_set_enabled(*timer, SD_EVENT_ONESHOT);
}

void manager_exit(Manager *m, int status) {
        m->pass.stopping = true;
        (void) sd_event_exit(m->event, status);
}

/* After a signal. */
void manager_end(Manager *m) {
        manager_exit(m, m->mode == MANAGER_RUN ? EXIT_SUCCESS : EXIT_STATUS_FAILED);
}

bool manager_is_busy(const Manager *m) {
        return worker_is_running(m->write.worker) || worker_is_running(m->ask.worker) || service_is_busy(m->service);
}

int manager_on_pass(sd_event_source *s _unused_, void *userdata) {
        manager_pass(userdata);
        return 0;
}

/* Sends READY=1: after the start, the agent may start because the file is as right as it can be; after SIGHUP, the
 * reload is complete. */
static void manager_tell_ready(Manager *m) {
        m->ready_limit = sd_event_source_disable_unref(m->ready_limit);
        if (m->ready)
                return;
        m->ready = true;
        (void) sd_notify(false, "READY=1");
}

int manager_on_ready_limit(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Manager *m = userdata;

        if (!m->settled)
                log_warning(
                        "The credentials take long to be read (a credential helper?); the agent is not kept waiting "
                        "for them");
        manager_tell_ready(m);
        return 0;
}

/* --- credential files -> environment file --- */

static int on_write_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        manager_wake(userdata);
        return 0;
}

static void manager_go_on(Manager *m) {
        if (m->pass.stopping && !manager_is_busy(m))
                manager_end(m);
        else
                manager_wake(m);
}

void manager_on_written(Manager *m, const SyncReport *report) {
        if (facts_end_write(&m->facts, report, manager_now(m)))
                announcer_tell_sync(m->announcer, m->settings, report, &m->facts.file.sync.problems);
        manager_go_on(m);
}

void manager_on_asked(Manager *m, const SyncReport *report) {
        if (facts_end_ask(&m->facts, report, manager_now(m)))
                announcer_tell_sync(m->announcer, m->settings, report, &m->facts.file.sync.problems);
        manager_go_on(m);
}

static void start_write(void *userdata) {
        Manager *m = userdata;

        write_job_start(&m->write, ASK_NOBODY);
}

static void start_ask(void *userdata, bool all) {
        Manager *m = userdata;

        write_job_start(&m->ask, all ? ASK_ALL : ASK_DUE);
}

static void arm_files(void *userdata, uint64_t usec) {
        Manager *m = userdata;

        (void) manager_arm_timer(m, &m->write_again, usec, on_write_again);
}

/* --- the record of restarts --- */

static void announce_not_recorded(void *userdata, int error) {
        Manager *m = userdata;

        announcer_tell_not_recorded(m->announcer, error);
}

/* --- environment file -> agent --- */

static int on_look_again(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        manager_wake_agent(userdata);
        return 0;
}

void manager_on_observed(void *userdata, const ObserveReport *agent, const UnitReport *unit) {
        Manager *m = userdata;
        UnitReport report = *unit;

        if (m->settings->restart.method == RESTART_METHOD_DOCKER && report.state == UNIT_ACTIVE)
                report.state = facts_unit_of_container(agent);
        facts_end_observe(&m->facts, agent, &report, manager_now(m));
        manager_wake(m);
}

static void observe(void *userdata) {
        Manager *m = userdata;

        observer_start(m->observer, &m->settings->agent, &m->key, m->service);
}

void manager_on_unit_queried(void *userdata, const UnitReport *unit) {
        Manager *m = userdata;

        observer_take_unit(m->observer, unit);
}

void manager_on_unit_changed(void *userdata) {
        Manager *m = userdata;

        if (m->pass.stopping && !manager_is_busy(m))
                manager_end(m);
        else
                manager_wake_agent(m);
}

void manager_on_job_finished(void *userdata, JobOutcome outcome, const char *result, const char *message) {
        Manager *m = userdata;

        if (m->facts.job) { /* not abandoned */
                announcer_tell_job(m->settings, outcome, result, message);
                facts_end_job(&m->facts, outcome);
        }
        manager_on_unit_changed(m);
}

static void announce(void *userdata, const Decision *d) {
        Manager *m = userdata;

        announcer_tell_decision(m->announcer, m->settings, &m->facts, d, manager_now(m));
}

static void start_job(void *userdata, const Decision *d) {
        Manager *m = userdata;
        int r;

        if (!m->service)
                r = -ENOTCONN;
        else
                r = d->action == ACTION_RESTART ? m->service->method->restart(m->service)
                                                : m->service->method->start(m->service);
        if (r < 0)
                manager_on_job_finished(m, JOB_REFUSED, NULL, strerror(-r));
}

static void abandon_job(void *userdata) {
        Manager *m = userdata;

        m->service->method->abandon_job(m->service);
}

static void confirm_swap(void *userdata) {
        Manager *m = userdata;

        m->service->method->confirm(m->service);
}

static bool is_busy(void *userdata) {
        const Manager *m = userdata;

        return service_is_busy(m->service);
}

static uint64_t jitter_of_this_host(uint64_t jitter_usec) {
        static const sd_id128_t id = SD_ID128_MAKE(3a, 5c, 1e, 9f, 60, 4d, 4b, 0d, 9a, 47, 2f, 83, b1, 6e, d7, 50);
        sd_id128_t host;

        if (jitter_usec == 0 || sd_id128_get_machine_app_specific(id, &host) < 0)
                return 0;
        return jitter_of_host(jitter_usec, host.bytes);
}

static Policy manager_policy(const Manager *m) {
        Policy p = {.settings = m->settings->restart};

        p.settings.jitter_usec = jitter_of_this_host(p.settings.jitter_usec);
        if (m->mode == MANAGER_APPLY_WRITE)
                p.settings.method = RESTART_METHOD_NONE;
        /* A person who waits in front of it has settled, and has chosen the moment. */
        if (m->mode != MANAGER_RUN)
                p.settings.settle_usec = p.settings.jitter_usec = 0;
        return p;
}

/* apply ends with the first outcome. */
static void manager_finish_apply(Manager *m, const Decision *d) {
        if (m->mode == MANAGER_RUN || manager_is_busy(m))
                return;

        switch (outcome_of(&m->facts, d, m->pass.tried, m->deadline_usec)) {
        case OUTCOME_OPEN:
                return;
        case OUTCOME_DONE:
                manager_exit(m, EXIT_SUCCESS);
                return;
        case OUTCOME_FAILED:
                manager_exit(m, EXIT_STATUS_FAILED);
                return;
        case OUTCOME_HELD:
                manager_exit(m, EXIT_STATUS_HELD);
                return;
        }
}

/* Follows the agent's container, because the agent may be recreated at any time; every container while the restart
 * waits for tasks. */
static void manager_follow_docker(Manager *m, const Decision *d) {
        const AgentSettings *agent = &m->settings->agent;

        if (d->reason == REASON_WRITE_ONLY)
                docker_events_set(m->docker_events, NULL, "", NULL);
        else if (m->facts.agent.agent != AGENT_UNKNOWN) /* else the last answer counts, and each observation connects */
                docker_events_set(m->docker_events, agent->docker_socket, m->facts.agent.api_version,
                                  decision_awaits_tasks(d) ? NULL : agent->container);
}

static void rest(void *userdata, const Decision *d) {
        Manager *m = userdata;

        m->observed = true;
        (void) manager_arm_timer(m, &m->look_again, d->look_again_usec, on_look_again);
        manager_follow_docker(m, d);
        manager_finish_apply(m, d);
}

const PassOperations manager_operations = {
        .write = start_write,
        .ask = start_ask,
        .arm_files = arm_files,
        .claim_lock = restart_lock_claim,
        .release_lock = restart_lock_release,
        .load_record = restart_record_load,
        .save_record = restart_record_save,
        .announce_not_recorded = announce_not_recorded,
        .announce = announce,
        .observe = observe,
        .start_job = start_job,
        .abandon_job = abandon_job,
        .confirm_swap = confirm_swap,
        .is_busy = is_busy,
        .rest = rest,
};

/* Sends READY=1 when the files are up to date and the status shows the agent. */
static void manager_become_ready(Manager *m) {
        if (!m->settled && files_are_settled(&m->facts.file, manager_now(m))) {
                m->settled = true;
                (void) manager_arm_timer(m, &m->ready_limit, manager_now(m) + OBSERVED_LIMIT_USEC,
                                         manager_on_ready_limit);
        }
        if (m->settled && m->observed)
                manager_tell_ready(m);
}

static void manager_pass(Manager *m) {
        Policy policy = manager_policy(m);

        if (m->pass.stopping)
                return;
        m->observed = false;
        pass_files(&m->pass, manager_now(m));
        pass_agent(&m->pass, &policy, manager_now(m));
        if (m->mode == MANAGER_RUN && !m->pass.stopping && !m->ready)
                manager_become_ready(m);
}
