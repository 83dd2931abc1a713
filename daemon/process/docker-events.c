/* SPDX-License-Identifier: Apache-2.0 */
#include "process/docker-events.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "agent/observe.h"
#include "process/fork.h"

/* The pause before an engine that is not there is asked again doubles; what it tells in between is missed, and seen at
 * the next look of the loop, which does not rely on events. */
#define RETRY_MIN_USEC (1 * USEC_PER_SEC)
#define RETRY_MAX_USEC (30 * USEC_PER_SEC)

struct DockerEvents {
        sd_event *event;
        void (*woken)(void *userdata);
        void *userdata;

        const char *socket;    /* of the Docker Engine; NULL: nobody wants to know */
        const char *container; /* NULL: any */
        uint64_t started_usec;
        uint64_t retry_usec; /* the next pause */
        pid_t pid;
        int fd;
        sd_event_source *child;
        sd_event_source *input;
        sd_event_source *retry;
};

static void docker_events_start(DockerEvents *f);

int docker_events_new(DockerEvents **ret, sd_event *event, void (*woken)(void *userdata), void *userdata) {
        DockerEvents *f = calloc(1, sizeof(DockerEvents));

        if (!f)
                return -ENOMEM;

        f->event = sd_event_ref(event);
        f->woken = woken;
        f->userdata = userdata;
        f->fd = -1;
        *ret = f;
        return 0;
}

static void docker_events_reset(DockerEvents *f) {
        f->child = sd_event_source_disable_unref(f->child);
        f->input = sd_event_source_disable_unref(f->input);
        f->retry = sd_event_source_disable_unref(f->retry);
        closep(&f->fd);
        f->fd = -1;
        f->pid = 0;
}

static void docker_events_stop(DockerEvents *f) {
        if (f->pid > 0) {
                (void) kill(f->pid, SIGKILL);
                (void) waitpid(f->pid, NULL, 0);
        }
        docker_events_reset(f);
}

DockerEvents *docker_events_free(DockerEvents *f) {
        if (!f)
                return NULL;

        docker_events_stop(f);
        sd_event_unref(f->event);
        free(f);
        return NULL;
}

/* --- the child --- */

typedef struct Following {
        const DockerEvents *events;
        int fd;
} Following;

static void send_byte(void *userdata) {
        const Following *f = userdata;

        /* A full pipe says it already. */
        (void) !write(f->fd, "", 1);
}

static int follow(const void *context, int fd) {
        Following f = {.events = context, .fd = fd};

        return observe_follow(f.events->socket, f.events->container, send_byte, &f) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- the parent --- */

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        DockerEvents *f = userdata;

        f->retry = sd_event_source_disable_unref(f->retry);
        docker_events_start(f);
        return 0;
}

static uint64_t now_of(const DockerEvents *f) {
        uint64_t now = 0;

        (void) sd_event_now(f->event, CLOCK_MONOTONIC, &now);
        return now;
}

static void docker_events_retry(DockerEvents *f) {
        /* One that has served is taken up again at once; one that ends as soon as it begins is not begun all the time.
         */
        if (now_of(f) >= f->started_usec + RETRY_MAX_USEC)
                f->retry_usec = RETRY_MIN_USEC;
        docker_events_reset(f);
        (void) sd_event_add_time_relative(f->event, &f->retry, CLOCK_MONOTONIC, f->retry_usec, 0, on_retry, f);
        f->retry_usec = f->retry_usec * 2 < RETRY_MAX_USEC ? f->retry_usec * 2 : RETRY_MAX_USEC;
}

static int on_child(sd_event_source *s _unused_, const siginfo_t *si _unused_, void *userdata) {
        docker_events_retry(userdata);
        return 0;
}

static int on_input(sd_event_source *s, int fd, uint32_t revents _unused_, void *userdata) {
        DockerEvents *f = userdata;
        char bytes[64];
        ssize_t n;

        do
                n = read(fd, bytes, sizeof(bytes));
        while (n == (ssize_t) sizeof(bytes));

        if (n == 0) {
                (void) sd_event_source_set_enabled(s, SD_EVENT_OFF); /* the child is about to end */
                return 0;
        }
        f->woken(f->userdata);
        return 0;
}

static void docker_events_start(DockerEvents *f) {
        int fds[2], r;

        if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
                docker_events_retry(f);
                return;
        }
        f->fd = fds[0];
        f->started_usec = now_of(f);

        r = fork_child(&f->pid, "ecs-authd-event", fds[1], follow, f);
        close(fds[1]);
        if (r >= 0)
                r = sd_event_add_child(f->event, &f->child, f->pid, WEXITED, on_child, f);
        if (r >= 0)
                r = sd_event_add_io(f->event, &f->input, f->fd, EPOLLIN, on_input, f);
        if (r < 0) {
                docker_events_stop(f);
                docker_events_retry(f);
        }
}

void docker_events_set(DockerEvents *f, const char *socket, const char *container) {
        if (f->socket == socket && f->container == container)
                return;
        docker_events_stop(f);
        f->socket = socket;
        f->container = container;
        f->retry_usec = RETRY_MIN_USEC;
        if (socket)
                docker_events_start(f);
}
