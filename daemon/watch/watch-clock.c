/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch-clock.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>

struct ClockChange {
        int fd;
        sd_event_source *io;
        void (*changed)(void *userdata);
        void *userdata;
};

/* A timer that never ends by itself, and is canceled by a jump (timerfd_create(2)). */
static int arm(int fd) {
        const struct itimerspec never = {.it_value.tv_sec = sizeof(time_t) > 4 ? INT64_MAX / 1000000000 : INT32_MAX};

        if (timerfd_settime(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) < 0)
                return negative_errno();
        return 0;
}

static int on_event(sd_event_source *s _unused_, int fd, uint32_t revents _unused_, void *userdata) {
        ClockChange *c = userdata;
        uint64_t expirations;

        (void) !read(fd, &expirations, sizeof(expirations)); /* ECANCELED, which is what wakes us */
        (void) arm(fd);
        c->changed(c->userdata);
        return 0;
}

int clock_change_new(ClockChange **ret, sd_event *event, void (*changed)(void *userdata), void *userdata) {
        _cleanup_(clock_change_freep) ClockChange *c = calloc(1, sizeof(ClockChange));
        int r;

        if (!c)
                return -ENOMEM;
        c->changed = changed;
        c->userdata = userdata;
        c->fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC);
        if (c->fd < 0)
                return negative_errno();

        r = arm(c->fd);
        if (r >= 0)
                r = sd_event_add_io(event, &c->io, c->fd, EPOLLIN, on_event, c);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(c);
        return 0;
}

ClockChange *clock_change_free(ClockChange *c) {
        if (!c)
                return NULL;

        sd_event_source_disable_unref(c->io);
        closep(&c->fd);
        free(c);
        return NULL;
}
