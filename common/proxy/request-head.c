/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/request-head.h"

#include <ctype.h>
#include <openssl/evp.h>
#include <strings.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/secret.h"

/* A piece of the head. */
typedef struct Slice {
        const char *start;
        size_t length;
} Slice;

static bool slice_is(Slice s, const char *text) {
        return s.length == strlen(text) && memcmp(s.start, text, s.length) == 0;
}

static bool slice_is_name(Slice s, const char *name) {
        return s.length == strlen(name) && strncasecmp(s.start, name, s.length) == 0;
}

static bool take_prefix(Slice *s, const char *prefix) {
        size_t n = strlen(prefix);

        if (s->length < n || memcmp(s->start, prefix, n) != 0)
                return false;
        *s = (Slice){s->start + n, s->length - n};
        return true;
}

static bool take_suffix(Slice *s, const char *suffix) {
        size_t n = strlen(suffix);

        if (s->length < n || memcmp(s->start + s->length - n, suffix, n) != 0)
                return false;
        s->length -= n;
        return true;
}

/* Takes the text before the separator, and the separator. Without one: everything. */
static Slice take_part(Slice *s, char separator) {
        const char *end = memchr(s->start, separator, s->length);
        Slice part = {s->start, end ? (size_t) (end - s->start) : s->length};
        size_t taken = part.length + (end ? 1 : 0);

        *s = (Slice){s->start + taken, s->length - taken};
        return part;
}

/* --- lines --- */

static bool is_one_of(char c, const char *set) {
        return c && strchr(set, c);
}

static bool is_token(Slice s) {
        for (size_t i = 0; i < s.length; i++)
                if (!isalnum((unsigned char) s.start[i]) && !is_one_of(s.start[i], "!#$%&'*+-.^_`|~"))
                        return false;
        return s.length > 0;
}

static bool is_printable(Slice s) {
        for (size_t i = 0; i < s.length; i++)
                if ((unsigned char) s.start[i] < ' ' || s.start[i] == 0x7f)
                        return false;
        return true;
}

/* Takes a line and its end, which is CR LF. Returns false if a CR or LF stands alone. */
static bool take_line(Slice *rest, Slice *ret) {
        *ret = take_part(rest, '\n');
        return take_suffix(ret, "\r") && is_printable(*ret);
}

typedef struct Headers {
        unsigned n_auth, n_length, n_encoding, n_host, n_connection, n_upgrade;
        Slice auth, auth_line;
} Headers;

static bool note_header(Slice line, Headers *h) {
        const Slice whole = line;
        Slice name = take_part(&line, ':');

        if (name.length == whole.length || !is_token(name)) /* no colon, a blank before it, or a folded line */
                return false;
        while (line.length > 0 && *line.start == ' ')
                line = (Slice){line.start + 1, line.length - 1};
        while (line.length > 0 && line.start[line.length - 1] == ' ')
                line.length--;
        h->n_length += slice_is_name(name, "Content-Length");
        h->n_encoding += slice_is_name(name, "Transfer-Encoding");
        h->n_host += slice_is_name(name, "Host");
        h->n_connection += slice_is_name(name, "Connection");
        h->n_upgrade += slice_is_name(name, "Upgrade");
        if (slice_is_name(name, "X-Registry-Auth")) {
                h->n_auth++;
                h->auth = line;
                h->auth_line = whole;
        }
        return true;
}

static bool read_headers(Slice lines, Headers *ret) {
        while (lines.length > 0) {
                Slice line;

                if (!take_line(&lines, &line))
                        return false;
                if (line.length == 0)
                        break;
                if (!note_header(line, ret))
                        return false;
        }
        return ret->n_auth <= 1 && ret->n_host == 1 && ret->n_connection <= 1 && ret->n_upgrade <= 1 &&
               ret->n_length + ret->n_encoding <= 1;
}

/* --- the credentials that the agent brings --- */

static bool has_value(json_object *member) {
        return member && !(json_object_is_type(member, json_type_string) && json_object_get_string_len(member) == 0);
}

/* Returns true if the value is an AuthConfig without any content: base64 of "{}" (measured), or of empty members. */
static bool is_empty_auth(Slice value) {
        unsigned char text[256] = "";
        _cleanup_json_ json_object *o = NULL;
        char encoded[256];
        int n;

        if (value.length == 0)
                return true;
        if (value.length >= sizeof(encoded) || value.length % 4 != 0)
                return false;
        memcpy(encoded, value.start, value.length);
        encoded[value.length] = 0;
        for (char *c = encoded; *c; c++) /* the alphabet for URLs, as Docker's */
                *c = (char) (*c == '-' ? '+' : *c == '_' ? '/' : *c);
        n = EVP_DecodeBlock(text, (const unsigned char *) encoded, (int) value.length);
        if (n < 0 || json_parse_strict((const char *) text, strlen((const char *) text), 0, &o, NULL, NULL) < 0 ||
            !json_object_is_type(o, json_type_object))
                return false;
        json_object_object_foreach(o, name, member) {
                (void) name;
                if (has_value(member))
                        return false;
        }
        return true;
}

/* --- the target --- */

static int hex_value(char c) {
        return isdigit((unsigned char) c) ? c - '0'
               : c >= 'A' && c <= 'F'     ? c - 'A' + 10
               : c >= 'a' && c <= 'f'     ? c - 'a' + 10
                                          : -1;
}

