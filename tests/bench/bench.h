/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

/* What the programs of this directory share: waiting for a file that is renamed to a name. */

/* What is in front of the last slash, and behind it. */
static inline const char *bench_split(const char *path, char directory[static PATH_MAX]) {
        const char *slash = strrchr(path, '/');

        if (!slash || (size_t) (slash - path) >= PATH_MAX)
                exit(EXIT_FAILURE);
        memcpy(directory, path, (size_t) (slash - path));
        directory[slash - path] = 0;
        return slash + 1;
}

static inline int bench_watch(const char *directory) {
        int fd = inotify_init1(IN_CLOEXEC);

        if (fd < 0 || inotify_add_watch(fd, directory, IN_MOVED_TO) < 0)
                exit(EXIT_FAILURE);
        return fd;
}

/* Blocks until something is renamed to name. */
static inline void bench_wait(int fd, const char *name) {
        _Alignas(struct inotify_event) char buffer[4096];

        for (;;) {
                ssize_t n = read(fd, buffer, sizeof(buffer));

                if (n <= 0)
                        exit(EXIT_FAILURE);
                for (ssize_t at = 0; at < n;) {
                        const struct inotify_event *e = (const struct inotify_event *) (buffer + at);

                        if (e->len > 0 && strcmp(e->name, name) == 0)
                                return;
                        at += (ssize_t) (sizeof(*e) + e->len);
                }
        }
}
