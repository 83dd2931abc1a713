/* SPDX-License-Identifier: Apache-2.0 */
#include "report/screen.h"

#include <langinfo.h>
#include <locale.h>
#include <sys/ioctl.h>

enum {
        WIDTH_UNKNOWN = 80,
};

/* By the environment, as setlocale() would have it; the process itself stays in the C locale. */
static bool locale_is_utf8(void) {
        locale_t locale = newlocale(LC_CTYPE_MASK, "", NULL);
        bool utf8;

        if (!locale)
                return false;
        utf8 = streq(nl_langinfo_l(CODESET, locale), "UTF-8");
        freelocale(locale);
        return utf8;
}

void screen_look(Screen *ret) {
        const char *term = getenv("TERM");
        bool capable = isatty(STDOUT_FILENO) && !str_empty(term) && !streq(term, "dumb");
        struct winsize size;

        *ret = (Screen){
                .colour =
                        capable && str_empty(getenv("NO_COLOR")), /* no-color.org: whatever its value, if it has one */
                .wipes = capable,
                .utf8 = locale_is_utf8(),
        };
        if (isatty(STDOUT_FILENO))
                ret->width =
                        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : WIDTH_UNKNOWN;
}

const char *screen_colour(const Screen *screen, Colour colour) {
        static const char *const colours[] = {
                [COLOUR_GOOD] = "\033[32m", [COLOUR_WAIT] = "\033[33m", [COLOUR_BAD] = "\033[31m"};

        return screen->colour ? colours[colour] : "";
}

const char *screen_no_colour(const Screen *screen) {
        return screen->colour ? "\033[0m" : "";
}

/* In UTF-8 a character is a byte that continues none. Wide ones count as one: what we show are names and paths. */
static bool begins_column(const Screen *screen, char c) {
        return !screen->utf8 || (c & 0xc0) != 0x80;
}

static unsigned columns_of(const Screen *screen, const char *s, size_t n) {
        unsigned columns = 0;

        for (size_t i = 0; i < n; i++)
                columns += begins_column(screen, s[i]);
        return columns;
}

void screen_print(const Screen *screen, unsigned column, unsigned indent, const char *text) {
        for (bool first = true; first || *text; first = false) {
                size_t n;
                unsigned width;

                text += first ? 0 : strlen(" ");
                n = strcspn(text, " ");
                width = columns_of(screen, text, n);
                if (!first && screen->width > 0 && column + strlen(" ") + width > screen->width) {
                        (void) printf("\n%*s", (int) indent, "");
                        column = indent;
                } else if (!first) {
                        (void) printf(" ");
                        column++;
                }
                (void) printf("%.*s", (int) n, text);
                column += width;
                text += n;
        }
        (void) printf("\n");
}

void screen_print_briefly(const Screen *screen, const char *text) {
        unsigned column = 0;
        size_t n;

        if (!screen->wipes)
                return;
        screen_wipe(screen);
        for (n = 0; text[n]; n++) {
                column += begins_column(screen, text[n]);
                if (column > screen->width)
                        break;
        }
        (void) printf("%.*s", (int) n, text);
        (void) fflush(stdout);
}

void screen_wipe(const Screen *screen) {
        if (screen->wipes)
                (void) printf("\r\033[K");
}
