/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The Makefile says which; tools that read the sources do not. */
#ifndef VERSION
#define VERSION "unknown"
#endif

/* Small things every file of the project needs; each says what the plain C way would repeat. */

#define _cleanup_(f) __attribute__((cleanup(f)))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _unused_ __attribute__((unused))

#define ELEMENTSOF(x) (sizeof(x) / sizeof((x)[0]))

#define USEC_PER_MSEC 1000ULL
#define USEC_PER_SEC 1000000ULL

/* Defines func##p(), the form that _cleanup_ takes, for a destructor that accepts NULL. */
#define DEFINE_CLEANUP_FUNC(type, func)                                                \
        static inline void func##p(type *p) { /* NOLINT(bugprone-macro-parentheses) */ \
                if (*p)                                                                \
                        func(*p);                                                      \
        }

static inline void freep(void *p) {
        free(*(void **) p);
}

static inline void closep(int *fd) {
        if (*fd >= 0)
                close(*fd);
}

/* What was read is closed without a word; what was written is closed by hand, where the error counts. */
static inline void fclosep(FILE **f) {
        if (*f)
                (void) fclose(*f);
}

DEFINE_CLEANUP_FUNC(DIR *, closedir)

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)
#define _cleanup_closedir_ _cleanup_(closedirp)

/* Room behind the n items that an array has; it doubles, so that many are no more work each than few. NULL: no memory,
 * and the array is as it was. */
static inline void *room_for_one_more(void *items, size_t n, size_t item_size) {
        return n > 0 && (n & (n - 1)) != 0 ? items : reallocarray(items, n > 0 ? 2 * n : 1, item_size);
}

/* Hands a resource over: the variable it leaves no longer owns it. */
static inline int steal_fd(int *fd) {
        int r = *fd;

        *fd = -1;
        return r;
}

static inline void *steal_pointer_impl(void *p) {
        void *r = *(void **) p;

        *(void **) p = NULL;
        return r;
}

#define STEAL_POINTER(p) ((__typeof__(p)) steal_pointer_impl(&(p)))

static inline bool streq(const char *a, const char *b) {
        return strcmp(a, b) == 0;
}

static inline bool str_empty(const char *s) {
        return !s || !*s;
}

/* The rest of s after prefix, or NULL. */
static inline const char *startswith(const char *s, const char *prefix) {
        size_t n = strlen(prefix);

        return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

/* What errno says, never 0: for the callers of C functions that are documented to set it. */
static inline int negative_errno(void) {
        return errno > 0 ? -errno : -EIO;
}
