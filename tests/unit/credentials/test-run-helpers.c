/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>

#include "base/secret.h"
#include "credentials/run-helpers.h"
#include "credentials/helper-environment.h"

#define LONG (20 * USEC_PER_SEC)
#define SHORT (300 * USEC_PER_MSEC)

/* The test and the process that runs the programs share this. */
static struct Shared {
        unsigned polls;
        bool interrupted; /* a signal comes at every other poll(2) */
        unsigned blind;   /* polls that do not see yet that a helper, with all its output in the pipe, has ended */
        bool unhurried;   /* poll(2) returns when a helper has ended */
        /* A clock of our own, if not 0: reading it takes a microsecond, and poll(2) waits for no real time. */
        uint64_t clock;
        int read_error;    /* of the next read(2), in spite of what poll(2) has said */
        unsigned n_killed; /* programs that were killed with their group */
} * shared;

/* The descriptors of the reaper come first. */
enum {
        CHILDREN = 1,
        OUTPUT = 3,
        FDS_MIN = 4,
};

int clock_gettime(clockid_t clock, struct timespec *ret) {
        if (!shared || shared->clock == 0)
                return (int) syscall(SYS_clock_gettime, clock, ret);
        shared->clock++;
        *ret = (struct timespec){(time_t) (shared->clock / USEC_PER_SEC), (long) (shared->clock % USEC_PER_SEC) * 1000};
        return 0;
}

static int look(struct pollfd *fds, nfds_t n, int timeout) {
        return ppoll(fds, n, timeout < 0 ? NULL : &(struct timespec){timeout / 1000, timeout % 1000 * 1000000L}, NULL);
}

int poll(struct pollfd *fds, nfds_t n, int timeout) {
        int r;

        shared->polls++;
        if (shared->interrupted && shared->polls % 2 == 0) {
                errno = EINTR;
                return -1;
        }
        if (shared->clock > 0 && n >= FDS_MIN) {
                r = look(fds, n, 0);
                shared->clock += r == 0 ? (uint64_t) timeout * USEC_PER_MSEC : 0;
                return r;
        }
        if (shared->unhurried && n >= FDS_MIN)
                (void) look(&fds[CHILDREN], 1, 20000);
        r = look(fds, n, timeout);
        if (shared->blind > 0 && n >= FDS_MIN) {
                (void) fcntl(fds[OUTPUT].fd, F_SETPIPE_SZ, 1024 * 1024);
                (void) look(&fds[CHILDREN], 1, 20000);
                r = look(fds, n, timeout);
                shared->blind--;
                fds[CHILDREN].revents = 0;
        }
        return r;
}

/* glibc calls this function instead if the test is built with _FORTIFY_SOURCE. */
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size _unused_);
int __poll_chk(struct pollfd *fds, nfds_t n, int timeout, size_t size _unused_) {
        return poll(fds, n, timeout);
}

ssize_t read(int fd, void *buffer, size_t size) {
        if (shared->read_error != 0 && size > sizeof(struct signalfd_siginfo)) {
                errno = shared->read_error;
                shared->read_error = 0;
                return -1;
        }
        return readv(fd, &(struct iovec){buffer, size}, 1);
}

/* The number of a program that has been waited for may be another's by now. */
int kill(pid_t pid, int signal) {
        shared->n_killed += pid < -1;
        return (int) syscall(SYS_kill, pid, signal);
}

/* Pages of the answers that are in memory when helper_run() has read them. */
static size_t n_pages;

int munmap(void *start, size_t size) {
        const size_t n = (size + 4095) / 4096;
        unsigned char *resident = size > HELPER_OUTPUT_MAX ? calloc(1, n) : NULL;

        for (size_t i = 0; resident && mincore(start, size, resident) == 0 && i < n; i++)
                n_pages += resident[i] & 1;
        free(resident);
        return (int) syscall(SYS_munmap, start, size);
}

/* Programs go where a helper's PATH looks; root owns it, so these tests are for root. */
#define PROGRAMS "/usr/local/bin/docker-credential-"

