/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdarg.h>

#include "base/json.h"

/* Allocation for code that runs only in a child process or in a verb. If no memory is left, these functions write one
 * line to stderr and end the process with status 1; they never return NULL. The event loop must not call them: a child
 * that ends costs one job, but the loop has to go on. */

__attribute__((noreturn)) void memory_exhausted(void);

/* Returns p. For functions of other libraries that return NULL only if no memory is left. */
static inline void *xmemory(void *p) {
        if (!p)
                memory_exhausted();
        return p;
}

static inline void *xcalloc(size_t n, size_t size) {
        return xmemory(calloc(n, size));
}

static inline char *xstrdup(const char *s) {
        return xmemory(strdup(s));
}

static inline char *xstrndup(const char *s, size_t n) {
        return xmemory(strndup(s, n));
}

char *xasprintf(const char *format, ...) _printf_(1, 2);

/* Makes room for one more item, like room_for_one_more(). */
static inline void *xroom_for_one_more(void *items, size_t n, size_t item_size) {
        return xmemory(room_for_one_more(items, n, item_size));
}

/* Sets a member of object o. Takes ownership of value, which must not be NULL: JSON null is not used. */
void xjson_set(json_object *o, const char *key, json_object *value);
void xjson_set_string(json_object *o, const char *key, const char *value);

/* Returns the text like json_to_text(). o keeps it. */
static inline const char *xjson_to_text(json_object *o, int flags) {
        const char *text = json_to_text(o, flags);

        if (!text)
                memory_exhausted();
        return text;
}
