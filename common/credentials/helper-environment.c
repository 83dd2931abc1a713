/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/helper-environment.h"

#include "base/memory.h"
#include "base/secret.h"

#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_"

static size_t name_length(const char *word) {
        return strcspn(word, "=");
}

static bool has_name(const char *word, const char *name) {
        size_t n = strlen(name);

        return name_length(word) == n && strncmp(word, name, n) == 0;
}

int helper_environment_check(const char *word, const char **ret_expected) {
        size_t n = name_length(word);

        if (n == 0 || !strchr(LETTERS, word[0]) || strspn(word, LETTERS "0123456789") != n) {
                *ret_expected = "NAME or NAME=VALUE; a name is of letters, digits and _";
                return -EINVAL;
        }
        if (has_name(word, "PATH") || has_name(word, "HOME")) {
                *ret_expected = "a variable that may be set: PATH and HOME are the same for every helper";
                return -EINVAL;
        }
        if (startswith(word, "LD_")) {
                *ret_expected = "a variable that may be set: LD_* changes the code that programs run";
                return -EINVAL;
        }
        return 0;
}

/* Adds "NAME=VALUE" unless the name is there. */
static void add(char **list, const char *name, size_t length, const char *value) {
        size_t n = 0, size = length + strlen(value) + 2;

        for (; list[n]; n++)
                if (name_length(list[n]) == length && strncmp(list[n], name, length) == 0)
                        return;
        list[n] = xcalloc(1, size);
        (void) snprintf(list[n], size, "%.*s=%s", (int) length, name, value);
}

char **helper_environment_new(const char *home, char *const *words) {
        char **list;
        size_t n = 0;

        while (words && words[n])
                n++;
        list = xcalloc(n + 3, sizeof(char *));
        add(list, "PATH", strlen("PATH"), HELPER_PATH);
        add(list, "HOME", strlen("HOME"), home);
        /* From the last one: it counts. */
        while (n-- > 0) {
                size_t length = name_length(words[n]);
                const char *value = words[n][length] ? words[n] + length + 1 : getenv(words[n]);

                if (value)
                        add(list, words[n], length, value);
        }
        return list;
}

char **helper_environment_free(char **environment) {
        for (char **e = environment; e && *e; e++)
                secret_free(*e);
        free(environment);
        return NULL;
}
