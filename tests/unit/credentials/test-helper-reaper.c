/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "credentials/helper-reaper.h"

/* The reaper is killed before the program has asked to be told of it. */
static bool reaper_dies_early;

int prctl(int option, ...) {
        unsigned long argument;
        va_list arguments;

        va_start(arguments, option);
        argument = va_arg(arguments, unsigned long);
        va_end(arguments);
        if (option == PR_SET_PDEATHSIG && reaper_dies_early) {
                pid_t reaper = getppid();

                (void) kill(reaper, SIGKILL);
                while (getppid() == reaper)
                        (void) sched_yield();
        }
        return (int) syscall(SYS_prctl, option, argument, 0, 0, 0);
}

/* How many more processes there may be. */
static unsigned n_forks = UINT_MAX;

pid_t fork(void) {
        pid_t (*next)(void) = (pid_t(*)(void)) dlsym(RTLD_NEXT, "fork");

        if (n_forks == 0) {
                errno = EAGAIN;
                return -1;
        }
        n_forks--;
        return next();
}

/* What a reaper cannot have. */
static bool no_signalfd;
static int no_dup2_to = -1;
static pid_t test;

int signalfd(int fd, const sigset_t *signals, int flags) {
        if (no_signalfd) {
                errno = ENFILE;
                return -1;
        }
        return (int) syscall(SYS_signalfd4, fd, signals, _NSIG / 8, flags);
}

int dup2(int from, int to) {
        if (to == no_dup2_to && getppid() == test) {
                errno = EBUSY;
                return -1;
        }
        return from == to ? to : dup3(from, to, 0);
}

/* So many times a signal comes before anything else. */
static unsigned n_signals;

/* Of all reapers, and ours. */
static struct { unsigned all, in_vain; } * looks;

int poll(struct pollfd *fds, nfds_t n, int timeout) {
        int r;

        if (looks)
                (void) __atomic_add_fetch(&looks->all, 1, __ATOMIC_RELAXED);
        if (n_signals > 0) {
                n_signals--;
                errno = EINTR;
                return -1;
        }
        r = ppoll(fds, n, timeout < 0 ? NULL : &(struct timespec){timeout / 1000, timeout % 1000 * 1000000L}, NULL);
        if (looks && r == 0 && timeout > 0)
                (void) __atomic_add_fetch(&looks->in_vain, 1, __ATOMIC_RELAXED);
        return r;
}

static char *const path_only[] = {(char *) "PATH=/usr/bin:/bin", NULL};

static int start(const char *script, Reaper *ret) {
        char *const arguments[] = {(char *) "sh", (char *) "-c", (char *) script, NULL};

        return reaper_start(arguments, path_only, ret);
}

/* As much as there is room for in a line; "": the end. */
static const char *hear(const Reaper *r) {
        struct pollfd p = {.fd = r->out, .events = POLLIN};
        static char text[64];
        ssize_t n;

        assert_int_equal(poll(&p, 1, 20000), 1);
        n = read(r->out, text, sizeof(text) - 1);
        assert_true(n >= 0);
        text[n] = 0;
        return text;
}

static int await_status(Reaper *r, int *ret_status) {
        struct pollfd p = {.fd = r->control, .events = POLLIN};

        assert_int_equal(poll(&p, 1, 20000), 1);
        errno = EAGAIN; /* of an earlier call */
        return reaper_status(r, ret_status);
}

/* What it has started, and has a session of its own, may be of use to others. */
static void test_what_goes_on_after_it_was_killed(void **state _unused_) {
        Reaper r;
        int status = 0;

        assert_int_equal(start("exec 3<&0; setsid cat <&3 & exec sleep 1000", &r), 0);
        assert_int_equal(write(r.in, "one\n", 4), 4);
        assert_string_equal(hear(&r), "one\n");
        assert_int_equal(reaper_status(&r, &status), -EAGAIN);
        reaper_kill(&r);
        assert_int_equal(await_status(&r, &status), 0);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        assert_int_equal(write(r.in, "two\n", 4), 4);
        assert_string_equal(hear(&r), "two\n");
        reaper_end(&r, 1);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(r.pid, 0);
}

