/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check-output.h"

#include <stdarg.h>

void say(Check *c, const char *id, const char *subject, Verdict verdict, const char *text, const char *cure) {
        static const char *const words[] = {"ok", "warning", "problem"};
        static const char *const colours[] = {"\033[32m", "\033[33m", "\033[31m"};

        c->counts[verdict]++;
        if (c->json) {
                check_json_add(c->json, id, subject, verdict, text, cure);
                return;
        }
        if (c->terminal)
                (void) printf("\r\033[K");
        (void) printf("%s%-8s%s %s\n", c->colour ? colours[verdict] : "", words[verdict], c->colour ? "\033[0m" : "",
                      text);
        if (cure)
                (void) printf("         -> %s\n", cure);
        (void) fflush(stdout);
}

/* What may take longer than a moment is announced, on a terminal; the next line takes its place. */
void announce(const Check *c, const char *what) {
        if (!c->terminal)
                return;
        (void) printf("...      %s", what);
        (void) fflush(stdout);
}

Text text(const char *format, ...) {
        va_list ap;
        Text t;

        va_start(ap, format);
        (void) vsnprintf(t.s, sizeof(t.s), format, ap);
        va_end(ap);
        return t;
}

/* Each problem is a sentence that ends with what to do. */
void say_problems(Check *c, const char *id, const Problems *problems) {
        for (unsigned i = 0; i < problems->n_items; i++)
                say(c, id, NULL, verdict_of_level(problems->items[i].level), problems->items[i].text, NULL);
}

Verdict verdict_of_level(int level) {
        return level <= LOG_ERR ? PROBLEM : level <= LOG_WARNING ? WARNING : OK;
}
