/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <limits.h>

enum {
        DEPTH_MAX = 32,
};

#define BLANKS " \t\r\n"

DEFINE_CLEANUP_FUNC(json_tokener *, json_tokener_free)

/* The first quote that json-c takes for one of a string, even when it is told to be strict; size when there is none. */
static size_t find_single_quote(const char *text, size_t size) {
        bool inside = false;

        for (size_t i = 0; i < size; i++)
                if (inside && text[i] == '\\')
                        i++;
                else if (text[i] == '"')
                        inside = !inside;
                else if (text[i] == '\'' && !inside)
                        return i;
        return size;
}

static int fail(size_t offset, const char *why, size_t *ret_offset, const char **ret_why) {
        if (ret_offset)
                *ret_offset = offset;
        if (ret_why)
                *ret_why = why;
        return -EBADMSG;
}

size_t json_utf8_length(const unsigned char *s) {
        size_t n = *s < 0x80 ? 1 : (*s & 0xe0) == 0xc0 ? 2 : (*s & 0xf0) == 0xe0 ? 3 : (*s & 0xf8) == 0xf0 ? 4 : 0;

        for (size_t i = 1; i < n; i++)
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        /* Could be shorter, is half of a surrogate pair, or lies beyond U+10FFFF. */
        if ((n == 2 && *s < 0xc2) || (*s == 0xe0 && s[1] < 0xa0) || (*s == 0xed && s[1] > 0x9f) ||
            (*s == 0xf0 && s[1] < 0x90) || (*s == 0xf4 && s[1] > 0x8f) || *s > 0xf4)
                return 0;
        return n;
}

bool json_is_utf8(const char *s) {
        const unsigned char *p = (const unsigned char *) s;

        while (p && *p) {
                size_t n = json_utf8_length(p);

                if (n == 0)
                        return false;
                p += n;
        }
        return true;
}

int json_parse_strict(const char *text, size_t size, int flags, json_object **ret, size_t *ret_offset,
                      const char **ret_why) {
        _cleanup_(json_tokener_freep) json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX);
        _cleanup_json_ json_object *top = NULL;
        enum json_tokener_error error;
        size_t quote;

        if (!tokener)
                return -ENOMEM;

        /* Being strict, json-c refuses blanks at the end, too. */
        while (size > 0 && text[size - 1] && strchr(BLANKS, text[size - 1]))
                size--;
        if (size == 0)
                return fail(0, "it is empty", ret_offset, ret_why);
        if (size > INT_MAX)
                return fail(0, "it is too long", ret_offset, ret_why);

        json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | flags);
        top = json_tokener_parse_ex(tokener, text, (int) size);
        error = json_tokener_get_error(tokener);

        if (error == json_tokener_continue)
                return fail(size, "it ends too early", ret_offset, ret_why);
        if (error != json_tokener_success)
                return fail(json_tokener_get_parse_end(tokener), json_tokener_error_desc(error), ret_offset, ret_why);

        /* It takes a NUL for the end. */
        if (json_tokener_get_parse_end(tokener) < size)
                return fail(json_tokener_get_parse_end(tokener), "something follows its end", ret_offset, ret_why);

        quote = find_single_quote(text, size);
        if (quote < size)
                return fail(quote, "single quotes", ret_offset, ret_why);

        *ret = STEAL_POINTER(top);
        return 0;
}
