/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <systemd/sd-id128.h>

/* Memory: the program's own malloc() and its kin count for the libraries as well, and hand on to those of the address
 * sanitizer, so that it still sees each block. System calls: the linker wraps those of our own objects (--wrap in the
 * Makefile). */

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
        unsigned n_memory, n_calls; /* of the run in which all goes well */
        unsigned round;             /* of those in which something does not */
} state;

void fuzz_count(void) {
        state.what = FAIL_NOTHING;
        state.n_memory = state.n_calls = state.round = 0;
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

/* Each in turn: memory once, and from then on; then the calls. */
static bool choose_next(void) {
        const unsigned memory = 2 * state.n_memory, i = state.round++;

        if (i >= memory + 2 * state.n_calls)
                return false;
        state.what = i < memory ? (i % 2 ? FAIL_MEMORY_FROM_THEN_ON : FAIL_MEMORY_ONCE)
                                : (i % 2 ? SHORT_CALL_ONCE : FAIL_CALL_ONCE);
        state.left = (i < memory ? i : i - memory) / 2;
        return true;
}

static bool choose_by_hash(const uint8_t *bytes, size_t size) {
        const uint64_t h = hash(bytes, size);
        const What what = (What) (h % _WHAT_MAX);
        const unsigned n = what < FAIL_CALL_ONCE ? state.n_memory : state.n_calls;

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
static bool fail(int error) {
        const What what = state.what;

        if (!state.failed && getenv("FUZZ_TRACE")) {
                state.what = FAIL_NOTHING;
                (void) fprintf(stderr, "%s fails here:\n", what < FAIL_CALL_ONCE ? "memory" : "a call");
                __sanitizer_print_stack_trace();
                state.what = what;
        }
        state.failed = true;
        errno = error;
        return true;
}

static bool memory_fails(void) {
        if (state.paused)
                return false;
        state.n_memory += state.counting;
        if (state.what != FAIL_MEMORY_ONCE && state.what != FAIL_MEMORY_FROM_THEN_ON)
                return false;
        if (state.left > 0) {
                state.left--;
                return false;
        }
        if (state.failed && state.what == FAIL_MEMORY_ONCE)
                return false;
        return fail(ENOMEM);
}

/* May be short: *size becomes less. */
static bool call_fails(int error, size_t *size) {
        if (state.paused)
                return false;
        state.n_calls += state.counting;
        if ((state.what != FAIL_CALL_ONCE && state.what != SHORT_CALL_ONCE) || state.failed)
                return false;
        if (state.left > 0) {
                state.left--;
                return false;
        }
        if (state.what == SHORT_CALL_ONCE) {
                if (!size || *size < 2)
                        return false;
                *size /= 2;
                state.failed = true;
                return false;
        }
        return fail(error);
}

/* --- memory --- */

void *__interceptor_malloc(size_t size);
void *__interceptor_calloc(size_t n, size_t size);
void *__interceptor_realloc(void *p, size_t size);
void *__interceptor_reallocarray(void *p, size_t n, size_t size);
char *__interceptor_strdup(const char *s);

/* json-c loses what it was at work on when there is no memory for more: that is no leak of ours. Not instrumented: the
 * first allocations come before the sanitizer is ready. */
__attribute__((no_sanitize("address"))) static void *forgive(void *block, const void *caller) {
        Dl_info info;

        if (block && state.what != FAIL_NOTHING && dladdr(caller, &info) != 0 && strstr(info.dli_fname, "/libjson-c."))
                __lsan_ignore_object(block);
        return block;
}

void *malloc(size_t size) {
        return memory_fails() ? NULL : forgive(__interceptor_malloc(size), __builtin_return_address(0));
}

void *calloc(size_t n, size_t size) {
        return memory_fails() ? NULL : forgive(__interceptor_calloc(n, size), __builtin_return_address(0));
}

char *strdup(const char *s) {
        return forgive(__interceptor_strdup(s), __builtin_return_address(0));
}

void *realloc(void *p, size_t size) {
        return memory_fails() ? NULL : __interceptor_realloc(p, size);
}

void *reallocarray(void *p, size_t n, size_t size) {
        return memory_fails() ? NULL : __interceptor_reallocarray(p, n, size);
}

/* --- what the linker wraps: memory, too, of which json-c before 0.17 does not look whether it got it --- */

char *__real_strdup(const char *s);
char *__real_strndup(const char *s, size_t n);
char *__wrap_strdup(const char *s);
char *__wrap_strndup(const char *s, size_t n);
int __wrap_sd_id128_get_boot(sd_id128_t *ret);
int __real_open(const char *path, int flags, ...);
int __real_openat(int directory_fd, const char *path, int flags, ...);
ssize_t __real_read(int fd, void *bytes, size_t size);
ssize_t __real_write(int fd, const void *bytes, size_t size);
int __real_fsync(int fd);
int __real_fstat(int fd, struct stat *st);
int __real_fchmod(int fd, mode_t mode);
int __real_renameat(int old_fd, const char *old, int new_fd, const char *new);
int __real_renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags);
int __wrap_open(const char *path, int flags, ...);
int __wrap_openat(int directory_fd, const char *path, int flags, ...);
ssize_t __wrap_read(int fd, void *bytes, size_t size);
ssize_t __wrap_write(int fd, const void *bytes, size_t size);
int __wrap_fsync(int fd);
int __wrap_fstat(int fd, struct stat *st);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new);
int __wrap_renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags);

