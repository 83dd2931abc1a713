/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/lease.h"

#include <search.h>
#include <sys/random.h>

#include "base/memory.h"
#include "base/state-file.h"
#include "credentials/registry-name.h"

#define NAME "leases"

/* Times can be added to and taken from each other up to here. */
#define TIME_MAX (INT64_MAX / 4)

enum {
        FILE_SIZE_MAX = 64 * 1024 * 1024,
        ERRNO_MAX = 4095, /* the kernel's own MAX_ERRNO */
};

#define RETRY_MIN_USEC ((int64_t) (5 * USEC_PER_SEC))
#define RETRY_MAX_USEC ((int64_t) (300 * USEC_PER_SEC))

static void lease_free(Lease *l) {
        free(l->registry);
        free(l->key);
        free(l->helper);
        free(l->source);
        credential_done(&l->answer);
        free(l);
}

static void keep_node(void *node _unused_) {
}

void leases_done(Leases *l) {
        tdestroy(l->by_name, keep_node);
        for (size_t i = 0; i < l->n_items; i++)
                lease_free(l->items[i]);
        for (size_t i = 0; i < l->n_marks; i++)
                free(l->marks[i].path);
        free(l->items);
        free(l->marks);
        *l = (Leases){0};
}

static int compare_names(const void *a, const void *b) {
        const Lease *one = a, *other = b;
        int r = strcmp(one->registry, other->registry);

        return r != 0 ? r : strcmp(one->helper, other->helper);
}

Lease *leases_find(const Leases *l, const char *registry, const char *helper) {
        const Lease wanted = {.registry = (char *) registry, .helper = (char *) helper};
        Lease *const *node = tfind(&wanted, &l->by_name, compare_names);

        return node ? *node : NULL;
}

Lease *leases_add(Leases *l, const char *registry, const char *helper) {
        Lease *lease = leases_find(l, registry, helper);

        if (lease)
                return lease;
        lease = xcalloc(1, sizeof(Lease));
        *lease = (Lease){
                .registry = xstrdup(registry), .helper = xstrdup(helper), .key = xstrdup(""), .source = xstrdup("")};
        (void) xmemory(tsearch(lease, &l->by_name, compare_names));
        l->items = xroom_for_one_more(l->items, l->n_items, sizeof(Lease *));
        return l->items[l->n_items++] = lease;
}

FileMark *leases_mark(Leases *l, const char *path) {
        for (size_t i = 0; i < l->n_marks; i++)
                if (streq(l->marks[i].path, path))
                        return &l->marks[i];
        l->marks = xroom_for_one_more(l->marks, l->n_marks, sizeof(FileMark));
        l->marks[l->n_marks] = (FileMark){.path = xstrdup(path)};
        return &l->marks[l->n_marks++];
}

void leases_prune(Leases *l, bool (*keep)(const Lease *lease, void *userdata), void *userdata) {
        size_t n = 0;

        for (size_t i = 0; i < l->n_items; i++) {
                if (keep(l->items[i], userdata)) {
                        l->items[n++] = l->items[i];
                        continue;
                }
                (void) tdelete(l->items[i], &l->by_name, compare_names);
                lease_free(l->items[i]);
        }
        l->n_items = n;
}

/* Returns true if the string is another one. */
static bool replace(char **target, const char *value) {
        if (streq(*target, value))
                return false;
        free(*target);
        *target = xstrdup(value);
        return true;
}

/* --- one lease --- */

void lease_describe(Lease *lease, const LeaseTerms *terms) {
        const bool key = replace(&lease->key, terms->key), source = replace(&lease->source, terms->source);

        if (key || source || lease->entered != terms->entered || !digest_equal(&lease->settings, &terms->settings)) {
                lease->answered = false;
                lease->due = 0;
                lease->failures = 0;
        }
        lease->listed = terms->listed;
        lease->entered = terms->entered;
        lease->settings = terms->settings;
}

bool lease_has_answered(const Lease *lease) {
        static const Digest none; /* that it has none is an answer, too */

        return lease->answered && !digest_equal(&lease->digest, &none);
}

void lease_begin(Lease *lease) {
        lease->fresh = true;
        credential_forget_secrets(&lease->answer);
        lease->before.failures = lease->failures;
        lease->before.answered = lease_has_answered(lease);
        lease->before.digest = lease->digest;
        lease->before.given = lease->given;
        lease->before.end = lease->end;
}

