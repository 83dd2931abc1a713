/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "credentials/helper-reaper.h"

/* In the work, which runs in the reaper: reaper_run() then returns -EPROTO. */
#define CHECK(condition)                 \
        do {                             \
                if (!(condition))        \
                        _exit(__LINE__); \
        } while (false)

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

/* Calls that fail in the reaper. */
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

/* The test and its reapers share this. */
static struct Shared {
        unsigned polls_in_vain;
        pid_t reaper;
} * shared;

int poll(struct pollfd *fds, nfds_t n, int timeout) {
        int r = ppoll(fds, n, timeout < 0 ? NULL : &(struct timespec){timeout / 1000, timeout % 1000 * 1000000L}, NULL);

        if (r == 0 && timeout > 0)
                (void) __atomic_add_fetch(&shared->polls_in_vain, 1, __ATOMIC_RELAXED);
        return r;
}

/* glibc calls this function instead if the test is built with _FORTIFY_SOURCE. */
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size _unused_);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size _unused_) {
        return poll(fds, n, timeout);
}

static uint64_t soon(void) {
        return clock_monotonic_usec() + 20 * USEC_PER_SEC;
}

static char *const path_only[] = {(char *) "PATH=/usr/bin:/bin", NULL};

static Program start(const char *script) {
        char *const arguments[] = {(char *) "sh", (char *) "-c", (char *) script, NULL};
        Program p;

        CHECK(reaper_start(arguments, path_only, &p) == 0);
        return p;
}

/* Reads a line, or "" at the end. */
static const char *hear(const Program *p) {
        struct pollfd fd = {.fd = p->out, .events = POLLIN};
        static char text[64];
        ssize_t n;

        CHECK(poll(&fd, 1, 20000) == 1);
        n = read(p->out, text, sizeof(text) - 1);
        CHECK(n >= 0);
        text[n] = 0;
        return text;
}

static int await_status(const Reaper *r, const Program *p) {
        struct pollfd fd = {.fd = r->children, .events = POLLIN};
        int status = 0;

        for (pid_t pid = 0; pid != p->pid; pid = reaper_collect(r, &status))
                if (pid == 0)
                        CHECK(poll(&fd, 1, 20000) == 1);
        return status;
}

/* A process with a session of its own may be of use to other helpers: the agent of gpg. */
static void kill_one(const Reaper *r, const void *context _unused_) {
        Program p = start("exec 3<&0; setsid cat <&3 & exec sleep 1000");
        int status;

        CHECK(write(p.in, "one\n", 4) == 4 && streq(hear(&p), "one\n"));
        CHECK(reaper_collect(r, &status) == 0);
        reaper_kill(&p);
        status = await_status(r, &p);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        CHECK(write(p.in, "two\n", 4) == 4 && streq(hear(&p), "two\n"));
}

