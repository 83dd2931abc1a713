/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/sync-job.h"

#include <signal.h>

#include "process/worker.h"

struct Writer {
        Worker *worker;
        writer_done_t done;
        void *userdata;

        /* For the child, which has them as they were when it was forked; a reload may free them here. */
        const CredentialSettings *sources;
        const EcsConfigSettings *settings;
        const DigestKey *key;
        Asking asking;

        char *path; /* of the environment file, for the message about a child that did not end well */
};

int writer_new(Writer **ret, sd_event *event, writer_done_t done, void *userdata) {
        _cleanup_(writer_freep) Writer *w = calloc(1, sizeof(Writer));
        int r;

        if (!w)
                return -ENOMEM;
        w->done = done;
        w->userdata = userdata;
        r = worker_new(&w->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(w);
        return 0;
}

Writer *writer_free(Writer *w) {
        if (!w)
                return NULL;

        worker_free(w->worker);
        free(w->path);
        free(w);
        return NULL;
}

static const char *describe_error(int error) {
        switch (error) {
        case -ETIMEDOUT:
                return "it hung and was killed at its time limit";
        case -ECONNABORTED:
                return "it crashed";
        default:
                return strerror(-error);
        }
}

static void on_done(void *userdata, int error, const void *report) {
        Writer *w = userdata;
        SyncReport failure = {.outcome = SYNC_FAILED};

        if (error >= 0 || error == -ECANCELED) {
                w->done(w->userdata, error >= 0 ? report : NULL);
                return;
        }
        problems_add(&failure.problems, LOG_ERR,
                     "%s: nothing was written, the job that reads the credential files did not end well: %s",
                     w->path ? w->path : "The environment file", describe_error(error));
        w->done(w->userdata, &failure);
}

static void run(const void *context, void *report) {
        const Writer *w = context;

        /* Whatever hangs is not waited for; a write is (sync_run()). */
        (void) signal(SIGTERM, SIG_DFL);
        sync_run(w->sources, w->settings, w->key, w->asking, report);
}

void writer_start(Writer *w, const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                  Asking asking) {
        int r;

        w->sources = sources;
        w->settings = settings;
        w->key = key;
        w->asking = asking;
        free(w->path);
        w->path = strdup(settings->environment_file);
        r = w->path ? worker_run(w->worker, run, w, sizeof(SyncReport), sync_timeout_usec(sources), on_done, w)
                    : -ENOMEM;
        if (r < 0)
                on_done(w, r, NULL);
}

void writer_tell_to_end(Writer *w) {
        worker_tell_to_end(w->worker);
}

void writer_cancel(Writer *w) {
        worker_cancel(w->worker);
}

bool writer_is_running(const Writer *w) {
        return worker_is_running(w->worker);
}
