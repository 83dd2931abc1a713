/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/parse-values.h"

#include <ctype.h>
#include <limits.h>

#include "base/directories.h"
#include "base/secret.h"
#include "credentials/helper-environment.h"
#include "decision/when-to-restart.h"
#include "ecsconfig/auth-data.h"
#include "base/timespan.h"

static int expand_path(const char *value, char **ret) {
        _cleanup_free_ char *home = NULL;

        if (!startswith(value, "~/")) {
                char *copy = strdup(value);

                if (!copy)
                        return -ENOMEM;
                *ret = copy;
                return 0;
        }

        home = home_directory();
        if (!home || asprintf(ret, "%s%s", home, value + 1) < 0)
                return -ENOMEM;
        return 0;
}

static int replace_string(char **target, char *value) {
        free(*target);
        *target = value;
        return 0;
}

int parse_path(void *target, const char *value, const char **ret_expected) {
        const char *path = startswith(value, "unix://");
        char *expanded;
        int r;

        r = expand_path(path ? path : value, &expanded);
        if (r < 0)
                return r;

        if (expanded[0] != '/' || strlen(expanded) >= PATH_MAX) {
                free(expanded);
                *ret_expected = "an absolute path";
                return -EINVAL;
        }

        return replace_string(target, expanded);
}

int parse_optional_path(void *target, const char *value, const char **ret_expected) {
        return str_empty(value) ? replace_string(target, NULL) : parse_path(target, value, ret_expected);
}

char **strv_free(char **l) {
        for (char **s = l; s && *s; s++)
                free(*s);
        free(l);
        return NULL;
}

int strv_append(char ***list, char *item) {
        char **extended;
        size_t n = 0;

        while (*list && (*list)[n])
                n++;

        extended = item ? reallocarray(*list, n + 2, sizeof(char *)) : NULL;
        if (!extended) {
                free(item);
                return -ENOMEM;
        }

        extended[n] = item;
        extended[n + 1] = NULL;
        *list = extended;
        return 0;
}

int parse_path_list(void *target, const char *value, const char **ret_expected) {
        char ***list = target;
        char *path;
        int r;

        if (str_empty(value)) {
                *list = strv_free(*list);
                return 0;
        }

        r = expand_path(value, &path);
        if (r < 0)
                return r;
        if (path[0] != '/') {
                free(path);
                *ret_expected = "an absolute path";
                return -EINVAL;
        }
        return strv_append(list, path);
}

/* Several in a line, separated by blanks. */
int parse_pattern_list(void *target, const char *value, const char **ret_expected _unused_) {
        char ***list = target;
        int r = 0;

        if (str_empty(value)) {
                *list = strv_free(*list);
                return 0;
        }

        while (r >= 0 && *(value += strspn(value, " \t"))) {
                size_t n = strcspn(value, " \t");

                r = strv_append(list, strndup(value, n));
                value += n;
        }
        return r;
}

int parse_helper_environment(void *target, const char *value, const char **ret_expected) {
        char ***list = target;
        int r = 0;

        if (str_empty(value)) {
                *list = helper_environment_free(*list);
                return 0;
        }

        while (r >= 0 && *(value += strspn(value, " \t"))) {
                size_t n = strcspn(value, " \t");
                char *word = strndup(value, n);

                r = word ? helper_environment_check(word, ret_expected) : -ENOMEM;
                if (r >= 0)
                        r = strv_append(list, STEAL_POINTER(word));
                secret_free(word);
                value += n;
        }
        return r;
}

void helper_lifetimes_done(HelperLifetimes *l) {
        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].pattern);
        free(l->items);
        *l = (HelperLifetimes){0};
}