static const char *const installed[] = {
        "unit-good",  "unit-bad",    "unit-none", "unit-hang",  "unit-flood", "unit-deaf",  "unit-linger", "unit-env",
        "unit-plain", "unit-escape", "unit-mute", "unit-holds", "unit-much",  "unit-open",  "unit-count",  "unit-slow",
        "unit-noise", "unit-begin",  "unit-lost", "unit-after", "unit-long",  "unit-orphan"};

static void install(const char *name, const char *script, mode_t mode) {
        char path[128];

        (void) snprintf(path, sizeof(path), PROGRAMS "%s", name);
        unit_write_file(path, script);
        assert_int_equal(chmod(path, mode), 0);
}

static int set_up(void **state _unused_) {
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (shared == MAP_FAILED)
                return -1;
        if (!unit_may_install_programs())
                return 0;
        install("unit-good",
                "#!/bin/sh\n[ \"$1\" = get ] || exit 3\nread -r server\n"
                "printf '{\"ServerURL\":\"%s\",\"Username\":\"user\",\"Secret\":\"for %s\"}' \"$server\" \"$server\"\n",
                0755);
        install("unit-bad", "#!/bin/sh\necho the secret is hidden\nexit 1\n", 0755);
        install("unit-none", "#!/bin/sh\necho credentials not found in native keychain\nexit 1\n", 0755);
        install("unit-hang", "#!/bin/sh\nsleep 1000\n", 0755);
        install("unit-flood",
                "#!/bin/sh\nwhile :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done\n", 0755);
        install("unit-deaf", "#!/bin/sh\nexec <&-\nsleep 0.1\necho '{\"Username\":\"u\",\"Secret\":\"s\"}'\n", 0755);
        install("unit-linger", "#!/bin/sh\nsleep 1000 > /dev/null 2>&1 &\necho $!\n", 0755);
        install("unit-env", "#!/bin/sh\nenv\n", 0755);
        /* Leaves behind, in a session of its own and without a parent, what holds a pipe in the home directory open. It
         * does not end before that runs; with a file "hang" there it does not end at all. */
        install("unit-escape",
                "#!/bin/sh\nexec 9> \"$HOME/pipe\"\n"
                "sh -c 'setsid sh -c \"echo started >&9; echo > \\$HOME/started; exec sleep 1000\" < /dev/null > /dev/null 2>&1 &'\n"
                "until [ -s \"$HOME/started\" ]; do :; done\n"
                "[ ! -e \"$HOME/hang\" ] || exec sleep 1000\necho '{}'\n",
                0755);
        install("unit-mute", "#!/bin/sh\nexec >&-\nexec sleep 1000\n", 0755);
        install("unit-holds", "#!/bin/sh\nsleep 1000 &\necho '{}'\n", 0755);
        /* 60 KB in the pipe, and then it ends at once. */
        install("unit-much",
                "#!/bin/sh\nx=0123456789abcde\nfor i in 1 2 3 4 5 6 7 8 9 10 11 12; do x=$x$x; done\n"
                "echo $x\n[ \"$1\" = list ] || exit 1\n",
                0755);
        install("unit-open", "#!/bin/sh\n[ ! -e /proc/$$/fd/3 ] || exit 3\necho '{}'\n", 0755);
        install("unit-count", "#!/bin/sh\nexec wc -c\n", 0755);
        install("unit-slow", "#!/bin/sh\nprintf '{'\nsleep 0.1\nprintf '}'\n", 0755);
        install("unit-noise", "#!/bin/sh\n[ ! -t 2 ] || exec 2> /dev/null\nyes >&2 &\necho '{}'\n", 0755);
        /* Signals up to 28: of those above 31 some are the C library's own. */
        install("unit-begin",
                "#!/bin/sh\nsed -En 's/^(SigBlk|SigIgn):.*(.{7})$/\\1 \\2/p' /proc/self/status\n"
                "grep -h ^flags /proc/self/fdinfo/0 /proc/self/fdinfo/1\nreadlink /proc/self/fd/2\n"
                "[ \"$(ulimit -S -d)\" != \"$(ulimit -H -d)\" ] || echo unbound\n",
                0755);
        install("unit-lost", "#!/bin/sh\necho $$ >> \"$HOME/lost\"\nexec sleep 1000\n", 0755);
        install("unit-after",
                "#!/bin/sh\nwhile read -r pid; do while kill -0 $pid; do :; done; done 2> /dev/null < \"$HOME/lost\"\n"
                "echo '{}'\n",
                0755);
        install("unit-long", "#!/bin/sh\nexec head -c 262145 /dev/zero\n", 0755);
        install("unit-orphan", "#!/bin/sh\nkill -KILL $PPID\nexec sleep 1000\n", 0755);
        install("unit-plain", "no program\n", 0644);
        return 0;
}

