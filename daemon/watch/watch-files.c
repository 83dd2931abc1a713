/* SPDX-License-Identifier: Apache-2.0 */
#include "watch/watch-files.h"

#include "process/retry.h"
#include "process/worker.h"

struct Watch {
        sd_event *event;
        Worker *worker;
        Retry retry;
        watch_handler_t handler;
        void *userdata;

        const char **files;
        bool failure_reported;
};

static int watch_in_child(const void *context, int fd) {
        const Watch *w = context;

        return watch_paths(w->files, fd) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void start(Watch *w);

static int on_retry(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        start(userdata);
        return 0;
}

static void on_message(void *userdata, int error, const void *message) {
        const WatchMessage ended = {.kind = WATCH_FAILED, .error = error};
        const WatchMessage *news = message ? message : &ended;
        Watch *w = userdata;
        bool reported = !message && w->failure_reported;

        if (!message)
                retry_later(&w->retry, w->event, on_retry, w);
        w->failure_reported = news->kind == WATCH_FAILED;
        if (!reported)
                w->handler(w->userdata, news);
}

static void start(Watch *w) {
        int r = worker_follow(w->worker, "ecs-authd-watch", watch_in_child, w, sizeof(WatchMessage), on_message, w);

        if (r < 0)
                on_message(w, r, NULL);
}

int watch_new(Watch **ret, sd_event *event, watch_handler_t handler, void *userdata) {
        _cleanup_(watch_freep) Watch *w = calloc(1, sizeof(Watch));
        int r;

        if (!w)
                return -ENOMEM;

        w->event = sd_event_ref(event);
        w->handler = handler;
        w->userdata = userdata;
        r = worker_new(&w->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(w);
        return 0;
}

Watch *watch_free(Watch *w) {
        if (!w)
                return NULL;

        worker_free(w->worker);
        retry_stop(&w->retry);
        sd_event_unref(w->event);
        free(w->files);
        free(w);
        return NULL;
}

void watch_set_files(Watch *w, const char **files) {
        retry_stop(&w->retry);
        w->retry = (Retry){0};
        free(w->files);
        w->files = files;
        w->failure_reported = false;
        start(w);
}
