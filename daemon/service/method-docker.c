/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap.h"
#include "base/log.h"
#include "process/worker.h"
#include "service/restart-method.h"

/* The agent of somebody who started it with "docker run --env-file": there is no unit, and its container is made anew.
 * The requests to the Docker Engine carry the container's environment, so a child makes them. */

/* A previous container that cannot be removed is tried again after this, which doubles. */
#define CONFIRM_RETRY_MIN_USEC (60 * USEC_PER_SEC)
#define CONFIRM_RETRY_MAX_USEC (3600 * USEC_PER_SEC)

typedef struct DockerService {
        Service service;
        Worker *worker;
        ContainerSwapGoal step; /* the one that the worker does */
        bool restarting;
        bool waiting; /* for the end of a confirmation; then this is done: */
        ContainerSwapGoal next;
        sd_event_source *answer;

        bool confirmed; /* the previous container is gone */
        unsigned confirm_failures;
        uint64_t confirm_after_usec;
        char confirm_why[PROBLEM_TEXT_MAX]; /* what was said of the last failure */
        sd_event_source *confirm_again;
} DockerService;

/* By what is done to the container; what it is itself, the loop sees. */
static int on_answer(sd_event_source *source _unused_, void *userdata) {
        DockerService *s = userdata;
        UnitReport unit = {.state = UNIT_ACTIVE};

        if (worker_is_running(s->worker))
                unit.state = UNIT_CHANGING;
        else if (container_swap_is_pending())
                unit.state = UNIT_HALF_DONE;

        s->answer = sd_event_source_disable_unref(s->answer);
        s->service.handlers->queried(s->service.userdata, &unit);
        return 0;
}

static void run_step(const void *context, void *report) {
        const DockerService *s = context;

        container_swap_run(s->service.settings.agent, s->service.settings.environment_file, s->step, report);
}

static const char *describe(int error, const ContainerSwapReport *report) {
        if (error == -ETIMEDOUT)
                return "it hung and was killed at its time limit";
        if (error == -ECONNABORTED)
                return "it was killed, or crashed";
        if (error < 0)
                return strerror(-error);
        if (report->error == -ESTALE && report->problems.n_items == 0)
                return "there is no running container";
        if (report->error < 0)
                return report->problems.n_items > 0 ? report->problems.items[0].text : strerror(-report->error);
        return NULL;
}

/* But the one that the outcome is told with. */
static void log_problems(const Problems *problems, bool skip_first) {
        for (unsigned i = skip_first ? 1 : 0; i < problems->n_items; i++)
                log_event(problems->items[i].level, MESSAGE_PROBLEM, NULL, "%s", problems->items[i].text);
}

static void docker_finish_restart(DockerService *s, int error, const ContainerSwapReport *report) {
        const char *why = describe(error, report);

        if (error >= 0)
                log_problems(&report->problems, why && report->problems.n_items > 0);
        if (!s->restarting)
                return;
        s->restarting = false;

        /* What could not be done was undone, or is still to be. */
        s->service.handlers->finished(s->service.userdata, why ? JOB_REFUSED : JOB_DONE, why ? NULL : "done", why);
}

static int on_confirm_again(sd_event_source *source _unused_, uint64_t usec _unused_, void *userdata) {
        DockerService *s = userdata;

        s->confirm_again = sd_event_source_disable_unref(s->confirm_again);
        s->service.handlers->changed(s->service.userdata);
        return 0;
}

static void docker_confirm_later(DockerService *s) {
        uint64_t pause = CONFIRM_RETRY_MIN_USEC, now = 0;

        for (unsigned i = 0; i < s->confirm_failures && pause < CONFIRM_RETRY_MAX_USEC; i++)
                pause *= 2;
        if (pause > CONFIRM_RETRY_MAX_USEC)
                pause = CONFIRM_RETRY_MAX_USEC;
        s->confirm_failures++;

        (void) sd_event_now(s->service.event, CLOCK_MONOTONIC, &now);
        s->confirm_after_usec = now + pause;
        s->confirm_again = sd_event_source_disable_unref(s->confirm_again);
        /* Without it the next look after that time does. */
        (void) sd_event_add_time(s->service.event, &s->confirm_again, CLOCK_MONOTONIC, s->confirm_after_usec, 0,
                                 on_confirm_again, s);
}