static int tear_down(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(installed) && unit_may_install_programs(); i++) {
                char path[128];

                (void) snprintf(path, sizeof(path), PROGRAMS "%s", installed[i]);
                (void) unlink(path);
        }
        return 0;
}

/* And has neither a child nor a file more than before. */
static void run_helpers(HelperCall *calls, size_t n, uint64_t timeout_usec) {
        unsigned before;

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */
        before = unit_count_open_files();
        helper_run(calls, n, "/root", NULL, timeout_usec);
        assert_int_equal(unit_count_open_files(), before);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
        assert_int_equal(errno, ECHILD);
}

static HelperCall call(const char *helper, uint64_t timeout_usec) {
        HelperCall c = {.helper = helper, .verb = "get", .input = "registry.example"};

        run_helpers(&c, 1, timeout_usec);
        return c;
}

static void test_answer(void **state _unused_) {
        _cleanup_secret_ char *username = NULL, *secret = NULL;
        HelperCall c;

        shared->n_killed = 0;
        c = call("unit-good", LONG);
        assert_int_equal(shared->n_killed, 0);
        assert_int_equal(c.error, 0);
        assert_int_equal(helper_parse_get(c.output, &username, &secret), 0);
        assert_string_equal(username, "user");
        assert_string_equal(secret, "for registry.example");
        helper_calls_done(&c, 1);
        assert_null(c.output);
        assert_int_equal(c.size, 0);
}

/* Its end is seen before that of its output; nobody ends what has ended. */
static void test_ends_before_its_output(void **state _unused_) {
        HelperCall c;

        shared->n_killed = 0;
        shared->unhurried = true;
        c = call("unit-open", LONG);
        shared->unhurried = false;
        assert_int_equal(shared->n_killed, 0);
        assert_int_equal(c.error, 0);
        assert_string_equal(c.output, "{}\n");
        helper_calls_done(&c, 1);
}

/* A time limit is waited for, and not looked for all the time: one of hours, and the last half of a millisecond. */
static void test_rests_until_the_time_limit(void **state _unused_) {
        HelperCall c;

        shared->polls = 0;
        c = call("unit-good", 2 * 3600 * USEC_PER_SEC);
        assert_int_equal(c.error, 0);
        unit_assert_in_range(shared->polls, 1, 20);
        helper_calls_done(&c, 1);

        shared->polls = 0;
        shared->clock = USEC_PER_SEC;
        c = call("unit-hang", SHORT + 500);
        shared->clock = 0;
        assert_int_equal(c.error, -ETIMEDOUT);
        unit_assert_in_range(shared->polls, 1, 20);
        helper_calls_done(&c, 1);
}

/* poll(2) may be wrong, and a pipe broken. */
static void test_reads_that_fail(void **state _unused_) {
        static const int table[][2] = {{EAGAIN, 0}, {EINTR, 0}, {EIO, -EIO}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                HelperCall c;

                shared->read_error = table[i][0];
                c = call("unit-good", LONG);
                assert_int_equal(shared->read_error, 0);
                assert_int_equal(c.error, table[i][1]);
                assert_int_equal(c.output != NULL, c.error == 0);
                helper_calls_done(&c, 1);
        }
}

static void test_failures(void **state _unused_) {
        static const struct {
                const char *helper;
                uint64_t timeout_usec;
                int error;
        } table[] = {
                {"unit-bad", LONG, -EPROTO},       {"unit-none", LONG, -ENOKEY},
                {"unit-hang", SHORT, -ETIMEDOUT},  {"unit-flood", LONG, -EFBIG},
                {"unit-missing", LONG, -ENOENT},   {"unit-plain", LONG, -EACCES},
                {"../../tmp/evil", LONG, -EINVAL}, {"", LONG, -EINVAL},
                {"unit-orphan", LONG, -EPROTO}, /* nobody tells how it ended */
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                HelperCall c = call(table[i].helper, table[i].timeout_usec);

                assert_int_equal(c.error, table[i].error);
                assert_null(c.output);
                assert_non_null(strstr(helper_strerror(c.error), " "));
                helper_calls_done(&c, 1);
        }
}

