/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch-files.h"

#include "process/long-running-child.h"

struct Watch {
        LongRunningChild *child;
        watch_handler_t handler;
        void *userdata;

        const char **files;
        bool failed; /* and said so */
};

static int watch_in_child(const void *context, int fd) {
        const Watch *w = context;

        return watch_paths(w->files, fd) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void on_message(void *userdata, const void *bytes, size_t size) {
        const WatchMessage ended = {.kind = WATCH_FAILED, .error = -ECONNABORTED};
        WatchMessage message = ended;
        Watch *w = userdata;

        if (bytes && size != sizeof(message))
                return;
        if (bytes)
                memcpy(&message, bytes, sizeof(message));
        else if (w->failed)
                return; /* it has told why before it ended */
        w->failed = message.kind == WATCH_FAILED;
        w->handler(w->userdata, &message);
}

int watch_new(Watch **ret, sd_event *event, watch_handler_t handler, void *userdata) {
        _cleanup_(watch_freep) Watch *w = calloc(1, sizeof(Watch));
        int r;

        if (!w)
                return -ENOMEM;

        w->handler = handler;
        w->userdata = userdata;
        r = long_running_child_new(&w->child, event, "ecs-authd-watch", watch_in_child, on_message, w);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(w);
        return 0;
}

Watch *watch_free(Watch *w) {
        if (!w)
                return NULL;

        long_running_child_free(w->child);
        free(w->files);
        free(w);
        return NULL;
}

void watch_set_files(Watch *w, const char **files) {
        long_running_child_stop(w->child);
        free(w->files);
        w->files = files;
        w->failed = false;
        long_running_child_start(w->child, w);
}
