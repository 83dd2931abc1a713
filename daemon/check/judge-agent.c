/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include "base/clock.h"
#include "service/restart-lock-and-record.h"
#include "service/service.h"

/* A connection that hangs while it is set up answers no query and reports no end. */
#define UNIT_TIMEOUT_USEC (12 * USEC_PER_SEC)

typedef struct Query {
        sd_event *event;
        UnitReport unit;
} Query;

static void on_changed(void *userdata _unused_) {
}

static void on_queried(void *userdata, const UnitReport *unit) {
        Query *q = userdata;

        q->unit = *unit;
        (void) sd_event_exit(q->event, 0);
}

/* Queries the service manager. The state stays UNIT_UNKNOWN if there is no connection to it. */
static int query_unit(const Settings *s, UnitReport *ret) {
        static const ServiceHandlers handlers = {.changed = on_changed, .queried = on_queried};
        const ServiceSettings settings = {
                .method = s->restart.method,
                .unit = s->unit,
                .agent = &s->agent,
                .environment_file = s->ecsconfig.environment_file,
        };
        _cleanup_(sd_event_unrefp) sd_event *event = NULL;
        _cleanup_(service_freep) Service *service = NULL;
        Query q = {.unit.state = UNIT_UNKNOWN};
        int r;

        r = sd_event_new(&event);
        q.event = event;
        if (r >= 0)
                r = service_new(&service, event, &settings, &handlers, &q);
        if (r >= 0 && service->method->query(service) < 0)
                return 0;
        /* Without a handler the timer ends the loop. */
        if (r >= 0)
                r = sd_event_add_time_relative(event, NULL, CLOCK_MONOTONIC, UNIT_TIMEOUT_USEC, 0, NULL, NULL);
        if (r >= 0)
                r = sd_event_loop(event);
        if (r >= 0)
                *ret = q.unit;
        return r;
}

int judge_agent(const Settings *s, const DigestKey *key, const SyncReport *file, Judgement *ret) {
        Policy policy = {.settings = s->restart};
        UnitReport unit = {.state = s->restart.method == RESTART_METHOD_NONE ? UNIT_ACTIVE : UNIT_UNKNOWN};
        Judgement j = {.now = clock_monotonic_usec()};
        ObserveReport agent;
        RestartRecord record;
        int r;

        if (s->restart.method == RESTART_METHOD_NONE)
                policy.settings.method = RESTART_METHOD_SYSTEMD;
        else if ((r = query_unit(s, &unit)) < 0)
                return r;
        observe_run(&s->agent, key, &agent);
        if (s->restart.method == RESTART_METHOD_DOCKER && unit.state == UNIT_ACTIVE)
                unit.state = facts_unit_of_container(&agent);
        restart_record_load(&record);
        j.now = clock_monotonic_usec();
        facts_look_once(&j.facts, &record, file, &agent, &unit, j.now);

        policy.settings.settle_usec = policy.settings.jitter_usec = 0;
        while ((j.decision = decide_agent(&j.facts, &policy, j.now)).action == ACTION_CLOSE)
                facts_close(&j.facts, &j.decision);
        *ret = j;
        return 0;
}
