/* SPDX-License-Identifier: Apache-2.0 */
#include "process/worker.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "process/fork.h"

/* A child that is killed and does not end hangs in the kernel, in a call on a file system that does not answer. Nobody
 * waits for it. */
#define END_USEC (1 * USEC_PER_SEC)

struct Worker {
        sd_event *event;
        sd_event_source *child;
        sd_event_source *input;
        sd_event_source *timeout;
        pid_t pid;
        int error;  /* why it was killed */
        pid_t hung; /* the last one that was given up */

        int fd; /* where its report comes from, in one piece */
        size_t report_size;
        worker_done_t done;
        void *userdata;
};

int worker_new(Worker **ret, sd_event *event) {
        Worker *w = calloc(1, sizeof(Worker));

        if (!w)
                return -ENOMEM;

        w->event = sd_event_ref(event);
        w->fd = -1;
        *ret = w;
        return 0;
}

/* The child, if there is one still, is left to itself. */
static void worker_reset(Worker *w) {
        w->child = sd_event_source_disable_unref(w->child);
        w->input = sd_event_source_disable_unref(w->input);
        w->timeout = sd_event_source_disable_unref(w->timeout);
        w->pid = 0;
        w->error = 0;
        closep(&w->fd);
        w->fd = -1;
}

Worker *worker_free(Worker *w) {
        if (!w)
                return NULL;

        if (w->pid > 0)
                (void) fork_kill(w->pid);
        worker_reset(w);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

bool worker_is_running(const Worker *w) {
        return w->pid > 0;
}

/* The loop waits for it: when it has ended, it is no child any more. */
bool worker_has_hung(const Worker *w) {
        siginfo_t si = {0};

        return w->hung > 0 && waitid(P_PID, (id_t) w->hung, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == 0;
}

/* --- the child --- */

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
        return send(fd, report, job->report_size, MSG_NOSIGNAL) == (ssize_t) job->report_size ? EXIT_SUCCESS
                                                                                              : EXIT_FAILURE;
}

/* --- the parent --- */

/* It has given its report, or has ended, or is given up. */
static void worker_end(Worker *w, int error, const void *report, bool ended) {
        const pid_t pid = w->pid;

        /* The handler may start the next job. */
        worker_reset(w);
        if (!ended)
                fork_leave(w->event, pid);
        w->done(w->userdata, error, error < 0 ? NULL : report);
}

static void worker_take_report(Worker *w, bool ended) {
        _cleanup_free_ void *report = malloc(w->report_size);
        int error = w->error;
        ssize_t n;

        if (error == 0 && !report)
                error = -ENOMEM;
        if (error == 0) {
                n = recv(w->fd, report, w->report_size, MSG_DONTWAIT);
                if (n != (ssize_t) w->report_size)
                        error = -ECONNABORTED;
        }
        worker_end(w, error, report, ended);
}

static int on_child(sd_event_source *s _unused_, const siginfo_t *si _unused_, void *userdata) {
        worker_take_report(userdata, true);
        return 0;
}

static int on_input(sd_event_source *s, int fd _unused_, uint32_t revents _unused_, void *userdata) {
        Worker *w = userdata;
        char byte;

        /* Without a report it is about to end, and on_child() knows more. */
        if (recv(w->fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) > 0)
                worker_take_report(w, false);
        else
                (void) sd_event_source_set_enabled(s, SD_EVENT_OFF);
        return 0;
}

static int on_not_ended(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Worker *w = userdata;

        w->hung = w->pid;
        worker_end(w, w->error, NULL, false);
        return 0;
}

static void worker_kill(Worker *w, int error) {
        if (w->pid <= 0 || w->error != 0)
                return;
        w->error = error;
        (void) kill(w->pid, SIGKILL);
        w->timeout = sd_event_source_disable_unref(w->timeout);
        (void) sd_event_add_time_relative(w->event, &w->timeout, CLOCK_MONOTONIC, END_USEC, 0, on_not_ended, w);
}

static int on_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        worker_kill(userdata, -ETIMEDOUT);
        return 0;
}

void worker_cancel(Worker *w) {
        worker_kill(w, -ECANCELED);
}

static int worker_fork(Worker *w, const Job *job) {
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return negative_errno();
        w->fd = fds[0];
        r = fork_child(&w->pid, "ecs-authd-job", fds[1], run_job, job);
        (void) close(fds[1]);
        return r;
}

int worker_run(Worker *w, worker_function_t function, const void *context, size_t report_size, uint64_t timeout_usec,
               worker_done_t done, void *userdata) {
        const Job job = {.function = function, .context = context, .report_size = report_size};
        int r;

        if (w->pid > 0)
                return -EBUSY;

        w->report_size = report_size;
        w->done = done;
        w->userdata = userdata;
        r = worker_fork(w, &job);
        if (r >= 0)
                r = sd_event_add_child(w->event, &w->child, w->pid, WEXITED, on_child, w);
        if (r >= 0)
                r = sd_event_add_io(w->event, &w->input, w->fd, EPOLLIN, on_input, w);
        if (r >= 0)
                r = sd_event_add_time_relative(w->event, &w->timeout, CLOCK_MONOTONIC, timeout_usec, 0, on_timeout, w);
        if (r < 0) {
                const pid_t pid = w->pid;

                worker_reset(w);
                if (pid > 0)
                        fork_leave(w->event, pid);
        }
        return r;
}
