/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

void memory_exhausted(void) {
        static const char text[] = "ecs-authd: no memory is left; this process ends\n";

        (void) !write(STDERR_FILENO, text, sizeof(text) - 1);
        _exit(EXIT_FAILURE);
}

char *xasprintf(const char *format, ...) {
        char *s = NULL;
        va_list args;
        int r;

        va_start(args, format);
        r = vasprintf(&s, format, args);
        va_end(args);
        if (r < 0)
                memory_exhausted();
        return s;
}

void xjson_set(json_object *o, const char *key, json_object *value) {
        if (!value || json_object_object_add(o, key, value) < 0)
                memory_exhausted();
}

void xjson_set_string(json_object *o, const char *key, const char *value) {
        xjson_set(o, key, json_object_new_string(value));
}
