/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json.h"

#include <ctype.h>
#include <limits.h>
#include <strings.h>

enum {
        DEPTH_MAX = 32, /* of json-c's own, too */
};

/* What json-c 0.14 to 0.19 allocates, measured and rounded up: for an object with its table, which grows beyond 10
 * members, for an array, and for any other value; for the place of an element, and of a member beside its name. */
enum {
        MEMORY_OBJECT = 832,
        MEMORY_ARRAY = 352,
        MEMORY_SCALAR = 112,
        MEMORY_ELEMENT = 24,
        MEMORY_NAME = 48,
        MEMORY_MEMBER = 192,
        MEMBERS_FREE = 10,
};

#define DIGITS_HEX "0123456789abcdefABCDEF"

DEFINE_CLEANUP_FUNC(json_tokener *, json_tokener_free)

/* How far the text is JSON, and why no further. */
typedef struct Scan {
        const char *text;
        size_t size, at;
        const char *why;
        char open[DEPTH_MAX]; /* the brackets that are */
        size_t members[DEPTH_MAX];
        unsigned depth;
        size_t memory, memory_max; /* that its values will take */

        const char *wanted; /* name of the member that json_find_member() searches for; NULL: none */
        unsigned n_wanted;  /* members of that name left to find */
        size_t found;       /* offset of the member */

        json_tokener *tokener; /* NULL: the text is only scanned */
        json_object *top;      /* result of json-c */
        size_t given;          /* json-c has the text up to this offset */
        int error;             /* of json-c */
} Scan;

static bool refuse(Scan *s, const char *why) {
        s->why = s->at < s->size ? why : "it ends too early";
        return false;
}

/* The byte that is next, NUL at the end. A NUL in the text is nothing that belongs anywhere. */
static char peek(const Scan *s) {
        return s->at < s->size ? s->text[s->at] : 0;
}

