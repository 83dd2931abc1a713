/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <limits.h>

enum {
        DEPTH_MAX = 32,
};

#define BLANKS " \t\r\n"

DEFINE_CLEANUP_FUNC(json_tokener *, json_tokener_free)

/* The string that begins at text[start], a quote, is the name of a member that has a NUL (\u0000) in it: json-c cuts it
 * off there. A value it gives with its length. */
static bool is_cut_name(const char *text, size_t size, size_t start, size_t end) {
        bool nul = false;

        for (size_t i = start + 1; i < end; i++)
                if (text[i] == '\\') {
                        nul = nul || (end - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0);
                        i++;
                }
        for (end++; end < size && strchr(BLANKS, text[end]);)
                end++;
        return nul && end < size && text[end] == ':';
}

/* The first thing that json-c takes in another way than it is meant, even when it is told to be strict; size when there
 * is none. Single quotes it takes for those of a string. */
static size_t find_misread(const char *text, size_t size, const char **ret_why) {
        size_t start = 0;
        bool inside = false;

        for (size_t i = 0; i < size; i++)
                if (inside && text[i] == '\\') {
                        i++;
                } else if (text[i] == '"') {
                        if (inside && is_cut_name(text, size, start, i)) {
                                *ret_why = "a name with a NUL character (\\u0000)";
                                return start;
                        }
                        inside = !inside;
                        start = i;
                } else if (text[i] == '\'' && !inside) {
                        *ret_why = "single quotes";
                        return i;
                }
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
        const char *why = NULL;
        size_t misread;

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

        misread = find_misread(text, size, &why);
        if (misread < size)
                return fail(misread, why, ret_offset, ret_why);

        *ret = STEAL_POINTER(top);
        return 0;
}
