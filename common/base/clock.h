/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <time.h>

#include "base/macro.h"

/* In microseconds. 0 only for a clock that there is not. */
static inline int64_t clock_usec(clockid_t clock) {
        struct timespec t = {0};

        (void) clock_gettime(clock, &t);
        return (int64_t) t.tv_sec * (int64_t) USEC_PER_SEC + t.tv_nsec / 1000;
}

static inline uint64_t clock_monotonic_usec(void) {
        return (uint64_t) clock_usec(CLOCK_MONOTONIC);
}

/* How far the calendar is ahead of CLOCK_MONOTONIC. No two clocks are read at one moment, and a process that is put to
 * sleep between them is off by milliseconds, which is enough for another second on a screen: *offset stays as it was
 * measured first, until somebody sets the clock. */
static inline void clock_measure_offset(int64_t *offset) {
        int64_t now = clock_usec(CLOCK_REALTIME) - clock_usec(CLOCK_MONOTONIC), moved = now - *offset;

        if (moved > (int64_t) USEC_PER_SEC / 4 || moved < -(int64_t) USEC_PER_SEC / 4)
                *offset = now;
}

/* What the calendar said, or would have said, at that time of CLOCK_MONOTONIC: the same each time that it is asked for,
 * but for some microseconds, until somebody sets the clock. */
static inline int64_t clock_realtime_of(uint64_t monotonic_usec) {
        return clock_usec(CLOCK_REALTIME) - (clock_usec(CLOCK_MONOTONIC) - (int64_t) monotonic_usec);
}
