/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>

#include "credentials/gather.h"

/* Searches the places, other than File= of the settings, where Docker and Podman keep a login. */

enum {
        OTHER_LOGINS_MAX = 16,
};

typedef struct OtherLogin {
        char path[PATH_MAX];
        size_t n_directory; /* length of the home, or of the user's directory in /run, at the start of path */
} OtherLogin;

typedef struct OtherLogins {
        const CredentialSettings *settings;
        OtherLogin items[OTHER_LOGINS_MAX];
        size_t n_items;
} OtherLogins;

/* Adds directory/file if it contains a login: an entry with a secret or a helper, whose registry is not excluded.
 * Always ignores a file that another user could have written, even with StrictModes=no. Returns 1 if the file contains
 * a login, 0 if not. Negative errno: the file cannot be read. */
int other_logins_try(OtherLogins *l, const char *directory, const char *file);

/* Tries the usual files in a user's home. Stops when reading one of them times out. */
void other_logins_try_home(OtherLogins *l, const char *home);

/* Tries the home of this process' user, /etc/docker and /run: all that the service may read without a drop-in. */
void other_logins_try_own(OtherLogins *l);
