/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/gather.h"
#include "credentials/run-helpers.h"
#include "ecsconfig/sync-report.h"

/* The first job: credential files -> the auth entries of the environment file. */

/* Returns the longest time that helpers take in one job: helper_run() for "list", and for "get". */
static inline uint64_t helpers_timeout_usec(const CredentialSettings *sources) {
        return 2 * (HELPER_RUN_TIMEOUTS * sources->helper_timeout_usec + 2 * USEC_PER_SEC);
}

/* Returns the longest time that sync_run() takes, unless something hangs (a file system, a lock): the time of the
 * helpers of another process, then that of its own, and 30 s. */
static inline uint64_t sync_timeout_usec(const CredentialSettings *sources) {
        return 30 * USEC_PER_SEC + 2 * helpers_timeout_usec(sources);
}

/* Always gives a report. With ASK_NOBODY it takes no longer than the disk does: what a helper is due for stays as it
 * is, and ask_in_usec says so. Several may run at once, also of other instances: one of them at a time runs helpers, up
 * to the write of their answers. The environment file is locked after the helpers have answered, and the credential
 * files are read behind that lock. If another process runs helpers for too long, none is run, asked is false, and the
 * logins of the files are written. */
void sync_run(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key, Asking ask,
              SyncReport *ret);

/* What stands in the environment file, as sync_run() reports it; -ENOENT and others: it cannot be read. */
int sync_look(const EcsConfigSettings *settings, const DigestKey *key, SyncReport *ret);

/* Returns the two values that sync_run() would write, but does not write them. *ret_type and *ret_data are NULL if the
 * lines would be removed. On an error nothing would be written; problems contain the reason. The caller frees both with
 * secret_free(). */
int sync_render(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Credentials *ret_credentials, char **ret_type, char **ret_data, Problems *problems);

/* What sync_run() with ASK_ALL would do. */
typedef struct SyncForecast {
        SyncReport report;   /* as if it had been done */
        Credentials before;  /* what the agent would use of the environment file as it is, */
        Credentials after;   /* and as it would be; nothing where the outcome is SYNC_FAILED */
        Credentials sources; /* where those come from (Credential.source; NULL: from the file as it is), among others */
} SyncForecast;

/* Always gives a forecast. Helpers are asked; what they say is not kept. No lock is taken, and nothing is written,
 * neither the environment file nor to the state directory: so what only a write would tell (a full disk) it cannot
 * know. */
void sync_forecast(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                   SyncForecast *ret);
void sync_forecast_done(SyncForecast *f);
