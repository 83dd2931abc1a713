/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap.h"
#include "base/log.h"
#include "process/worker.h"
#include "service/service.h"

/* An agent that was started with "docker run --env-file": no unit runs it, and its container is replaced. The requests
 * to the Docker Engine carry the container's environment, so a child makes them. */

/* Pause after a confirmation that failed. */
#define CONFIRM_RETRY_USEC (600 * USEC_PER_SEC)

typedef struct DockerService {
        Service service;
        Worker *worker;
        ContainerSwapGoal goal; /* of the worker */
        bool has_job;           /* finished() will be called */

        uint64_t confirm_after_usec;        /* no confirmation before this time */
        char confirm_why[PROBLEM_TEXT_MAX]; /* the last failure that was logged */
} DockerService;

static void run_goal(const void *context, void *report) {
        const DockerService *s = context;

        container_swap_run(s->service.settings.agent, s->service.settings.environment_file, s->goal, report);
}

/* Returns why the goal was not reached; NULL: it was. */
static const char *describe(int error, const ContainerSwapReport *report) {
        if (error == -ETIMEDOUT)
                return "it hung and was killed at its time limit";
        if (error == -ECONNABORTED)
                return "it was killed, or crashed";
        if (error < 0)
                return strerror(-error);
        if (report->error >= 0)
                return NULL;
        if (report->problems.n_items > 0)
                return report->problems.items[0].text;
        return report->error == -ESTALE ? "there is no running container" : strerror(-report->error);
}

static void finish_job(DockerService *s, const char *why, const Problems *problems) {
        /* The first problem is the reason, and is logged with the outcome. */
        for (unsigned i = why ? 1 : 0; problems && i < problems->n_items; i++)
                log_event(problems->items[i].level, MESSAGE_PROBLEM, NULL, "%s", problems->items[i].text);
        if (!s->has_job)
                return;
        s->has_job = false;
        s->service.handlers->finished(s->service.userdata, why ? JOB_REFUSED : JOB_DONE, why ? NULL : "done", why);
}

static void finish_confirm(DockerService *s, const char *why, bool quiet) {
        uint64_t now = 0;

        (void) sd_event_now(s->service.event, CLOCK_MONOTONIC, &now);
        s->confirm_after_usec = why ? now + CONFIRM_RETRY_USEC : 0;
        if (quiet || streq(s->confirm_why, why ? why : ""))
                return;
        (void) snprintf(s->confirm_why, sizeof(s->confirm_why), "%s", why ? why : "");
        if (why)
                log_event(LOG_WARNING, MESSAGE_PROBLEM, NULL,
                          "The agent's previous container is kept until it can be removed; it is tried again: %s", why);
}

static void on_goal_done(void *userdata, int error, const void *message) {
        const ContainerSwapReport *report = message;
        const char *why = describe(error, report);
        DockerService *s = userdata;

        if (s->goal == CONTAINER_SWAP_CONFIRM)
                finish_confirm(s, why, report && report->error == -EAGAIN);
        else
                finish_job(s, why, report ? &report->problems : NULL);
        s->service.handlers->changed(s->service.userdata);
}

static int docker_run(DockerService *s, ContainerSwapGoal goal) {
        if (worker_is_running(s->worker))
                return -EBUSY;
        s->goal = goal;
        return worker_run(s->worker, run_goal, s, sizeof(ContainerSwapReport), CONTAINER_SWAP_TIMEOUT_USEC,
                          on_goal_done, s);
}

/* Reports only whether a child changes the container; the loop observes the container itself. */
static int docker_query(Service *service) {
        const DockerService *s = (const DockerService *) service;
        const UnitReport unit = {.state = worker_is_running(s->worker) ? UNIT_CHANGING : UNIT_ACTIVE};

        service->handlers->queried(service->userdata, &unit);
        return 0;
}

static int docker_begin(DockerService *s, ContainerSwapGoal goal) {
        int r;

        /* A job starts with what a confirmation does. */
        if (s->goal == CONTAINER_SWAP_CONFIRM)
                worker_stop(s->worker);
        r = docker_run(s, goal);
        if (r < 0)
                return r;
        s->has_job = true;
        s->confirm_after_usec = 0;
        return 0;
}

static int docker_restart(Service *service) {
        return docker_begin((DockerService *) service, CONTAINER_SWAP_REPLACE);
}

static int docker_start(Service *service) {
        return docker_begin((DockerService *) service, CONTAINER_SWAP_START);
}

static void docker_abandon_job(Service *service) {
        DockerService *s = (DockerService *) service;

        s->has_job = false;
}

static void docker_confirm(Service *service) {
        DockerService *s = (DockerService *) service;
        uint64_t now = 0;

        (void) sd_event_now(s->service.event, CLOCK_MONOTONIC, &now);
        if (now >= s->confirm_after_usec)
                (void) docker_run(s, CONTAINER_SWAP_CONFIRM);
}

static bool docker_is_busy(const Service *service) {
        return worker_is_running(((const DockerService *) service)->worker);
}

static Service *docker_free(Service *service) {
        DockerService *s = (DockerService *) service;

        worker_free(s->worker);
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

        r = worker_new(&s->worker, s->service.event);
        if (r < 0) {
                docker_free(&s->service);
                return r;
        }

        *ret = &s->service;
        return 0;
}
