/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

/* Memory: the program's own malloc() and its kin count for the libraries as well, and hand on to those of the address
 * sanitizer, so that it still sees each block. System calls: the linker wraps those of our own objects (--wrap in the
 * Makefile). */

typedef enum Kind {
        MEMORY,
        CALL,
        _KIND_MAX,
} Kind;

typedef enum What {
        FAIL_NOTHING,
        FAIL_MEMORY_ONCE,
        FAIL_MEMORY_FROM_THEN_ON,
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
        unsigned n[_KIND_MAX]; /* of the run in which all goes well */
        unsigned round;        /* of those in which something does not */
} state;

void fuzz_count(void) {
        state.what = FAIL_NOTHING;
        state.n[MEMORY] = state.n[CALL] = state.round = 0;
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

static Kind kind_of(What what) {
        return what < FAIL_CALL_ONCE ? MEMORY : CALL;
}

static uint64_t hash(const uint8_t *bytes, size_t size) {
        uint64_t h = 0xcbf29ce484222325; /* FNV-1a */

        for (size_t i = 0; i < size; i++)
                h = (h ^ bytes[i]) * 0x100000001b3;
        return h ^ h >> 29;
}

/* Each in turn: memory once, and from then on; then the calls. */
static bool choose_next(void) {
        static const What whats[_KIND_MAX][2] = {{FAIL_MEMORY_ONCE, FAIL_MEMORY_FROM_THEN_ON},
                                                 {FAIL_CALL_ONCE, SHORT_CALL_ONCE}};
        unsigned i = state.round++;

        for (Kind k = MEMORY; k < _KIND_MAX; k++) {
                if (i < 2 * state.n[k]) {
                        state.what = whats[k][i % 2];
                        state.left = i / 2;
                        return true;
                }
                i -= 2 * state.n[k];
        }
        return false;
}

static bool choose_by_hash(const uint8_t *bytes, size_t size) {
        const uint64_t h = hash(bytes, size);
        const What what = (What) (h % _WHAT_MAX);
        const unsigned n = state.n[kind_of(what)];

        if (state.round++ > 0 || what == FAIL_NOTHING || n == 0)
                return false;
        state.what = what;
        state.left = (unsigned) (h / _WHAT_MAX % n);
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
        (void) fprintf(stderr, "%s fails here:\n", kind_of(what) == MEMORY ? "memory" : "a call");
        __sanitizer_print_stack_trace();
        state.what = what;
}

/* The first allocations come before the sanitizer is ready. */
#define NOT_INSTRUMENTED __attribute__((no_sanitize("address")))

/* One that may be short has a size, which becomes less. */
NOT_INSTRUMENTED static bool fails(Kind kind, int error, size_t *size) {
        if (state.paused)
                return false;
        state.n[kind] += state.counting;
        if (state.what == FAIL_NOTHING || kind_of(state.what) != kind)
                return false;
        if (state.left > 0) {
                state.left--;
                return false;
        }
        if (state.failed && state.what != FAIL_MEMORY_FROM_THEN_ON)
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

static bool memory_fails(void) {
        return fails(MEMORY, ENOMEM, NULL);
}

/* --- memory --- */

/* json-c loses what it was at work on when there is no memory for more: that is no leak of ours. */
NOT_INSTRUMENTED static void *forgive(void *block, const void *caller) {
        Dl_info info;

        if (block && state.what != FAIL_NOTHING && dladdr(caller, &info) != 0 && strstr(info.dli_fname, "/libjson-c."))
                __lsan_ignore_object(block);
        return block;
}

/* libsystemd loses something of its own, too, since 257, which is the first with this function. */
extern int sd_json_parse(void) __attribute__((weak));

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
        return sd_json_parse ? "leak:libsystemd.so\n" : "";
}

#define MEMORY_OF(type, name, parameters, arguments)                                                                 \
        type __interceptor_##name parameters;                                                                        \
        type name parameters {                                                                                       \
                return memory_fails() ? NULL : forgive(__interceptor_##name arguments, __builtin_return_address(0)); \
        }

MEMORY_OF(void *, malloc, (size_t size), (size))
MEMORY_OF(void *, calloc, (size_t n, size_t size), (n, size))
MEMORY_OF(void *, realloc, (void *p, size_t size), (p, size))
MEMORY_OF(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))

/* For the libraries, it does not fail: json-c before 0.17 does not look. For our own objects see below. */
char *__interceptor_strdup(const char *s);
char *strdup(const char *s) {
        return forgive(__interceptor_strdup(s), __builtin_return_address(0));
}

/* --- what the linker wraps --- */

#define WRAPPED(type, name, condition, instead, parameters, arguments)    \
        type __real_##name parameters;                                    \
        type __wrap_##name parameters;                                    \
        type __wrap_##name parameters {                                   \
                return (condition) ? (instead) : __real_##name arguments; \
        }

WRAPPED(char *, strdup, memory_fails(), NULL, (const char *s), (s))
WRAPPED(char *, strndup, memory_fails(), NULL, (const char *s, size_t n), (s, n))

#define WRAPPED_CALL(type, name, error, size, parameters, arguments) \
        WRAPPED(type, name, fails(CALL, error, size), -1, parameters, arguments)

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
        if (fails(CALL, EAGAIN, NULL))
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
