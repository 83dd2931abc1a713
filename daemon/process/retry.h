/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Restarts something that ended, after a pause that doubles from one second to half a minute. The pause is short again
 * after half a minute without a failure. */

#define RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define RETRY_MAX_USEC (30 * USEC_PER_SEC)

/* All zero: no failure yet. */
typedef struct Retry {
        sd_event_source *timer;
        uint64_t pause_usec; /* the last pause */
        uint64_t end_usec;   /* the end of the last pause */
} Retry;

static inline void retry_stop(Retry *retry) {
        retry->timer = sd_event_source_disable_unref(retry->timer);
}

/* Calls again() once, after the pause. */
static inline void retry_later(Retry *retry, sd_event *event, sd_event_time_handler_t again, void *userdata) {
        uint64_t now = 0;

        (void) sd_event_now(event, CLOCK_MONOTONIC, &now);
        retry->pause_usec = now < retry->end_usec + RETRY_MAX_USEC ? 2 * retry->pause_usec : 0;
        if (retry->pause_usec < RETRY_MIN_USEC)
                retry->pause_usec = RETRY_MIN_USEC;
        if (retry->pause_usec > RETRY_MAX_USEC)
                retry->pause_usec = RETRY_MAX_USEC;
        retry->end_usec = now + retry->pause_usec;
        retry_stop(retry);
        /* Without the timer nothing would ever start again: leave that to systemd. */
        if (sd_event_add_time(event, &retry->timer, CLOCK_MONOTONIC, retry->end_usec, 0, again, userdata) < 0)
                (void) sd_event_exit(event, -ENOMEM);
}
