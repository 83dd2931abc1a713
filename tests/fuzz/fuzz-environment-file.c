/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "ecsconfig/auth-data.h"
#include "ecsconfig/environment-file.h"

#define FILE_NAME "ecs.config"
#define TYPE "dockercfg"
#define DATA "{\"registry.example\":{\"auth\":\"dTpw\"}}"

/* Sets or removes our two keys; what comes of it has exactly these values to ecs-init. */
static void edit(const char *type, const char *data) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        _cleanup_secret_ char *type_now = NULL, *data_now = NULL;
        Problems problems = {0};

        check(envfile_open(fuzz_path(FILE_NAME), &f, &problems) == 0);
        check(envfile_set(f, AUTHDATA_TYPE_KEY, type, ENVFILE_LINE_MAX_EXEC) == 0);
        check(envfile_set(f, AUTHDATA_DATA_KEY, data, ENVFILE_LINE_MAX_EXEC) == 0);
        type_now = envfile_get(f, AUTHDATA_TYPE_KEY);
        data_now = envfile_get(f, AUTHDATA_DATA_KEY);
        check(same(type, type_now) && same(data, data_now));
        check(envfile_save(f, &problems) >= 0);
        check(envfile_save(f, &problems) == 0); /* nothing is left to do */
}

/* Whether a line is one of ours, told in another way than environment-file.c does. */
static bool is_ours(const char *line, size_t length) {
        static const char *const keys[] = {AUTHDATA_TYPE_KEY, AUTHDATA_DATA_KEY};
        const char *end = line + length;

        while (line < end && strchr(" \t\r\v\f", *line) && *line)
                line++;
        for (size_t i = 0; i < ELEMENTSOF(keys); i++) {
                const char *p = line + strlen(keys[i]);

                if ((size_t) (end - line) <= strlen(keys[i]) || memcmp(line, keys[i], strlen(keys[i])) != 0)
                        continue;
                while (p < end && strchr(" \t\r\v\f", *p) && *p)
                        p++;
                if (p < end && *p == '=')
                        return true;
        }
        return false;
}

/* Everything but our lines, as one text. */
static char *others(const char *text, size_t size, size_t *ret_size) {
        char *result = malloc(size + 2);
        size_t n = 0;

        check(result);
        for (size_t i = 0; i < size;) {
                const char *newline = memchr(text + i, '\n', size - i);
                size_t length = newline ? (size_t) (newline - text) - i + 1 : size - i;

                if (!is_ours(text + i, newline ? length - 1 : length)) {
                        memcpy(result + n, text + i, length);
                        n += length;
                }
                i += length;
        }
        *ret_size = n;
        return result;
}

static int change(void) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        Problems problems = {0};
        int r;

        r = envfile_open(fuzz_path(FILE_NAME), &f, &problems);
        if (r >= 0)
                r = envfile_set(f, AUTHDATA_TYPE_KEY, TYPE, ENVFILE_LINE_MAX_EXEC);
        if (r >= 0)
                r = envfile_set(f, AUTHDATA_DATA_KEY, DATA, ENVFILE_LINE_MAX_EXEC);
        return r < 0 ? r : envfile_save(f, &problems);
}

/* The old one, whole, or the new one. */
static void check_file(int r, const uint8_t *bytes, size_t size, const char *written, size_t n_written) {
        _cleanup_free_ char *now = NULL;
        size_t n_now;

        now = fuzz_get(FILE_NAME, &n_now);
        check(now);
        if (r >= 0)
                check(n_now == n_written && memcmp(now, written, n_now) == 0);
        else
                check(n_now == size && memcmp(now, bytes, n_now) == 0);
}

static void check_failing(const uint8_t *bytes, size_t size, const char *written, size_t n_written) {
        fuzz_put(FILE_NAME, bytes, size);
        fuzz_count();
        check(change() >= 0);
        (void) fuzz_stop();

        fuzz_put(FILE_NAME, bytes, size);
        while (fuzz_fail(bytes, size)) {
                int r = change();

                (void) fuzz_stop();
                check_file(r, bytes, size, written, n_written);
                fuzz_put(FILE_NAME, bytes, size);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_free_ char *before = NULL, *after = NULL, *written = NULL, *removed = NULL;
        size_t n_before, n_after, n_written, n_removed;

        if (size > 4096)
                return 0;
        fuzz_put(FILE_NAME, bytes, size);
        before = others((const char *) bytes, size, &n_before);

        edit(TYPE, DATA);
        written = fuzz_get(FILE_NAME, &n_written);
        after = others(written, n_written, &n_after);
        /* A last line without a newline may get one. */
        check(n_after >= n_before && n_after <= n_before + 1 && memcmp(before, after, n_before) == 0);

        edit(NULL, NULL);
        removed = fuzz_get(FILE_NAME, &n_removed);
        check(n_removed == n_after && memcmp(removed, after, n_after) == 0);
        check_failing(bytes, size, written, n_written);
        return 0;
}
