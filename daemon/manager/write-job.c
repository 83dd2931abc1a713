/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/write-job.h"

#include "manager/manager-struct.h"

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
        const WriteJob *j = context;
        const Manager *m = j->manager;

        sync_run(&m->settings->credentials, &m->settings->ecsconfig, &m->key, j->asking, report);
}

static void report_again(const WriteJob *j, const SyncReport *report) {
        SyncReport again = *report;

        problems_add(&again.problems, j->asked ? LOG_ERR : LOG_WARNING,
                     "%s: the job that writes it did not end well: %s; it was looked at again%s",
                     j->manager->settings->ecsconfig.environment_file, describe_error(j->ended),
                     j->asked ? ", and credential helpers are asked again" : "");
        j->done(j->manager, &again);
}

static void report_failure(const WriteJob *j, int error) {
        const char *path = j->manager->settings->ecsconfig.environment_file;
        SyncReport failure = {.outcome = SYNC_FAILED};

        if (j->ended < 0)
                problems_add(
                        &failure.problems, LOG_ERR,
                        "%s: whether it was written is not known: the job that writes it did not end well: %s; nor "
                        "did the one that looked at it again: %s",
                        path, describe_error(j->ended), describe_error(error));
        else
                problems_add(&failure.problems, LOG_ERR,
                             "%s: stays as it is: the job that writes it could not be started: %s", path,
                             describe_error(error));
        j->done(j->manager, &failure);
}

static void start(WriteJob *j);

static void on_done(void *userdata, int error, const void *report) {
        WriteJob *j = userdata;

        if (error < 0 && j->ended == 0) {
                j->ended = error;
                j->asked = j->asking != ASK_NOBODY;
                j->asking = ASK_NOBODY;
                start(j);
        } else if (error < 0) {
                report_failure(j, error);
        } else if (j->ended < 0) {
                report_again(j, report);
        } else {
                j->done(j->manager, report);
        }
}

static void start(WriteJob *j) {
        int r = worker_run(j->worker, run, j, sizeof(SyncReport), sync_timeout_usec(&j->manager->settings->credentials),
                           on_done, j);

        if (r < 0)
                report_failure(j, r);
}

void write_job_start(WriteJob *j, Asking asking) {
        j->asking = asking;
        j->ended = 0;
        j->asked = false;
        start(j);
}

void write_job_cancel(WriteJob *j) {
        if (!worker_is_running(j->worker))
                return;
        worker_stop(j->worker);
        j->done(j->manager, NULL);
}
