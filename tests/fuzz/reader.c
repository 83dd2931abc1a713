/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <stdarg.h>

void fuzz_say(FuzzWords *words, const char *format, ...) {
        const size_t room = sizeof(words->text) - words->n;
        va_list ap;
        int n;

        va_start(ap, format);
        n = vsnprintf(words->text + words->n, room, format, ap);
        va_end(ap);
        check(n >= 0 && (size_t) n < room);
        words->n += (size_t) n;
}

static const char *shown(const char *s) {
        return s ? s : "-";
}

void fuzz_say_credentials(FuzzWords *words, const Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *e = c->items[i];

                fuzz_say(words, "%s %s %s %s %s %s %s %s %d%d%d\n", e->registry, shown(e->key), shown(e->source),
                         shown(e->helper), shown(e->username), shown(e->password), shown(e->identity_token),
                         shown(e->email), e->listed, e->entered, e->yields);
        }
        for (size_t i = 0; i < c->n_stores; i++)
                fuzz_say(words, "store %s %s\n", c->stores[i].helper, c->stores[i].source);
}

void fuzz_say_digest(FuzzWords *words, const Digest *digest) {
        char hex[65];

        digest_to_hex(digest, hex);
        fuzz_say(words, "%s ", hex);
}

void fuzz_read(FuzzReader read, const char *type, const char *text) {
        static FuzzWords words;

        words.n = 0;
        words.text[0] = 0;
        (void) read(type, text, &words);
}
