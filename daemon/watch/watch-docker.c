/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch-docker.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "process/retry.h"

#define SETTLE_USEC (300 * USEC_PER_MSEC)
#define ACCURACY_USEC (10 * USEC_PER_MSEC)

enum {
        /* Together more than a Unix socket holds: a slow reader would delay the engine. */
        READ_SIZE = 16 * 1024,
        READS_MAX = 32,
};

struct DockerEvents {
        sd_event *event;
        void (*observe_again)(void *userdata);
        void *userdata;

        struct sockaddr_un engine;
        char request[768]; /* "": nothing is followed */
        sd_event_source *input;
        sd_event_source *settled; /* while it is armed, input is off */
        Retry retry;
};

int docker_events_new(DockerEvents **ret, sd_event *event, void (*observe_again)(void *userdata), void *userdata) {
        DockerEvents *f = calloc(1, sizeof(DockerEvents));

        if (!f)
                return -ENOMEM;
        f->event = sd_event_ref(event);
        f->observe_again = observe_again;
        f->userdata = userdata;
        *ret = f;
        return 0;
}

static void disconnect(DockerEvents *f) {
        f->input = sd_event_source_disable_unref(f->input);
        f->settled = sd_event_source_disable_unref(f->settled);
        retry_stop(&f->retry);
}

DockerEvents *docker_events_free(DockerEvents *f) {
        if (!f)
                return NULL;

        disconnect(f);
        sd_event_unref(f->event);
        free(f);
        return NULL;
}

static void follow(DockerEvents *f);

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        follow(userdata);
        return 0;
}

static void follow_later(DockerEvents *f) {
        disconnect(f);
        retry_later(&f->retry, f->event, on_retry, f);
}

/* Returns 1 if the engine has sent something, 0 if not, or a negative errno if the stream has ended. */
static int discard_events(int fd) {
        char events[READ_SIZE];
        ssize_t n = 1;
        int reads;

        for (reads = 0; reads < READS_MAX && n > 0; reads++)
                n = recv(fd, events, sizeof(events), MSG_DONTWAIT);
        if (n > 0 || reads > 1)
                return 1;
        if (n == 0)
                return -EPIPE;
        return errno == EAGAIN ? 0 : negative_errno();
}

static int on_settled(sd_event_source *s, uint64_t usec, void *userdata);

static void take_events(DockerEvents *f) {
        int r = discard_events(sd_event_source_get_io_fd(f->input));

        if (r > 0)
                r = sd_event_add_time_relative(f->event, &f->settled, CLOCK_MONOTONIC, SETTLE_USEC, ACCURACY_USEC,
                                               on_settled, f);
        if (r >= 0)
                r = sd_event_source_set_enabled(f->input, f->settled ? SD_EVENT_OFF : SD_EVENT_ON);
        if (r < 0)
                follow_later(f);
}

static int on_input(sd_event_source *s _unused_, int fd _unused_, uint32_t revents _unused_, void *userdata) {
        DockerEvents *f = userdata;

        take_events(f);
        if (f->settled)
                f->observe_again(f->userdata);
        return 0;
}

static int on_settled(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        DockerEvents *f = userdata;

        f->settled = sd_event_source_disable_unref(f->settled);
        take_events(f);
        f->observe_again(f->userdata);
        return 0;
}

/* Never blocks: connect() fails at once if the engine's backlog is full (EAGAIN), and a new socket has room for the
 * whole request. */
static int send_request(const DockerEvents *f, int fd) {
        const size_t size = strlen(f->request);

        if (fd < 0 || connect(fd, (const struct sockaddr *) &f->engine, sizeof(f->engine)) < 0 ||
            send(fd, f->request, size, MSG_NOSIGNAL) != (ssize_t) size)
                return negative_errno();
        return 0;
}

static void follow(DockerEvents *f) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int r = send_request(f, fd);

        if (r >= 0)
                r = sd_event_add_io(f->event, &f->input, fd, EPOLLIN, on_input, f);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(f->input, true);
        if (r >= 0)
                return;
        closep(&fd);
        follow_later(f);
}

/* {"type":["container"],"event":["start","die","destroy"],"container":["NAME"]}; a name needs no escape. With
 * "Connection: close" the stream also ends if the engine refuses the request. A request that is too long is "". */
static void write_request(DockerEvents *f, const char *api_version, const char *container) {
        int n = snprintf(
                f->request, sizeof(f->request),
                "GET %s%s/events?filters=%%7B%%22type%%22%%3A%%5B%%22container%%22%%5D%%2C"
                "%%22event%%22%%3A%%5B%%22start%%22%%2C%%22die%%22%%2C%%22destroy%%22%%5D%s%s%s%%7D HTTP/1.1\r\n"
                "Host: docker\r\nConnection: close\r\n\r\n",
                *api_version ? "/v" : "", api_version, container ? "%2C%22container%22%3A%5B%22" : "",
                container ? container : "", container ? "%22%5D" : "");

        if (n < 0 || (size_t) n >= sizeof(f->request))
                f->request[0] = 0;
}

void docker_events_set(DockerEvents *f, const char *socket, const char *api_version, const char *container) {
        DockerEvents before = *f;

        f->engine = (struct sockaddr_un){.sun_family = AF_UNIX};
        f->request[0] = 0;
        if (socket && strlen(socket) < sizeof(f->engine.sun_path)) {
                memcpy(f->engine.sun_path, socket, strlen(socket) + 1);
                write_request(f, api_version, container);
        }
        if (streq(f->engine.sun_path, before.engine.sun_path) && streq(f->request, before.request))
                return;

        disconnect(f);
        f->retry = (Retry){0};
        if (!str_empty(f->request))
                follow(f);
}
