/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/environment-lines.h"

#include "base/secret.h"

static bool is_blank(char c) {
        return strchr(" \t\r\v\f", c) && c;
}

/* A line of the content, without its newline. */
typedef struct Line {
        const char *text;
        size_t length;
} Line;

/* The next line at *position, which moves on; false at the end. */
static bool next_line(const EnvLines *l, size_t *position, Line *ret) {
        const char *start = l->bytes + *position;
        size_t left = l->size - *position;
        const char *newline;

        if (left == 0)
                return false;
        newline = memchr(start, '\n', left);
        *ret = (Line){start, newline ? (size_t) (newline - start) : left};
        *position += ret->length + (newline ? 1 : 0);
        return true;
}

static Line trim(Line l) {
        while (l.length > 0 && is_blank(l.text[0])) {
                l.text++;
                l.length--;
        }
        while (l.length > 0 && is_blank(l.text[l.length - 1]))
                l.length--;
        return l;
}

/* The line sets key for any of the readers: systemd allows blanks before the "=". *ret_value is what follows. */
static bool sets_key(Line line, const char *key, Line *ret_value) {
        size_t n = strlen(key), i = n;
        Line l = trim(line);

        if (l.length <= n || memcmp(l.text, key, n) != 0)
                return false;
        while (i < l.length && is_blank(l.text[i]))
                i++;
        if (i >= l.length || l.text[i] != '=')
                return false;

        *ret_value = (Line){l.text + i + 1, l.length - i - 1};
        return true;
}

int env_lines_get(const EnvLines *l, const char *key, char **ret) {
        Line line, value, last = {0};
        size_t position = 0;
        char *copy;

        while (next_line(l, &position, &line))
                /* With a blank before the "=" it is another key to ecs-init. */
                if (sets_key(line, key, &value) && !is_blank(value.text[-2]))
                        last = value;

        if (!last.text) {
                *ret = NULL;
                return 0;
        }
        copy = secret_dup(last.text, last.length);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

unsigned env_lines_count(const EnvLines *l, const char *key) {
        size_t position = 0;
        Line line, value;
        unsigned n = 0;

        while (next_line(l, &position, &line))
                n += sets_key(line, key, &value);
        return n;
}

bool env_lines_has_blank(const EnvLines *l, const char *key) {
        size_t position = 0;
        Line line, value;

        while (next_line(l, &position, &line))
                if (sets_key(line, key, &value) && is_blank(value.text[-2]))
                        return true;
        return false;
}

/* A content in the making, large enough from the start. */
typedef struct Builder {
        char *text;
        size_t size;
} Builder;

static void append(Builder *b, const char *text, size_t n) {
        memcpy(b->text + b->size, text, n);
        b->size += n;
}

static void append_assignment(Builder *b, const char *key, const char *value) {
        append(b, key, strlen(key));
        append(b, "=", 1);
        append(b, value, strlen(value));
        append(b, "\n", 1);
}

int env_lines_check(const char *key, const char *value, size_t line_max) {
        size_t n = strlen(value);

        for (const char *c = value; *c; c++)
                if ((unsigned char) *c < ' ' || *c == 0x7f || *c == '\\')
                        return -EINVAL;
        if (n > 0 && (value[0] == ' ' || value[n - 1] == ' ' || value[0] == '"' || value[0] == '\''))
                return -EINVAL;
        return strlen(key) + 1 + n > line_max ? -E2BIG : 0;
}

int env_lines_set(EnvLines *l, const char *key, const char *value, size_t line_max) {
        /* The old content, a newline that it may lack, and our line. */
        size_t largest = l->size + 1 + strlen(key) + 1 + (value ? strlen(value) : 0) + 1;
        size_t position = 0, before = 0;
        bool placed = false;
        Line line, ignored;
        Builder b;
        int r;

        if (value) {
                r = env_lines_check(key, value, line_max);
                if (r < 0)
                        return r;
        }

        b = (Builder){.text = malloc(largest)};
        if (!b.text)
                return -ENOMEM;

        for (; next_line(l, &position, &line); before = position) {
                if (!sets_key(line, key, &ignored)) {
                        append(&b, l->bytes + before, position - before);
                        continue;
                }
                if (value && !placed)
                        append_assignment(&b, key, value);
                placed = true;
        }

        if (value && !placed) {
                if (b.size > 0 && b.text[b.size - 1] != '\n')
                        append(&b, "\n", 1);
                append_assignment(&b, key, value);
        }

        secret_free_sized(l->bytes, l->size);
        *l = (EnvLines){.bytes = b.text, .size = b.size};
        return 0;
}
