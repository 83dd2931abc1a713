/* SPDX-License-Identifier: Apache-2.0 */
#include "process/fork.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/resource.h>

#include "base/secret.h"

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

/* Bus, journal and timers of the parent are none of the child's business. */
static void close_all_but(int keep) {
        const int lowest = STDERR_FILENO + 1;

        if (keep > lowest)
                (void) close_range((unsigned) lowest, (unsigned) keep - 1, 0);
        (void) close_range((unsigned) keep + 1, ~0U, 0);
}

static _Noreturn void run(pid_t parent, const char *name, int fd, child_function_t function, const void *context) {
        sigset_t none;

        /* It must not outlive the daemon: a hanging one would hold the lock on the environment file. */
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

int fork_child(pid_t *ret, const char *name, int fd, child_function_t function, const void *context) {
        pid_t parent = getpid(), pid = fork();

        if (pid < 0)
                return negative_errno();
        if (pid == 0)
                run(parent, name, fd, function, context);
        *ret = pid;
        return 0;
}

enum {
        KILL_WAIT_MSEC = 200,
};

bool fork_kill(pid_t pid) {
        /* glibc 2.35 and older have no function for it. */
        _cleanup_close_ int fd = (int) syscall(SYS_pidfd_open, pid, 0);
        struct pollfd ended = {.fd = fd, .events = POLLIN};

        (void) kill(pid, SIGKILL);
        if (fd >= 0 && poll(&ended, 1, KILL_WAIT_MSEC) <= 0)
                return false;
        (void) waitpid(pid, NULL, fd < 0 ? 0 : WNOHANG);
        return true;
}

static int on_left_child(sd_event_source *s, const siginfo_t *si _unused_, void *userdata _unused_) {
        /* The loop holds the only reference. */
        sd_event_source_ref(s);
        (void) sd_event_source_set_floating(s, false);
        sd_event_source_disable_unref(s);
        return 0;
}

void fork_leave(sd_event *event, pid_t pid) {
        sd_event_source *s = NULL;

        (void) kill(pid, SIGKILL);
        if (sd_event_add_child(event, &s, pid, WEXITED, on_left_child, NULL) < 0) {
                (void) fork_kill(pid);
                return;
        }
        (void) sd_event_source_set_floating(s, true);
        sd_event_source_unref(s);
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
        (void) fork_kill(pid);
}