/* Whoever waits for the end of a pipe of ours does not wait for the helper. */
static void test_holds_none_of_our_pipes(void **state _unused_) {
        int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), ends[2];
        struct pollfd p = {0};
        char name[64];
        Reaper r;

        assert_true(saved >= 0);
        assert_int_equal(pipe(ends), 0);
        assert_int_equal(dup2(ends[1], STDIN_FILENO), STDIN_FILENO);
        assert_int_equal(start("exec sleep 1000", &r), 0);
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        (void) close(ends[1]);

        p.fd = ends[0];
        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_int_equal(p.revents, POLLHUP);
        assert_int_equal(getpgid(r.pid), r.pid);
        /* And people see what it is. */
        (void) snprintf(name, sizeof(name), "/proc/%d/comm", (int) r.pid);
        unit_assert_file(name, "ecs-authd-reap\n");
        reaper_end(&r, 1);
        (void) close(ends[0]);
        (void) close(saved);
}

static void test_does_not_run_without_its_reaper(void **state _unused_) {
        int status = 0;
        Reaper r;

        reaper_dies_early = true;
        assert_int_equal(start("echo runs", &r), 0);
        reaper_dies_early = false;
        assert_string_equal(hear(&r), "");
        assert_int_equal(await_status(&r, &status), -ECHILD);
        reaper_end(&r, 1);
}

/* The reaper blocks all of them. A shell would change that by itself. */
static void test_program_blocks_no_signal(void **state _unused_) {
        char *const arguments[] = {(char *) "grep", (char *) "^SigBlk", (char *) "/proc/self/status", NULL};
        Reaper r;

        assert_int_equal(reaper_start(arguments, path_only, &r), 0);
        assert_string_equal(hear(&r), "SigBlk:\t0000000000000000\n");
        reaper_end(&r, 1);
}

/* Whoever ignores its children has no status of them. */
static void test_status_where_children_are_ignored(void **state _unused_) {
        int status = 0;
        Reaper r;

        assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        assert_int_equal(start("exit 7", &r), 0);
        assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
        assert_int_equal(await_status(&r, &status), 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
        reaper_end(&r, 1);
}

/* It looks when something has happened, and not all the time; here, while others come and go. */
static void test_rests_meanwhile(void **state _unused_) {
        Reaper r, other;
        int status = 0;

        looks->all = 0;
        assert_int_equal(start("exec sleep 1000", &r), 0);
        while (__atomic_load_n(&looks->all, __ATOMIC_RELAXED) == 0)
                (void) sched_yield();
        for (unsigned i = 0; i < 3; i++) {
                assert_int_equal(start("exit 0", &other), 0);
                assert_int_equal(await_status(&other, &status), 0);
                reaper_end(&other, 1);
        }
        unit_assert_in_range(looks->all, 1, 100);
        reaper_end(&r, 1);
}

/* Nor does it sit out a pause when those that it has killed have ended. */
static void test_sees_the_end_at_once(void **state _unused_) {
        enum { TIMES = 5 };

        looks->in_vain = 0;
        for (unsigned i = 0; i < TIMES; i++) {
                Reaper r;

                assert_int_equal(start("echo runs; exec sleep 1000", &r), 0);
                assert_string_equal(hear(&r), "runs\n");
                reaper_end(&r, 1);
        }
        assert_true(looks->in_vain < TIMES); /* the machine may be busy */
}

/* As one that hangs in the kernel: nobody waits for it for long, however many there are, and whatever signals come. */
static void test_end_that_takes_long(void **state _unused_) {
        Reaper reapers[3];
        pid_t pids[ELEMENTSOF(reapers)];
        int64_t before;

        for (size_t i = 0; i < ELEMENTSOF(reapers); i++) {
                assert_int_equal(start("echo runs; exec sleep 1000", &reapers[i]), 0);
                assert_string_equal(hear(&reapers[i]), "runs\n");
                pids[i] = reapers[i].pid;
                assert_int_equal(kill(pids[i], SIGSTOP), 0);
        }
        before = clock_usec(CLOCK_MONOTONIC);
        n_signals = 1;
        reaper_end(reapers, ELEMENTSOF(reapers));
        unit_assert_in_range(clock_usec(CLOCK_MONOTONIC) - before, 900 * USEC_PER_MSEC, 2500 * USEC_PER_MSEC);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                assert_int_equal(waitpid(pids[i], NULL, WNOHANG), 0);
                assert_int_equal(kill(pids[i], SIGCONT), 0);
                assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
        }
}

