/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/connection.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "base/directories.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/secret.h"
#include "proxy/pull-credential.h"
#include "proxy/request-head.h"

#define HEAD_TIMEOUT_USEC (30 * USEC_PER_SEC)

/* Docker reports times in whole seconds here, and an event may be on its way (measured: without this second, 2 of 20
 * ends of tasks were missed). */
#define EVENTS_SLACK_SEC 1

/* --- the time of the last event --- */

/* The modification time of this file is that of the last byte of an /events connection. */
static char *events_mark(void) {
        return xasprintf("%s/events", runtime_directory());
}

static void mark_events(void) {
        _cleanup_free_ char *path = events_mark();
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

        if (fd >= 0)
                (void) futimens(fd, NULL);
}

/* Returns the start time for a new /events connection; NULL: none was served before. */
static char *events_since(void) {
        _cleanup_free_ char *path = events_mark();
        struct stat st;

        return stat(path, &st) < 0 ? NULL : xasprintf("%lld", (long long) st.st_mtim.tv_sec - EVENTS_SLACK_SEC);
}

/* --- the two ends --- */

static int connect_to_docker(const char *path) {
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_un address = {.sun_family = AF_UNIX};

        if (strlen(path) >= sizeof(address.sun_path))
                return -ENAMETOOLONG;
        memcpy(address.sun_path, path, strlen(path) + 1);
        if (fd < 0 || connect(fd, (const struct sockaddr *) &address, sizeof(address)) < 0)
                return negative_errno();
        return steal_fd(&fd);
}

static int send_all(int fd, const char *data, size_t size) {
        while (size > 0) {
                ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return negative_errno();
                data += n;
                size -= (size_t) n;
        }
        return 0;
}

/* Bytes on their way from one end to the other. */
typedef struct Flow {
        int from, to;
        bool is_events; /* notes when the last byte came */
        bool ended;     /* from sends no more bytes */
        bool closed;    /* to has been told */
        size_t start, end;
        char buffer[64 * 1024];
} Flow;

/* Returns false if the connection is broken. */
static bool flow_read(Flow *f) {
        ssize_t n = recv(f->from, f->buffer, sizeof(f->buffer), MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        f->ended = n == 0;
        f->start = 0;
        f->end = (size_t) n;
        if (f->is_events && n > 0)
                mark_events();
        return true;
}

static bool flow_write(Flow *f) {
        ssize_t n = send(f->to, f->buffer + f->start, f->end - f->start, MSG_DONTWAIT | MSG_NOSIGNAL);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR;
        f->start += (size_t) n;
        return true;
}

static short events_of(const Flow *in, const Flow *out) {
        return (short) ((!in->ended && in->start == in->end ? POLLIN : 0) | (out->start < out->end ? POLLOUT : 0));
}

/* Handles what poll() said of an end: in comes from it, out goes to it. */
static bool handle(short events, Flow *in, Flow *out) {
        if ((events & POLLOUT) && !flow_write(out))
                return false;
        if ((events & (POLLIN | POLLHUP | POLLERR)) && !in->ended && in->start == in->end && !flow_read(in))
                return false;
        return true;
}

/* Tells the other end that no more bytes come, and keeps the other direction. */
static void close_ended(Flow *f) {
        if (!f->ended || f->closed || f->start < f->end)
                return;
        (void) shutdown(f->to, SHUT_WR);
        f->closed = true;
}

static void forward(int client, int docker, bool is_events) {
        _cleanup_free_ Flow *up = xcalloc(1, sizeof(Flow)), *down = xcalloc(1, sizeof(Flow));

        up->from = down->to = client;
        up->to = down->from = docker;
        down->is_events = is_events;
        while (!up->closed || !down->closed) {
                struct pollfd fds[] = {{.fd = client, .events = events_of(up, down)},
                                       {.fd = docker, .events = events_of(down, up)}};

                for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                        if (fds[i].events == 0)
                                fds[i].fd = -1; /* an end that hung up is always ready */
                if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
                        return;
                if (!handle(fds[0].revents, up, down) || !handle(fds[1].revents, down, up))
                        return;
                close_ended(up);
                close_ended(down);
        }
}

/* --- the request --- */

/* Reads until the head is complete. Returns the number of bytes, also if the head is too long or does not end in time.
 */
static size_t read_head(int client, char *buffer, RequestHead *ret) {
        const uint64_t end = clock_monotonic_usec() + HEAD_TIMEOUT_USEC;
        size_t n = 0;

        while (n < REQUEST_HEAD_MAX && request_head_parse(buffer, n, ret) == -EAGAIN) {
                struct pollfd fd = {.fd = client, .events = POLLIN};
                const uint64_t now = clock_monotonic_usec();
                ssize_t got;

                if (now >= end || poll(&fd, 1, (int) ((end - now) / USEC_PER_MSEC) + 1) < 0)
                        break;
                got = fd.revents ? recv(client, buffer + n, REQUEST_HEAD_MAX - n, MSG_DONTWAIT) : -1;
                if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR))
                        break;
                n += got > 0 ? (size_t) got : 0;
        }
        return n;
}

static void report(const char *image, int found, const Problems *problems) {
        if (found > 0) {
                log_info("Pull of %s: with credentials", image);
                return;
        }
        for (unsigned i = 0; i < problems->n_items; i++)
                log_error("%s", problems->items[i].text);
        if (found < 0)
                log_error("Pull of %s: without credentials, because a source of credentials failed", image);
        else
                log_info("Pull of %s: without credentials: no login covers it", image);
}

/* Sends the head, with credentials if the agent pulls. */
static int send_head(const Settings *settings, int docker, const char *buffer, const RequestHead *head) {
        _cleanup_secret_ char *auth = NULL, *rewritten = NULL;
        _cleanup_free_ char *since = head->kind == REQUEST_EVENTS ? events_since() : NULL;
        Problems problems = {0};
        int r;

        if (head->kind == REQUEST_UNCLEAR)
                return send_all(docker, buffer, head->length);
        if (head->kind == REQUEST_PULL) {
                r = pull_credential_find(&settings->credentials, head->image, &auth, &problems);
                report(head->image, r, &problems);
        }
        rewritten = request_head_rewrite(buffer, head, auth, since);
        return send_all(docker, rewritten, strlen(rewritten));
}

void connection_serve(const Settings *settings, int client_fd) {
        _cleanup_close_ int client = client_fd, docker = connect_to_docker(settings->agent.docker_socket);
        _cleanup_free_ char *buffer = xcalloc(1, REQUEST_HEAD_MAX);
        RequestHead head = {0};
        size_t n;

        if (docker < 0)
                return; /* the agent sees a closed connection, and tries again */
        n = read_head(client, buffer, &head);
        if (head.length > 0 && send_head(settings, docker, buffer, &head) < 0)
                return;
        if (send_all(docker, buffer + head.length, n - head.length) < 0)
                return;
        forward(client, docker, head.kind == REQUEST_EVENTS);
}
