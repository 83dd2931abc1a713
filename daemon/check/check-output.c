/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check-output.h"

#include <stdarg.h>

#define ARROW "         -> "

enum {
        INDENT = 9,
        CURE_INDENT = sizeof(ARROW) - 1,
};

void say(Check *c, const char *id, const char *subject, Verdict verdict, const char *text, const char *cure) {
        static const char *const words[] = {[OK] = "ok", [WARNING] = "warning", [PROBLEM] = "problem"};
        static const Colour colours[] = {[OK] = COLOUR_GOOD, [WARNING] = COLOUR_WAIT, [PROBLEM] = COLOUR_BAD};
        const Screen *s = &c->screen;

        c->counts[verdict]++;
        if (c->json) {
                check_json_add(c->json, id, subject, verdict, text, cure);
                return;
        }
        screen_wipe(s);
        (void) printf("%s%-*s%s ", screen_colour(s, colours[verdict]), INDENT - 1, words[verdict], screen_no_colour(s));
        screen_print(s, INDENT, INDENT, text);
        if (cure) {
                (void) printf(ARROW);
                screen_print(s, CURE_INDENT, CURE_INDENT, cure);
        }
        (void) fflush(stdout);
}

void announce(const Check *c, const char *what) {
        screen_print_briefly(&c->screen, text("...      %s", what).s);
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
