/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <json-c/json.h>

#include "base/macro.h"

static inline void json_putp(json_object **o) {
        json_object_put(*o);
}
#define _cleanup_json_ _cleanup_(json_putp)

/* Parses the whole text as strictly as Go's decoder, which is what Docker and the agent read with; json-c alone would
 * take single quotes. flags: more of JSON_TOKENER_*. -EBADMSG: *ret_offset tells where in the text, *ret_why why; both
 * may be NULL. */
int json_parse_strict(const char *text, size_t size, int flags, json_object **ret, size_t *ret_offset,
                      const char **ret_why);

/* The length of the UTF-8 sequence at s, 1 to 4; 0 when there is none. */
size_t json_utf8_length(const unsigned char *s);

/* Go's decoder, and systemd, take no other strings. NULL is fine. */
bool json_is_utf8(const char *s);

/* The member of an object, if o is one and has it and it is of that type; NULL otherwise. */
static inline json_object *json_get(json_object *o, const char *key, json_type type) {
        json_object *member;

        if (!json_object_is_type(o, json_type_object) || !json_object_object_get_ex(o, key, &member))
                return NULL;
        return json_object_is_type(member, type) ? member : NULL;
}

/* A member that is a string and holds something. A NUL in it would end it early for everyone who takes it after us. */
static inline const char *json_get_string(json_object *o, const char *key) {
        json_object *member = json_get(o, key, json_type_string);
        const char *s = member ? json_object_get_string(member) : NULL;

        return !s || !*s || strlen(s) != (size_t) json_object_get_string_len(member) ? NULL : s;
}
