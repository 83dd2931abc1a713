/* SPDX-License-Identifier: Apache-2.0 */
#include "process/worker.h"

#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct Worker {
        sd_event *event;
        sd_event_source *child;
        sd_event_source *input;
        sd_event_source *timeout;
        pid_t pid;
        pid_t hung; /* the last child that exceeded its time limit */

        int fd; /* for messages, each in one piece */
        void *message;
        size_t message_size;
        bool is_job; /* the first message is the last one */
        worker_function_t job;
        const void *context;
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

/* Does not touch the child. */
static void worker_reset(Worker *w) {
        w->child = sd_event_source_disable_unref(w->child);
        w->input = sd_event_source_disable_unref(w->input);
        w->timeout = sd_event_source_disable_unref(w->timeout);
        w->pid = 0;
        free(w->message);
        w->message = NULL;
        closep(&w->fd);
        w->fd = -1;
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

/* The loop reaps the child when it has ended; from then on it is no child any more. */
bool worker_has_hung(const Worker *w) {
        siginfo_t si = {0};

        return w->hung > 0 && waitid(P_PID, (id_t) w->hung, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid == 0;
}

int worker_send(int fd, const void *message, size_t size) {
        return send(fd, message, size, MSG_NOSIGNAL) == (ssize_t) size ? 0 : negative_errno();
}

/* The report is built in the child's copy of the message. */
static int run_job(const void *context, int fd) {
        const Worker *w = context;

        w->job(w->context, w->message);
        return worker_send(fd, w->message, w->message_size) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int on_left_child(sd_event_source *s, const siginfo_t *si _unused_, void *userdata _unused_) {
        /* The loop holds the only reference. */
        sd_event_source_ref(s);
        (void) sd_event_source_set_floating(s, false);
        sd_event_source_disable_unref(s);
        return 0;
}

/* Kills the child and lets the loop reap it whenever it ends: a busy host or a file system that hangs may take its
 * time. */
static void leave_child(sd_event *event, pid_t pid) {
        sd_event_source *s = NULL;

        (void) kill(pid, SIGKILL);
        if (sd_event_add_child(event, &s, pid, WEXITED, on_left_child, NULL) < 0) {
                fork_kill(pid);
                return;
        }
        (void) sd_event_source_set_floating(s, true);
        sd_event_source_unref(s);
}

void worker_stop(Worker *w) {
        const pid_t pid = w->pid;

        worker_reset(w);
        if (pid > 0)
                leave_child(w->event, pid);
}

/* Ends the run: with the message that the child has sent, or with an error. */
static void worker_end(Worker *w, int error, bool has_ended) {
        _cleanup_free_ void *message = STEAL_POINTER(w->message);

        if (has_ended)
                worker_reset(w);
        else
                worker_stop(w);
        w->done(w->userdata, error, error < 0 ? NULL : message);
}

/* Returns false if there is no message. */
static bool worker_take_message(Worker *w, bool has_ended) {
        if (recv(w->fd, w->message, w->message_size, MSG_DONTWAIT) != (ssize_t) w->message_size)
                return false;
        if (w->is_job)
                worker_end(w, 0, has_ended);
        else
                w->done(w->userdata, 0, w->message);
        return true;
}

static int on_child(sd_event_source *s _unused_, const siginfo_t *si _unused_, void *userdata) {
        Worker *w = userdata;
        const pid_t ended = w->pid;

        while (w->pid == ended && worker_take_message(w, true))
                ;
        if (w->pid == ended)
                worker_end(w, -ECONNABORTED, true);
        return 0;
}

static int on_input(sd_event_source *s, int fd _unused_, uint32_t revents _unused_, void *userdata) {
        /* Without a message the child is about to end, and on_child() knows more. */
        if (!worker_take_message(userdata, false))
                (void) sd_event_source_set_enabled(s, SD_EVENT_OFF);
        return 0;
}

static int on_timeout(sd_event_source *s _unused_, uint64_t usec _unused_, void *userdata) {
        Worker *w = userdata;

        w->hung = w->pid;
        worker_end(w, -ETIMEDOUT, false);
        return 0;
}

static int worker_fork(Worker *w, const char *name, child_function_t function, const void *context) {
        int fds[2], r;

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
                return negative_errno();
        w->fd = fds[0];
        r = fork_child(&w->pid, name, fds[1], function, context);
        (void) close(fds[1]);
        return r;
}

int worker_follow(Worker *w, const char *name, child_function_t function, const void *context, size_t message_size,
                  worker_done_t done, void *userdata) {
        int r;

        worker_stop(w);
        w->message = calloc(1, message_size);
        w->message_size = message_size;
        w->is_job = function == run_job;
        w->done = done;
        w->userdata = userdata;
        r = w->message ? worker_fork(w, name, function, context) : -ENOMEM;
        if (r >= 0)
                r = sd_event_add_child(w->event, &w->child, w->pid, WEXITED, on_child, w);
        if (r >= 0)
                r = sd_event_add_io(w->event, &w->input, w->fd, EPOLLIN, on_input, w);
        if (r < 0)
                worker_stop(w);
        return r;
}

int worker_run(Worker *w, worker_function_t function, const void *context, size_t report_size, uint64_t timeout_usec,
               worker_done_t done, void *userdata) {
        int r;

        if (w->pid > 0)
                return -EBUSY;

        w->job = function;
        w->context = context;
        r = worker_follow(w, "ecs-authd-job", run_job, w, report_size, done, userdata);
        if (r >= 0)
                r = sd_event_add_time_relative(w->event, &w->timeout, CLOCK_MONOTONIC, timeout_usec, 0, on_timeout, w);
        if (r < 0)
                worker_stop(w);
        return r;
}
