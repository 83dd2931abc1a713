/* SPDX-License-Identifier: Apache-2.0 */
#include "process/docker-events.h"

#include "agent/observe.h"
#include "process/long-running-child.h"

/* What the engine tells while nobody listens is missed, and seen at the next look of the loop, which does not rely on
 * events. */

struct DockerEvents {
        LongRunningChild *child;
        void (*woken)(void *userdata);
        void *userdata;

        const char *socket;    /* of the Docker Engine; NULL: nobody wants to know */
        const char *container; /* NULL: any */
};

/* --- the child --- */

static void send_byte(void *userdata) {
        const int *fd = userdata;

        (void) child_send(*fd, "", 1, false); /* where there is no room, it has been said already */
}

static int follow(const void *context, int fd) {
        const DockerEvents *f = context;

        return observe_follow(f->socket, f->container, send_byte, &fd) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* --- the parent --- */

static void on_message(void *userdata, const void *message, size_t size _unused_) {
        DockerEvents *f = userdata;

        if (message)
                f->woken(f->userdata);
}

int docker_events_new(DockerEvents **ret, sd_event *event, void (*woken)(void *userdata), void *userdata) {
        _cleanup_(docker_events_freep) DockerEvents *f = calloc(1, sizeof(DockerEvents));
        int r;

        if (!f)
                return -ENOMEM;

        f->woken = woken;
        f->userdata = userdata;
        r = long_running_child_new(&f->child, event, "ecs-authd-event", follow, on_message, f);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(f);
        return 0;
}

DockerEvents *docker_events_free(DockerEvents *f) {
        if (!f)
                return NULL;

        long_running_child_free(f->child);
        free(f);
        return NULL;
}

void docker_events_set(DockerEvents *f, const char *socket, const char *container) {
        if (f->socket == socket && f->container == container)
                return;
        f->socket = socket;
        f->container = container;
        if (socket)
                long_running_child_start(f->child, f);
        else
                long_running_child_stop(f->child);
}
