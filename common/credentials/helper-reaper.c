/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/helper-reaper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/clock.h"

enum {
        POLL_MAX_MSEC = 3600 * 1000, /* a timeout of years does not fit an int */
        KILL_AGAIN_MSEC = 20,
};

#define END_WAIT_USEC (1 * USEC_PER_SEC)

/* --- the programs --- */

/* Our own bound is not meant for the program: Go and Python programs reserve much. */
static void unbound_memory(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_DATA, &limit) >= 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_DATA, &limit);
        }
}

static void reset_signals(void) {
        sigset_t none;

        for (int s = 1; s < NSIG; s++)
                (void) signal(s, SIG_DFL);
        /* The terminal may stop a background process that writes to it ("stty tostop"). */
        if (isatty(STDERR_FILENO))
                (void) signal(SIGTTOU, SIG_IGN);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_program(int in, int out, pid_t reaper, char *const *arguments, char *const *environment) {
        /* A group of its own, so that no signal for it reaches others, and the other way round. */
        (void) setpgid(0, 0);
        /* If the reaper is killed, at least the program ends. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != reaper)
                _exit(REAPER_EXIT_NOT_RUN);
        unbound_memory();
        reset_signals();

        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
                _exit(REAPER_EXIT_NOT_RUN);
        (void) close_range(STDERR_FILENO + 1, ~0U, 0);

        environ = (char **) environment; /* its PATH is where execvp(3) looks */
        (void) execvp(arguments[0], arguments);
        _exit(errno == ENOENT ? REAPER_EXIT_NOT_FOUND : REAPER_EXIT_NOT_RUN);
}

int reaper_start(char *const *arguments, char *const *environment, Program *ret) {
        _cleanup_close_ int in = -1, their_in = -1, out = -1, their_out = -1;
        pid_t self = getpid(), pid;
        int fds[2];

        if (pipe2(fds, O_CLOEXEC) < 0)
                return negative_errno();
        their_in = fds[0];
        in = fds[1];
        if (pipe2(fds, O_CLOEXEC) < 0)
                return negative_errno();
        out = fds[0];
        their_out = fds[1];
        if (fcntl(in, F_SETFL, O_NONBLOCK) < 0 || fcntl(out, F_SETFL, O_NONBLOCK) < 0)
                return negative_errno();

        pid = fork();
        if (pid < 0)
                return negative_errno();
        if (pid == 0)
                run_program(their_in, their_out, self, arguments, environment);
        (void) setpgid(pid, pid); /* parent and child both call it: either may run first */
        *ret = (Program){.pid = pid, .in = steal_fd(&in), .out = steal_fd(&out)};
        return 0;
}

pid_t reaper_collect(const Reaper *r, int *ret_status) {
        struct signalfd_siginfo si;
        pid_t pid;

        /* Before waitpid(2): a child that ends after that makes it readable again. */
        (void) !read(r->children, &si, sizeof(si));
        pid = waitpid(-1, ret_status, WNOHANG);
        return pid < 0 ? negative_errno() : pid;
}

void reaper_kill(const Program *p) {
        (void) kill(p->pid, SIGKILL);
        (void) kill(-p->pid, SIGKILL);
}

/* --- the reaper --- */

/* The reaper's own children: the programs, and every process below them that has lost its parent. */
static void kill_children(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/thread-self/children", "re");
        char word[32];

        while (f && fscanf(f, "%31s", word) == 1) {
                pid_t pid = (pid_t) strtol(word, NULL, 10);

                if (pid > 1)
                        (void) kill(pid, SIGKILL);
        }
}

/* A process that loses its parent by this becomes our child, and is killed next. */
static void kill_all(const Reaper *r) {
        struct pollfd p = {.fd = r->children, .events = POLLIN};
        pid_t pid;
        int status;

        for (;;) {
                kill_children();
                while ((pid = reaper_collect(r, &status)) > 0)
                        ;
                if (pid < 0)
                        return;
                (void) poll(&p, 1, KILL_AGAIN_MSEC);
        }
}

/* Keeps only the stream to the caller and the terminal open: a pipe held here would never seem to end to others. */
static int close_files(int caller) {
        const int low = STDERR_FILENO + 1;
        int null;

        if (dup2(caller, low) < 0 || close_range((unsigned) low + 1, ~0U, 0) < 0)
                return negative_errno();
        null = open("/dev/null", O_RDWR); /* NOLINT(android-cloexec-open): it may be one of the three */
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0)
                return negative_errno();
        if (!isatty(STDERR_FILENO) && dup2(null, STDERR_FILENO) < 0)
                return negative_errno();
        return low;
}

static int set_up(int caller, Reaper *ret) {
        sigset_t all, ended;

        (void) prctl(PR_SET_NAME, "ecs-authd-reap");
        (void) setpgid(0, 0);
        /* Ends when the work is done, and ignores signals that are meant for other processes. */
        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        (void) signal(SIGCHLD, SIG_DFL);
        (void) sigemptyset(&ended);
        (void) sigaddset(&ended, SIGCHLD);

        ret->caller = close_files(caller);
        if (ret->caller < 0)
                return ret->caller;
        ret->children = signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
        if (ret->children < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                return negative_errno();
        return 0;
}

static _Noreturn void run_reaper(int caller, reaper_work_t work, const void *context) {
        Reaper r;

        if (set_up(caller, &r) < 0)
                _exit(EXIT_FAILURE);
        work(&r, context);
        (void) send(r.caller, "", 1, MSG_NOSIGNAL);
        kill_all(&r);
        _exit(EXIT_SUCCESS);
}

/* --- the caller --- */

/* Returns 1: the reaper has done its work; 0: it has exited. -ETIMEDOUT: neither came until deadline_usec. */
static int hear(int fd, uint64_t deadline_usec) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        uint64_t now;
        char byte;

        while ((now = clock_monotonic_usec()) < deadline_usec) {
                const uint64_t left = (deadline_usec - now) / USEC_PER_MSEC + 1;

                if (poll(&p, 1, left < POLL_MAX_MSEC ? (int) left : POLL_MAX_MSEC) > 0)
                        return recv(fd, &byte, 1, 0) > 0 ? 1 : 0;
        }
        return -ETIMEDOUT;
}

int reaper_run(reaper_work_t work, const void *context, uint64_t deadline_usec) {
        _cleanup_close_ int ours = -1, theirs = -1;
        int fds[2], r, end;
        pid_t pid;

        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
                return negative_errno();
        ours = fds[0];
        theirs = fds[1];
        pid = fork();
        if (pid < 0)
                return negative_errno();
        if (pid == 0)
                run_reaper(theirs, work, context);
        (void) close(steal_fd(&theirs));

        r = hear(ours, deadline_usec);
        (void) shutdown(ours, SHUT_WR);
        deadline_usec = clock_monotonic_usec() + END_WAIT_USEC;
        do
                end = hear(ours, deadline_usec);
        while (end > 0);
        if (end == 0)
                (void) waitpid(pid, NULL, 0);
        return r == 0 ? -EPROTO : r < 0 ? r : 0;
}
