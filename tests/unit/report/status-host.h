/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include "report/status-file.h"

/* A service of which every member of the status file tells something. */

static struct {
        char *files[3];
        Settings settings;
        Facts facts;
        Decision decision;
        StatusReport report;
        const char *directory;
        char *path; /* of the status file in it */
} status_host;

static inline void status_host_fill(void) {
        Facts *f = &status_host.facts;
        SyncReport *s = &f->file.sync;

        *s = (SyncReport){.outcome = SYNC_UNCHANGED, .digest_known = true, .n_registries = 2};
        s->entries[0] = (SyncEntry){
                .registry = "r.example", .source = "/root/.docker/config.json", .coverage = KEY_COVERS_HOST};
        s->entries[1] = (SyncEntry){.registry = "s.example",
                                    .source = "/etc/docker/config.json",
                                    .helper = "some",
                                    .token = true,
                                    .asked_usec = 1000000000000000,
                                    .end_usec = 1000000001000000,
                                    .due_usec = 1000000002000000,
                                    .failing = true,
                                    .coverage = KEY_COVERS_HOST};
        s->entries[2] =
                (SyncEntry){.registry = "t.example/x", .helper = "other", .missing = true, .coverage = KEY_COVERS_PATH};
        problems_add(&s->problems, LOG_ERR, "an error");
        problems_add(&s->problems, LOG_WARNING, "a warning");
        problems_add(&s->problems, LOG_INFO, "left out");
        problems_add(&s->problems, LOG_INFO, "left out, too");
        (void) snprintf(f->settings_problem, sizeof(f->settings_problem), "the settings");
        f->file.changed_usec = 1000000;
        f->record = (RestartRecord){.restart_usec = 2000000, .failures = 1};
        f->waiting_since_usec = 3000000;
        f->agent = (ObserveReport){.agent = AGENT_RUNNING,
                                   .container_id = "0123456789abcdef",
                                   .answers = true,
                                   .cluster = "cluster",
                                   .version = "Amazon ECS Agent",
                                   .n_tasks = 1,
                                   .n_containers = 2,
                                   .n_unknown = 3,
                                   .families = "web"};
}

static inline int status_host_set_up(void **state) {
        if (unit_make_directory(state) < 0)
                return -1;
        status_host_fill();
        status_host.files[0] = (char *) "/root/.docker/config.json";
        status_host.files[1] = (char *) "/etc/docker/config.json";
        status_host.settings.credentials.files = status_host.files;
        status_host.settings.ecsconfig.environment_file = (char *) "/etc/ecs/ecs.config";
        status_host.settings.agent.container = (char *) "ecs-agent";
        status_host.decision = (Decision){.action = ACTION_DONE, .reason = REASON_LIVE};
        status_host.report = (StatusReport){.settings = &status_host.settings,
                                            .facts = &status_host.facts,
                                            .decision = &status_host.decision,
                                            .sentence = "All is well.",
                                            .pid = getpid(),
                                            .clock_offset = 1000000000000000,
                                            .metrics_error = "no metrics"};
        status_host.directory = *state;
        status_host.path = unit_path(*state, "status.json");
        return setenv("RUNTIME_DIRECTORY", *state, true);
}

static inline int status_host_tear_down(void **state) {
        (void) unsetenv("RUNTIME_DIRECTORY");
        free(status_host.path);
        status_host.facts = (Facts){0};
        return unit_remove_directory(state);
}
