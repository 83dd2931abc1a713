/* SPDX-License-Identifier: Apache-2.0 */

/* stopwatch NEW CREDENTIAL-FILE ENVIRONMENT-FILE: renames NEW to the credential file, and prints how many microseconds
 * later something is renamed to the environment file. */

#include <stdio.h>
#include <time.h>

#include "bench.h"

enum {
        LIMIT_SEC = 30,
};

static double now(void) {
        struct timespec t;

        (void) clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec * 1e6 + (double) t.tv_nsec / 1e3;
}

int main(int argc, char *argv[]) {
        char directory[PATH_MAX];
        const char *name;
        double begin;
        int fd;

        if (argc != 4)
                return EXIT_FAILURE;
        name = bench_split(argv[3], directory);
        fd = bench_watch(directory);
        (void) alarm(LIMIT_SEC);

        begin = now();
        if (rename(argv[1], argv[2]) < 0)
                return EXIT_FAILURE;
        bench_wait(fd, name);
        (void) printf("%.1f\n", now() - begin);
        return EXIT_SUCCESS;
}
