/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Directories that the environment names (systemd.exec(5)), or that stand where systemd would put them. */

/* What "~" stands for: $HOME, or, as services have none, what the user database says. The caller frees it; NULL: no
 * memory. */
char *home_directory(void);

/* Where state is kept: $STATE_DIRECTORY, or, where nobody sets it, the directory that systemd would. */
const char *state_directory(void);

/* For what lasts until the service ends: $RUNTIME_DIRECTORY, likewise. */
const char *runtime_directory(void);
