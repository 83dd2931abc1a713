/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/lease-file.h"

#include "base/json.h"
#include "base/state-file.h"
#include "credentials/registry-name.h"

#define NAME "leases"

/* Times can be added to and taken from each other up to here. */
#define TIME_MAX (INT64_MAX / 4)

enum {
        FILE_SIZE_MAX = 64 * 1024 * 1024,
        ERRNO_MAX = 4095, /* the kernel's own MAX_ERRNO */
};

static int add(json_object *o, const char *name, json_object *value) {
        if (value && json_object_object_add(o, name, value) >= 0)
                return 0;
        json_object_put(value);
        return -ENOMEM;
}

static json_object *digest_to_json(const Digest *d) {
        char hex[2 * sizeof(d->bytes) + 1];

        digest_to_hex(d, hex);
        return json_object_new_string(hex);
}

static int describe_lease(const Lease *l, json_object *o) {
        int r = 0;

        r |= add(o, "registry", json_object_new_string(l->registry));
        r |= add(o, "key", json_object_new_string(l->key));
        r |= add(o, "helper", json_object_new_string(l->helper));
        r |= add(o, "source", json_object_new_string(l->source));
        r |= add(o, "listed", json_object_new_boolean(l->listed));
        r |= add(o, "entered", json_object_new_boolean(l->entered));
        r |= add(o, "settings", digest_to_json(&l->settings));
        r |= add(o, "answered", json_object_new_boolean(l->answered));
        r |= add(o, "asked", json_object_new_int64(l->asked));
        r |= add(o, "given", json_object_new_int64(l->given));
        r |= add(o, "due", json_object_new_int64(l->due));
        r |= add(o, "end", json_object_new_int64(l->end));
        r |= add(o, "error", json_object_new_int(l->error));
        r |= add(o, "restored", json_object_new_int64(l->restored));
        r |= add(o, "failures", json_object_new_int64(l->failures));
        r |= add(o, "login", json_object_new_int64(l->login));
        r |= add(o, "digest", digest_to_json(&l->digest));
        return r;
}

static int describe_mark(const FileMark *m, json_object *o) {
        int r = 0;

        r |= add(o, "path", json_object_new_string(m->path));
        r |= add(o, "inode", json_object_new_int64((int64_t) m->stamp.inode));
        r |= add(o, "mtime", json_object_new_int64(m->stamp.mtime_nsec));
        r |= add(o, "digest", digest_to_json(&m->stamp.digest));
        r |= add(o, "login", json_object_new_int64(m->login));
        return r;
}

/* A new object at the end of the list. */
static json_object *append(json_object *list) {
        json_object *o = json_object_new_object();

        if (o && json_object_array_add(list, o) < 0) {
                json_object_put(o);
                o = NULL;
        }
        return o;
}

static int describe(const Leases *l, json_object *top) {
        json_object *leases = json_object_new_array(), *files = json_object_new_array();
        int r = add(top, "leases", leases);

        r |= add(top, "files", files);
        for (size_t i = 0; r >= 0 && i < l->n_items; i++) {
                json_object *o = append(leases);

                r = o ? describe_lease(l->items[i], o) : -ENOMEM;
        }
        for (size_t i = 0; r >= 0 && i < l->n_marks; i++) {
                json_object *o = append(files);

                r = o ? describe_mark(&l->marks[i], o) : -ENOMEM;
        }
        return r < 0 ? -ENOMEM : 0;
}

/* json-c passes over failed allocations when it prints, and cuts the text short. */
static int check_text(const Leases *l, const char *text) {
        _cleanup_(leases_done) Leases back = {0};
        int r = leases_parse(text, &back);

        if (r < 0)
                return r == -ENOMEM ? r : -EIO;
        return back.n_items == l->n_items && back.n_marks == l->n_marks ? 0 : -EIO;
}

int leases_save(const Leases *l) {
        _cleanup_json_ json_object *top = json_object_new_object();
        _cleanup_free_ char *before = NULL;
        const char *text;
        int r;

        if (!top || describe(l, top) < 0)
                return -ENOMEM;
        text = json_to_text(top, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        if (!text)
                return -ENOMEM;
        if (state_file_read(NAME, FILE_SIZE_MAX, &before) >= 0 && streq(before, text))
                return 0;
        r = check_text(l, text);
        return r < 0 ? r : state_file_write(NAME, text);
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

/* It is shown, and compared with names that are so. -EINVAL: not one. */
static int check_registry(const char *name) {
        _cleanup_free_ char *normal = NULL;
        int r;

        if (!*name)
                return 0; /* a store */
        r = registry_normalize(name, &normal);
        return r < 0 ? r : streq(name, normal) ? 0 : -EINVAL;
}

static int parse_lease(json_object *o, Leases *l) {
        LeaseTerms terms = {.key = text_of(o, "key"),
                            .source = text_of(o, "source"),
                            .listed = flag(o, "listed"),
                            .entered = flag(o, "entered")};
        Digest digest;
        Lease *lease;
        int r;

        if (str_empty(json_get_string(o, "helper")) || digest_from_hex(text_of(o, "digest"), &digest) < 0)
                return 0;
        r = check_registry(text_of(o, "registry"));
        if (r < 0)
                return r == -ENOMEM ? r : 0;
        (void) digest_from_hex(text_of(o, "settings"), &terms.settings); /* of another version: other ones */
        lease = leases_add(l, text_of(o, "registry"), text_of(o, "helper"));
        if (!lease)
                return -ENOMEM;
        r = lease_describe(lease, &terms);
        if (r < 0)
                return r;
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
        return 0;
}

static int parse_mark(json_object *o, Leases *l) {
        Digest digest;
        FileMark *mark;

        if (str_empty(json_get_string(o, "path")) || digest_from_hex(text_of(o, "digest"), &digest) < 0)
                return 0;
        mark = leases_mark(l, text_of(o, "path"));
        if (!mark)
                return -ENOMEM;
        mark->stamp.inode = (uint64_t) json_object_get_int64(json_get(o, "inode", json_type_int));
        mark->stamp.mtime_nsec = json_object_get_int64(json_get(o, "mtime", json_type_int));
        mark->stamp.digest = digest;
        mark->login = number(o, "login");
        return 0;
}

static int parse_list(json_object *list, int (*parse)(json_object *o, Leases *l), Leases *l) {
        size_t n = list ? json_object_array_length(list) : 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = parse(json_object_array_get_idx(list, i), l);
        return r;
}

int leases_parse(const char *text, Leases *ret) {
        _cleanup_(leases_done) Leases l = {0};
        _cleanup_json_ json_object *top = NULL;
        int r;

        r = json_parse_strict(text, strlen(text), 0, &top, NULL, NULL);
        if (r >= 0)
                r = parse_list(json_get(top, "leases", json_type_array), parse_lease, &l);
        if (r >= 0)
                r = parse_list(json_get(top, "files", json_type_array), parse_mark, &l);
        if (r < 0)
                return r;
        *ret = l;
        l = (Leases){0};
        return 0;
}

int leases_load(Leases *ret) {
        _cleanup_free_ char *text = NULL;
        int r;

        r = state_file_read(NAME, FILE_SIZE_MAX, &text);
        if (r >= 0)
                r = leases_parse(text, ret);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                *ret = (Leases){0};
        return 0;
}
