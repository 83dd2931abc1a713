/* SPDX-License-Identifier: Apache-2.0 */

/* limit CREDENTIAL-FILE ENVIRONMENT-FILE BYTES: the least that anybody could do. Whenever the credential file is
 * renamed into its place, it writes what stands in BYTES beside the environment file, has the disk keep it, and renames
 * it there. It looks at nothing. */

#include <fcntl.h>
#include <stdio.h>

#include "bench.h"

enum {
        BYTES_MAX = 1024 * 1024,
};

static ssize_t read_bytes(const char *path, char *ret) {
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, ret, BYTES_MAX);

        (void) close(fd);
        return n;
}

static void replace(const char *path, const char *temporary, const char *bytes, ssize_t size) {
        int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        if (fd < 0 || write(fd, bytes, (size_t) size) != size || fsync(fd) < 0 || rename(temporary, path) < 0)
                exit(EXIT_FAILURE);
        (void) close(fd);
}

int main(int argc, char *argv[]) {
        static char bytes[BYTES_MAX];
        char directory[PATH_MAX], temporary[PATH_MAX];
        const char *name;
        ssize_t size;
        int fd;

        if (argc != 4)
                return EXIT_FAILURE;
        name = bench_split(argv[1], directory);
        if ((size_t) snprintf(temporary, sizeof(temporary), "%s.limit", argv[2]) >= sizeof(temporary))
                return EXIT_FAILURE;
        fd = bench_watch(directory);
        for (;;) {
                bench_wait(fd, name);
                size = read_bytes(argv[3], bytes);
                if (size <= 0)
                        return EXIT_FAILURE;
                replace(argv[2], temporary, bytes, size);
        }
}
