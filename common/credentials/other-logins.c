/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/other-logins.h"

#include <sys/stat.h>

#include "base/directories.h"
#include "credentials/credential-file.h"

static int contains_login(const CredentialSettings *settings, const char *path) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems ignored = {0};
        int r;

        r = credfile_load(&c, path, true, settings->exclude, NULL, NULL, &ignored);
        for (size_t i = 0; r >= 0 && i < c.n_items; i++)
                if (c.items[i]->helper || credential_is_usable(c.items[i]))
                        return 1;
        return r < 0 ? r : 0;
}

/* Returns true if the file was already found, perhaps under another path. */
static bool is_known(const OtherLogins *l, const char *path) {
        struct stat found, known;

        if (stat(path, &found) < 0)
                return false;
        for (size_t i = 0; i < l->n_items; i++)
                if (stat(l->items[i].path, &known) >= 0 && known.st_dev == found.st_dev && known.st_ino == found.st_ino)
                        return true;
        return false;
}

int other_logins_try(OtherLogins *l, const char *directory, const char *file) {
        OtherLogin found = {.n_directory = strlen(directory)};
        int r;

        if ((size_t) snprintf(found.path, sizeof(found.path), "%s/%s", directory, file) >= sizeof(found.path))
                return -ENAMETOOLONG;
        r = contains_login(l->settings, found.path);
        if (r > 0 && l->n_items < OTHER_LOGINS_MAX && !is_known(l, found.path))
                l->items[l->n_items++] = found;
        return r;
}

void other_logins_try_home(OtherLogins *l, const char *home) {
        static const char *const files[] = {
                ".docker/config.json", "snap/docker/current/.docker/config.json", /* Docker as a snap */
                ".config/containers/auth.json", /* Podman on macOS and Windows, and by hand; Skopeo, Buildah */
                ".dockercfg",                   /* Docker before 1.7 */
        };

        for (size_t i = 0; i < ELEMENTSOF(files); i++)
                if (other_logins_try(l, home, files[i]) == -ETIMEDOUT)
                        return;
}

void other_logins_try_own(OtherLogins *l) {
        _cleanup_free_ char *home = home_directory();
        char run[64];

        if (home)
                other_logins_try_home(l, home);
        (void) other_logins_try(l, "/etc/docker", "config.json");
        (void) snprintf(run, sizeof(run), "/run/containers/%u", geteuid()); /* Podman as root */
        (void) other_logins_try(l, run, "auth.json");
        (void) snprintf(run, sizeof(run), "/run/user/%u", geteuid());
        (void) other_logins_try(l, run, "containers/auth.json");
}
