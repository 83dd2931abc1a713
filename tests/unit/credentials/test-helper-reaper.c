/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

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

static int start(const char *script, Reaper *ret) {
        char *const arguments[] = {(char *) "sh", (char *) "-c", (char *) script, NULL},
                    *const environment[] = {(char *) "PATH=/usr/bin:/bin", NULL};

        return reaper_start(arguments, environment, ret);
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

static int await_status(Reaper *r) {
        struct pollfd p = {.fd = r->control, .events = POLLIN};
        int status = 0;

        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_int_equal(reaper_status(r, &status), 0);
        return status;
}

/* What it has started, and has a session of its own, may be of use to others. */
static void test_what_goes_on_after_it_was_killed(void **state _unused_) {
        Reaper r;
        int status;

        assert_int_equal(start("exec 3<&0; setsid cat <&3 & exec sleep 1000", &r), 0);
        assert_int_equal(write(r.in, "one\n", 4), 4);
        assert_string_equal(hear(&r), "one\n");
        reaper_kill(&r);
        status = await_status(&r);
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
        /* And people see what it is. */
        (void) snprintf(name, sizeof(name), "/proc/%d/comm", (int) r.pid);
        unit_assert_file(name, "ecs-authd-reap\n");
        reaper_end(&r, 1);
        (void) close(ends[0]);
        (void) close(saved);
}

static void test_does_not_run_without_its_reaper(void **state _unused_) {
        Reaper r;

        reaper_dies_early = true;
        assert_int_equal(start("echo runs", &r), 0);
        reaper_dies_early = false;
        assert_string_equal(hear(&r), "");
        reaper_end(&r, 1);
}

static unsigned count_open_files(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void) closedir(d);
        return n;
}

/* It starts with all of its pipes, or leaves nothing behind. */
static void test_no_file_left(void **state _unused_) {
        const unsigned before = count_open_files();
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
                        assert_int_equal(count_open_files(), before);
                }
                tight.rlim_cur++;
        } while (e < 0);
        assert_true(r.control >= 0 && r.in >= 0 && r.out >= 0 && r.err >= 0);
        reaper_end(&r, 1);
        assert_int_equal(count_open_files(), before);
}

static int set_up(void **state _unused_) {
        return signal(SIGPIPE, SIG_IGN) == SIG_ERR ? -1 : 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_goes_on_after_it_was_killed),
                cmocka_unit_test(test_holds_none_of_our_pipes),
                cmocka_unit_test(test_does_not_run_without_its_reaper),
                cmocka_unit_test(test_no_file_left),
        };

        return cmocka_run_group_tests_name("helper-reaper", tests, set_up, NULL);
}
