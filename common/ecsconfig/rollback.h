/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/problem-texts.h"

/* What going back needs to know and nothing else can tell any more, in the state
 * directory (directories.h): the auth entries with which the agent was last seen to be well, and those with which it
 * did not come up. Both are kept in the form of an environment file, for root alone. */

typedef enum RollbackFile {
        ROLLBACK_LAST_GOOD,
        ROLLBACK_REJECTED,
} RollbackFile;

/* The two values of an environment file; each NULL when it is not set. */
typedef struct AuthEntries {
        char *type;
        char *data;
} AuthEntries;

/* Wipes and frees. */
void auth_entries_done(AuthEntries *e);

/* 1 loaded, 0 there is none. */
int rollback_load(RollbackFile file, AuthEntries *ret);

/* Does not write what stands there already. Negative errno after adding one problem. */
int rollback_save(RollbackFile file, const AuthEntries *entries, Problems *problems);

/* It may be missing. */
int rollback_remove(RollbackFile file);
