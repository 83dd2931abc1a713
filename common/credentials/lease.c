/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/lease.h"

#include <search.h>
#include <sys/random.h>

#include "base/json.h"
#include "base/state-file.h"
#include "credentials/registry-name.h"

#define NAME "leases"

#define RETRY_MIN_USEC ((int64_t) (5 * USEC_PER_SEC))
#define RETRY_MAX_USEC ((int64_t) (300 * USEC_PER_SEC))

/* Times can be added to and taken from each other up to here. */
#define TIME_MAX (INT64_MAX / 4)

enum {
        FILE_SIZE_MAX = 64 * 1024 * 1024,
        ERRNO_MAX = 4095, /* the kernel's own MAX_ERRNO */
};

static Lease *lease_free(Lease *l) {
        if (!l)
                return NULL;

        free(l->registry);
        free(l->key);
        free(l->helper);
        free(l->source);
        free(l->complaint);
        free(l);
        return NULL;
}

DEFINE_CLEANUP_FUNC(Lease *, lease_free)

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

static Lease *lease_new(const char *registry, const char *helper) {
        _cleanup_(lease_freep) Lease *lease = calloc(1, sizeof(Lease));

        if (!lease)
                return NULL;
        lease->registry = strdup(registry);
        lease->helper = strdup(helper);
        lease->key = strdup("");
        lease->source = strdup("");
        lease->complaint = strdup("");
        if (!lease->registry || !lease->helper || !lease->key || !lease->source || !lease->complaint)
                return NULL;
        return STEAL_POINTER(lease);
}

Lease *leases_add(Leases *l, const char *registry, const char *helper) {
        _cleanup_(lease_freep) Lease *lease = NULL;
        Lease *found = leases_find(l, registry, helper), **items;

        if (found)
                return found;
        items = room_for_one_more(l->items, l->n_items, sizeof(Lease *));
        if (!items)
                return NULL;
        l->items = items;

        lease = lease_new(registry, helper);
        if (!lease || !tsearch(lease, &l->by_name, compare_names))
                return NULL;
        return items[l->n_items++] = STEAL_POINTER(lease);
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

static int replace(char **target, const char *value) {
        char *copy;

        if (streq(*target, value))
                return 0;
        copy = strdup(value);
        if (!copy)
                return -ENOMEM;
        free(*target);
        *target = copy;
        return 1;
}

static int copy_lease(Lease *target, const Lease *l) {
        Lease copy = *l;

        copy.registry = target->registry;
        copy.helper = target->helper;
        copy.key = target->key;
        copy.source = target->source;
        copy.complaint = target->complaint;
        copy.named = false;
        *target = copy;
        return replace(&target->key, l->key) < 0 || replace(&target->source, l->source) < 0 ||
                               replace(&target->complaint, l->complaint) < 0
                       ? -ENOMEM
                       : 0;
}

/* One that is ahead of the clock was asked before that was set back. */
static bool is_overtaken(const Lease *ours, const Lease *fresh, int64_t now) {
        bool others = ours->given > fresh->before.given && ours->given <= now;

        if (fresh->failures > 0)
                return others && ours->failures == 0;
        return ours->failures == 0 && ours->asked > fresh->asked && ours->asked <= now;
}

static int take_lease(Leases *l, const Lease *fresh, int64_t now) {
        Lease *lease = leases_add(l, fresh->registry, fresh->helper);
        int64_t due, login;
        int r;

        if (!lease || is_overtaken(lease, fresh, now))
                return lease ? 0 : -ENOMEM;
        due = lease->due;
        login = lease->login;
        r = copy_lease(lease, fresh);
        if (r >= 0 && login > fresh->asked && login <= now)
                lease_bring_forward(lease, due, login);
        return r;
}

/* The store of a lease that it listed was asked in that round. */
static bool was_listed(const Leases *round, const Lease *lease) {
        const Lease *store = lease->listed ? leases_find(round, "", lease->helper) : NULL;

        return store && store->fresh && store->failures == 0;
}

static bool is_still_listed(const Lease *lease, void *userdata) {
        const Leases *round = userdata;
        const Lease *other = leases_find(round, lease->registry, lease->helper);

        return !was_listed(round, lease) || (other && other->listed);
}

int leases_take_fresh(Leases *l, const Leases *round, int64_t now) {
        Leases asked = *round;
        int r = 0;

        leases_prune(l, is_still_listed, &asked);
        for (size_t i = 0; r >= 0 && i < round->n_items; i++)
                if (round->items[i]->fresh || was_listed(round, round->items[i]))
                        r = take_lease(l, round->items[i], now);
        return r;
}

/* --- one lease --- */

int lease_describe(Lease *lease, const LeaseTerms *terms) {
        int k = replace(&lease->key, terms->key), s = replace(&lease->source, terms->source);
        bool same = k == 0 && s == 0 && lease->entered == terms->entered &&
                    digest_equal(&lease->settings, &terms->settings);

        lease->listed = terms->listed;
        lease->entered = terms->entered;
        lease->settings = terms->settings;
        if (k < 0 || s < 0)
                return -ENOMEM;
        if (!same) {
                lease->answered = false;
                lease->due = 0;
                lease->failures = 0;
        }
        return 0;
}

bool lease_has_answered(const Lease *lease) {
        static const Digest none; /* that it has none is an answer, too */

        return lease->answered && !digest_equal(&lease->digest, &none);
}

void lease_begin(Lease *lease) {
        lease->fresh = true;
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
        lease->complaint[0] = 0; /* of an earlier time */
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

int lease_failed(Lease *lease, int error, const char *complaint, int64_t now) {
        int64_t pause = pause_after(lease->failures);
        uint16_t chance = 0;
        int r;

        lease->failures++;
        lease->error = error;
        lease->asked = now;
        lease->login = 0;
        /* Between three quarters of it and the whole: a fleet does not come back at once. */
        if (getrandom(&chance, sizeof(chance), 0) != (ssize_t) sizeof(chance))
                chance = 0;
        lease->due = now + pause - pause / 4 * chance / UINT16_MAX;
        r = replace(&lease->complaint, complaint ? complaint : "");
        return r < 0 ? r : 0;
}

int lease_not_written(Lease *lease, int64_t now) {
        int64_t asked = lease->asked;
        int r;

        if (lease->failures == 0)
                lease->failures = lease->before.failures;
        lease->answered = lease->before.answered;
        lease->digest = lease->before.digest;
        lease->given = lease->before.given;
        lease->end = lease->before.end;
        r = lease_failed(lease, -ECANCELED, NULL, now);
        lease->asked = asked;
        return r;
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
        r |= add(o, "complaint", json_object_new_string(l->complaint));
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
        r = replace(&lease->complaint, text_of(o, "complaint"));
        return r < 0 ? r : 0;
}

FileMark *leases_mark(Leases *l, const char *path) {
        FileMark *marks;

        for (size_t i = 0; i < l->n_marks; i++)
                if (streq(l->marks[i].path, path))
                        return &l->marks[i];
        marks = reallocarray(l->marks, l->n_marks + 1, sizeof(FileMark));
        if (!marks)
                return NULL;
        l->marks = marks;
        marks[l->n_marks] = (FileMark){.path = strdup(path)};
        return marks[l->n_marks].path ? &marks[l->n_marks++] : NULL;
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