/* Many helpers that write too much take no more memory than a few. */
static void test_memory_of_floods(void **state _unused_) {
        HelperCall calls[2 * HELPER_PARALLEL_MAX];

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = (HelperCall){.helper = "unit-long", .verb = "get", .input = "x"};
        n_pages = 0;
        run_helpers(calls, ELEMENTSOF(calls), LONG);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                assert_int_equal(calls[i].error, -EFBIG);
        unit_assert_in_range((int64_t) n_pages, ELEMENTSOF(calls), 3 * ELEMENTSOF(calls));
}

/* Of 127 characters at the most. */
static void test_length_of_a_name(void **state _unused_) {
        char name[129] = "";
        HelperCall c;

        memset(name, 'x', 128);
        c = call(name, LONG);
        assert_int_equal(c.error, -EINVAL);
        name[127] = 0;
        c = call(name, LONG);
        assert_int_equal(c.error, -ENOENT);
        helper_calls_done(&c, 1);
}

/* It closes its output, and signals come while nothing else does. */
static void test_signals(void **state _unused_) {
        HelperCall c;

        shared->interrupted = true;
        c = call("unit-mute", SHORT);
        shared->interrupted = false;
        assert_int_equal(c.error, -ETIMEDOUT);
        helper_calls_done(&c, 1);
}

/* Its last byte is one too many, and it has ended by itself. */
static void test_too_long_and_at_its_end(void **state _unused_) {
        HelperCall c;

        shared->blind = 1;
        c = call("unit-long", LONG);
        assert_int_equal(shared->blind, 0);
        assert_int_equal(c.error, -EFBIG);
        assert_null(c.output);
        helper_calls_done(&c, 1);
}

/* More than the pipe takes at once. */
static void test_long_input(void **state _unused_) {
        _cleanup_free_ char *much = calloc(1, 200001);
        HelperCall c = {.helper = "unit-count", .verb = "get", .input = much};

        assert_non_null(much);
        memset(much, 'x', 200000);
        run_helpers(&c, 1, LONG);
        assert_int_equal(c.error, 0);
        assert_string_equal(c.output, "200000\n");
        helper_calls_done(&c, 1);
}

static void test_one_that_does_not_read(void **state _unused_) {
        _cleanup_free_ char *much = calloc(1, 100000);
        HelperCall c = {.helper = "unit-deaf", .verb = "get", .input = much};

        assert_non_null(much);
        memset(much, 'x', 99999); /* more than the pipe takes */
        shared->polls = 0;
        run_helpers(&c, 1, LONG);
        assert_int_equal(c.error, 0);
        unit_assert_in_range(shared->polls, 1, 30); /* it is not tried time and again */
        helper_calls_done(&c, 1);
}

static void test_what_it_leaves_running_is_ended(void **state _unused_) {
        HelperCall c = call("unit-linger", LONG);
        pid_t pid = (pid_t) strtol(c.output, NULL, 10);

        assert_int_equal(c.error, 0);
        assert_true(pid > 1);
        for (unsigned i = 0; i < 1000 && kill(pid, 0) == 0; i++) {
                char path[64], state_line[64] = "";
                FILE *f;

                /* Killed, and perhaps not yet collected by init. */
                (void) snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
                f = fopen(path, "re");
                if (!f)
                        break;
                (void) !fgets(state_line, sizeof(state_line), f);
                (void) fclose(f);
                if (strstr(state_line, ") Z"))
                        break;
                (void) usleep(5000);
                assert_true(i < 999);
        }
        helper_calls_done(&c, 1);
}

/* Not even what its own process forgot to mark. */
static void test_no_file_is_inherited(void **state _unused_) {
        const int flags = fcntl(3, F_GETFD);
        HelperCall c;

        if (flags < 0)
                assert_int_equal(dup2(STDERR_FILENO, 3), 3);
        else
                assert_int_equal(fcntl(3, F_SETFD, 0), 0);
        c = call("unit-open", LONG);
        assert_int_equal(c.error, 0);
        if (flags < 0)
                assert_int_equal(close(3), 0);
        else
                assert_int_equal(fcntl(3, F_SETFD, flags), 0);
        helper_calls_done(&c, 1);
}

