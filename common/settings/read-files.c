/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/read-files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/secret.h"
#include "settings/parse-values.h"

enum {
        FILE_SIZE_MAX = 1024 * 1024,
};

static int complain(const char *path, int error, Problems *problems) {
        const char *why = error == -ENOTSUP ? "not a regular file"
                          : error == -EFBIG ? "longer than 1 MiB"
                                            : strerror(-error);

        problems_add(problems, LOG_ERR, "%s: cannot read the settings: %s", path, why);
        return error;
}

/* 1: it is /dev/null, which masks a drop-in. */
static int check_kind(int fd) {
        struct stat st;

        if (fstat(fd, &st) < 0)
                return negative_errno();
        if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3))
                return 1;
        return S_ISDIR(st.st_mode) ? -EISDIR : S_ISREG(st.st_mode) ? 0 : -ENOTSUP;
}

int settings_read_file(const char *path, char **ret, size_t *ret_size, Problems *problems) {
        /* Not blocking: it may be a FIFO that nobody writes to. */
        _cleanup_close_ int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        int r;

        r = fd < 0 ? negative_errno() : check_kind(fd);
        if (r >= 0)
                r = secret_read_fd(fd, r == 0 ? FILE_SIZE_MAX : 0, ret, ret_size);
        return r < 0 ? complain(path, r, problems) : 0;
}

static const char *name_of(const char *path) {
        return strrchr(path, '/') + 1;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(name_of(*(char *const *) a), name_of(*(char *const *) b));
}

static bool has_name(char *const *paths, const char *name) {
        for (char *const *p = paths; p && *p; p++)
                if (streq(name_of(*p), name))
                        return true;
        return false;
}

static bool is_drop_in(const char *name) {
        size_t n = strlen(name);

        return name[0] != '.' && n > strlen(".conf") && streq(name + n - strlen(".conf"), ".conf");
}

static int list_directory(const char *directory, char ***paths) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        const struct dirent *e;

        if (!d)
                return errno == ENOENT ? 0 : negative_errno();

        while (errno = 0, e = readdir(d)) {
                char *path;
                int r;

                if (!is_drop_in(e->d_name) || has_name(*paths, e->d_name))
                        continue;
                if (asprintf(&path, "%s/%s", directory, e->d_name) < 0)
                        return -ENOMEM;
                r = strv_append(paths, path);
                if (r < 0)
                        return r;
        }
        return errno != 0 ? negative_errno() : 0;
}

int settings_list_drop_ins(const char *const *directories, char ***ret, Problems *problems) {
        _cleanup_(strv_freep) char **paths = NULL;
        size_t n = 0;

        for (const char *const *d = directories; *d; d++) {
                int r = list_directory(*d, &paths);

                if (r < 0) {
                        problems_add(problems, LOG_ERR, "%s: cannot read the drop-ins: %s", *d, strerror(-r));
                        return r;
                }
        }

        while (paths && paths[n])
                n++;
        if (n > 0)
                qsort(paths, n, sizeof(char *), compare_names);
        *ret = STEAL_POINTER(paths);
        return 0;
}
