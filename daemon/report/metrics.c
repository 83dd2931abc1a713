/* SPDX-License-Identifier: Apache-2.0 */
#include "report/metrics.h"

#include "report/reason-texts.h"

static void begin(FILE *f, const char *type, const char *name, const char *help) {
        (void) fprintf(f, "# HELP ecs_authd_%s %s\n# TYPE ecs_authd_%s %s\n", name, help, name, type);
}

static void metric(FILE *f, const char *type, const char *name, const char *help, unsigned long long value) {
        begin(f, type, name, help);
        (void) fprintf(f, "ecs_authd_%s %llu\n", name, value);
}

static void gauge(FILE *f, const char *name, const char *help, unsigned long long value) {
        metric(f, "gauge", name, help, value);
}

/* Seconds since 1970; 0 where it has not happened. */
static unsigned long long moment(uint64_t usec, int64_t clock_offset) {
        return usec == 0 ? 0 : (unsigned long long) ((int64_t) usec + clock_offset) / USEC_PER_SEC;
}

/* A quote, a backslash or a newline ends no label: registries have none (registry-name.h). */
static void ends(FILE *f, const SyncReport *sync) {
        begin(f, "gauge", "registry_end_timestamp_seconds",
              "When what a credential helper gave for a registry ends, where that is known.");
        for (size_t i = 0; i < SYNC_ENTRIES_MAX && !str_empty(sync->entries[i].registry); i++)
                if (sync->entries[i].end_usec > 0)
                        (void) fprintf(f, "ecs_authd_registry_end_timestamp_seconds{registry=\"%s\"} %lld\n",
                                       sync->entries[i].registry,
                                       (long long) (sync->entries[i].end_usec / (int64_t) USEC_PER_SEC));
        begin(f, "gauge", "registry_helper_failing",
              "Whether the credential helper of a registry failed when it was last asked.");
        for (size_t i = 0; i < SYNC_ENTRIES_MAX && !str_empty(sync->entries[i].registry); i++)
                if (!str_empty(sync->entries[i].helper))
                        (void) fprintf(f, "ecs_authd_registry_helper_failing{registry=\"%s\"} %d\n",
                                       sync->entries[i].registry, sync->entries[i].failing);
}

/* Each of them from the start on: what appears with 1 is no increase. */
static void counters(FILE *f, const Counters *c) {
        static const char *const words[_RESTART_OUTCOME_MAX] = {
                [RESTART_DONE] = "done",
                [RESTART_FAILED] = "failed",
                [RESTART_CANCELED] = "canceled",
        };

        begin(f, "counter", "restarts_total", "Restarts of the agent by ecs-authd, by how they ended.");
        for (unsigned i = 0; i < _RESTART_OUTCOME_MAX; i++)
                (void) fprintf(f, "ecs_authd_restarts_total{outcome=\"%s\"} %u\n", words[i], c->restarts[i]);
        metric(f, "counter", "writes_total", "Writes of the environment file.", c->writes);
        metric(f, "counter", "helper_failures_total", "Credential helpers that were asked and gave no answer.",
               c->helper_failures);
}

static uint64_t last_look(const Facts *facts) {
        return facts->observed_usec > facts->file.written_usec ? facts->observed_usec : facts->file.written_usec;
}

void metrics_print(FILE *f, const StatusReport *report) {
        const char *state = reason_state(report->facts, report->decision);
        const int64_t clock_offset = report->clock_offset;
        const Facts *facts = report->facts;

        begin(f, "gauge", "build_info", "Version of ecs-authd, as a label.");
        (void) fprintf(f, "ecs_authd_build_info{version=\"" VERSION "\"} 1\n");
        gauge(f, "start_time_seconds", "When ecs-authd started.", moment(report->start_usec, clock_offset));
        gauge(f, "last_look_timestamp_seconds",
              "When ecs-authd last looked at the files or the agent: at least every RefreshSec=.",
              moment(last_look(facts), clock_offset));
        counters(f, &facts->counters);
        begin(f, "gauge", "state", "Whether this is the state: see ecs-authd(8).");
        for (const char *const *s = reason_states; *s; s++)
                (void) fprintf(f, "ecs_authd_state{state=\"%s\"} %d\n", *s, streq(*s, state));

        gauge(f, "held_since_timestamp_seconds", "Since when the restart is held for its present reason, or 0.",
              streq(state, "held") ? moment(facts->waiting_since_usec, clock_offset) : 0);
        gauge(f, "registries", "Registries whose credentials stand in the environment file.",
              facts->file.sync.n_registries);
        ends(f, &facts->file.sync);
        gauge(f, "problems", "Errors and warnings about credentials.",
              problems_count(&facts->file.sync.problems, LOG_WARNING));
        gauge(f, "failed_restarts", "Restarts of the agent that failed, in a row.", facts->record.failures);
        gauge(f, "agent_running", "Whether the agent's container runs.", facts->agent.agent == AGENT_RUNNING);
        gauge(f, "agent_answers", "Whether the agent answers introspection.", facts->agent.answers);
        gauge(f, "agent_keeps_state", "Whether the agent keeps its state over a restart.",
              facts->agent.state_kept == STATE_KEPT);
        gauge(f, "task_containers", "Running containers of tasks.", facts->agent.n_containers);
        gauge(f, "last_change_timestamp_seconds", "When the credentials in the environment file last changed, or 0.",
              moment(facts->file.changed_usec, clock_offset));
        gauge(f, "last_restart_timestamp_seconds", "When the agent was last restarted by ecs-authd, or 0.",
              moment(facts->record.restart_usec, clock_offset));
}
