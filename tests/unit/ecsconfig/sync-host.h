/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include "base/secret.h"
#include "ecsconfig/sync.h"
#include "ecsconfig/written-record.h"

/* "user:password" */
#define AUTH "dXNlcjpwYXNzd29yZA=="
#define LOGGED_IN "{\"auths\":{\"registry.example\":{\"auth\":\"" AUTH "\"}}}"
#define LINES                              \
        "ECS_ENGINE_AUTH_TYPE=dockercfg\n" \
        "ECS_ENGINE_AUTH_DATA={\"registry.example\":{\"auth\":\"" AUTH "\"}}\n"

static const DigestKey key = {{7}};

/* A host in a directory: a credential file, an environment file, and settings that name them. */
typedef struct Host {
        void *directory;
        char *credentials, *environment, *state;
        char *files[2];
        CredentialSettings sources;
        EcsConfigSettings settings;
} Host;

static inline int set_up(void **state) {
        Host *h = calloc(1, sizeof(Host));

        if (!h || unit_make_directory(&h->directory) < 0)
                return -1;
        h->credentials = unit_path(h->directory, "config.json");
        h->environment = unit_path(h->directory, "ecs.config");
        h->state = unit_path(h->directory, "state");
        if (setenv("STATE_DIRECTORY", h->state, true) < 0)
                return -1;
        h->files[0] = h->credentials;
        h->sources = (CredentialSettings){.files = h->files};
        h->settings = (EcsConfigSettings){.environment_file = h->environment, .line_max = ENVFILE_LINE_MAX_EXEC};
        *state = h;
        return 0;
}

static inline int tear_down(void **state) {
        Host *h = *state;

        (void) unsetenv("STATE_DIRECTORY");
        free(h->credentials);
        free(h->environment);
        free(h->state);
        (void) unit_remove_directory(&h->directory);
        free(h);
        return 0;
}

/* Writes an environment file whose entries are on record as ours. */
static inline void write_own(const Host *h, const char *text) {
        _cleanup_(written_record_done) WrittenRecord record = {0};
        _cleanup_secret_ char *type = NULL, *data = NULL;
        _cleanup_(authdata_done) AuthData entries = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        Problems problems = {0};

        unit_write_file(h->environment, text);
        assert_int_equal(envfile_open(h->environment, &file, &problems), 0);
        type = envfile_get(file, AUTHDATA_TYPE_KEY);
        data = envfile_get(file, AUTHDATA_DATA_KEY);
        authdata_read(type, data, &key, &entries);
        written_record_load(h->environment, &record);
        assert_int_equal(written_record_save(&record, &entries.entries, &entries.entries, &key), 0);
}

static inline void expect(const Host *h, SyncOutcome outcome, unsigned n_registries, SyncReport *ret) {
        sync_run(&h->sources, &h->settings, &key, ASK_ALL, ret);
        for (unsigned i = 0; i < ret->problems.n_items; i++)
                print_message("%s\n", ret->problems.items[i].text);
        assert_int_equal(ret->outcome, outcome);
        assert_int_equal(ret->n_registries, n_registries);
}
