/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

/* The linker wraps the system calls of our own objects (--wrap in the Makefile). */

typedef enum What {
        FAIL_NOTHING,
        FAIL_CALL_ONCE,
        SHORT_CALL_ONCE, /* a read or write of a part: no failure to the caller, who goes on */
        _WHAT_MAX,
} What;

/* libFuzzer's other threads are left alone. */
static _Thread_local struct {
        bool counting, paused;
        What what;
        unsigned left; /* until it fails */
        bool failed;
        unsigned n;     /* calls in the run without a failure */
        unsigned round; /* number of the run with a failure */
} state;

void fuzz_count(void) {
        state.what = FAIL_NOTHING;
        state.n = state.round = 0;
        state.failed = false;
        state.counting = true;
}

bool fuzz_failed(void) {
        return state.what != FAIL_NOTHING && state.failed;
}

void fuzz_pause(bool pause) {
        state.paused = pause;
}

bool fuzz_stop(void) {
        state.counting = false;
        state.what = FAIL_NOTHING;
        return state.failed;
}

static uint64_t hash(const uint8_t *bytes, size_t size) {
        uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

        for (size_t i = 0; i < size; i++)
                h = (h ^ bytes[i]) * 0x100000001b3;
        return h ^ h >> 29;
}

/* Chooses each call in turn. */
static bool choose_next(void) {
        const unsigned i = state.round++;

        state.what = i % 2 == 0 ? FAIL_CALL_ONCE : SHORT_CALL_ONCE;
        state.left = i / 2;
        return i < 2 * state.n;
}

static bool choose_by_hash(const uint8_t *bytes, size_t size) {
        const uint64_t h = hash(bytes, size);
        const What what = (What) (h % _WHAT_MAX);

        if (state.round++ > 0 || what == FAIL_NOTHING || state.n == 0)
                return false;
        state.what = what;
        state.left = (unsigned) (h / _WHAT_MAX % state.n);
        return true;
}

bool fuzz_fail(const uint8_t *bytes, size_t size) {
        state.failed = false;
        return getenv("FUZZ_EVERY") ? choose_next() : choose_by_hash(bytes, size);
}

/* FUZZ_TRACE= in the environment shows where, for a single input. */
static void trace(void) {
        const What what = state.what;

        if (state.failed || !getenv("FUZZ_TRACE"))
                return;
        state.what = FAIL_NOTHING;
        (void) fprintf(stderr, "a call fails here:\n");
        __sanitizer_print_stack_trace();
        state.what = what;
}

/* One that may be short has a size, which becomes less. */
static bool fails(int error, size_t *size) {
        if (state.paused)
                return false;
        state.n += state.counting;
        if (state.what == FAIL_NOTHING)
                return false;
        if (state.left > 0) {
                state.left--;
                return false;
        }
        if (state.failed)
                return false;
        if (state.what == SHORT_CALL_ONCE) {
                state.failed = size && *size >= 2;
                if (state.failed)
                        *size /= 2;
                return false;
        }
        trace();
        state.failed = true;
        errno = error;
        return true;
}

/* libsystemd loses memory of its own since 257, which is the first with this function. */
extern int sd_json_parse(void) __attribute__((weak));

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
        return sd_json_parse ? "leak:libsystemd.so\n" : "";
}

/* --- what the linker wraps --- */

#define WRAPPED(type, name, condition, instead, parameters, arguments)    \
        type __real_##name parameters;                                    \
        type __wrap_##name parameters;                                    \
        type __wrap_##name parameters {                                   \
                return (condition) ? (instead) : __real_##name arguments; \
        }

#define WRAPPED_CALL(type, name, error, size, parameters, arguments) \
        WRAPPED(type, name, fails(error, size), -1, parameters, arguments)

/* The mode of an open() without O_CREAT is any number, which nobody looks at. */
WRAPPED_CALL(int, open, EMFILE, NULL, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAPPED_CALL(int, openat, EMFILE, NULL, (int fd, const char *path, int flags, mode_t mode), (fd, path, flags, mode))
WRAPPED_CALL(ssize_t, read, EIO, &size, (int fd, void *bytes, size_t size), (fd, bytes, size))
WRAPPED_CALL(ssize_t, write, ENOSPC, &size, (int fd, const void *bytes, size_t size), (fd, bytes, size))
WRAPPED_CALL(int, fsync, EIO, NULL, (int fd), (fd))
WRAPPED_CALL(int, fstat, EIO, NULL, (int fd, struct stat *st), (fd, st))
WRAPPED_CALL(int, fchmod, EPERM, NULL, (int fd, mode_t mode), (fd, mode))
WRAPPED_CALL(int, renameat, EIO, NULL, (int fd, const char *old, int new_fd, const char *new), (fd, old, new_fd, new))
WRAPPED_CALL(int, renameat2, EIO, NULL, (int fd, const char *old, int new_fd, const char *new, unsigned flags),
             (fd, old, new_fd, new, flags))

static bool in_a_run(void) {
        return state.counting || state.what != FAIL_NOTHING;
}

static int run_here(pthread_t *ret, void *(*start)(void *), void *context) {
        if (fails(EAGAIN, NULL))
                return EAGAIN;
        *ret = pthread_self();
        (void) start(context);
        return 0;
}

/* A thread that is waited for anyway runs here, where what it does may fail as well. */
WRAPPED(int, pthread_create, in_a_run(), run_here(ret, start, context),
        (pthread_t * ret, const pthread_attr_t *attributes, void *(*start)(void *), void *context),
        (ret, attributes, start, context))
WRAPPED(int, pthread_clockjoin_np, in_a_run(), 0,
        (pthread_t thread, void **ret, clockid_t clock, const struct timespec *until), (thread, ret, clock, until))

/* The same boot each time, so that an input means the same on every host. */
int __wrap_sd_id128_get_boot(sd_id128_t *ret);
int __wrap_sd_id128_get_boot(sd_id128_t *ret) {
        *ret = SD_ID128_MAKE(11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11);
        return 0;
}