static bool is_blank(char c) {
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_blanks(Scan *s) {
        while (is_blank(peek(s)))
                s->at++;
}

static bool is_digit(char c) {
        return c >= '0' && c <= '9';
}

static bool skip_digits(Scan *s) {
        size_t before = s->at;

        while (is_digit(peek(s)))
                s->at++;
        return s->at > before;
}

static bool take_memory(Scan *s, size_t size) {
        s->memory += size;
        if (s->memory <= s->memory_max)
                return true;
        s->why = "more values than its size allows for";
        return false;
}

static bool skip_one(Scan *s, const char *set) {
        if (!peek(s) || !strchr(set, peek(s)))
                return false;
        s->at++;
        return true;
}

static bool scan_escape(Scan *s, bool name) {
        bool nul = name && s->size - s->at > 4 && memcmp(s->text + s->at, "u0000", 5) == 0;

        /* json-c cuts a name off there. A value it gives with its length. */
        if (nul)
                return refuse(s, "a name with a NUL character (\\u0000)");
        if (!skip_one(s, "u"))
                return skip_one(s, "\"\\/bfnrt") || refuse(s, "an escape that JSON does not know");
        for (unsigned i = 0; i < 4; i++)
                if (!skip_one(s, DIGITS_HEX))
                        return refuse(s, "an escape that JSON does not know");
        return true;
}

static bool is_plain(char c) {
        return (unsigned char) c >= ' ' && c != '"' && c != '\\';
}

static bool scan_string(Scan *s, bool name) {
        if (!skip_one(s, "\""))
                return refuse(s, peek(s) == '\'' ? "single quotes" : "not a name in double quotes");

        for (;;) {
                size_t at = s->at;

                while (at < s->size && is_plain(s->text[at]))
                        at++;
                s->at = at;
                if (skip_one(s, "\""))
                        return true;
                if (!skip_one(s, "\\"))
                        return refuse(s, "a control character in a string");
                if (!scan_escape(s, name))
                        return false;
        }
}

/* Reads an escape and moves *at, which is behind the backslash, past it. Returns its ASCII character, or 0 if it is
 * another escape. */
static char unescape(const char *text, size_t *at) {
        char digits[3] = {0};

        if (strncmp(text + *at, "u00", 3) != 0)
                return 0;
        memcpy(digits, text + *at + 3, 2);
        *at += 5;
        return (char) strtoul(digits, NULL, 16);
}

/* Compares a string of the text with a name, ignoring case. at: offset of the opening quote. */
static bool is_named(const char *text, size_t at, const char *name) {
        for (at++; *name; name++) {
                char c = text[at++];

                if (c == '"')
                        return false;
                if (c == '\\')
                        c = unescape(text, &at);
                if (tolower((unsigned char) c) != tolower((unsigned char) *name))
                        return false;
        }
        return text[at] == '"';
}

static void note_member(Scan *s, size_t start) {
        if (s->n_wanted == 0 || s->depth != 1 || !is_named(s->text, start, s->wanted))
                return;
        s->n_wanted--;
        s->found = start;
}

static bool hand_on(Scan *s, const char *text, size_t size) {
        enum json_tokener_error error;

        errno = 0;
        s->top = json_tokener_parse_ex(s->tokener, text, (int) size);
        error = json_tokener_get_error(s->tokener);
        if (errno != ENOMEM && (error == json_tokener_success || error == json_tokener_continue))
                return true;

        s->error = errno == ENOMEM ? -ENOMEM : -EBADMSG;
        s->at = s->given + json_tokener_get_parse_end(s->tokener);
        s->why = json_tokener_error_desc(error);
        return false;
}

/* Gives json-c the text that has been scanned. Before 0.17, json-c does not report that it ran out of memory, and cuts
 * off or leaves out values. malloc(3) sets errno then, which json-c clears at the end of a number: therefore each piece
 * of text ends with a number. */
static bool give(Scan *s) {
        const size_t from = s->given;

        if (!s->tokener)
                return true;
        if (!hand_on(s, s->text + from, s->at - from))
                return false;
        s->given = s->at;
        return true;
}

static bool scan_number(Scan *s) {
        (void) skip_one(s, "-");
        if (!skip_one(s, "0") && !skip_digits(s))
                return refuse(s, "not a number");
        if (skip_one(s, ".") && !skip_digits(s))
                return refuse(s, "not a number");
        if (skip_one(s, "eE")) {
                (void) skip_one(s, "+-");
                if (!skip_digits(s))
                        return refuse(s, "not a number");
        }
        return give(s);
}

static bool scan_scalar(Scan *s) {
        static const char *const words[] = {"true", "false", "null"};

        for (size_t i = 0; i < ELEMENTSOF(words); i++) {
                size_t n = strlen(words[i]);

                if (s->size - s->at >= n && memcmp(s->text + s->at, words[i], n) == 0) {
                        s->at += n;
                        return true;
                }
        }
        if (peek(s) == '"')
                return scan_string(s, false);
        if (peek(s) == '-' || is_digit(peek(s)))
                return scan_number(s);
        return refuse(s, peek(s) == '\'' ? "single quotes" : "not a value");
}

/* Up to the value: in an object there stands a name before it. */
static bool scan_name(Scan *s) {
        size_t start;

        skip_blanks(s);
        if (s->depth == 0 || s->open[s->depth - 1] != '{')
                return take_memory(s, MEMORY_ELEMENT);
        start = s->at;
        if (!scan_string(s, true) ||
            !take_memory(s,
                         MEMORY_NAME + s->at - start + (++s->members[s->depth - 1] > MEMBERS_FREE ? MEMORY_MEMBER : 0)))
                return false;
        note_member(s, start);
        skip_blanks(s);
        if (!skip_one(s, ":"))
                return refuse(s, "a ':' is missing");
        skip_blanks(s);
        return true;
}

/* 1: a value comes next; 0: one has ended. */
static int scan_value(Scan *s) {
        const char bracket = peek(s);
        const size_t start = s->at;

        if (!skip_one(s, "{["))
                return scan_scalar(s) && take_memory(s, MEMORY_SCALAR + s->at - start) ? 0 : -EBADMSG;
        if (s->depth == DEPTH_MAX) {
                s->why = "nesting too deep";
                return -EBADMSG;
        }
        if (!take_memory(s, bracket == '{' ? MEMORY_OBJECT : MEMORY_ARRAY))
                return -EBADMSG;
        s->members[s->depth] = 0;
        s->open[s->depth++] = bracket;
        skip_blanks(s);
        if (peek(s) == (bracket == '{' ? '}' : ']'))
                return 0;
        return scan_name(s) ? 1 : -EBADMSG;
}

/* Behind a value. 1: another one comes next; 0: it was the last. */
static int scan_next(Scan *s) {
        for (;;) {
                skip_blanks(s);
                if (s->depth == 0)
                        return 0;
                if (skip_one(s, s->open[s->depth - 1] == '{' ? "}" : "]"))
                        s->depth--;
                else if (skip_one(s, ","))
                        return scan_name(s) ? 1 : -EBADMSG;
                else
                        break;
        }
        (void) refuse(s, "a ',' or a closing bracket is missing");
        return -EBADMSG;
}

/* The first value: RFC 8259, and nothing else. */
static bool scan(Scan *s) {
        int r;

        skip_blanks(s);
        if (s->at == s->size) {
                s->at = 0;
                s->why = "it is empty";
                return false;
        }
        do {
                r = scan_value(s);
                if (r == 0)
                        r = scan_next(s);
        } while (r > 0);
        return r == 0;
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

const char *json_to_text(json_object *o, int flags) {
        const char *text;

        errno = 0;
        text = json_object_to_json_string_ext(o, flags);
        return errno == ENOMEM ? NULL : text;
}

/* Scans the text twice: json-c gets no text that is refused at the end, so that such a text takes no memory. */
static int parse(Scan *s, bool whole, int flags, json_object **ret) {
        _cleanup_(json_tokener_freep) json_tokener *tokener = json_tokener_new_ex(DEPTH_MAX + 1);
        bool good;

        if (!tokener)
                return -ENOMEM;
        if (s->size > INT_MAX) {
                s->why = "it is too long";
                return -EFBIG;
        }
        json_tokener_set_flags(tokener, flags);
        good = scan(s);
        if (good && whole && s->at < s->size)
                good = refuse(s, "something follows its end");
        if (good) {
                s->size = s->at;
                s->at = s->memory = 0;
                s->tokener = tokener;
                good = scan(s) && give(s);
        }
        /* A number that is the whole text might continue, to json-c. */
        if (good && json_tokener_get_error(tokener) == json_tokener_continue)
                good = hand_on(s, "\n", 1);
        if (good) {
                *ret = s->top;
                return 0;
        }
        json_object_put(s->top);
        return s->memory > s->memory_max ? -EFBIG : s->error < 0 ? s->error : -EBADMSG;
}

int json_parse_strict(const char *text, size_t size, int flags, json_object **ret, size_t *ret_offset,
                      const char **ret_why) {
        Scan s = {.text = text, .size = size, .memory_max = JSON_MEMORY_MAX};
        int r;

        r = parse(&s, true, flags, ret);
        if (r < 0 && ret_offset)
                *ret_offset = s.at;
        if (r < 0 && ret_why)
                *ret_why = s.why;
        return r;
}

int json_parse_answer(const char *text, json_object **ret) {
        Scan s = {.text = text, .size = strlen(text), .memory_max = JSON_ANSWER_MEMORY_MAX};

        return parse(&s, false, 0, ret);
}

bool json_find_member(const char *text, size_t size, const char *name, unsigned nth, size_t *ret_offset) {
        Scan s = {.text = text, .size = size, .memory_max = JSON_MEMORY_MAX, .wanted = name, .n_wanted = nth};

        if (!scan(&s) || s.n_wanted > 0)
                return false;
        *ret_offset = s.found;
        return true;
}

json_object *json_field(json_object *o, const char *name, json_type type) {
        json_object *found = NULL;

        if (!json_object_is_type(o, json_type_object))
                return NULL;

        json_object_object_foreach(o, key, member) {
                if (strcasecmp(key, name) == 0 && json_object_is_type(member, type))
                        found = member;
        }
        return found;
}

const char *json_field_string(json_object *o, const char *name) {
        return json_string_of(json_field(o, name, json_type_string));
}

void json_copy_printable(char *ret, size_t size, const char *s) {
        (void) snprintf(ret, size, "%s", s ? s : "");
        make_printable(ret);
}
