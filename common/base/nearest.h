/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* "Did you mean ...?": of the words that there are, the one that a mistyped word is nearest to. */

typedef struct Nearest {
        const char *typed;
        const char *word; /* the nearest so far; NULL: none is near enough */
        unsigned distance;
} Nearest;

/* Counts letters that are wrong, missing or too many, and neighbours that changed places; upper and lower case are one.
 * Near enough are two mistakes, or a third of the letters of word, but never more than half of them. */
void nearest_consider(Nearest *n, const char *word);
