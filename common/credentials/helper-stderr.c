/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/helper-stderr.h"

#include <ctype.h>
#include <strings.h>

#include "base/printable.h"
#include "base/secret.h"

enum {
        TOKEN_MIN = 20,
        WORD_MAX = 16,
        NUMBER_MAX = 6,
        PART_MIN = 6,
};

#define MASK "***"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"
#define TOKEN LOWER UPPER DIGITS "+/=_.-"

/* What is written, never more than what was read: each secret is longer than its mask, or the buffer has the room. */
typedef struct Out {
        char *text;
        size_t size;
} Out;

static void put(Out *o, const char *s, size_t n) {
        memcpy(o->text + o->size, s, n);
        o->size += n;
}

static size_t span(const char *s, size_t n, const char *set) {
        size_t i = strspn(s, set);

        return i < n ? i : n;
}

/* Words, as people and programs write them: "UnrecognizedClientException", "GOOGLE_APPLICATION_CREDENTIALS", "oauth2".
 * One oddity is allowed ("NoSuchKey", "AWSError"); chance has more of them, and digits in the middle. */
static bool is_words(const char *s, size_t n) {
        unsigned odd = 0;

        for (size_t i = 0, part; i < n; i += part) {
                size_t upper = span(s + i, n - i, UPPER);
                size_t lower = span(s + i + upper, n - i - upper, LOWER);

                part = upper + lower;
                if (part > WORD_MAX)
                        return false;
                if (part > 0) {
                        odd += lower == 1 || (upper > 1 && lower > 0);
                        continue;
                }
                part = span(s + i, n - i, DIGITS);
                if (part > NUMBER_MAX || (part > 0 && i + part < n && isalpha((unsigned char) s[i + part])))
                        return false;
                if (part > 0)
                        continue;
                if (!strchr("._-", s[i]))
                        return false;
                part = 1;
        }
        return odd <= 1;
}

/* Labels with dots between them, the last one of letters. */
static bool is_host(const char *s, size_t n) {
        size_t label = 0, dots = 0;

        for (size_t i = 0; i < n; i++) {
                if (s[i] == '.') {
                        if (label == 0)
                                return false;
                        dots++;
                        label = 0;
                } else if (!strchr(LOWER DIGITS "-", s[i]) || ++label >= TOKEN_MIN) {
                        return false;
                }
        }
        return dots > 0 && label >= 2 && isalpha((unsigned char) s[n - 1]);
}

static bool is_harmless(const char *s, size_t n) {
        return is_host(s, n) || is_words(s, n);
}

/* A path, a URL or a host: each part of it is judged by itself. */
static bool is_place(const char *s, size_t n) {
        size_t first = strcspn(s, "/");

        if (first >= n || (first > 0 && !is_host(s, first)))
                return false;
        for (size_t i = 0, part; i < n; i += part + 1) {
                part = strcspn(s + i, "/");
                if (i + part > n)
                        part = n - i;
                if (part >= PART_MIN && !is_harmless(s + i, part))
                        return false;
        }
        return true;
}

static bool ends_with_one_of(const char *s, size_t n, const char *const *words, size_t n_words) {
        for (size_t i = 0; i < n_words; i++) {
                size_t length = strlen(words[i]);

                if (n >= length && strncasecmp(s + n - length, words[i], length) == 0)
                        return true;
        }
        return false;
}

/* After one of these a secret follows, however short it is. */
static bool announces_secret(const char *s, size_t n) {
        static const char *const words[] = {"password", "passwd", "passphrase", "secret",    "secretstring",
                                            "token",    "auth",   "access_key", "secretkey", "access-key"};
        static const char *const with_a_blank[] = {"bearer", "basic", " -p", " -u", "--password"};
        size_t end = n;
        bool assigned = false;

        /* "Secret": "..., password = ..., Authorization: Basic ... */
        while (end > 0 && strchr(" \"':=", s[end - 1])) {
                end--;
                assigned |= s[end] == ':' || s[end] == '=';
        }
        if (end == n)
                return false;
        return (assigned && ends_with_one_of(s, end, words, ELEMENTSOF(words))) ||
               ends_with_one_of(s, end, with_a_blank, ELEMENTSOF(with_a_blank));
}

/* The length of a user and password in a URL, with the "@" after them. */
static size_t user_length(const Out *o, const char *s) {
        size_t n = strcspn(s, "/ \t\"'"), user = 0;

        if (o->size < 3 || memcmp(o->text + o->size - 3, "://", 3) != 0)
                return 0;
        for (size_t i = 0; i < n; i++)
                if (s[i] == '@')
                        user = i + 1;
        return user;
}

/* How much of the line is one thing. "://" belongs to what stands before it, "token=" ends with its "=". */
static size_t run_length(const Out *o, const char *line) {
        size_t run = strspn(line, TOKEN), name = strcspn(line, "=") + 1;

        if (o->size > 0 && o->text[o->size - 1] == ':' && startswith(line, "//"))
                return 2;
        if (name < run && announces_secret(line, name))
                return name;
        return run > 0 ? run : 1;
}

/* line is clean and ends with a NUL. */
static void mask_secrets(Out *o, const char *line) {
        while (*line) {
                size_t n = user_length(o, line);

                if (n > 0) {
                        put(o, MASK "@", strlen(MASK "@"));
                } else if (announces_secret(o->text, o->size) && (n = strcspn(line, " \t\"'&,;")) > 0) {
                        put(o, MASK, strlen(MASK));
                } else {
                        n = run_length(o, line);
                        if (n >= TOKEN_MIN && !is_harmless(line, n) && !is_place(line, n))
                                put(o, MASK, strlen(MASK));
                        else
                                put(o, line, n);
                }
                line += n;
        }
}

/* The last line that holds something, clean. */
static char *last_line(const char *text, size_t size, bool whole) {
        size_t start;
        char *line;

        while (size > 0 && (unsigned char) text[size - 1] <= ' ')
                size--;
        for (start = size; start > 0 && text[start - 1] != '\n';)
                start--;
        if (start == 0 && !whole)
                while (start < size && text[start] != ' ')
                        start++;
        while (start < size && (unsigned char) text[start] <= ' ')
                start++;
        if (start == size)
                return NULL;

        line = secret_dup(text + start, size - start);
        for (size_t i = 0; line && i < size - start; i++)
                if (line[i] == 0)
                        line[i] = '?';
                else if (line[i] == '\t')
                        line[i] = ' ';
        if (line)
                make_printable(line);
        return line;
}

char *helper_complaint(const char *text, size_t size, bool whole) {
        _cleanup_secret_ char *line = text ? last_line(text, size, whole) : NULL;
        Out o = {0};

        if (!line)
                return NULL;
        /* A mask may be longer than what it hides, in the worst case a byte. */
        o.text = calloc(strlen(line) + 1, strlen(MASK "@"));
        if (!o.text)
                return NULL;
        mask_secrets(&o, line);

        if (o.size > HELPER_COMPLAINT_MAX)
                o.size = HELPER_COMPLAINT_MAX;
        /* Not in the middle of a character. */
        while (o.size > 0 && ((unsigned char) o.text[o.size] & 0xc0) == 0x80)
                o.size--;
        o.text[o.size] = 0;
        return o.text;
}