void lease_answered(Lease *lease, const Digest *digest, int64_t end, int64_t refresh_usec, int64_t asked, int64_t now) {
        int64_t length = end > 0 ? end - asked : refresh_usec;

        lease->answered = true;
        lease->digest = *digest;
        lease->asked = lease->given = asked;
        lease->end = end;
        lease->error = 0;
        lease->failures = 0;
        lease->login = 0;
        lease->due = length > 0 ? asked + lease_used_of(length) : 0;
        /* However short it is: who gives such ones is not asked all the time. */
        if (length > 0 && lease->due < now + RETRY_MIN_USEC)
                lease->due = now + RETRY_MIN_USEC;
}

static int64_t pause_after(unsigned times) {
        int64_t pause = RETRY_MIN_USEC;

        for (unsigned i = 0; i < times && pause < RETRY_MAX_USEC; i++)
                pause *= 2;
        return pause < RETRY_MAX_USEC ? pause : RETRY_MAX_USEC;
}

int64_t lease_restore_pause(const Lease *lease) {
        return pause_after(lease->restored);
}

void lease_failed(Lease *lease, int error, int64_t now) {
        int64_t pause = pause_after(lease->failures);
        uint16_t chance = 0;

        lease->failures++;
        lease->error = error;
        lease->asked = now;
        lease->login = 0;
        /* Between three quarters of it and the whole: a fleet does not come back at once. */
        if (getrandom(&chance, sizeof(chance), 0) != (ssize_t) sizeof(chance))
                chance = 0;
        lease->due = now + pause - pause / 4 * chance / UINT16_MAX;
}

void lease_not_written(Lease *lease, int64_t now) {
        int64_t asked = lease->asked;

        if (lease->failures == 0)
                lease->failures = lease->before.failures;
        lease->answered = lease->before.answered;
        lease->digest = lease->before.digest;
        lease->given = lease->before.given;
        lease->end = lease->before.end;
        lease_failed(lease, -ECANCELED, now);
        lease->asked = asked;
}

void lease_bring_forward(Lease *lease, int64_t due, int64_t now) {
        lease->login = now;
        if (lease->due == 0 || lease->due > due)
                lease->due = due;
}

bool lease_is_due(const Lease *lease, int64_t now) {
        /* Without RefreshSec= and with nobody who knows an end it is good until something changes. */
        return (!lease->answered && lease->failures == 0) || (lease->due > 0 && now >= lease->due) ||
               now < lease->asked;
}

/* --- the file --- */

static void set_number(json_object *o, const char *name, int64_t n) {
        xjson_set(o, name, xmemory(json_object_new_int64(n)));
}

static void set_flag(json_object *o, const char *name, bool flag) {
        xjson_set(o, name, xmemory(json_object_new_boolean(flag)));
}

static void set_digest(json_object *o, const char *name, const Digest *d) {
        char hex[2 * sizeof(d->bytes) + 1];

        digest_to_hex(d, hex);
        xjson_set_string(o, name, hex);
}

/* Returns a new object at the end of the list. */
static json_object *append(json_object *list) {
        json_object *o = xmemory(json_object_new_object());

        if (json_object_array_add(list, o) < 0)
                memory_exhausted();
        return o;
}

static void describe_lease(const Lease *l, json_object *o) {
        xjson_set_string(o, "registry", l->registry);
        xjson_set_string(o, "key", l->key);
        xjson_set_string(o, "helper", l->helper);
        xjson_set_string(o, "source", l->source);
        set_flag(o, "listed", l->listed);
        set_flag(o, "entered", l->entered);
        set_digest(o, "settings", &l->settings);
        set_flag(o, "answered", l->answered);
        set_number(o, "asked", l->asked);
        set_number(o, "given", l->given);
        set_number(o, "due", l->due);
        set_number(o, "end", l->end);
        set_number(o, "error", l->error);
        set_number(o, "restored", l->restored);
        set_number(o, "failures", l->failures);
        set_number(o, "login", l->login);
        set_digest(o, "digest", &l->digest);
}

static void describe_mark(const FileMark *m, json_object *o) {
        xjson_set_string(o, "path", m->path);
        set_number(o, "inode", (int64_t) m->stamp.inode);
        set_number(o, "mtime", m->stamp.mtime_nsec);
        set_digest(o, "digest", &m->stamp.digest);
        set_number(o, "login", m->login);
}

