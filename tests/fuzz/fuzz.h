/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"
#include "base/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A property that has to hold: libFuzzer reports the input that breaks it. */
#define check(x)                                                    \
        do {                                                        \
                if (!(x)) {                                         \
                        (void) fprintf(stderr, "not so: %s\n", #x); \
                        abort();                                    \
                }                                                   \
        } while (0)

static inline bool same(const char *a, const char *b) {
        return (!a && !b) || (a && b && streq(a, b));
}

/* The input as a string of its own size, so that the sanitizer sees every byte that is read beyond it. */
static inline char *fuzz_text(const uint8_t *bytes, size_t size) {
        char *text = malloc(size + 1);

        check(text);
        if (size > 0)
                memcpy(text, bytes, size);
        text[size] = 0;
        return text;
}
