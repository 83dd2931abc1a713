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
        END_WAIT_MSEC = 1000,
        LOOK_AGAIN_MSEC = 20,
};

/* The pipes and the socket between us and the two processes: [0] is our end. */
typedef struct Lines {
        int control[2], in[2], out[2];
} Lines;

/* What bounds us is not meant for it: Go and Python programs reserve much. */
static void unbound_memory(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_DATA, &limit) >= 0) {
                limit.rlim_cur = limit.rlim_max;
                (void) setrlimit(RLIMIT_DATA, &limit);
        }
}

static int direct_stderr(void) {
        int null;

        if (isatty(STDERR_FILENO)) {
                /* A process of the background that writes to its terminal may be stopped for it ("stty tostop"). */
                (void) signal(SIGTTOU, SIG_IGN);
                return 0;
        }
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        return null < 0 ? null : dup2(null, STDERR_FILENO);
}

static _Noreturn void run_program(const Lines *l, pid_t reaper, char *const *arguments, char *const *environment) {
        sigset_t none;

        /* A group of its own, so that no signal for it reaches others, and the other way round. */
        (void) setpgid(0, 0);
        /* Were the reaper killed, it at least would end. */
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || getppid() != reaper)
                _exit(REAPER_EXIT_NOT_RUN);
        unbound_memory();
        for (int s = 1; s < NSIG; s++)
                (void) signal(s, SIG_DFL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);

        if (dup2(l->in[1], STDIN_FILENO) < 0 || dup2(l->out[1], STDOUT_FILENO) < 0 || direct_stderr() < 0)
                _exit(REAPER_EXIT_NOT_RUN);
        (void) close_range(STDERR_FILENO + 1, ~0U, 0);

        environ = (char **) environment; /* its PATH is where execvp(3) looks */
        (void) execvp(arguments[0], arguments);
        _exit(errno == ENOENT ? REAPER_EXIT_NOT_FOUND : REAPER_EXIT_NOT_RUN);
}

/* The reaper's own children: the program, and whatever below it has lost its parent. */
static void kill_children(void) {
        _cleanup_fclose_ FILE *f = fopen("/proc/thread-self/children", "re");
        char word[32];

        while (f && fscanf(f, "%31s", word) == 1) {
                pid_t pid = (pid_t) strtol(word, NULL, 10);

                if (pid > 1)
                        (void) kill(pid, SIGKILL);
        }
}

/* Collects children that have ended, and tells of the program when it is among them. False: there are no others. */
static bool reap(int control, pid_t program) {
        int status;
        pid_t pid;

        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                if (pid == program)
                        (void) send(control, &status, sizeof(status), MSG_NOSIGNAL);
        return pid == 0 || errno != ECHILD;
}

/* One each time: whoever sends more without an end does not keep us from the rest. */
static void drain(int fd) {
        struct signalfd_siginfo si;

        (void) !read(fd, &si, sizeof(si));
}

/* Whoever loses its parent by this comes to us, and is next. */
static void end_all(int control, int children, pid_t program) {
        struct pollfd fd = {.fd = children, .events = POLLIN};

        (void) kill(-program, SIGKILL);
        do {
                kill_children();
                (void) poll(&fd, 1, LOOK_AGAIN_MSEC);
                drain(children);
        } while (reap(control, program));
}

static void watch(int control, int children, pid_t program) {
        struct pollfd fds[] = {{.fd = control, .events = POLLIN}, {.fd = children, .events = POLLIN}};

        while (reap(control, program)) {
                char word;

                if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
                        break;
                drain(children);
                if (fds[0].revents == 0)
                        continue;
                if (recv(control, &word, 1, 0) <= 0)
                        break; /* the other end is done with it, or gone */
                (void) kill(program, SIGKILL);
                (void) kill(-program, SIGKILL);
        }
        end_all(control, children, program);
}

/* Keeps nothing open but the two: a pipe held here would never seem to end to others. */
static bool close_all_but(int *a, int *b) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        const int low = STDERR_FILENO + 1;

        for (int fd = 0; fd < low; fd++)
                if (null >= 0 && null != fd && dup2(null, fd) < 0)
                        return false;
        /* Out of the way first: it may stand in the place of the other. */
        *b = fcntl(*b, F_DUPFD_CLOEXEC, low + 2);
        if (dup2(*a, low) < 0 || dup2(*b, low + 1) < 0)
                return false;
        *a = low;
        *b = low + 1;
        return close_range((unsigned) low + 2, ~0U, 0) == 0;
}

