/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch-clock.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

#include "base/macro.h"

/* Arms a timer that never expires, and that a jump of the clock cancels (timerfd_create(2)). */
static int arm(int fd) {
        const struct itimerspec never = {.it_value.tv_sec = sizeof(time_t) > 4 ? INT64_MAX / 1000000000 : INT32_MAX};

        if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
                return negative_errno();
        return 0;
}

void clock_change_rearm(int fd) {
        uint64_t expirations;

        (void) !read(fd, &expirations, sizeof(expirations)); /* fails with ECANCELED, and takes the event */
        (void) arm(fd);
}

int clock_change_new(sd_event_source **ret, sd_event *event, sd_event_io_handler_t changed, void *userdata) {
        _cleanup_close_ int fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        int r = fd < 0 ? negative_errno() : arm(fd);

        if (r >= 0)
                r = sd_event_add_io(event, ret, fd, EPOLLIN, changed, userdata);
        if (r < 0)
                return r;
        (void) sd_event_source_set_io_fd_own(*ret, true);
        (void) steal_fd(&fd);
        return 0;
}
