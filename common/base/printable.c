/* SPDX-License-Identifier: Apache-2.0 */
#include "base/printable.h"

#include "base/json.h"

/* p is UTF-8 of n bytes. */
static bool is_text(const unsigned char *p, size_t n) {
        if (n == 1)
                return *p >= ' ' && *p != 0x7f;
        if (n == 2)
                return p[0] != 0xc2 || p[1] >= 0xa0; /* from U+0080 to U+009F */
        if (n != 3 || p[0] != 0xe2)
                return true;
        if (p[1] == 0x80) /* U+200E, U+200F, and from U+202A to U+202E */
                return p[2] != 0x8e && p[2] != 0x8f && (p[2] < 0xaa || p[2] > 0xae);
        return p[1] != 0x81 || p[2] < 0xa6 || p[2] > 0xa9; /* from U+2066 to U+2069 */
}

void make_printable(char *s) {
        unsigned char *from = (unsigned char *) s, *to = from;

        while (*from) {
                size_t n = json_utf8_length(from);

                if (n == 0 || !is_text(from, n)) {
                        *to++ = '?';
                        from += n > 0 ? n : 1;
                        continue;
                }
                memmove(to, from, n);
                to += n;
                from += n;
        }
        *to = 0;
}