/* It is none of ours that stands there. */
static void test_end_of_one_that_has_not_begun(void **state _unused_) {
        int saved = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), ends[2];
        Reaper none = {0};

        assert_true(saved >= 0);
        assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
        assert_int_equal(dup2(ends[1], STDIN_FILENO), STDIN_FILENO);
        reaper_end(&none, 1);
        assert_int_equal(write(STDIN_FILENO, "x", 1), 1);
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        (void) close(saved);
        (void) close(ends[0]);
        (void) close(ends[1]);
}

/* It starts with all of its pipes, or leaves nothing behind. */
static void test_no_file_left(void **state _unused_) {
        const unsigned before = unit_count_open_files();
        int lowest = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), e;
        struct rlimit usual, tight;
        Reaper r = REAPER_NONE;

        assert_true(lowest >= 0);
        (void) close(lowest);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
        tight = usual;
        tight.rlim_cur = (rlim_t) lowest;
        do {
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
                e = start("exit 0", &r);
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
                if (e < 0) {
                        assert_int_equal(e, -EMFILE);
                        assert_int_equal(unit_count_open_files(), before);
                }
                tight.rlim_cur++;
        } while (e < 0);
        assert_true(r.control >= 0 && r.in >= 0 && r.out >= 0);
        reaper_end(&r, 1);
        assert_int_equal(unit_count_open_files(), before);
}

static void test_no_more_processes(void **state _unused_) {
        const unsigned before = unit_count_open_files();
        int status = 0;
        Reaper r;

        n_forks = 0;
        assert_int_equal(start("exit 0", &r), -EAGAIN);
        assert_int_equal(unit_count_open_files(), before);
        n_forks = 1; /* for the reaper alone */
        assert_int_equal(start("exit 0", &r), 0);
        n_forks = UINT_MAX;
        assert_int_equal(await_status(&r, &status), -ECHILD);
        reaper_end(&r, 1);
        assert_int_equal(unit_count_open_files(), before);
}

/* One that would not see the end of its program does not let it begin. */
static void test_reaper_that_cannot_watch(void **state _unused_) {
        int status = 0;
        Reaper r;

        no_signalfd = true;
        assert_int_equal(start("exec sleep 1000", &r), 0);
        assert_int_equal(await_status(&r, &status), -ECHILD);
        no_signalfd = false;
        reaper_end(&r, 1);
}

/* It ends its program rather than hold a pipe of ours open: standard input, and the two that it moves. */
static void test_reaper_that_cannot_close(void **state _unused_) {
        static const int numbers[] = {STDIN_FILENO, STDERR_FILENO + 1, STDERR_FILENO + 2};

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                int status = 0;
                Reaper r;

                no_dup2_to = numbers[i];
                assert_int_equal(start("exec sleep 1000", &r), 0);
                assert_int_equal(await_status(&r, &status), 0);
                no_dup2_to = -1;
                assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
                reaper_end(&r, 1);
        }
}

static int set_up(void **state _unused_) {
        test = getpid();
        looks = mmap(NULL, sizeof(*looks), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return looks == MAP_FAILED || signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_goes_on_after_it_was_killed),
                cmocka_unit_test(test_holds_none_of_our_pipes),
                cmocka_unit_test(test_does_not_run_without_its_reaper),
                cmocka_unit_test(test_program_blocks_no_signal),
                cmocka_unit_test(test_status_where_children_are_ignored),
                cmocka_unit_test(test_rests_meanwhile),
                cmocka_unit_test(test_sees_the_end_at_once),
                cmocka_unit_test(test_end_that_takes_long),
                cmocka_unit_test(test_end_of_one_that_has_not_begun),
                cmocka_unit_test(test_no_file_left),
                cmocka_unit_test(test_no_more_processes),
                cmocka_unit_test(test_reaper_that_cannot_watch),
                cmocka_unit_test(test_reaper_that_cannot_close),
        };

        return cmocka_run_group_tests_name("helper-reaper", tests, set_up, NULL);
}