/* The helper has neither the ignored signals nor the bounds of our process. Its pipes block. Its standard error goes to
 * no log of ours. */
static void test_begins_as_from_a_shell(void **state _unused_) {
        int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
        _cleanup_close_ int log = open("/dev/zero", O_WRONLY | O_CLOEXEC); /* not a terminal */
        struct rlimit usual, tight;
        HelperCall c;

        assert_true(saved >= 0 && dup2(log, STDERR_FILENO) == STDERR_FILENO);
        assert_int_equal(getrlimit(RLIMIT_DATA, &usual), 0);
        tight = (struct rlimit){usual.rlim_max / 2, usual.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_DATA, &tight), 0);
        c = call("unit-begin", LONG);
        assert_int_equal(setrlimit(RLIMIT_DATA, &usual), 0);
        assert_int_equal(dup2(saved, STDERR_FILENO), STDERR_FILENO);
        (void) close(saved);
        assert_int_equal(c.error, 0);
        assert_string_equal(c.output, "SigBlk 0000000\nSigIgn 0000000\n"
                                      "flags:\t00\nflags:\t01\n/dev/null\nunbound\n");
        helper_calls_done(&c, 1);
}

static void test_words_of_errors(void **state _unused_) {
        static const struct {
                int error;
                const char *part;
        } table[] = {
                {-ENOENT, "no such program"}, {-EACCES, "cannot be run"},      {-ETIMEDOUT, "HelperTimeoutSec="},
                {-EFBIG, "longer than any"},  {-ENOKEY, "no credentials for"}, {-EPROTO, "it failed"},
                {-EBADMSG, "not that of"},    {-EINVAL, "not the name of"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                assert_non_null(strstr(helper_strerror(table[i].error), table[i].part));
        assert_string_equal(helper_strerror(-ENOMEM), strerror(ENOMEM));
}

static void test_environment_is_clean(void **state _unused_) {
        assert_int_equal(setenv("ECS_AUTHD_UNIT_SECRET", "leaks", 1), 0);
        HelperCall c = call("unit-env", LONG);

        assert_int_equal(c.error, 0);
        assert_non_null(strstr(c.output, "HOME=/root\n"));
        assert_non_null(strstr(c.output, "PATH=" HELPER_PATH "\n"));
        assert_null(strstr(c.output, "ECS_AUTHD_UNIT_SECRET"));
        helper_calls_done(&c, 1);
}

static void test_environment_of_the_settings(void **state _unused_) {
        static const char *const words[] = {"UNIT_ONE=1 and =", "UNIT_OURS",    "UNIT_NOWHERE",
                                            "UNIT_TWICE=a",     "UNIT_TWICE=b", NULL};
        HelperCall c = {.helper = "unit-env", .verb = "get", .input = ""};

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */
        assert_int_equal(setenv("UNIT_OURS", "ours", 1), 0);
        assert_int_equal(unsetenv("UNIT_NOWHERE"), 0);
        helper_run(&c, 1, "/root", (char *const *) words, LONG);

        assert_int_equal(c.error, 0);
        assert_non_null(strstr(c.output, "UNIT_ONE=1 and =\n"));
        assert_non_null(strstr(c.output, "UNIT_OURS=ours\n"));
        assert_null(strstr(c.output, "UNIT_NOWHERE"));
        assert_non_null(strstr(c.output, "UNIT_TWICE=b\n"));
        assert_null(strstr(c.output, "UNIT_TWICE=a"));
        assert_non_null(strstr(c.output, "PATH=" HELPER_PATH "\n"));
        helper_calls_done(&c, 1);
}

static void test_words_of_the_environment(void **state _unused_) {
        static const char *const good[] = {"A",       "_a1=",  "AWS_PROFILE", "VAULT_ADDR=https://v:8200/?a=b",
                                           "HOMES=x", "PATHS", "XLD_X"};
        static const char *const bad[] = {"",      "=x",     "1A=x",        "A-B",      "A B=x",     "PATH",
                                          "PATH=", "HOME=/", "LD_PRELOAD=", "LD_AUDIT", "\xc3\xa4=x"};
        const char *expected = NULL;

        for (size_t i = 0; i < ELEMENTSOF(good); i++)
                assert_int_equal(helper_environment_check(good[i], &expected), 0);
        assert_null(expected);
        for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
                assert_int_equal(helper_environment_check(bad[i], &expected), -EINVAL);
                assert_non_null(expected);
                expected = NULL;
        }
}

static void test_pieces(void **state _unused_) {
        HelperCall c = call("unit-slow", LONG);

        assert_int_equal(c.error, 0);
        assert_string_equal(c.output, "{}");
        helper_calls_done(&c, 1);
}

/* A process that it leaves running writes to standard error without an end. */
static void test_noise_after_its_end(void **state _unused_) {
        HelperCall c = call("unit-noise", LONG);

        assert_int_equal(c.error, 0);
        assert_string_equal(c.output, "{}\n");
        helper_calls_done(&c, 1);
}

/* What it wrote is still on its way when it has ended. */
static void test_much_at_once(void **state _unused_) {
        HelperCall calls[HELPER_PARALLEL_MAX];

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = (HelperCall){.helper = "unit-much", .verb = i % 2 == 0 ? "list" : "get", .input = ""};
        run_helpers(calls, ELEMENTSOF(calls), LONG);
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                if (i % 2 == 0) {
                        assert_int_equal(calls[i].error, 0);
                        assert_int_equal(calls[i].size, (15 << 12) + 1);
                } else {
                        assert_int_equal(calls[i].error, -EPROTO);
                }
        helper_calls_done(calls, ELEMENTSOF(calls));
}

/* The pipe that unit-escape holds open. */
static int open_pipe(const char *directory) {
        _cleanup_free_ char *path = unit_path(directory, "pipe");
        int fd;

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */
        assert_int_equal(mkfifo(path, 0600), 0);
        fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        assert_true(fd >= 0);
        return fd;
}

static void await_started(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char text[16];

        assert_int_equal(poll(&p, 1, 20000), 1);
        assert_true(read(fd, text, sizeof(text)) > 0);
}

/* Nobody holds it open any more. */
static void await_end(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        char c;

        assert_int_equal(poll(&p, 1, 10000), 1);
        assert_int_equal(read(fd, &c, 1), 0);
        (void) close(fd);
}

static void test_nothing_is_left_after_the_answer(void **state) {
        HelperCall c = {.helper = "unit-escape", .verb = "get", .input = ""};
        int fd = open_pipe(*state);

        helper_run(&c, 1, *state, NULL, LONG);
        assert_int_equal(c.error, 0);
        await_started(fd);
        await_end(fd);
        helper_calls_done(&c, 1);
}

static void test_nothing_is_left_after_the_time_limit(void **state) {
        HelperCall c = {.helper = "unit-escape", .verb = "get", .input = ""};
        _cleanup_free_ char *hang = unit_path(*state, "hang");
        int fd = open_pipe(*state);

        unit_write_file(hang, "");
        helper_run(&c, 1, *state, NULL, 2 * USEC_PER_SEC);
        assert_int_equal(c.error, -ETIMEDOUT);
        await_started(fd);
        await_end(fd);
        helper_calls_done(&c, 1);
}

/* At its own time limit, and not when all the others have had theirs. */
static void test_late_ones_end_before_others(void **state) {
        HelperCall calls[HELPER_PARALLEL_MAX + 1];
        const size_t last = ELEMENTSOF(calls) - 1;

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */
        for (size_t i = 0; i <= last; i++)
                calls[i] = (HelperCall){.helper = i < last ? "unit-lost" : "unit-after", .verb = "get", .input = ""};
        helper_run(calls, ELEMENTSOF(calls), *state, NULL, USEC_PER_SEC);
        for (size_t i = 0; i < last; i++)
                assert_int_equal(calls[i].error, -ETIMEDOUT);
        assert_int_equal(calls[last].error, 0);
        helper_calls_done(calls, ELEMENTSOF(calls));
}

static void test_nothing_is_left_after_us(void **state) {
        HelperCall c = {.helper = "unit-escape", .verb = "get", .input = ""};
        _cleanup_free_ char *hang = unit_path(*state, "hang");
        int fd = open_pipe(*state);
        pid_t pid;

        unit_write_file(hang, "");
        pid = fork();
        if (pid == 0) {
                helper_run(&c, 1, *state, NULL, LONG);
                _exit(EXIT_FAILURE);
        }
        await_started(fd);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        await_end(fd);
}

static void test_one_that_hangs_spoils_no_other(void **state _unused_) {
        static const char *const helpers[] = {"unit-mute", "unit-good", "unit-hang", "unit-good", "unit-holds"};
        HelperCall calls[ELEMENTSOF(helpers)];

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = (HelperCall){.helper = helpers[i], .verb = "get", .input = "x"};
        run_helpers(calls, ELEMENTSOF(calls), 3 * USEC_PER_SEC);

        assert_int_equal(calls[0].error, -ETIMEDOUT);
        assert_int_equal(calls[1].error, 0);
        assert_int_equal(calls[2].error, -ETIMEDOUT);
        assert_int_equal(calls[3].error, 0);
        assert_int_equal(calls[4].error, 0);
        helper_calls_done(calls, ELEMENTSOF(calls));
}

static void test_many_at_once(void **state _unused_) {
        HelperCall calls[3 * HELPER_PARALLEL_MAX];
        char names[ELEMENTSOF(calls)][16];

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                (void) snprintf(names[i], sizeof(names[i]), "r%zu", i);
                calls[i] = (HelperCall){
                        .helper = i % 4 == 0 ? "unit-none" : "unit-good", .verb = "get", .input = names[i]};
        }
        run_helpers(calls, ELEMENTSOF(calls), LONG);

        for (size_t i = 0; i < ELEMENTSOF(calls); i++) {
                _cleanup_secret_ char *username = NULL, *secret = NULL;
                char expected[32];

                assert_int_equal(calls[i].error, i % 4 == 0 ? -ENOKEY : 0);
                if (i % 4 == 0)
                        continue;
                (void) snprintf(expected, sizeof(expected), "for r%zu", i);
                assert_int_equal(helper_parse_get(calls[i].output, &username, &secret), 0);
                assert_string_equal(secret, expected);
        }
        helper_calls_done(calls, ELEMENTSOF(calls));
}

