/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap-record.h"

#include <ctype.h>

#include "base/directories.h"
#include "base/json.h"
#include "base/state-file.h"

enum {
        RECORD_SIZE_MAX = 4096,
};

static const char *const stage_names[_SWAP_STAGE_MAX] = {
        [SWAP_CREATING] = "creating", [SWAP_PREPARED] = "prepared",   [SWAP_STOPPING] = "stopping",
        [SWAP_RENAMING] = "renaming", [SWAP_STARTING] = "starting",   [SWAP_UNDOING] = "undoing",
        [SWAP_STARTED] = "started",   [SWAP_CONFIRMED] = "confirmed", [SWAP_UNDONE] = "undone",
};

#define NAME "swap"

void swap_record_path(char *ret, size_t size) {
        (void) snprintf(ret, size, "%s/" NAME, state_directory());
}

/* Both stand in the path of a request: Docker's own characters, and nothing else. */
static int get_word(json_object *o, const char *key, bool may_be_missing, char *ret, size_t size) {
        const char *s = json_get_string(o, key);

        if (!s)
                return may_be_missing ? 0 : -EBADMSG;
        for (const char *p = s; *p; p++)
                if (!isalnum((unsigned char) *p) && !strchr("_.-", *p))
                        return -EBADMSG;
        return (size_t) snprintf(ret, size, "%s", s) >= size ? -EBADMSG : 0;
}

static int get_stage(json_object *o, SwapStage *ret) {
        const char *s = json_get_string(o, "stage");

        for (int i = 0; s && i < _SWAP_STAGE_MAX; i++)
                if (streq(s, stage_names[i])) {
                        *ret = (SwapStage) i;
                        return 0;
                }
        return -EBADMSG;
}

static int parse(const char *text, size_t size, SwapRecord *ret) {
        _cleanup_json_ json_object *o = NULL;
        SwapRecord record = {0};
        int r;

        r = json_parse_strict(text, size, 0, &o, NULL, NULL);
        if (r >= 0)
                r = get_stage(o, &record.stage);
        if (r >= 0)
                r = get_word(o, "container", false, record.container, sizeof(record.container));
        if (r >= 0)
                r = get_word(o, "old", true, record.old_id, sizeof(record.old_id));
        if (r >= 0)
                r = get_word(o, "new", true, record.new_id, sizeof(record.new_id));
        if (r >= 0)
                r = get_word(o, "restart_policy", true, record.restart_policy, sizeof(record.restart_policy));
        if (r < 0)
                return r;
        record.retries = json_object_get_int(json_get(o, "retries", json_type_int));
        record.since_usec = json_object_get_int64(json_get(o, "since", json_type_int));
        if (record.since_usec < 0) /* no time of ours, and the clock could not be compared with it */
                record.since_usec = 0;
        *ret = record;
        return 0;
}

int swap_record_load(SwapRecord *ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = state_file_read(NAME, RECORD_SIZE_MAX, &text);
        if (r < 0)
                return r == -ENOENT ? 0 : r == -EILSEQ ? -EBADMSG : r;
        r = parse(text, strlen(text), ret);
        return r < 0 ? r : 1;
}

static int set(json_object *o, const char *key, json_object *value) {
        if (value && json_object_object_add(o, key, value) >= 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

static int format(const SwapRecord *record, json_object **ret) {
        _cleanup_json_ json_object *o = json_object_new_object();
        int r = o ? 0 : -ENOMEM;

        if (r >= 0)
                r = set(o, "stage", json_object_new_string(stage_names[record->stage]));
        if (r >= 0)
                r = set(o, "container", json_object_new_string(record->container));
        if (r >= 0)
                r = set(o, "old", json_object_new_string(record->old_id));
        if (r >= 0)
                r = set(o, "new", json_object_new_string(record->new_id));
        if (r >= 0)
                r = set(o, "restart_policy", json_object_new_string(record->restart_policy));
        if (r >= 0)
                r = set(o, "retries", json_object_new_int(record->retries));
        if (r >= 0)
                r = set(o, "since", json_object_new_int64(record->since_usec));
        if (r < 0)
                return r;
        *ret = json_object_get(o);
        return 0;
}

int swap_record_save(const SwapRecord *record) {
        _cleanup_json_ json_object *o = NULL;
        const char *text;
        int r;

        r = format(record, &o);
        if (r < 0)
                return r;
        text = json_to_text(o, JSON_C_TO_STRING_PLAIN);
        return text ? state_file_write(NAME, text) : -ENOMEM;
}

int swap_record_remove(void) {
        return state_file_remove(NAME);
}

bool swap_record_is_pending(void) {
        SwapRecord record = {0};
        int r = swap_record_load(&record);

        /* One that says nothing has to be looked into. */
        return r == -EBADMSG || (r > 0 && record.stage <= SWAP_UNDOING);
}

bool swap_record_exists(void) {
        SwapRecord record = {0};

        return swap_record_load(&record) != 0;
}