/* Decodes %XX. Returns false if the result is no part of an image name, or does not fit. */
static bool decode(Slice s, char *ret, size_t size) {
        size_t n = 0;

        for (size_t i = 0; i < s.length; i++) {
                char c = s.start[i];

                if (c == '%') {
                        int high = i + 2 < s.length ? hex_value(s.start[i + 1]) : -1,
                            low = high < 0 ? -1 : hex_value(s.start[i + 2]);

                        if (low < 0)
                                return false;
                        c = (char) (high * 16 + low);
                        i += 2;
                }
                if ((!isalnum((unsigned char) c) && !is_one_of(c, "._-/:@[]")) || n + 1 >= size)
                        return false;
                ret[n++] = c;
        }
        ret[n] = 0;
        return n > 0;
}

/* Removes tag and digest: the port of a host stands before a slash. */
static void cut_tag(char *image) {
        char *digest = strchr(image, '@'), *last, *tag;

        if (digest)
                *digest = 0;
        last = strrchr(image, '/');
        tag = strchr(last ? last : image, ':');
        if (tag)
                *tag = 0;
}

/* Reads fromImage= of a query. Returns false if it is missing, given twice, or names no image. */
static bool read_from_image(Slice query, char *ret, size_t size) {
        unsigned n = 0;

        while (query.length > 0) {
                Slice value = take_part(&query, '&'), name = take_part(&value, '=');

                if (memchr(name.start, '%', name.length) || memchr(name.start, ';', name.length) ||
                    memchr(value.start, ';', value.length))
                        return false;
                if (slice_is(name, "fromSrc"))
                        return false; /* an import */
                if (slice_is(name, "fromImage") && (n++ > 0 || !decode(value, ret, size)))
                        return false;
        }
        return n == 1;
}

/* Removes "/v1.NN". */
static void take_version(Slice *path) {
        Slice rest = *path;

        if (!take_prefix(&rest, "/v1."))
                return;
        while (rest.length > 0 && isdigit((unsigned char) *rest.start))
                rest = (Slice){rest.start + 1, rest.length - 1};
        if (rest.length > 0 && *rest.start == '/')
                *path = rest;
}

static RequestKind read_target(Slice method, Slice target, RequestHead *head) {
        const size_t whole = target.length;
        Slice path = take_part(&target, '?');

        head->has_query = path.length < whole;
        if (path.length == 0 || *path.start != '/')
                return REQUEST_UNCLEAR;
        take_version(&path);
        if (slice_is(method, "GET") && slice_is(path, "/events"))
                return memmem(target.start, target.length, "since", 5) ? REQUEST_OTHER : REQUEST_EVENTS;
        if (slice_is(method, "POST") && slice_is(path, "/images/create"))
                return read_from_image(target, head->image, sizeof(head->image)) ? REQUEST_PULL : REQUEST_OTHER;
        if (slice_is(method, "GET") && take_prefix(&path, "/distribution/") && take_suffix(&path, "/json"))
                return !memchr(path.start, '%', path.length) && decode(path, head->image, sizeof(head->image))
                               ? REQUEST_PULL
                               : REQUEST_OTHER;
        return REQUEST_OTHER;
}

static RequestKind judge(const char *text, Slice rest, RequestHead *head) {
        Slice line, method, target;
        Headers headers = {0};
        RequestKind kind;

        if (!take_line(&rest, &line))
                return REQUEST_UNCLEAR;
        method = take_part(&line, ' ');
        target = take_part(&line, ' ');
        head->target_end = (size_t) (target.start + target.length - text);
        if (!is_token(method) || !slice_is(line, "HTTP/1.1") || !read_headers(rest, &headers))
                return REQUEST_UNCLEAR;
        head->has_connection = headers.n_connection + headers.n_upgrade > 0;
        kind = read_target(method, target, head);
        if (kind != REQUEST_PULL)
                return kind;
        cut_tag(head->image);
        if (!*head->image || headers.n_encoding > 0 || headers.n_upgrade > 0 || !is_empty_auth(headers.auth))
                return REQUEST_OTHER;
        if (headers.n_auth > 0) {
                head->auth_start = (size_t) (headers.auth_line.start - text);
                head->auth_end = head->auth_start + headers.auth_line.length + strlen("\r\n");
        }
        return kind;
}

int request_head_parse(const char *text, size_t size, RequestHead *ret) {
        const char *end = memmem(text, size, "\r\n\r\n", 4);
        RequestHead head = {0};

        if (!end)
                return -EAGAIN;
        head.length = (size_t) (end - text) + 4;
        head.kind = judge(text, (Slice){text, head.length}, &head);
        *ret = head;
        return 0;
}

char *request_head_rewrite(const char *text, const RequestHead *head, const char *auth, const char *since) {
        const char *rest = text + head->target_end, *end = text + head->length - strlen("\r\n");
        const bool replaces = auth && head->auth_end > 0;
        const char *cut = replaces ? text + head->auth_start : end;

        return xasprintf("%.*s%s%s%.*s%.*s%s%s%s%s\r\n", (int) head->target_end, text,
                         !since            ? ""
                         : head->has_query ? "&since="
                                           : "?since=",
                         since ? since : "", (int) (cut - rest), rest,
                         replaces ? (int) (end - text - (ptrdiff_t) head->auth_end) : 0, text + head->auth_end,
                         auth ? "X-Registry-Auth: " : "", auth ? auth : "", auth ? "\r\n" : "",
                         head->has_connection ? "" : "Connection: close\r\n");
}
