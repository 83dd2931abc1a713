/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/recreate-container.h"
#include "process/worker.h"
#include "service/method.h"

/* The agent of somebody who started it with "docker run --env-file": there is no unit, and its container is made anew.
 * The requests to the Docker Engine carry the container's environment, so a child makes them. */

/* The agent has 10 s to stop, or what its container says; pulling is no part of it. */
#define STEP_TIMEOUT_USEC (300 * USEC_PER_SEC)

typedef struct DockerService {
        Service service;
        Worker *worker;
        RecreateStep step; /* the one that the worker does */
        bool restarting;
        bool querying;
        bool confirmed; /* nothing is kept any more to go back to */
        sd_event_source *answer;
} DockerService;

static void docker_answer(DockerService *s) {
        s->answer = sd_event_source_disable_unref(s->answer);
        if (!s->querying || worker_is_running(s->worker))
                return;
        s->querying = false;
        /* decide() judges it by the container. */
        s->service.handlers->queried(s->service.userdata, &(const UnitReport){.state = UNIT_ACTIVE});
}

static int on_answer(sd_event_source *source _unused_, void *userdata) {
        docker_answer(userdata);
        return 0;
}

static void run_step(const void *context, void *report) {
        const DockerService *s = context;

        recreate_run(s->service.settings.agent, s->service.settings.environment_file, s->step, report);
}

static void docker_finish_restart(DockerService *s, int error, const RecreateReport *report) {
        const char *why = NULL;

        if (!s->restarting)
                return;
        s->restarting = false;

        if (error < 0)
                why = strerror(-error);
        else if (report->error < 0)
                why = report->problems.n_items > 0 ? report->problems.items[0].text : strerror(-report->error);
        /* What could not be done was undone. */
        s->service.handlers->finished(s->service.userdata, why ? JOB_REFUSED : JOB_DONE, why ? NULL : "done", why);
}

static void on_step_done(void *userdata, int error, const void *report) {
        DockerService *s = userdata;
        RecreateStep step = s->step;
        const RecreateReport *r = report;

        if (step == RECREATE_REPLACE || step == RECREATE_PUT_BACK)
                docker_finish_restart(s, error, r);
        else if (step == RECREATE_CONFIRM)
                s->confirmed = error >= 0 && r->error >= 0;
        /* First: what was looked at meanwhile is looked at again. */
        s->service.handlers->changed(s->service.userdata);
        docker_answer(s);
}

static int docker_step(DockerService *s, RecreateStep step) {
        if (worker_is_running(s->worker))
                return -EBUSY;
        s->step = step;
        return worker_run(s->worker, run_step, s, sizeof(RecreateReport), STEP_TIMEOUT_USEC, on_step_done, s);
}

static int docker_query(Service *service) {
        DockerService *s = (DockerService *) service;
        int r = 0;

        if (s->querying)
                return -EBUSY;
        /* While a step is under way its end answers. */
        if (!worker_is_running(s->worker))
                r = sd_event_add_defer(s->service.event, &s->answer, on_answer, s);
        if (r < 0)
                return r;
        s->querying = true;
        return 0;
}

static int docker_start(Service *service) {
        DockerService *s = (DockerService *) service;
        int r = docker_step(s, RECREATE_PUT_BACK);

        if (r >= 0)
                s->restarting = true;
        return r;
}

static int docker_restart(Service *service) {
        DockerService *s = (DockerService *) service;
        int r;

        r = docker_step(s, RECREATE_REPLACE);
        if (r < 0)
                return r;
        s->restarting = true;
        s->confirmed = false;
        return 0;
}

static void docker_abandon_job(Service *service) {
        ((DockerService *) service)->restarting = false;
}

static void docker_confirm(Service *service) {
        DockerService *s = (DockerService *) service;

        if (!s->confirmed)
                (void) docker_step(s, RECREATE_CONFIRM);
}

static bool docker_is_busy(const Service *service) {
        return worker_is_running(((const DockerService *) service)->worker);
}

static Service *docker_free(Service *service) {
        DockerService *s = (DockerService *) service;

        worker_free(s->worker);
        sd_event_source_disable_unref(s->answer);
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
        /* What an instance before us was killed over. */
        if (r >= 0)
                r = docker_step(s, RECREATE_HEAL);
        if (r < 0) {
                docker_free(&s->service);
                return r;
        }

        *ret = &s->service;
        return 0;
}