static _Noreturn void run_reaper(const Lines *l, char *const *arguments, char *const *environment) {
        int control = l->control[1], children;
        sigset_t all;
        pid_t self = getpid(), program;

        (void) prctl(PR_SET_NAME, "ecs-authd-reap");
        (void) setpgid(0, 0);
        /* It ends when its work is done, and by no signal that is meant for others. The program starts with none
         * blocked. */
        (void) sigfillset(&all);
        (void) sigprocmask(SIG_SETMASK, &all, NULL);
        (void) signal(SIGCHLD, SIG_DFL);
        /* SIGCHLD is what it waits for; with any other it only looks once more. */
        children = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
        if (children < 0 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
                _exit(EXIT_FAILURE);

        program = fork();
        if (program < 0)
                _exit(EXIT_FAILURE);
        if (program == 0)
                run_program(l, self, arguments, environment);

        (void) setpgid(program, program); /* both sides: whoever comes first */
        if (close_all_but(&control, &children))
                watch(control, children, program);
        else
                end_all(control, children, program);
        _exit(EXIT_SUCCESS);
}

static int open_lines(Lines *l) {
        int in[2];

        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l->control) < 0 || pipe2(in, O_CLOEXEC) < 0)
                return negative_errno();
        l->in[0] = in[1];
        l->in[1] = in[0];
        if (pipe2(l->out, O_CLOEXEC) < 0 || fcntl(l->in[0], F_SETFL, O_NONBLOCK) < 0 ||
            fcntl(l->out[0], F_SETFL, O_NONBLOCK) < 0)
                return negative_errno();
        return 0;
}

static void close_lines(const Lines *l, unsigned end) {
        const int fds[] = {l->control[end], l->in[end], l->out[end]};

        for (size_t i = 0; i < ELEMENTSOF(fds); i++)
                if (fds[i] >= 0)
                        (void) close(fds[i]);
}

int reaper_start(char *const *arguments, char *const *environment, Reaper *ret) {
        Lines l = {{-1, -1}, {-1, -1}, {-1, -1}};
        pid_t pid = -1;
        int r;

        r = open_lines(&l);
        if (r >= 0) {
                pid = fork();
                r = pid < 0 ? negative_errno() : 0;
        }
        if (pid == 0)
                run_reaper(&l, arguments, environment);

        close_lines(&l, 1);
        if (r < 0) {
                close_lines(&l, 0);
                return r;
        }
        *ret = (Reaper){.pid = pid, .control = l.control[0], .in = l.in[0], .out = l.out[0]};
        return 0;
}

int reaper_status(Reaper *g, int *ret_status) {
        int status;
        ssize_t n = recv(g->control, &status, sizeof(status), MSG_DONTWAIT);

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECHILD;
        if (n != sizeof(status))
                return -ECHILD;
        *ret_status = status;
        return 0;
}

void reaper_kill(const Reaper *g) {
        (void) send(g->control, "", 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int64_t now_msec(void) {
        return clock_usec(CLOCK_MONOTONIC) / 1000;
}

/* True: it has ended. */
static bool wait_for_end(const Reaper *g, int64_t until) {
        struct pollfd fd = {.fd = g->control, .events = POLLIN};

        for (;;) {
                int64_t left = until - now_msec();
                int status;

                if (poll(&fd, 1, left > 0 ? (int) left : 0) == 0)
                        return false;
                if (fd.revents != 0 && recv(g->control, &status, sizeof(status), MSG_DONTWAIT) <= 0)
                        return true;
        }
}

static void reaper_close(Reaper *g) {
        (void) close(g->control);
        closep(&g->in);
        closep(&g->out);
        *g = REAPER_NONE;
}

bool reaper_has_ended(Reaper *g) {
        if (!wait_for_end(g, 0))
                return false;
        (void) waitpid(g->pid, NULL, 0);
        reaper_close(g);
        return true;
}

void reaper_end(Reaper *reapers, size_t n) {
        const int64_t until = now_msec() + END_WAIT_MSEC;

        for (size_t i = 0; i < n; i++)
                if (reapers[i].pid > 0)
                        (void) shutdown(reapers[i].control, SHUT_WR);

        for (size_t i = 0; i < n; i++) {
                Reaper *g = &reapers[i];

                if (g->pid <= 0)
                        continue;
                if (wait_for_end(g, until))
                        (void) waitpid(g->pid, NULL, 0);
                reaper_close(g);
        }
}
