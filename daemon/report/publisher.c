/* SPDX-License-Identifier: Apache-2.0 */
#include "report/publisher.h"

#include <fcntl.h>

#include "base/clock.h"
#include "base/log.h"
#include "process/worker.h"
#include "report/metrics.h"
#include "report/status-file.h"

#define WRITE_TIMEOUT_USEC (5 * USEC_PER_SEC)

enum {
        REMOVE_LIMIT_MSEC = 1000,
};

struct Publisher {
        Worker *worker; /* writes the metrics */
        void (*stale)(void *userdata);
        void *userdata;

        StatusFile status;
        pid_t pid; /* of the service, as its start */
        uint64_t start_usec;
        int64_t clock_offset;

        char *metrics_file;       /* a copy: a reload frees the settings */
        char *left_file;          /* the previous metrics_file, to be removed */
        char *metrics;            /* text that was written last, or is being written; NULL: write it again */
        char metrics_error[1024]; /* as logged; "": the metrics were written */
        FileIdentity metrics_identity;
        bool overrun; /* the text has changed during a write */
};

/* The child's report. */
typedef struct Published {
        int error;
        FileIdentity metrics;
} Published;

int publisher_new(Publisher **ret, sd_event *event, void (*stale)(void *userdata), void *userdata) {
        _cleanup_(publisher_freep) Publisher *p = calloc(1, sizeof(Publisher));
        int r;

        if (!p)
                return -ENOMEM;
        p->stale = stale;
        p->userdata = userdata;
        p->pid = getpid();
        p->start_usec = clock_monotonic_usec();
        r = worker_new(&p->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(p);
        return 0;
}

/* Removes the file unless another instance has replaced it. */
static int remove_metrics(const Publisher *p, const char *path) {
        if (p->metrics_identity.inode > 0 && file_identity_at(path).inode != p->metrics_identity.inode)
                return EXIT_SUCCESS;
        return unlink(path) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int remove_last_metrics(const void *context, int fd _unused_) {
        const Publisher *p = context;

        return remove_metrics(p, p->metrics_file);
}

Publisher *publisher_free(Publisher *p) {
        if (!p)
                return NULL;

        /* A killed child may have replaced the file or not. */
        if (p->worker && worker_is_running(p->worker))
                p->metrics_identity = (FileIdentity){0};
        worker_free(p->worker);
        status_file_remove(&p->status);
        if (p->metrics_file)
                fork_run("ecs-authd-job", remove_last_metrics, p, REMOVE_LIMIT_MSEC);
        free(p->left_file);
        free(p->metrics_file);
        free(p->metrics);
        free(p);
        return NULL;
}

/* Runs in the child. */
static void publish_metrics(const void *context, void *report) {
        const Publisher *p = context;
        Published *published = report;

        if (p->left_file)
                (void) remove_metrics(p, p->left_file);
        if (p->metrics_file) /* the collector reads *.prom, not the temporary file */
                published->error =
                        file_replace(AT_FDCWD, p->metrics_file, p->metrics, 0644, false, &published->metrics);
}

/* Returns true if the error differs from the one in the status file. */
static bool tell_metrics_error(Publisher *p, int error) {
        char text[sizeof(p->metrics_error)] = "";

        if (error < 0 && p->metrics_file)
                (void) snprintf(text, sizeof(text), "%s: cannot be written: %s; %s", p->metrics_file, strerror(-error),
                                error == -ENOSPC || error == -EDQUOT
                                        ? "make room on its file system (df)"
                                        : "its directory has to exist, and to be in ReadWritePaths= of the unit");
        if (streq(text, p->metrics_error))
                return false;
        if (!str_empty(text))
                log_warning("%s", text);
        (void) snprintf(p->metrics_error, sizeof(p->metrics_error), "%s", text);
        return true;
}

static void on_done(void *userdata, int error, const void *report) {
        const Published *published = report;
        Publisher *p = userdata;

        if (published) {
                free(p->left_file);
                p->left_file = NULL;
                error = published->error;
        } else
                p->metrics_identity = (FileIdentity){0}; /* the child may have replaced the file or not */
        if (published && error >= 0)
                p->metrics_identity = published->metrics;
        if (error < 0)
                publisher_tell_again(p); /* the next pass tries again */
        if (tell_metrics_error(p, error) || p->overrun)
                p->stale(p->userdata);
}

void publisher_tell_again(Publisher *p) {
        free(p->metrics);
        p->metrics = NULL;
}

/* Called only while no child runs. */
static int take_metrics_file(Publisher *p, const char *path) {
        char *copy;

        if (path == p->metrics_file || (path && p->metrics_file && streq(path, p->metrics_file)))
                return 0;
        copy = path ? strdup(path) : NULL;
        if (path && !copy)
                return -ENOMEM;
        free(p->left_file);
        p->left_file = p->metrics_file;
        p->metrics_file = copy;
        p->metrics_error[0] = 0;
        publisher_tell_again(p);
        return 0;
}

/* Starts the child if the text has changed, or another file is to be written or removed. */
static void tell_metrics(Publisher *p, const StatusReport *report) {
        _cleanup_free_ char *text = NULL;

        p->overrun = worker_is_running(p->worker);
        if (p->overrun || take_metrics_file(p, report->settings->metrics_file) < 0 || worker_has_hung(p->worker))
                return;
        if (p->metrics_file) {
                text = status_report_print(report, metrics_print);
                if (!text || (p->metrics && streq(p->metrics, text)))
                        return;
        } else if (!p->left_file)
                return;

        publisher_tell_again(p);
        p->metrics = STEAL_POINTER(text);
        if (worker_run(p->worker, publish_metrics, p, sizeof(Published), WRITE_TIMEOUT_USEC, on_done, p) < 0)
                publisher_tell_again(p); /* the next pass tries again */
}

void publisher_tell(Publisher *p, const Settings *settings, const Facts *facts, const Decision *d,
                    const char *sentence) {
        StatusReport report;

        clock_measure_offset(&p->clock_offset);
        report = (StatusReport){.settings = settings,
                                .facts = facts,
                                .decision = d,
                                .sentence = sentence,
                                .pid = p->pid,
                                .start_usec = p->start_usec,
                                .clock_offset = p->clock_offset,
                                .metrics_error = p->metrics_error};

        tell_metrics(p, &report);
        (void) status_file_write(&p->status, &report); /* after an error, the next pass tries again */
}
