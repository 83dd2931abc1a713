/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* Standard output, as people see it: how wide it is, and what can be shown there. */

typedef struct Screen {
        unsigned width; /* in columns; 0: no terminal, lines are not broken */
        bool colour;
        bool wipes; /* a line can be taken back */
        bool utf8;
} Screen;

void screen_look(Screen *ret);

typedef enum Colour { COLOUR_GOOD, COLOUR_WAIT, COLOUR_BAD } Colour;

/* "" where there are none. */
const char *screen_colour(const Screen *screen, Colour colour);
const char *screen_no_colour(const Screen *screen);

/* The rest of a line of which column columns are taken, broken between words; the lines that follow stand behind
 * indent. A word that is wider than the screen is left whole, so that it can be copied. */
void screen_print(const Screen *screen, unsigned column, unsigned indent, const char *text);

/* For a moment, where it can be wiped away: cut at the edge, and taken back by screen_wipe(). */
void screen_print_briefly(const Screen *screen, const char *text);
void screen_wipe(const Screen *screen);
