/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "ecsconfig/auth-data.h"
#include "ecsconfig/environment-file.h"

#define TYPE "dockercfg"
#define DATA "{\"registry.example\":{\"auth\":\"dTpw\"}}"

/* The one file that all runs use, in memory. */
static const char *file_path(void) {
        static char path[64];

        if (!path[0]) {
                (void) snprintf(path, sizeof(path), "/dev/shm/ecs-authd-fuzz-%d", (int) getpid());
                check(mkdir(path, 0700) == 0 || errno == EEXIST);
                (void) strncat(path, "/ecs.config", sizeof(path) - strlen(path) - 1);
        }
        return path;
}

static void put(const char *text, size_t size) {
        int fd = open(file_path(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

        check(fd >= 0 && write(fd, text, size) == (ssize_t) size);
        (void) close(fd);
}

static char *get(size_t *ret_size) {
        int fd = open(file_path(), O_RDONLY | O_CLOEXEC);
        char *text;

        check(fd >= 0 && secret_read_fd(fd, 1 << 22, &text, ret_size) == 0);
        (void) close(fd);
        return text;
}

/* Sets or removes our two keys; what comes of it has exactly these values to ecs-init. */
static void edit(const char *type, const char *data) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        _cleanup_secret_ char *type_now = NULL, *data_now = NULL;
        Problems problems = {0};

        check(envfile_open(file_path(), &f, &problems) == 0);
        check(envfile_set(f, AUTHDATA_TYPE_KEY, type, ENVFILE_LINE_MAX_EXEC) == 0);
        check(envfile_set(f, AUTHDATA_DATA_KEY, data, ENVFILE_LINE_MAX_EXEC) == 0);
        check(envfile_get(f, AUTHDATA_TYPE_KEY, &type_now) == 0 && same(type, type_now));
        check(envfile_get(f, AUTHDATA_DATA_KEY, &data_now) == 0 && same(data, data_now));
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

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_free_ char *before = NULL, *after = NULL, *written = NULL, *removed = NULL;
        size_t n_before, n_after, n_written, n_removed;

        if (size > 4096)
                return 0;
        put((const char *) bytes, size);
        before = others((const char *) bytes, size, &n_before);

        edit(TYPE, DATA);
        written = get(&n_written);
        after = others(written, n_written, &n_after);
        /* A last line without a newline may get one. */
        check(n_after >= n_before && n_after <= n_before + 1 && memcmp(before, after, n_before) == 0);

        edit(NULL, NULL);
        removed = get(&n_removed);
        check(n_removed == n_after && memcmp(removed, after, n_after) == 0);
        return 0;
}
