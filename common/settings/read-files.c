/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/read-files.h"

#include "base/foreign-file.h"
#include "base/secret.h"
#include "settings/parse-values.h"

enum {
        FILE_SIZE_MAX = 1024 * 1024,
};

static int complain(const char *path, int error, const Distrust *distrust, Problems *problems) {
        char why[PROBLEM_TEXT_MAX];

        if (error == -EKEYREJECTED)
                distrust_describe(distrust, why, sizeof(why));
        else
                (void) snprintf(why, sizeof(why), "%s",
                                error == -ENOTSUP ? "not a regular file"
                                : error == -EFBIG ? "longer than 1 MiB"
                                                  : strerror(-error));
        problems_add(problems, LOG_ERR, "%s: cannot read the settings: %s", path, why);
        return error;
}

int settings_read_file(const char *path, char **ret, size_t *ret_size, Problems *problems) {
        _cleanup_close_ int fd = -1;
        Distrust distrust;
        ForeignFile file;
        int r;

        r = foreign_file_open(path, &fd, &file, &distrust);
        /* /dev/null masks a drop-in. */
        if (r >= 0)
                r = secret_read_fd(fd, S_ISREG(file.st.st_mode) ? FILE_SIZE_MAX : 0, ret, ret_size);
        return r < 0 ? complain(path, r, &distrust, problems) : 0;
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
