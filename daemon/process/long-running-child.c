/* SPDX-License-Identifier: Apache-2.0 */
#include "process/long-running-child.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#define RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define RETRY_MAX_USEC (30 * USEC_PER_SEC)

struct LongRunningChild {
        sd_event *event;
        const char *name;
        child_function_t function;
        child_message_t handler;
        void *userdata;

        const void *context;
        uint64_t started_usec;
        uint64_t retry_usec; /* the next pause */
        pid_t pid;
        int fd;
        sd_event_source *child;
        sd_event_source *input;
        sd_event_source *retry;
};

static void child_begin(LongRunningChild *c);

int long_running_child_new(LongRunningChild **ret, sd_event *event, const char *name, child_function_t function,
                           child_message_t handler, void *userdata) {
        LongRunningChild *c = calloc(1, sizeof(LongRunningChild));

        if (!c)
                return -ENOMEM;

        c->event = sd_event_ref(event);
        c->name = name;
        c->function = function;
        c->handler = handler;
        c->userdata = userdata;
        c->fd = -1;
        *ret = c;
        return 0;
}

/* Whatever it was doing. */
static void child_reset(LongRunningChild *c) {
        c->child = sd_event_source_disable_unref(c->child);
        c->input = sd_event_source_disable_unref(c->input);
        c->retry = sd_event_source_disable_unref(c->retry);
        closep(&c->fd);
        c->fd = -1;
        if (c->pid > 0 && !fork_kill(c->pid))
                fork_leave(c->event, c->pid);
        c->pid = 0;
}

LongRunningChild *long_running_child_free(LongRunningChild *c) {
        if (!c)
                return NULL;

        child_reset(c);
        sd_event_unref(c->event);
        free(c);
        return NULL;
}

static uint64_t now_of(const LongRunningChild *c) {
        uint64_t now = 0;

        (void) sd_event_now(c->event, CLOCK_MONOTONIC, &now);
        return now;
}

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        LongRunningChild *c = userdata;

        c->retry = sd_event_source_disable_unref(c->retry);
        child_begin(c);
        return 0;
}

/* One that has served is begun again soon; one that ends as soon as it begins is not begun all the time. */
static void child_retry(LongRunningChild *c) {
        if (now_of(c) >= c->started_usec + RETRY_MAX_USEC)
                c->retry_usec = RETRY_MIN_USEC;
        child_reset(c);
        (void) sd_event_add_time_relative(c->event, &c->retry, CLOCK_MONOTONIC, c->retry_usec, 0, on_retry, c);
        c->retry_usec = c->retry_usec * 2 < RETRY_MAX_USEC ? c->retry_usec * 2 : RETRY_MAX_USEC;
}

/* The handler may stop or start the child. */
static void child_take_messages(LongRunningChild *c) {
        char message[CHILD_MESSAGE_MAX];

        while (c->fd >= 0) {
                ssize_t n = recv(c->fd, message, sizeof(message), MSG_DONTWAIT);

                if (n <= 0)
                        return;
                c->handler(c->userdata, message, (size_t) n);
        }
}

static int on_child(sd_event_source *s _unused_, const siginfo_t *si _unused_, void *userdata) {
        LongRunningChild *c = userdata;
        const pid_t ended = c->pid;

        child_take_messages(c); /* its last words */
        if (c->pid != ended)
                return 0;
        c->pid = 0;
        child_retry(c);
        c->handler(c->userdata, NULL, 0);
        return 0;
}

static int on_input(sd_event_source *s, int fd _unused_, uint32_t revents, void *userdata) {
        if (revents & EPOLLIN)
                child_take_messages(userdata);
        else
                (void) sd_event_source_set_enabled(s, SD_EVENT_OFF); /* the child is about to end */
        return 0;
}

static int child_fork(LongRunningChild *c) {
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return negative_errno();
        c->fd = fds[0];
        r = fork_child(&c->pid, c->name, fds[1], c->function, c->context);
        (void) close(fds[1]);
        if (r >= 0)
                r = sd_event_add_child(c->event, &c->child, c->pid, WEXITED, on_child, c);
        if (r >= 0)
                r = sd_event_add_io(c->event, &c->input, c->fd, EPOLLIN, on_input, c);
        return r;
}

static void child_begin(LongRunningChild *c) {
        c->started_usec = now_of(c);
        if (child_fork(c) >= 0)
                return;
        child_retry(c);
        c->handler(c->userdata, NULL, 0);
}

void long_running_child_start(LongRunningChild *c, const void *context) {
        child_reset(c);
        c->context = context;
        c->retry_usec = RETRY_MIN_USEC;
        child_begin(c);
}

void long_running_child_stop(LongRunningChild *c) {
        child_reset(c);
}

int child_send(int fd, const void *message, size_t size, bool wait) {
        return send(fd, message, size, MSG_NOSIGNAL | (wait ? 0 : MSG_DONTWAIT)) == (ssize_t) size ? 0
                                                                                                   : negative_errno();
}
