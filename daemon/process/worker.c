/* SPDX-License-Identifier: Apache-2.0 */
#include "process/worker.h"

#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/secret.h"

/* --- the child --- */

/* AddressSanitizer maps far more than is used. */
#if defined(__SANITIZE_ADDRESS__)
#define MEMORY_BOUND false
#elif defined(__has_feature)
#define MEMORY_BOUND !__has_feature(address_sanitizer)
#else
#define MEMORY_BOUND true
#endif

#define MEMORY_MAX (256UL * 1024 * 1024)

/* RLIMIT_DATA and not RLIMIT_AS: it counts what is written to (the heap, stacks of threads), and neither the text of
 * libraries, some 60 MB with libcurl and what it brings, nor the 128 MB that glibc reserves for the heap of each thread
 * (libcurl's resolver) and does not use. The hard limit stays, for those who run other programs (reaper_start()). */
static int bound_memory(void) {
        struct rlimit limit;

        if (!MEMORY_BOUND)
                return 0;
        if (getrlimit(RLIMIT_DATA, &limit) < 0)
                return negative_errno();
        if (limit.rlim_cur <= MEMORY_MAX)
                return 0;
        limit.rlim_cur = MEMORY_MAX;
        return setrlimit(RLIMIT_DATA, &limit) < 0 ? negative_errno() : 0;
}

/* Closes the parent's connections and timers. */
static void close_all_but(int keep) {
        const int lowest = STDERR_FILENO + 1;

        if (keep > lowest)
                (void) close_range((unsigned) lowest, (unsigned) keep - 1, 0);
        (void) close_range((unsigned) keep + 1, ~0U, 0);
}

static _Noreturn void run(pid_t parent, const char *name, int fd, child_function_t function, const void *context) {
        sigset_t none;

        /* A child that hangs must not outlive the daemon: it may hold the lock on the environment file. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != parent)
                _exit(EXIT_FAILURE);
        if (secret_protect_process() < 0 || bound_memory() < 0)
                _exit(EXIT_FAILURE);

        (void) prctl(PR_SET_NAME, name);
        close_all_but(fd);
        /* A reload or an end asked of the whole group is the parent's to handle. Before the mask: one that has come
         * since the fork waits behind it, and would end us. */
        (void) signal(SIGHUP, SIG_IGN);
        (void) signal(SIGTERM, SIG_IGN);
        (void) signal(SIGINT, SIG_IGN);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);

        _exit(function(context, fd));
}

/* Forks a child that inherits nothing but fd and the standard streams, leaves no core, dies with the parent, ignores
 * the signals that are meant for the parent, and may use 256 MB of memory: four times what the answer of another
 * program can make it use, twice what the longest credential file does. Beyond that an allocation fails, and the job
 * with it. */
static int fork_child(pid_t *ret, const char *name, int fd, child_function_t function, const void *context) {
        pid_t parent = getpid(), pid = fork();

        if (pid < 0)
                return negative_errno();
        if (pid == 0)
                run(parent, name, fd, function, context);
        *ret = pid;
        return 0;
}

/* --- the parent --- */

enum {
        KILL_WAIT_MSEC = 200,
};

/* Kills a child and waits for its end, except for a child that the kernel keeps in a call on a file system that hangs:
 * that child ends when it can. */
static void fork_kill(pid_t pid) {
        /* glibc 2.35 and older have no function for it. */
        _cleanup_close_ int fd = (int) syscall(SYS_pidfd_open, pid, 0);
        struct pollfd ended = {.fd = fd, .events = POLLIN};

        (void) kill(pid, SIGKILL);
        if (fd < 0 || poll(&ended, 1, KILL_WAIT_MSEC) > 0)
                (void) waitpid(pid, NULL, fd < 0 ? 0 : WNOHANG);
}

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
                (void) fork_kill(w->pid);
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

void fork_run(const char *name, child_function_t function, const void *context, int limit_msec) {
        _cleanup_close_ int fd = -1;
        struct pollfd ended = {.events = POLLIN};
        pid_t pid = 0;

        if (fork_child(&pid, name, STDERR_FILENO, function, context) < 0)
                return;
        ended.fd = fd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (fd >= 0)
                (void) poll(&ended, 1, limit_msec);
        fork_kill(pid);
}
