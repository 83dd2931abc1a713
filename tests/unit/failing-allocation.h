/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* No memory, for a test-no-memory.c: what ecs-authd allocates goes through here (the Makefile links these tests with
 * --wrap of each), and one of all the allocations fails. Whichever it is, a function fails, or does what it does
 * without; it never does something else. */

#include "unit.h"

#include <json.h>
#include <search.h>

static struct {
        unsigned at, seen; /* which one fails: from 1; 0: none */
        bool lasting;      /* and so do all after it */
        bool failed, cut;  /* cut: a text of json-c */
} failing;

static inline void failing_begin(unsigned n) {
        failing.at = n;
        failing.seen = 0;
        failing.failed = failing.cut = false;
}

static inline void failing_end(void) {
        failing.at = 0;
}

static inline bool failing_now(void) {
        if (failing.at == 0 || ++failing.seen < failing.at || (failing.seen > failing.at && !failing.lasting))
                return false;
        failing.failed = true;
        errno = ENOMEM;
        return true;
}

/* Something of common/ between failing_begin(n) and failing_end(), and what came of it, as a text. 0 or -ENOMEM. */
typedef int (*FailingWork)(unsigned n, char *ret, size_t size);

static inline void failing_each(FailingWork work) {
        char good[8192] = "", found[8192];
        unsigned n = 0;

        assert_int_equal(work(0, good, sizeof(good)), 0);
        do {
                int r;

                found[0] = 0;
                r = work(++n, found, sizeof(found));
                if (r < 0 && !failing.failed)
                        fail_msg("%s, and no allocation failed", strerror(-r));
                if (r != (r < 0 ? -ENOMEM : 0) || (r == 0 && !streq(found, good)))
                        fail_msg("allocation %u fails: %s, and\n%s\ninstead of\n%s", n, strerror(-r), found, good);
        } while (failing.failed);
        assert_true(n > 1);
}

#define FAILING(type, name, parameters, arguments)                         \
        type __real_##name parameters;                                     \
        type __wrap_##name parameters;                                     \
        type __wrap_##name parameters {                                    \
                return failing_now() ? (type) 0 : __real_##name arguments; \
        }

FAILING(void *, malloc, (size_t size), (size))
FAILING(void *, calloc, (size_t n, size_t size), (n, size))
FAILING(void *, reallocarray, (void *p, size_t n, size_t size), (p, n, size))
FAILING(char *, strdup, (const char *s), (s))
FAILING(char *, strndup, (const char *s, size_t n), (s, n))
FAILING(void *, tsearch, (const void *key, void **root, int (*compare)(const void *, const void *)),
        (key, root, compare))
FAILING(json_object *, json_object_new_object, (void), ())
FAILING(json_object *, json_object_new_array, (void), ())
FAILING(json_object *, json_object_new_string, (const char *s), (s))
FAILING(json_object *, json_object_new_int64, (int64_t n), (n))
FAILING(json_object *, json_object_new_int, (int32_t n), (n))
FAILING(json_object *, json_object_new_boolean, (json_bool b), (b))
FAILING(int, json_object_set_string, (json_object * o, const char *s), (o, s))
FAILING(json_tokener *, json_tokener_new_ex, (int depth), (depth))
FAILING(json_object *, json_tokener_parse, (const char *text), (text))

#define FAILING_STATUS(name, parameters, arguments)                  \
        int __real_##name parameters;                                \
        int __wrap_##name parameters;                                \
        int __wrap_##name parameters {                               \
                return failing_now() ? -1 : __real_##name arguments; \
        }

FAILING_STATUS(json_object_object_add, (json_object * o, const char *key, json_object *value), (o, key, value))
FAILING_STATUS(json_object_array_add, (json_object * o, json_object *value), (o, value))

/* json-c passes over an allocation that fails when it prints: there is no text, or one that is cut short. */
const char *__real_json_object_to_json_string_ext(json_object *o, int flags);
const char *__wrap_json_object_to_json_string_ext(json_object *o, int flags);
const char *__wrap_json_object_to_json_string_ext(json_object *o, int flags) {
        static char cut[8192];
        const char *text = __real_json_object_to_json_string_ext(o, flags);

        if (failing_now())
                return NULL;
        if (!failing_now())
                return text;
        failing.cut = true;
        (void) snprintf(cut, strlen(text) < sizeof(cut) ? strlen(text) : sizeof(cut), "%s", text);
        return cut;
}

int __wrap_asprintf(char **ret, const char *format, ...) _printf_(2, 3);
int __wrap_asprintf(char **ret, const char *format, ...) {
        va_list arguments;
        int r = -1;

        va_start(arguments, format);
        if (!failing_now())
                r = vasprintf(ret, format, arguments);
        va_end(arguments);
        return r;
}
