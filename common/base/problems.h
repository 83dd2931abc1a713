/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <syslog.h>

#include "base/macro.h"

/* What went wrong, in sentences for the person who has to act: where (file:line:column), why, and what to do.
 * The pure parts collect problems, the caller decides where they are shown. The list has a fixed size and no
 * pointers, so that a worker can send it as it is; it never holds a secret. */

enum {
        PROBLEMS_MAX = 16,
        PROBLEM_TEXT_MAX = 480,
};

typedef struct Problem {
        int level; /* LOG_ERR: something was not done; LOG_WARNING: done, but look at it; LOG_NOTICE: nothing is wrong;
                    * LOG_INFO: as asked
                    */
        char text[PROBLEM_TEXT_MAX];
} Problem;

typedef struct Problems {
        unsigned n_items;
        unsigned n_dropped; /* how many did not fit; none of them was worse than any that is here */
        Problem items[PROBLEMS_MAX];
} Problems;

/* Control characters in the text are shown as '?', so that no file name or key can forge a log line. */
void problems_add(Problems *p, int level, const char *format, ...) _printf_(3, 4);

/* Those of other after those of p, as far as there is room. */
void problems_append(Problems *p, const Problems *other);

/* Each becomes at least as bad as this level. */
void problems_raise(Problems *p, int level);

/* The smallest level among them; LOG_DEBUG where there are none. */
int problems_worst_level(const Problems *p);

/* How many are as bad as this level, or worse. */
unsigned problems_count(const Problems *p, int level);

bool problems_equal(const Problems *a, const Problems *b);
