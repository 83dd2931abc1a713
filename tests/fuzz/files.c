/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

const char *fuzz_path(const char *name) {
        static char directory[64], path[PATH_MAX];

        if (!directory[0]) {
                (void) snprintf(directory, sizeof(directory), "/dev/shm/ecs-authd-fuzz-%d", (int) getpid());
                check(mkdir(directory, 0700) == 0 || errno == EEXIST);
        }
        (void) snprintf(path, sizeof(path), "%s%s%s", directory, name ? "/" : "", name ? name : "");
        return path;
}

void fuzz_put(const char *name, const void *bytes, size_t size) {
        int fd = open(fuzz_path(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        check(fd >= 0 && (size == 0 || write(fd, bytes, size) == (ssize_t) size));
        (void) close(fd);
}

char *fuzz_get(const char *name, size_t *ret_size) {
        int fd = open(fuzz_path(name), O_RDONLY | O_CLOEXEC);
        char *text;

        if (fd < 0)
                return NULL;
        check(secret_read_fd(fd, 1 << 22, &text, ret_size) == 0);
        (void) close(fd);
        return text;
}
