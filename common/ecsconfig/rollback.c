/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/rollback.h"

#include <limits.h>

#include "base/directories.h"
#include "base/secret.h"
#include "ecsconfig/auth-data.h"
#include "ecsconfig/environment-file.h"

void auth_entries_done(AuthEntries *e) {
        secret_free(e->type);
        secret_free(e->data);
        *e = (AuthEntries){0};
}

static void make_path(RollbackFile file, char *ret, size_t size) {
        (void) snprintf(ret, size, "%s/%s", state_directory(),
                        file == ROLLBACK_LAST_GOOD ? "last-good.env" : "rejected.env");
}

int rollback_load(RollbackFile file, AuthEntries *ret) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        _cleanup_secret_ char *type = NULL, *data = NULL;
        Problems ignored = {0};
        char path[PATH_MAX];
        int r;

        make_path(file, path, sizeof(path));
        if (access(path, F_OK) < 0)
                return errno == ENOENT || errno == ENOTDIR ? 0 : negative_errno();

        r = envfile_open(path, &f, &ignored);
        if (r >= 0)
                r = envfile_get(f, AUTHDATA_TYPE_KEY, &type);
        if (r >= 0)
                r = envfile_get(f, AUTHDATA_DATA_KEY, &data);
        if (r < 0)
                return r;

        *ret = (AuthEntries){.type = STEAL_POINTER(type), .data = STEAL_POINTER(data)};
        return 1;
}

static int set_entries(EnvFile *f, const AuthEntries *entries) {
        int r;

        r = envfile_set(f, AUTHDATA_TYPE_KEY, entries->type, ENVFILE_LINE_MAX_EXEC);
        return r < 0 ? r : envfile_set(f, AUTHDATA_DATA_KEY, entries->data, ENVFILE_LINE_MAX_EXEC);
}

int rollback_save(RollbackFile file, const AuthEntries *entries, Problems *problems) {
        /* So that "none" is something else than "not known": an environment file of nothing is a file, too. */
        static const char remark[] = "# Kept by ecs-authd, to go back to when a restart of the agent fails.\n";
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        char path[PATH_MAX];
        int r;

        make_state_directory();
        make_path(file, path, sizeof(path));
        r = envfile_open(path, &f, problems);
        if (r < 0)
                return r;
        r = envfile_begin(f, remark);
        if (r >= 0)
                r = set_entries(f, entries);
        if (r < 0) {
                problems_add(problems, LOG_WARNING, "%s: cannot keep the auth entries: %s", path, strerror(-r));
                return r;
        }
        r = envfile_save(f, problems);
        return r < 0 ? r : 0;
}

int rollback_remove(RollbackFile file) {
        char path[PATH_MAX];

        make_path(file, path, sizeof(path));
        return unlink(path) < 0 && errno != ENOENT && errno != ENOTDIR ? negative_errno() : 0;
}