static json_object *describe(const Leases *l) {
        json_object *top = xmemory(json_object_new_object()), *leases = json_object_new_array(),
                    *files = json_object_new_array();

        xjson_set(top, "leases", leases);
        xjson_set(top, "files", files);
        for (size_t i = 0; i < l->n_items; i++)
                describe_lease(l->items[i], append(leases));
        for (size_t i = 0; i < l->n_marks; i++)
                describe_mark(&l->marks[i], append(files));
        return top;
}

int leases_save(const Leases *l) {
        _cleanup_json_ json_object *top = describe(l);
        _cleanup_free_ char *before = NULL;
        const char *text = xjson_to_text(top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

        if (state_file_read(NAME, FILE_SIZE_MAX, &before) >= 0 && streq(before, text))
                return 0;
        return state_file_write(NAME, text);
}

/* One that is no time of ours, in a file that was damaged, is none. */
static int64_t number(json_object *o, const char *name) {
        int64_t n = json_object_get_int64(json_get(o, name, json_type_int));

        return n < 0 || n > TIME_MAX ? 0 : n;
}

static bool flag(json_object *o, const char *name) {
        return json_object_get_boolean(json_get(o, name, json_type_boolean));
}

static const char *text_of(json_object *o, const char *name) {
        const char *s = json_get_string(o, name);

        return s ? s : "";
}

/* Of a helper's call: what is none of errno's numbers was not written by us. */
static int error_of(json_object *o) {
        int64_t n = json_object_get_int64(json_get(o, "error", json_type_int));

        return n > 0 || n < -ERRNO_MAX ? -EIO : (int) n;
}

/* Returns true for a normalized name, or for the empty name of a store: other names may not be shown. */
static bool is_registry(const char *name) {
        _cleanup_free_ char *normal = NULL;

        return !*name || (registry_normalize(name, &normal) >= 0 && streq(name, normal));
}

static void parse_lease(json_object *o, Leases *l) {
        LeaseTerms terms = {.key = text_of(o, "key"),
                            .source = text_of(o, "source"),
                            .listed = flag(o, "listed"),
                            .entered = flag(o, "entered")};
        Digest digest;
        Lease *lease;

        if (str_empty(json_get_string(o, "helper")) || digest_from_hex(text_of(o, "digest"), &digest) < 0 ||
            !is_registry(text_of(o, "registry")))
                return;
        (void) digest_from_hex(text_of(o, "settings"), &terms.settings); /* of another version: other ones */
        lease = leases_add(l, text_of(o, "registry"), text_of(o, "helper"));
        lease_describe(lease, &terms);
        lease->answered = flag(o, "answered");
        lease->asked = number(o, "asked");
        lease->given = number(o, "given");
        lease->due = number(o, "due");
        lease->end = number(o, "end");
        lease->failures = (unsigned) number(o, "failures");
        lease->error = error_of(o);
        lease->restored = (unsigned) number(o, "restored");
        lease->login = number(o, "login");
        lease->digest = digest;
}

static void parse_mark(json_object *o, Leases *l) {
        Digest digest;
        FileMark *mark;

        if (str_empty(json_get_string(o, "path")) || digest_from_hex(text_of(o, "digest"), &digest) < 0)
                return;
        mark = leases_mark(l, text_of(o, "path"));
        mark->stamp.inode = (uint64_t) json_object_get_int64(json_get(o, "inode", json_type_int));
        mark->stamp.mtime_nsec = json_object_get_int64(json_get(o, "mtime", json_type_int));
        mark->stamp.digest = digest;
        mark->login = number(o, "login");
}

static void parse_list(json_object *list, void (*parse)(json_object *o, Leases *l), Leases *l) {
        size_t n = list ? json_object_array_length(list) : 0;

        for (size_t i = 0; i < n; i++)
                parse(json_object_array_get_idx(list, i), l);
}

int leases_parse(const char *text, Leases *ret) {
        _cleanup_json_ json_object *top = NULL;
        int r;

        r = json_parse_strict(text, strlen(text), 0, &top, NULL, NULL);
        if (r < 0)
                return r;
        *ret = (Leases){0};
        parse_list(json_get(top, "leases", json_type_array), parse_lease, ret);
        parse_list(json_get(top, "files", json_type_array), parse_mark, ret);
        return 0;
}

void leases_load(Leases *ret) {
        _cleanup_free_ char *text = NULL;
        int r = state_file_read(NAME, FILE_SIZE_MAX, &text);

        *ret = (Leases){0};
        if (r >= 0)
                r = leases_parse(text, ret);
        if (r == -ENOMEM)
                memory_exhausted();
}