/* What is kept open does not grow with their number. */
static void test_more_than_there_are_descriptors(void **state _unused_) {
        HelperCall calls[400];
        struct rlimit usual, tight;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
        tight = usual;
        tight.rlim_cur = 200;
        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = (HelperCall){.helper = "unit-good", .verb = "get", .input = "x"};
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
        run_helpers(calls, ELEMENTSOF(calls), LONG);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                assert_int_equal(calls[i].error, 0);
        helper_calls_done(calls, ELEMENTSOF(calls));
}

static void test_hanging_ones_share_one_time_limit(void **state _unused_) {
        HelperCall calls[HELPER_PARALLEL_MAX];
        struct timespec before, after;

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = (HelperCall){.helper = "unit-hang", .verb = "get", .input = "x"};
        (void) clock_gettime(CLOCK_MONOTONIC, &before);
        helper_run(calls, ELEMENTSOF(calls), "/root", NULL, USEC_PER_SEC);
        (void) clock_gettime(CLOCK_MONOTONIC, &after);

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                assert_int_equal(calls[i].error, -ETIMEDOUT);
        /* One after the other it would be 8 s. */
        assert_true(after.tv_sec - before.tv_sec < 5);
}

static unsigned count_lines(const char *path) {
        FILE *f = fopen(path, "re");
        unsigned n = 0;

        assert_non_null(f);
        for (int c = fgetc(f); c != EOF; c = fgetc(f))
                n += c == '\n';
        (void) fclose(f);
        return n;
}