static void test_what_goes_on_after_it_was_killed(void **state _unused_) {
        assert_int_equal(reaper_run(kill_one, NULL, soon()), 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* The rest of its group ends with a program that is killed. */
static void kill_group(const Reaper *r, const void *context _unused_) {
        Program p = start("sleep 1000 & echo runs; exec sleep 1000");

        CHECK(streq(hear(&p), "runs\n"));
        reaper_kill(&p);
        (void) await_status(r, &p);
        CHECK(streq(hear(&p), ""));
}

static void test_group_of_a_program(void **state _unused_) {
        assert_int_equal(reaper_run(kill_group, NULL, soon()), 0);
}

/* A process that waits for the end of a pipe of ours does not wait for the helper. */
static void look_at_itself(const Reaper *r, const void *context _unused_) {
        struct stat null, st;

        CHECK(stat("/dev/null", &null) == 0);
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
                CHECK(fstat(fd, &st) == 0 && (st.st_rdev == null.st_rdev || (fd == STDERR_FILENO && isatty(fd))));
        for (int fd = STDERR_FILENO + 1; fd < 1000; fd++)
                if (fd != r->caller && fd != r->children && fcntl(fd, F_GETFD) >= 0)
                        CHECK(fstat(fd, &st) == 0 && st.st_rdev == null.st_rdev);
        CHECK(getpgrp() == getpid());
}

static void test_holds_none_of_our_pipes(void **state _unused_) {
        static const int closed[] = {-1, STDIN_FILENO, STDERR_FILENO};

        for (size_t i = 0; i < ELEMENTSOF(closed); i++) {
                int saved = closed[i] < 0 ? -1 : fcntl(closed[i], F_DUPFD_CLOEXEC, 0), ends[2], r;

                if (saved >= 0)
                        (void) close(closed[i]);
                assert_int_equal(pipe(ends), 0);
                r = reaper_run(look_at_itself, NULL, soon());
                (void) close(ends[0]);
                (void) close(ends[1]);
                if (saved >= 0) {
                        assert_int_equal(dup2(saved, closed[i]), closed[i]);
                        (void) close(saved);
                }
                assert_int_equal(r, 0);
        }
}

/* People see what it is. */
static void read_its_name(const Reaper *r _unused_, const void *context _unused_) {
        char name[16] = "";

        CHECK(prctl(PR_GET_NAME, name) == 0 && streq(name, "ecs-authd-reap"));
}

static void test_name(void **state _unused_) {
        assert_int_equal(reaper_run(read_its_name, NULL, soon()), 0);
}

/* Opens the pipe, which the program holds open until it runs, or does not. */
static void be_killed(const Reaper *r _unused_, const void *context) {
        const char *const *paths = context;

        CHECK(open(paths[0], O_WRONLY | O_CLOEXEC) >= 0);
        (void) start(paths[1]);
        (void) pause();
}

static void test_does_not_run_without_its_reaper(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "pipe"), *ran = unit_path(*state, "ran"), *script = NULL;
        const char *paths[2] = {path};
        char byte;
        int fd;

        assert_true(asprintf(&script, "> %s", ran) > 0);
        paths[1] = script;
        assert_int_equal(mkfifo(path, 0600), 0);
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(fd >= 0 && fcntl(fd, F_SETFL, 0) == 0);
        reaper_dies_early = true;
        assert_int_equal(reaper_run(be_killed, paths, soon()), -EPROTO);
        reaper_dies_early = false;
        assert_int_equal(read(fd, &byte, 1), 0);
        (void) close(fd);
        assert_int_equal(access(ran, F_OK), -1);
}

/* The reaper blocks all of them. A shell would change that by itself. */
static void read_blocked_signals(const Reaper *r _unused_, const void *context _unused_) {
        char *const arguments[] = {(char *) "grep", (char *) "^SigBlk", (char *) "/proc/self/status", NULL};
        Program p;

        CHECK(reaper_start(arguments, path_only, &p) == 0 && streq(hear(&p), "SigBlk:\t0000000000000000\n"));
}

static void test_program_blocks_no_signal(void **state _unused_) {
        assert_int_equal(reaper_run(read_blocked_signals, NULL, soon()), 0);
}

static void exit_with_seven(const Reaper *r, const void *context _unused_) {
        Program p = start("exit 7");
        int status = await_status(r, &p);

        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7 && reaper_collect(r, &status) == -ECHILD);
}

/* A process that ignores its children has no status of them. */
static void test_status_where_children_are_ignored(void **state _unused_) {
        assert_true(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
        assert_int_equal(reaper_run(exit_with_seven, NULL, soon()), 0);
        assert_true(signal(SIGCHLD, SIG_DFL) != SIG_ERR);
}

static void leave_one(const Reaper *r _unused_, const void *context _unused_) {
        Program p = start("echo runs; exec sleep 1000");

        CHECK(streq(hear(&p), "runs\n"));
}

/* The reaper sees the end of the processes that it has killed, and sits out no pause. */
static void test_sees_the_end_at_once(void **state _unused_) {
        enum { TIMES = 5 };

        shared->polls_in_vain = 0;
        for (unsigned i = 0; i < TIMES; i++)
                assert_int_equal(reaper_run(leave_one, NULL, soon()), 0);
        assert_true(shared->polls_in_vain < TIMES); /* the machine may be busy */
}

static void stop(const Reaper *r _unused_, const void *context) {
        const bool *done = context;

        (void) start("exec sleep 1000");
        shared->reaper = getpid();
        if (*done)
                CHECK(send(r->caller, "", 1, 0) == 1);
        (void) raise(SIGSTOP);
}

/* As a reaper that waits for a process that hangs in the kernel: a second after the work, or after its time limit, we
 * go on. */
static void test_end_that_takes_long(void **state _unused_) {
        static const bool table[] = {false, true};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                uint64_t before = clock_monotonic_usec(), limit = table[i] ? 20 * USEC_PER_SEC : USEC_PER_SEC / 5;

                assert_int_equal(reaper_run(stop, &table[i], before + limit), table[i] ? 0 : -ETIMEDOUT);
                unit_assert_in_range(clock_monotonic_usec() - before, 900 * USEC_PER_MSEC, 3000 * USEC_PER_MSEC);
                assert_int_equal(waitpid(shared->reaper, NULL, WNOHANG), 0);
                assert_int_equal(kill(shared->reaper, SIGCONT), 0);
                assert_int_equal(waitpid(shared->reaper, NULL, 0), shared->reaper);
        }
}

