/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/gather.h"
#include "credentials/run-helpers.h"
#include "ecsconfig/sync-report.h"

/* The first job: credential files -> the auth entries of the environment file. */

/* Longer than that, and something on the way hangs (a file system, a lock): beside the time that the helpers have,
 * twice (list and get), each as helper_run() bounds it. */
static inline uint64_t sync_timeout_usec(const CredentialSettings *sources) {
        return 30 * USEC_PER_SEC + 2 * HELPER_RUN_TIMEOUTS * sources->helper_timeout_usec;
}

/* Always gives a report. With ASK_NOBODY it takes no longer than the disk does: what a helper is due for stays as it
 * is, and ask_in_usec says so. Several may run at once, also of other instances: helpers are asked before the
 * environment file is opened, what they say and the credential files are brought together behind one lock, and of two
 * answers the one that was asked for later counts. */
void sync_run(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key, Asking ask,
              SyncReport *ret);

/* What stands in the environment file, as sync_run() reports it; -ENOENT and others: it cannot be read. */
int sync_look(const EcsConfigSettings *settings, const DigestKey *key, SyncReport *ret);

/* The two lines that sync_run() would write, without writing: *ret_type and *ret_data are NULL when they would be
 * removed. -EINVAL and others: nothing would be written, problems say why. The caller frees *ret_data with
 * secret_free(). */
int sync_render(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Credentials *ret_credentials, const char **ret_type, char **ret_data, Problems *problems);
