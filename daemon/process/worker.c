/* SPDX-License-Identifier: Apache-2.0 */
#include "process/worker.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "process/fork.h"

struct Worker {
        sd_event *event;
        sd_event_source *child;
        sd_event_source *timeout;
        pid_t pid;
        bool timed_out;
        bool canceled;

        int report_fd; /* memory shared with the child: nothing it writes can block it or us */
        size_t report_size;
        worker_done_t done;
        void *userdata;
};

int worker_new(Worker **ret, sd_event *event) {
        Worker *w = calloc(1, sizeof(Worker));

        if (!w)
                return -ENOMEM;

        w->event = sd_event_ref(event);
        w->report_fd = -1;
        *ret = w;
        return 0;
}

static void worker_reset(Worker *w) {
        w->child = sd_event_source_disable_unref(w->child);
        w->timeout = sd_event_source_disable_unref(w->timeout);
        w->pid = 0;
        w->timed_out = w->canceled = false;
        closep(&w->report_fd);
        w->report_fd = -1;
}

Worker *worker_free(Worker *w) {
        if (!w)
                return NULL;

        if (w->pid > 0)
                fork_kill(w->pid);
        worker_reset(w);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

bool worker_is_running(const Worker *w) {
        return w->pid > 0;
}

void worker_cancel(Worker *w) {
        if (w->pid <= 0)
                return;
        w->canceled = true;
        (void) kill(w->pid, SIGKILL);
}

typedef struct Job {
        worker_function_t function;
        const void *context;
        size_t report_size;
} Job;

static int run_job(const void *context, int fd) {
        const Job *job = context;
        void *report = calloc(1, job->report_size);

        if (!report)
                return EXIT_FAILURE;
        job->function(job->context, report);
        return pwrite(fd, report, job->report_size, 0) == (ssize_t) job->report_size ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int on_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Worker *w = userdata;

        w->timed_out = true;
        (void) kill(w->pid, SIGKILL);
        return 0;
}

static int read_report(const Worker *w, const siginfo_t *si, void *report) {
        if (w->canceled)
                return -ECANCELED;
        if (w->timed_out)
                return -ETIMEDOUT;
        if (si->si_code != CLD_EXITED || si->si_status != EXIT_SUCCESS)
                return -ECONNABORTED;
        if (pread(w->report_fd, report, w->report_size, 0) != (ssize_t) w->report_size)
                return -ECONNABORTED;
        return 0;
}

static int on_child(sd_event_source *s _unused_, const siginfo_t *si, void *userdata) {
        Worker *w = userdata;
        _cleanup_free_ void *report = malloc(w->report_size);
        worker_done_t done = w->done;
        int r = report ? read_report(w, si, report) : -ENOMEM;

        /* The handler may start the next job. */
        worker_reset(w);
        done(w->userdata, r, r < 0 ? NULL : report);
        return 0;
}

int worker_run(Worker *w, worker_function_t function, const void *context, size_t report_size, uint64_t timeout_usec,
               worker_done_t done, void *userdata) {
        const Job job = {.function = function, .context = context, .report_size = report_size};
        pid_t pid;
        int r;

        if (w->pid > 0)
                return -EBUSY;

        w->report_fd = memfd_create("ecs-authd-report", MFD_CLOEXEC);
        if (w->report_fd < 0)
                return negative_errno();
        w->report_size = report_size;
        w->done = done;
        w->userdata = userdata;

        r = fork_child(&pid, "ecs-authd-job", w->report_fd, run_job, &job);
        if (r < 0) {
                worker_reset(w);
                return r;
        }
        w->pid = pid;

        r = sd_event_add_child(w->event, &w->child, pid, WEXITED, on_child, w);
        if (r >= 0)
                r = sd_event_add_time_relative(w->event, &w->timeout, CLOCK_MONOTONIC, timeout_usec, 0, on_timeout, w);
        if (r < 0) {
                fork_kill(pid);
                worker_reset(w);
                return r;
        }
        return 0;
}