static void work_until_given_up(const Reaper *r, const void *context _unused_) {
        struct pollfd p = {.fd = r->caller, .events = POLLRDHUP};

        (void) start("exec sleep 1000");
        CHECK(poll(&p, 1, 20000) == 1);
}

/* A reaper that is late, and does not hang, is told to end, and nothing of it is left. */
static void test_late_work(void **state _unused_) {
        assert_int_equal(reaper_run(work_until_given_up, NULL, clock_monotonic_usec() + 100 * USEC_PER_MSEC),
                         -ETIMEDOUT);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* A reaper has all of its files, or leaves nothing behind. */
static void test_no_file_left(void **state _unused_) {
        const unsigned before = unit_count_open_files();
        int lowest = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0), e;
        struct rlimit usual, tight;

        assert_true(lowest >= 0);
        (void) close(lowest);
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
        tight = usual;
        tight.rlim_cur = (rlim_t) lowest;
        do {
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
                e = reaper_run(exit_with_seven, NULL, soon());
                assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
                assert_true(e == 0 || e == -EMFILE || e == -EPROTO);
                assert_int_equal(unit_count_open_files(), before);
                tight.rlim_cur++;
        } while (e < 0);
}

static void start_in_vain(const Reaper *r _unused_, const void *context _unused_) {
        char *const arguments[] = {(char *) "true", NULL};
        const unsigned before = unit_count_open_files();
        Program p;

        CHECK(reaper_start(arguments, path_only, &p) == -EAGAIN && unit_count_open_files() == before);
}

static void test_no_more_processes(void **state _unused_) {
        const unsigned before = unit_count_open_files();

        n_forks = 0;
        assert_int_equal(reaper_run(exit_with_seven, NULL, soon()), -EAGAIN);
        assert_int_equal(unit_count_open_files(), before);
        n_forks = 1; /* for the reaper alone */
        assert_int_equal(reaper_run(start_in_vain, NULL, soon()), 0);
        n_forks = UINT_MAX;
        assert_int_equal(unit_count_open_files(), before);
}

/* A reaper that would not see the end of its programs starts none. */
static void test_reaper_that_cannot_watch(void **state _unused_) {
        no_signalfd = true;
        assert_int_equal(reaper_run(exit_with_seven, NULL, soon()), -EPROTO);
        no_signalfd = false;
}

/* A reaper does nothing rather than hold a pipe of ours open. */
static void test_reaper_that_cannot_close(void **state _unused_) {
        static const int numbers[] = {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO + 1};

        for (size_t i = 0; i < ELEMENTSOF(numbers); i++) {
                no_dup2_to = numbers[i];
                assert_int_equal(reaper_run(exit_with_seven, NULL, soon()), -EPROTO);
                no_dup2_to = -1;
        }
}

static int set_up(void **state _unused_) {
        test = getpid();
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        return shared == MAP_FAILED ? -1 : 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_goes_on_after_it_was_killed),
                cmocka_unit_test(test_group_of_a_program),
                cmocka_unit_test(test_holds_none_of_our_pipes),
                cmocka_unit_test(test_name),
                cmocka_unit_test_setup_teardown(test_does_not_run_without_its_reaper, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test(test_program_blocks_no_signal),
                cmocka_unit_test(test_status_where_children_are_ignored),
                cmocka_unit_test(test_sees_the_end_at_once),
                cmocka_unit_test(test_end_that_takes_long),
                cmocka_unit_test(test_late_work),
                cmocka_unit_test(test_no_file_left),
                cmocka_unit_test(test_no_more_processes),
                cmocka_unit_test(test_reaper_that_cannot_watch),
                cmocka_unit_test(test_reaper_that_cannot_close),
        };

        return cmocka_run_group_tests_name("helper-reaper", tests, set_up, NULL);
}
