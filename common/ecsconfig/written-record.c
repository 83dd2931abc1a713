/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/written-record.h"

#include <libgen.h>
#include <limits.h>

#include "base/state-file.h"

#define NAME "written"

enum {
        FILE_SIZE_MAX = 16 * 1024 * 1024,
        DIGEST_DIGITS = 2 * sizeof(Digest),
};

void written_record_done(WrittenRecord *w) {
        free(w->file);
        free(w->text);
        free(w->entries);
        *w = (WrittenRecord){0};
}

static int compare_entries(const void *a, const void *b) {
        const WrittenEntry *x = a, *y = b;
        int r = strcmp(x->file, y->file);

        if (r == 0)
                r = strcmp(x->registry, y->registry);
        return r != 0 ? r : strcmp(x->digest, y->digest);
}

/* Splits "DIGEST REGISTRY FILE" in place. */
static int split_line(char *line, WrittenEntry *ret) {
        char *rest = line;

        ret->digest = strsep(&rest, " ");
        ret->registry = strsep(&rest, " ");
        ret->file = rest;
        return strlen(ret->digest) == DIGEST_DIGITS && !str_empty(ret->registry) && !str_empty(ret->file) ? 0
                                                                                                          : -EBADMSG;
}

static int parse(WrittenRecord *w) {
        char *rest = w->text, *line;

        while ((line = strsep(&rest, "\n"))) {
                WrittenEntry *entries;
                int r;

                if (!*line)
                        continue;
                entries = room_for_one_more(w->entries, w->n_entries, sizeof(WrittenEntry));
                if (!entries)
                        return -ENOMEM;
                w->entries = entries;
                r = split_line(line, &entries[w->n_entries]);
                if (r < 0)
                        return r;
                w->n_entries++;
        }
        if (w->n_entries > 0)
                qsort(w->entries, w->n_entries, sizeof(WrittenEntry), compare_entries);
        return 0;
}

/* One file has one name in the record, however the settings spell it, and also before it is created. */
static int resolve(const char *file, char **ret) {
        _cleanup_free_ char *for_directory = strdup(file), *for_name = strdup(file), *directory = NULL;

        if (!for_directory || !for_name)
                return -ENOMEM;
        *ret = realpath(file, NULL);
        if (*ret)
                return 0;
        directory = realpath(dirname(for_directory), NULL);
        if (!directory)
                *ret = strdup(file);
        else if (asprintf(ret, "%s/%s", directory, basename(for_name)) < 0)
                *ret = NULL;
        return *ret ? 0 : -ENOMEM;
}

int written_record_load(const char *file, WrittenRecord *ret) {
        _cleanup_(written_record_done) WrittenRecord w = {0};
        int r;

        r = resolve(file, &w.file);
        if (r < 0)
                return r;
        r = state_file_read(NAME, FILE_SIZE_MAX, &w.text);
        if (r >= 0)
                r = parse(&w);
        if (r == -ENOMEM)
                return r;
        if (r < 0 && r != -ENOENT) {
                w.error = r;
                w.n_entries = 0;
        }
        *ret = w;
        w = (WrittenRecord){0};
        return 0;
}

static int digest_entry(const Credential *entry, const DigestKey *key, char *ret) {
        Digest digest;

        credential_digest(entry, key, &digest);
        digest_to_hex(&digest, ret);
        return 0;
}

int written_record_has(const WrittenRecord *w, const Credential *entry, const DigestKey *key) {
        char digest[DIGEST_DIGITS + 1];
        const WrittenEntry wanted = {.digest = digest, .registry = entry->registry, .file = w->file};
        int r;

        if (w->n_entries == 0)
                return 0;
        r = digest_entry(entry, key, digest);
        if (r < 0)
                return r;
        return bsearch(&wanted, w->entries, w->n_entries, sizeof(WrittenEntry), compare_entries) != NULL;
}

static int print_list(FILE *f, const char *file, const Credentials *list, const Credentials *except,
                      const DigestKey *key) {
        for (size_t i = 0; i < list->n_items; i++) {
                char digest[DIGEST_DIGITS + 1], other[DIGEST_DIGITS + 1] = "";
                const Credential *entry = list->items[i], *same = NULL;
                int r;

                if (entry->foreign)
                        continue;
                if (except)
                        same = credentials_find(except, entry->registry);
                r = digest_entry(entry, key, digest);
                if (r >= 0 && same && !same->foreign)
                        r = digest_entry(same, key, other);
                if (r < 0)
                        return r;
                if (!streq(digest, other) && fprintf(f, "%s %s %s\n", digest, entry->registry, file) < 0)
                        return -ENOMEM;
        }
        return 0;
}

/* A directory that does not exist may be hidden from this process only. */
static bool is_gone(const char *file) {
        _cleanup_free_ char *copy = strdup(file);

        return copy && access(file, F_OK) < 0 && errno == ENOENT && access(dirname(copy), F_OK) >= 0;
}

/* Prints the recorded entries of other environment files. */
static int print_others(FILE *f, const WrittenRecord *w) {
        for (size_t i = 0; i < w->n_entries; i++) {
                const WrittenEntry *e = &w->entries[i];

                if (!streq(e->file, w->file) && !is_gone(e->file) &&
                    fprintf(f, "%s %s %s\n", e->digest, e->registry, e->file) < 0)
                        return -ENOMEM;
        }
        return 0;
}

static int print_record(const WrittenRecord *w, const Credentials *before, const Credentials *after,
                        const DigestKey *key, char **ret) {
        _cleanup_free_ char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);
        int r;

        if (!f)
                return -ENOMEM;
        r = print_others(f, w);
        if (r >= 0)
                r = print_list(f, w->file, after, NULL, key);
        if (r >= 0)
                r = print_list(f, w->file, before, after, key);
        if (fclose(f) != 0 && r >= 0)
                r = -ENOMEM;
        if (r >= 0)
                *ret = STEAL_POINTER(text);
        return r;
}

static bool is_same(const WrittenRecord *w, char *text) {
        _cleanup_(written_record_done) WrittenRecord other = {.text = strdup(text)};
        bool same;

        same = w->error == 0 && other.text && parse(&other) >= 0 && other.n_entries == w->n_entries;
        for (size_t i = 0; same && i < w->n_entries; i++)
                same = compare_entries(&w->entries[i], &other.entries[i]) == 0;
        return same;
}

int written_record_save(const WrittenRecord *w, const Credentials *before, const Credentials *after,
                        const DigestKey *key) {
        _cleanup_free_ char *text = NULL;
        int r;

        if (strchr(w->file, '\n'))
                return -EINVAL; /* no line can contain it */
        r = print_record(w, before, after, key, &text);
        if (r < 0 || is_same(w, text))
                return r < 0 ? r : 0;
        return *text ? state_file_put(NAME, text) : state_file_remove(NAME);
}
