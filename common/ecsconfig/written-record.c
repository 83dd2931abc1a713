/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/written-record.h"

#include <libgen.h>
#include <limits.h>

#include "base/memory.h"
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
                int r;

                if (!*line)
                        continue;
                w->entries = xroom_for_one_more(w->entries, w->n_entries, sizeof(WrittenEntry));
                r = split_line(line, &w->entries[w->n_entries]);
                if (r < 0)
                        return r;
                w->n_entries++;
        }
        if (w->n_entries > 0)
                qsort(w->entries, w->n_entries, sizeof(WrittenEntry), compare_entries);
        return 0;
}

/* One file has one name in the record, however the settings spell it, and also before it is created. */
static char *resolve(const char *file) {
        _cleanup_free_ char *for_directory = xstrdup(file), *for_name = xstrdup(file), *directory = NULL;
        char *resolved = realpath(file, NULL);

        if (resolved)
                return resolved;
        directory = realpath(dirname(for_directory), NULL);
        return directory ? xasprintf("%s/%s", directory, basename(for_name)) : xstrdup(file);
}

void written_record_load(const char *file, WrittenRecord *ret) {
        WrittenRecord w = {.file = resolve(file)};
        int r;

        r = state_file_read(NAME, FILE_SIZE_MAX, &w.text);
        if (r >= 0)
                r = parse(&w);
        if (r == -ENOMEM)
                memory_exhausted();
        if (r < 0 && r != -ENOENT) {
                w.error = r;
                w.n_entries = 0;
        }
        *ret = w;
}

static void digest_entry(const Credential *entry, const DigestKey *key, char *ret) {
        Digest digest;

        credential_digest(entry, key, &digest);
        digest_to_hex(&digest, ret);
}

bool written_record_has(const WrittenRecord *w, const Credential *entry, const DigestKey *key) {
        char digest[DIGEST_DIGITS + 1];
        const WrittenEntry wanted = {.digest = digest, .registry = entry->registry, .file = w->file};

        if (w->n_entries == 0)
                return false;
        digest_entry(entry, key, digest);
        return bsearch(&wanted, w->entries, w->n_entries, sizeof(WrittenEntry), compare_entries);
}

static void print_list(FILE *f, const char *file, const Credentials *list, const Credentials *except,
                       const DigestKey *key) {
        for (size_t i = 0; i < list->n_items; i++) {
                char digest[DIGEST_DIGITS + 1], other[DIGEST_DIGITS + 1] = "";
                const Credential *entry = list->items[i], *same;

                if (entry->foreign)
                        continue;
                same = except ? credentials_find(except, entry->registry) : NULL;
                digest_entry(entry, key, digest);
                if (same && !same->foreign)
                        digest_entry(same, key, other);
                if (!streq(digest, other))
                        (void) fprintf(f, "%s %s %s\n", digest, entry->registry, file);
        }
}

/* A directory that does not exist may be hidden from this process only. */
static bool is_gone(const char *file) {
        _cleanup_free_ char *copy = xstrdup(file);

        return access(file, F_OK) < 0 && errno == ENOENT && access(dirname(copy), F_OK) >= 0;
}

/* Prints the recorded entries of other environment files, and those of both lists. */
static char *print_record(const WrittenRecord *w, const Credentials *before, const Credentials *after,
                          const DigestKey *key) {
        char *text = NULL;
        size_t size;
        FILE *f = xmemory(open_memstream(&text, &size));

        for (size_t i = 0; i < w->n_entries; i++) {
                const WrittenEntry *e = &w->entries[i];

                if (!streq(e->file, w->file) && !is_gone(e->file))
                        (void) fprintf(f, "%s %s %s\n", e->digest, e->registry, e->file);
        }
        print_list(f, w->file, after, NULL, key);
        print_list(f, w->file, before, after, key);
        /* A failed write sets the error flag of the stream. */
        if (ferror(f) || fclose(f) != 0)
                memory_exhausted();
        return text;
}

static bool is_same(const WrittenRecord *w, const char *text) {
        _cleanup_(written_record_done) WrittenRecord other = {.text = xstrdup(text)};
        bool same = w->error == 0 && parse(&other) >= 0 && other.n_entries == w->n_entries;

        for (size_t i = 0; same && i < w->n_entries; i++)
                same = compare_entries(&w->entries[i], &other.entries[i]) == 0;
        return same;
}

int written_record_save(const WrittenRecord *w, const Credentials *before, const Credentials *after,
                        const DigestKey *key) {
        _cleanup_free_ char *text = NULL;

        if (strchr(w->file, '\n'))
                return -EINVAL; /* no line can contain it */
        text = print_record(w, before, after, key);
        if (is_same(w, text))
                return 0;
        return *text ? state_file_write(NAME, text) : state_file_remove(NAME);
}