/* "SPAN", which may be of several words, or "PATTERN SPAN". */
int parse_helper_lifetime(void *target, const char *value, const char **ret_expected) {
        _cleanup_free_ char *pattern = NULL;
        HelperLifetimes *l = target;
        HelperLifetime *items;
        uint64_t usec;

        if (str_empty(value)) {
                helper_lifetimes_done(l);
                return 0;
        }

        if (timespan_parse(value, &usec) < 0) {
                size_t n = strcspn(value, " \t");

                if (timespan_parse(value + n, &usec) < 0) {
                        *ret_expected = "a time such as 1h, or a pattern of registries and a time";
                        return -EINVAL;
                }
                pattern = strndup(value, n);
                if (!pattern)
                        return -ENOMEM;
        }

        items = reallocarray(l->items, l->n_items + 1, sizeof(HelperLifetime));
        if (!items)
                return -ENOMEM;
        items[l->n_items++] = (HelperLifetime){.pattern = STEAL_POINTER(pattern), .usec = usec};
        l->items = items;
        return 0;
}

int parse_timespan(void *target, const char *value, const char **ret_expected) {
        *ret_expected = "a time such as 2s, 5min or 1h";
        return timespan_parse(value, target);
}

int parse_boolean(void *target, const char *value, const char **ret_expected) {
        static const char *const yes[] = {"yes", "y", "true", "t", "on", "1"}, *const no[] = {"no", "n",   "false",
                                                                                              "f",  "off", "0"};

        for (size_t i = 0; i < ELEMENTSOF(yes); i++)
                if (strcasecmp(value, yes[i]) == 0 || strcasecmp(value, no[i]) == 0) {
                        *(bool *) target = strcasecmp(value, yes[i]) == 0;
                        return 0;
                }
        *ret_expected = "yes or no";
        return -EINVAL;
}

int parse_auth_type(void *target, const char *value, const char **ret_expected) {
        *ret_expected = "auto, dockercfg or docker";
        return auth_type_from_string(value, target);
}

int parse_container(void *target, const char *value, const char **ret_expected) {
        char *copy;

        /* The name stands in the path of a request: Docker's own set of characters, and nothing else. */
        if (!isalnum((unsigned char) value[0]) ||
            value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")]) {
                *ret_expected = "the name of a container";
                return -EINVAL;
        }

        copy = strdup(value);
        return copy ? replace_string(target, copy) : -ENOMEM;
}

int parse_url(void *target, const char *value, const char **ret_expected) {
        char *copy;
        size_t n;

        if (!startswith(value, "http://") && !startswith(value, "https://")) {
                *ret_expected = "a URL that starts with http:// or https://";
                return -EINVAL;
        }

        copy = strdup(value);
        if (!copy)
                return -ENOMEM;

        for (n = strlen(copy); n > 0 && copy[n - 1] == '/'; n--)
                copy[n - 1] = 0;
        return replace_string(target, copy);
}

int parse_unit(void *target, const char *value, const char **ret_expected) {
        const char *dot = strrchr(value, '.');
        char *unit;

        if (str_empty(value) || strpbrk(value, "/ \t") || (dot && !streq(dot, ".service") && dot[1] == 0)) {
                *ret_expected = "the name of a unit such as ecs.service";
                return -EINVAL;
        }

        /* As systemctl does: a name without a suffix is a service. */
        if (asprintf(&unit, "%s%s", value, dot ? "" : ".service") < 0)
                return -ENOMEM;
        return replace_string(target, unit);
}

/* The position of value among the words of a NULL-terminated list, which are in the order of the enum. */
static int parse_word(const char *const *words, const char *value) {
        for (int i = 0; words[i]; i++)
                if (streq(words[i], value))
                        return i;
        return -EINVAL;
}

int parse_method(void *target, const char *value, const char **ret_expected) {
        static const char *const words[] = {"systemd", "upstart", "docker", "none", NULL};
        int r = parse_word(words, value);

        *ret_expected = "systemd, upstart, docker or none";
        if (r < 0)
                return r;
        *(RestartMethod *) target = (RestartMethod) r;
        return 0;
}

int parse_unsaved_state(void *target, const char *value, const char **ret_expected) {
        static const char *const words[] = {"wait", "force", "never", NULL};
        int r = parse_word(words, value);

        *ret_expected = "wait, force or never";
        if (r < 0)
                return r;
        *(UnsavedState *) target = (UnsavedState) r;
        return 0;
}