char *__wrap_strdup(const char *s) {
        return memory_fails() ? NULL : __real_strdup(s);
}

char *__wrap_strndup(const char *s, size_t n) {
        return memory_fails() ? NULL : __real_strndup(s, n);
}

/* The same boot each time, so that an input means the same on every host. */
int __wrap_sd_id128_get_boot(sd_id128_t *ret) {
        *ret = SD_ID128_MAKE(11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11, 11);
        return 0;
}

int __wrap_open(const char *path, int flags, ...) {
        mode_t mode = 0;
        va_list ap;

        if (flags & O_CREAT) {
                va_start(ap, flags);
                mode = va_arg(ap, mode_t);
                va_end(ap);
        }
        return call_fails(EMFILE, NULL) ? -1 : __real_open(path, flags, mode);
}

int __wrap_openat(int directory_fd, const char *path, int flags, ...) {
        mode_t mode = 0;
        va_list ap;

        if (flags & O_CREAT) {
                va_start(ap, flags);
                mode = va_arg(ap, mode_t);
                va_end(ap);
        }
        return call_fails(EMFILE, NULL) ? -1 : __real_openat(directory_fd, path, flags, mode);
}

ssize_t __wrap_read(int fd, void *bytes, size_t size) {
        return call_fails(EIO, &size) ? -1 : __real_read(fd, bytes, size);
}

ssize_t __wrap_write(int fd, const void *bytes, size_t size) {
        return call_fails(ENOSPC, &size) ? -1 : __real_write(fd, bytes, size);
}

int __wrap_fsync(int fd) {
        return call_fails(EIO, NULL) ? -1 : __real_fsync(fd);
}

int __wrap_fstat(int fd, struct stat *st) {
        return call_fails(EIO, NULL) ? -1 : __real_fstat(fd, st);
}

int __wrap_fchmod(int fd, mode_t mode) {
        return call_fails(EPERM, NULL) ? -1 : __real_fchmod(fd, mode);
}

int __wrap_renameat(int old_fd, const char *old, int new_fd, const char *new) {
        return call_fails(EIO, NULL) ? -1 : __real_renameat(old_fd, old, new_fd, new);
}

int __wrap_renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags) {
        return call_fails(EIO, NULL) ? -1 : __real_renameat2(old_fd, old, new_fd, new, flags);
}
