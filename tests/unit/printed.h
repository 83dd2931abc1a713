/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include <sys/mman.h>

/* What is printed between printed_begin() and printed_end(), to stdout and to stderr. */

typedef struct Printed {
        char out[8192], why[1024];
} Printed;

static struct { int file, was; } printed_streams[STDERR_FILENO + 1];

static inline void printed_begin(void) {
        (void) fflush(stdout);
        for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
                printed_streams[fd].file = memfd_create("printed", MFD_CLOEXEC);
                printed_streams[fd].was = dup(fd);
                assert_int_equal(dup2(printed_streams[fd].file, fd), fd);
        }
}

static inline void printed_read(int fd, char *ret, size_t size) {
        ssize_t n = pread(printed_streams[fd].file, ret, size - 1, 0);

        assert_true(n >= 0);
        ret[n] = 0;
        (void) close(printed_streams[fd].file);
}

static inline void printed_end(Printed *ret) {
        (void) fflush(stdout);
        for (int fd = STDOUT_FILENO; fd <= STDERR_FILENO; fd++) {
                (void) dup2(printed_streams[fd].was, fd);
                (void) close(printed_streams[fd].was);
        }
        printed_read(STDOUT_FILENO, ret->out, sizeof(ret->out));
        printed_read(STDERR_FILENO, ret->why, sizeof(ret->why));
}
