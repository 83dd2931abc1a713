/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <json-c/json.h>

#include "base/macro.h"

static inline void json_putp(json_object **o) {
        json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_putp)

/* What the values of one text may take, as an empty object takes 0.8 KB, and three bytes of text: 8 MB of "{}," grew to
 * 1 GB. The first is for files of root's: one of 4 MB, with 50,000 registries, is taken. The second is for
 * what others send: the Docker Engine's list of 1,000 containers of tasks, 2.3 MB, counts for 23 MB. */
enum {
        JSON_MEMORY_MAX = 96 * 1024 * 1024,
        JSON_ANSWER_MEMORY_MAX = 40 * 1024 * 1024,
};

/* Parses the whole text as strictly as Go's decoder, which is what Docker and the agent read with, whatever json-c
 * takes (what its strict mode takes differs between versions: 0.18 refuses every byte beyond ASCII). Two differences:
 * nested no deeper than 32, and no name with a NUL. flags: of JSON_TOKENER_*; with JSON_TOKENER_VALIDATE_UTF8 a string
 * that is not UTF-8 is refused, where Go puts U+FFFD in its place; without it, it is given as it stands. -EBADMSG:
 * *ret_offset tells where in the text, *ret_why why; both may be NULL. -EFBIG: likewise, its values would take more
 * than JSON_MEMORY_MAX. */
int json_parse_strict(const char *text, size_t size, int flags, json_object **ret, size_t *ret_offset,
                      const char **ret_why);

/* The same for what others send: at most JSON_ANSWER_MEMORY_MAX, and what follows the first value is left alone, as
 * Docker does it with what a credential helper answers. */
int json_parse_answer(const char *text, json_object **ret);

/* The text of it, which it keeps; flags: of JSON_C_TO_STRING_*. NULL: no memory; json-c itself then gives one that is
 * cut short. */
const char *json_to_text(json_object *o, int flags);

/* The length of the UTF-8 sequence at s, 1 to 4; 0 when there is none. */
size_t json_utf8_length(const unsigned char *s);

/* Go's decoder, and systemd, take no other strings. NULL is fine. */
bool json_is_utf8(const char *s);

/* The member of an object, if o is one and has it and it is of that type; NULL otherwise. The name is to be the same in
 * every letter: for members that are keys of a map to Go. */
static inline json_object *json_get(json_object *o, const char *key, json_type type) {
        json_object *member;

        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &member))
                return NULL;
        return json_object_is_type(member, type) ? member : NULL;
}

/* A string that holds something. A NUL in it would end it early for everyone who takes it after us. */
static inline const char *json_string_of(json_object *o) {
        const char *s = json_object_is_type(o, json_type_string) ? json_object_get_string(o) : NULL;

        return !s || !*s || strlen(s) != (size_t) json_object_get_string_len(o) ? NULL : s;
}

/* A member that is such a string. */
static inline const char *json_get_string(json_object *o, const char *key) {
        return json_string_of(json_get(o, key, json_type_string));
}

/* The same for members that are the fields of a struct to Go's decoder (encoding/json, Unmarshal): it takes their names
 * in upper or lower case, and of several the one that stands last. null leaves a field as it is, so that the last one
 * of the type counts. (Go's two letters beyond ASCII that fold to k and s are left out.) */
json_object *json_field(json_object *o, const char *name, json_type type);
const char *json_field_string(json_object *o, const char *name);

/* Finds a member of the outermost object by name, ignoring case. nth: 1 is the first member of that name;
 * json-c itself keeps only the last. text: JSON that json_parse_strict() accepts. */
bool json_find_member(const char *text, size_t size, const char *name, unsigned nth, size_t *ret_offset);

/* Replaces by '?' each byte that a terminal or a log may take for more than text: control characters (C0, C1, DEL),
 * those that turn the direction of writing, and bytes that are not UTF-8. */
void make_printable(char *s);

/* Copies what may be shown: a foreign string that goes into a log line or a STATUS=. NULL is empty. */
void json_copy_printable(char *ret, size_t size, const char *s);
