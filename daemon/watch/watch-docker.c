/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch-docker.h"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "process/retry.h"

#define SETTLE_USEC (300 * USEC_PER_MSEC)
#define ACCURACY_USEC (10 * USEC_PER_MSEC)

/* The engine sends the header of the stream at once (measured, 20.10 and later). */
#define SILENT_USEC (10 * USEC_PER_SEC)

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
        char filter[512]; /* of the request; "": nothing is followed */
        char api_version[32];
        sd_event_source *input;
        sd_event_source *silent;  /* until the stream begins */
        sd_event_source *settled; /* while it is armed, input is off */
        Retry retry;
        bool is_due; /* the pause is over: the next observation that succeeds connects */
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
        f->silent = sd_event_source_disable_unref(f->silent);
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

static void follow_later(DockerEvents *f);

/* The observation connects in a child, because the path of the socket may be on a file system that hangs. If it fails,
 * the next pause begins. */
static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        DockerEvents *f = userdata;

        follow_later(f);
        f->is_due = true;
        f->observe_again(f->userdata);
        return 0;
}

static void follow_later(DockerEvents *f) {
        disconnect(f);
        f->is_due = false;
        retry_later(&f->retry, f->event, on_retry, f);
}

static int on_silent(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        follow_later(userdata);
        return 0;
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

        f->silent = sd_event_source_disable_unref(f->silent);
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

/* {"type":["container"],"event":["start","die","destroy"],"container":["NAME"]}; a name needs no escape. With
 * "Connection: close" the stream also ends if the engine refuses the request. */
static int write_request(const DockerEvents *f, char *ret, size_t size) {
        int n = snprintf(ret, size,
                         "GET %s%s/events?filters=%s HTTP/1.1\r\n"
                         "Host: docker\r\nConnection: close\r\n\r\n",
                         *f->api_version ? "/v" : "", f->api_version, f->filter);

        return n < 0 || (size_t) n >= size ? -EMSGSIZE : n;
}

/* connect() fails at once if the engine's backlog is full (EAGAIN), and a new socket has room for the whole request. */
static int send_request(const DockerEvents *f, int fd) {
        char request[768];
        int n = write_request(f, request, sizeof(request));

        if (n < 0)
                return n;
        if (fd < 0 || connect(fd, (const struct sockaddr *) &f->engine, sizeof(f->engine)) < 0 ||
            send(fd, request, (size_t) n, MSG_NOSIGNAL) != n)
                return negative_errno();
        return 0;
}

static void follow(DockerEvents *f) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        int r = send_request(f, fd);

        retry_stop(&f->retry);
        f->is_due = false;
        if (r >= 0)
                r = sd_event_add_time_relative(f->event, &f->silent, CLOCK_MONOTONIC, SILENT_USEC, 0, on_silent, f);
        if (r >= 0)
                r = sd_event_add_io(f->event, &f->input, fd, EPOLLIN, on_input, f);
        if (r >= 0)
                r = sd_event_source_set_io_fd_own(f->input, true);
        if (r >= 0)
                return;
        closep(&fd);
        follow_later(f);
}

/* A filter that is too long is "". */
static void write_filter(const char *container, char *ret, size_t size) {
        int n = snprintf(ret, size,
                         "%%7B%%22type%%22%%3A%%5B%%22container%%22%%5D%%2C"
                         "%%22event%%22%%3A%%5B%%22start%%22%%2C%%22die%%22%%2C%%22destroy%%22%%5D%s%s%s%%7D",
                         container ? "%2C%22container%22%3A%5B%22" : "", container ? container : "",
                         container ? "%22%5D" : "");

        if (n < 0 || (size_t) n >= size)
                ret[0] = 0;
}

void docker_events_set(DockerEvents *f, const char *socket, const char *api_version, const char *container) {
        struct sockaddr_un engine = {.sun_family = AF_UNIX};
        char filter[sizeof(f->filter)] = "";

        if (socket && strlen(socket) < sizeof(engine.sun_path)) {
                memcpy(engine.sun_path, socket, strlen(socket) + 1);
                write_filter(container, filter, sizeof(filter));
        }
        /* Another version is no reason to connect again. */
        (void) snprintf(f->api_version, sizeof(f->api_version), "%s", api_version);
        if (!streq(engine.sun_path, f->engine.sun_path) || !streq(filter, f->filter)) {
                disconnect(f);
                f->engine = engine;
                memcpy(f->filter, filter, sizeof(filter));
                f->retry = (Retry){0};
                f->is_due = true;
        }
        if (!str_empty(f->filter) && !f->input && f->is_due)
                follow(f);
}