/* Whoever would have to wait for longer is given up without a try. */
static void test_too_many_hanging_ones(void **state) {
        _cleanup_free_ char *lost = unit_path(*state, "lost");
        HelperCall calls[8 * HELPER_PARALLEL_MAX];
        struct timespec before, after;

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                calls[i] = (HelperCall){.helper = "unit-lost", .verb = "get", .input = "x"};
        (void) clock_gettime(CLOCK_MONOTONIC, &before);
        helper_run(calls, ELEMENTSOF(calls), *state, NULL, USEC_PER_SEC);
        (void) clock_gettime(CLOCK_MONOTONIC, &after);

        for (size_t i = 0; i < ELEMENTSOF(calls); i++)
                assert_int_equal(calls[i].error, -ETIMEDOUT);
        /* HELPER_RUN_TIMEOUTS and what the end takes; it would be 8 s. */
        assert_true(after.tv_sec - before.tv_sec < 7);
        unit_assert_in_range(count_lines(lost), 1, (HELPER_RUN_TIMEOUTS - 1) * HELPER_PARALLEL_MAX);
}

static void test_answers(void **state _unused_) {
        static const char *const table[][3] = {
                {"{\"ServerURL\":\"r\",\"Username\":\"u\",\"Secret\":\"s\"}\n", "u", "s"},
                /* Go's decoder: names in any case, the last one of several. */
                {"{\"username\":\"u\",\"SECRET\":\"s\"}", "u", "s"},
                {"{\"Username\":\"x\",\"Secret\":\"s\",\"userName\":\"u\"}", "u", "s"},
                {"{\"Username\":\"p\xc3\xa4ul\",\"Secret\":\"\xe2\x82\xac\"}", "p\xc3\xa4ul", "\xe2\x82\xac"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_secret_ char *username = NULL, *secret = NULL;

                assert_int_equal(helper_parse_get(table[i][0], &username, &secret), 0);
                assert_string_equal(username, table[i][1]);
                assert_string_equal(secret, table[i][2]);
        }
}

static void test_answers_that_are_none(void **state _unused_) {
        static const char *const table[] = {
                "",
                "garbage",
                "[]",
                "{}",
                "{\"Username\":\"u\"}",
                "{\"Secret\":\"s\"}",
                "{\"Username\":\"\",\"Secret\":\"s\"}",
                "{\"Username\":\"u\",\"Secret\":\"\"}",
                "{\"Username\":1,\"Secret\":\"s\"}",
                "{\"Username\":\"u\\u0000\",\"Secret\":\"s\"}",
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char *username = NULL, *secret = NULL;

                assert_int_equal(helper_parse_get(table[i], &username, &secret), -EBADMSG);
                assert_null(username);
                assert_null(secret);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_answer),
                cmocka_unit_test(test_ends_before_its_output),
                cmocka_unit_test(test_rests_until_the_time_limit),
                cmocka_unit_test(test_reads_that_fail),
                cmocka_unit_test(test_failures),
                cmocka_unit_test(test_memory_of_floods),
                cmocka_unit_test(test_length_of_a_name),
                cmocka_unit_test(test_signals),
                cmocka_unit_test(test_too_long_and_at_its_end),
                cmocka_unit_test(test_long_input),
                cmocka_unit_test(test_one_that_does_not_read),
                cmocka_unit_test(test_what_it_leaves_running_is_ended),
                cmocka_unit_test(test_no_file_is_inherited),
                cmocka_unit_test(test_begins_as_from_a_shell),
                cmocka_unit_test(test_words_of_errors),
                cmocka_unit_test(test_environment_is_clean),
                cmocka_unit_test(test_environment_of_the_settings),
                cmocka_unit_test(test_words_of_the_environment),
                cmocka_unit_test(test_pieces),
                cmocka_unit_test(test_noise_after_its_end),
                cmocka_unit_test(test_much_at_once),
                cmocka_unit_test_setup_teardown(test_nothing_is_left_after_the_answer, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_nothing_is_left_after_the_time_limit, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_late_ones_end_before_others, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_nothing_is_left_after_us, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test(test_one_that_hangs_spoils_no_other),
                cmocka_unit_test(test_many_at_once),
                cmocka_unit_test(test_more_than_there_are_descriptors),
                cmocka_unit_test(test_hanging_ones_share_one_time_limit),
                cmocka_unit_test_setup_teardown(test_too_many_hanging_ones, unit_make_directory, unit_remove_directory),
                cmocka_unit_test(test_answers),
                cmocka_unit_test(test_answers_that_are_none),
        };

        return cmocka_run_group_tests_name("helper", tests, set_up, tear_down);
}
