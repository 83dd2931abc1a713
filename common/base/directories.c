/* SPDX-License-Identifier: Apache-2.0 */
#include "base/directories.h"

#include <pwd.h>

#include "base/macro.h"

#define STATE_DIRECTORY_DEFAULT "/var/lib/ecs-authd"
#define RUNTIME_DIRECTORY_DEFAULT "/run/ecs-authd"

char *home_directory(void) {
        const char *e = getenv("HOME");
        const struct passwd *pw;

        /* Services have no $HOME unless somebody sets it. */
        if (e && e[0] == '/')
                return strdup(e);

        pw = getpwuid(geteuid());
        return strdup(pw && pw->pw_dir ? pw->pw_dir : "/root");
}

static const char *directory_of(const char *variable, const char *otherwise) {
        const char *e = getenv(variable);

        return e && e[0] == '/' ? e : otherwise;
}

const char *state_directory(void) {
        return directory_of("STATE_DIRECTORY", STATE_DIRECTORY_DEFAULT);
}

const char *runtime_directory(void) {
        return directory_of("RUNTIME_DIRECTORY", RUNTIME_DIRECTORY_DEFAULT);
}
