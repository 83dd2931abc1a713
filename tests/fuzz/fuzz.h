/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"
#include "base/secret.h"
#include "credentials/credentials.h"

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

/* System calls that fail. The first run, between fuzz_count() and fuzz_stop(), counts the calls. For as long as
 * fuzz_fail() returns true, the caller makes another run up to fuzz_stop(), in which one of these calls fails or
 * handles a part of the bytes. A hash of the input chooses the call, and there is at most one such run; with
 * FUZZ_EVERY= in the environment, each call fails in turn. Such a run may fail, but a success must give the same result
 * as the first run. FUZZ_TRACE= prints the place. Failed allocations are tested by tests/torture alone. */
void fuzz_count(void);
bool fuzz_fail(const uint8_t *bytes, size_t size);
bool fuzz_stop(void);        /* whether something has failed */
bool fuzz_failed(void);      /* something has, and we have not stopped yet */
void fuzz_pause(bool pause); /* of the test itself, after all */

/* What a reader makes of a text, in words: of the type "docker", say. */
typedef struct FuzzWords {
        char text[1 << 17];
        size_t n;
} FuzzWords;

typedef int (*FuzzReader)(const char *type, const char *text, FuzzWords *words);

void fuzz_say(FuzzWords *words, const char *format, ...) _printf_(2, 3);
void fuzz_say_credentials(FuzzWords *words, const Credentials *c);
void fuzz_say_digest(FuzzWords *words, const Digest *digest);

/* Runs a reader, which must not crash. */
void fuzz_read(FuzzReader read, const char *type, const char *text);

/* A file of the one directory that all runs of a process use, in memory; run removes it. */
const char *fuzz_path(const char *name);
void fuzz_put(const char *name, const void *bytes, size_t size);
char *fuzz_get(const char *name, size_t *ret_size); /* NULL: it is not there */

/* The input as a string of its own size, so that the sanitizer sees every byte that is read beyond it. */
static inline char *fuzz_text(const uint8_t *bytes, size_t size) {
        char *text = malloc(size + 1);

        check(text);
        if (size > 0)
                memcpy(text, bytes, size);
        text[size] = 0;
        return text;
}
