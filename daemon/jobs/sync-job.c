/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/sync-job.h"

#include "process/worker.h"

struct Writer {
        Worker *worker;
        writer_done_t done;
        void *userdata;

        /* A reload may free the settings, and cancels the job first. */
        const CredentialSettings *sources;
        const EcsConfigSettings *settings;
        const DigestKey *key;
        Asking asking;

        int ended; /* how the one before it did, which did not tell what it had done; 0: it is the first */
        bool asked;
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

static void run(const void *context, void *report) {
        const Writer *w = context;

        sync_run(w->sources, w->settings, w->key, w->asking, report);
}

/* What the one before it had done is known now. */
static void report_again(Writer *w, const SyncReport *report) {
        SyncReport again = *report;

        problems_add(&again.problems, w->asked ? LOG_ERR : LOG_WARNING,
                     "%s: the job that writes it did not end well: %s; it was looked at again%s",
                     w->settings->environment_file, describe_error(w->ended),
                     w->asked ? ", and credential helpers are asked again" : "");
        w->done(w->userdata, &again);
}

static void report_failure(Writer *w, int error) {
        const char *path = w->settings->environment_file;
        SyncReport failure = {.outcome = SYNC_FAILED};

        if (w->ended < 0)
                problems_add(
                        &failure.problems, LOG_ERR,
                        "%s: whether it was written is not known: the job that writes it did not end well: %s; nor "
                        "did the one that looked at it again: %s",
                        path, describe_error(w->ended), describe_error(error));
        else
                problems_add(&failure.problems, LOG_ERR,
                             "%s: nothing was written, the job that writes it could not be started: %s", path,
                             describe_error(error));
        w->done(w->userdata, &failure);
}

static void on_done(void *userdata, int error, const void *report);

static int start(Writer *w) {
        return worker_run(w->worker, run, w, sizeof(SyncReport), sync_timeout_usec(w->sources), on_done, w);
}

static void on_done(void *userdata, int error, const void *report) {
        Writer *w = userdata;
        int r = error;

        /* It may have written all the same: the truth is looked at before it is told. */
        if (error < 0 && w->ended == 0) {
                w->ended = error;
                w->asked = w->asking != ASK_NOBODY;
                w->asking = ASK_NOBODY;
                r = start(w);
                if (r >= 0)
                        return;
        }
        if (r < 0)
                report_failure(w, r);
        else if (w->ended < 0)
                report_again(w, report);
        else
                w->done(w->userdata, report);
}

void writer_start(Writer *w, const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                  Asking asking) {
        int r;

        w->sources = sources;
        w->settings = settings;
        w->key = key;
        w->asking = asking;
        w->ended = 0;
        w->asked = false;
        r = start(w);
        if (r < 0)
                report_failure(w, r);
}

void writer_cancel(Writer *w) {
        if (!worker_is_running(w->worker))
                return;
        worker_stop(w->worker);
        w->done(w->userdata, NULL);
}

bool writer_is_running(const Writer *w) {
        return worker_is_running(w->worker);
}