static void docker_finish_confirm(DockerService *s, int error, const ContainerSwapReport *report) {
        const char *why = describe(error, report);

        s->confirmed = !why && !container_swap_is_on_record();
        if (s->confirmed) {
                s->confirm_failures = 0;
                s->confirm_after_usec = 0;
                s->confirm_why[0] = 0;
                return;
        }
        docker_confirm_later(s);
        if (!why || streq(s->confirm_why, why)) /* NULL: the old one may be ending */
                return;
        (void) snprintf(s->confirm_why, sizeof(s->confirm_why), "%s", why);
        log_event(LOG_WARNING, MESSAGE_PROBLEM, NULL,
                  "The agent's previous container is kept until it can be removed; it is tried again: %s", why);
}

static int docker_step(DockerService *s, ContainerSwapGoal step);

/* There is something else to confirm from now on. */
static void docker_forget_confirmation(DockerService *s) {
        s->confirmed = false;
        s->confirm_failures = 0;
        s->confirm_after_usec = 0;
}

/* What had to wait for a confirmation. */
static void docker_begin_waiting(DockerService *s) {
        int r;

        s->waiting = false;
        docker_forget_confirmation(s);
        r = docker_step(s, s->next);
        if (r >= 0)
                return;
        s->restarting = false;
        s->service.handlers->finished(s->service.userdata, JOB_REFUSED, NULL, strerror(-r));
}

static void on_step_done(void *userdata, int error, const void *report) {
        DockerService *s = userdata;

        if (s->step == CONTAINER_SWAP_CONFIRM)
                docker_finish_confirm(s, error, report);
        else
                docker_finish_restart(s, error, report);
        if (s->waiting)
                docker_begin_waiting(s);
        s->service.handlers->changed(s->service.userdata);
}

static int docker_step(DockerService *s, ContainerSwapGoal step) {
        if (worker_is_running(s->worker))
                return -EBUSY;
        s->step = step;
        return worker_run(s->worker, run_step, s, sizeof(ContainerSwapReport), CONTAINER_SWAP_TIMEOUT_USEC,
                          on_step_done, s);
}

static int docker_query(Service *service) {
        DockerService *s = (DockerService *) service;

        if (s->answer)
                return -EBUSY;
        return sd_event_add_defer(s->service.event, &s->answer, on_answer, s);
}

static int docker_begin(DockerService *s, ContainerSwapGoal step) {
        int r;

        s->waiting = worker_is_running(s->worker) && s->step == CONTAINER_SWAP_CONFIRM;
        s->next = step;
        r = s->waiting ? 0 : docker_step(s, step);
        if (r < 0)
                return r;
        s->restarting = true;
        docker_forget_confirmation(s);
        return 0;
}

static int docker_restart(Service *service) {
        return docker_begin((DockerService *) service, CONTAINER_SWAP_REPLACE);
}

static int docker_start(Service *service) {
        return docker_begin((DockerService *) service,
                            container_swap_is_pending() ? CONTAINER_SWAP_FINISH : CONTAINER_SWAP_START);
}

static void docker_abandon_job(Service *service) {
        DockerService *s = (DockerService *) service;

        s->restarting = s->waiting = false;
}

static void docker_confirm(Service *service) {
        DockerService *s = (DockerService *) service;
        uint64_t now = 0;

        (void) sd_event_now(s->service.event, CLOCK_MONOTONIC, &now);
        /* Another ecs-authd may have left something, too. */
        if ((!s->confirmed || container_swap_is_on_record()) && now >= s->confirm_after_usec)
                (void) docker_step(s, CONTAINER_SWAP_CONFIRM);
}

static bool docker_is_busy(const Service *service) {
        return worker_is_running(((const DockerService *) service)->worker);
}

static Service *docker_free(Service *service) {
        DockerService *s = (DockerService *) service;

        worker_free(s->worker);
        sd_event_source_disable_unref(s->answer);
        sd_event_source_disable_unref(s->confirm_again);
        sd_event_unref(s->service.event);
        free(s);
        return NULL;
}

static const ServiceMethod docker_method = {
        .free = docker_free,
        .query = docker_query,
        .restart = docker_restart,
        .start = docker_start,
        .abandon_job = docker_abandon_job,
        .confirm = docker_confirm,
        .is_busy = docker_is_busy,
};

int service_docker_new(Service **ret, const Service *common) {
        DockerService *s = calloc(1, sizeof(DockerService));
        int r;

        if (!s)
                return -ENOMEM;

        s->service = *common;
        s->service.method = &docker_method;
        sd_event_ref(s->service.event);

        /* What an instance before us was killed over is not touched here: another one may be at it. */
        r = worker_new(&s->worker, s->service.event);
        if (r < 0) {
                docker_free(&s->service);
                return r;
        }

        *ret = &s->service;
        return 0;
}
