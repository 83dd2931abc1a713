/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/observe-job.h"

#include "process/worker.h"

/* A connection that hangs before it is there answers no question and ends it either. */
#define UNIT_TIMEOUT_USEC (12 * USEC_PER_SEC)

struct Observer {
        sd_event *event;
        sd_event_source *timeout;
        Worker *worker;
        observer_done_t done;
        void *userdata;

        const AgentSettings *settings;
        const DigestKey *key;

        /* What is not answered yet, and the answers. */
        bool agent_asked, unit_asked;
        ObserveReport agent;
        UnitReport unit;
};

int observer_new(Observer **ret, sd_event *event, observer_done_t done, void *userdata) {
        _cleanup_(observer_freep) Observer *o = calloc(1, sizeof(Observer));
        int r;

        if (!o)
                return -ENOMEM;
        o->event = sd_event_ref(event);
        o->done = done;
        o->userdata = userdata;
        r = worker_new(&o->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(o);
        return 0;
}

Observer *observer_free(Observer *o) {
        if (!o)
                return NULL;

        worker_free(o->worker);
        sd_event_source_disable_unref(o->timeout);
        sd_event_unref(o->event);
        free(o);
        return NULL;
}

static void finish(Observer *o) {
        if (!o->agent_asked && !o->unit_asked)
                o->done(o->userdata, &o->agent, &o->unit);
}

static void on_agent(void *userdata, int error, const void *report) {
        Observer *o = userdata;

        o->agent_asked = false;
        if (error < 0)
                o->agent = (ObserveReport){.agent = AGENT_UNKNOWN, .engine_error = error};
        else
                o->agent = *(const ObserveReport *) report;
        finish(o);
}

void observer_take_unit(Observer *o, const UnitReport *unit) {
        if (!o->unit_asked)
                return;
        o->timeout = sd_event_source_disable_unref(o->timeout);
        o->unit_asked = false;
        o->unit = *unit;
        finish(o);
}

static int on_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        const UnitReport unknown = {.state = UNIT_UNKNOWN};

        observer_take_unit(userdata, &unknown);
        return 0;
}

static void run(const void *context, void *report) {
        const Observer *o = context;

        observe_run(o->settings, o->key, report);
}

void observer_start(Observer *o, const AgentSettings *settings, const DigestKey *key, Service *service) {
        int r = 0;

        o->settings = settings;
        o->key = key;
        /* Both are asked before either is taken, so that what follows from them follows once. */
        o->agent_asked = o->unit_asked = true;

        /* First the timer: the answer may come at once. */
        if (service)
                r = sd_event_add_time_relative(o->event, &o->timeout, CLOCK_MONOTONIC, UNIT_TIMEOUT_USEC, 0, on_timeout,
                                               o);
        if (service && r >= 0)
                r = service->method->query(service);
        if (!service || r < 0)
                (void) on_timeout(NULL, 0, o);

        r = worker_run(o->worker, run, o, sizeof(ObserveReport), 2 * OBSERVE_TIMEOUT_USEC, on_agent, o);
        if (r < 0)
                on_agent(o, r, NULL);
}
