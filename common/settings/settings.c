/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/settings.h"

#include <ctype.h>
#include <ini.h>
#include <limits.h>
#include <stdarg.h>

#include "base/directories.h"
#include "base/foreign-file.h"
#include "base/nearest.h"
#include "base/secret.h"
#include "base/timespan.h"
#include "credentials/helper-environment.h"
#include "ecsconfig/auth-data.h"
#include "ecsconfig/environment-file.h"

enum {
        FILE_SIZE_MAX = 1024 * 1024,
};

/* --- values --- */

/* Parses a value into target. Returns NULL, or a noun phrase for people: the value that was expected. */
typedef const char *(*parse_value_t)(void *target, const char *value);

static const char no_memory[] = "possible: no memory is left";

/* Frees the value of a setting, and leaves an empty one. */
typedef void (*release_t)(void *target);

static void release_string(void *target) {
        char **s = target;

        free(*s);
        *s = NULL;
}

/* Wipes the list, because it may contain secrets. */
static void release_list(void *target) {
        char ***list = target;

        for (char **s = *list; s && *s; s++)
                secret_free(*s);
        free(*list);
        *list = NULL;
}

static void release_lifetimes(void *target) {
        HelperLifetimes *l = target;

        for (size_t i = 0; i < l->n_items; i++)
                free(l->items[i].pattern);
        free(l->items);
        *l = (HelperLifetimes){0};
}

static size_t list_length(char *const *list) {
        size_t n = 0;

        while (list && list[n])
                n++;
        return n;
}

/* Takes ownership of item. */
static const char *append(char ***list, char *item) {
        size_t n = list_length(*list);
        char **extended = item ? reallocarray(*list, n + 2, sizeof(char *)) : NULL;

        if (!extended) {
                secret_free(item);
                return no_memory;
        }
        extended[n] = item;
        extended[n + 1] = NULL;
        *list = extended;
        return NULL;
}

/* Takes ownership of value; NULL: no memory. */
static const char *assign(void *target, char *value) {
        if (!value)
                return no_memory;
        release_string(target);
        *(char **) target = value;
        return NULL;
}

static char *expand_path(const char *value) {
        _cleanup_free_ char *home = NULL;
        char *path = NULL;

        if (!startswith(value, "~/"))
                return strdup(value);
        home = home_directory();
        return !home || asprintf(&path, "%s%s", home, value + 1) < 0 ? NULL : path;
}

static const char *parse_path(void *target, const char *value) {
        const char *path = startswith(value, "unix://");
        char *expanded = expand_path(path ? path : value);

        if (!expanded || (expanded[0] == '/' && strlen(expanded) < PATH_MAX))
                return assign(target, expanded);
        free(expanded);
        return "an absolute path";
}

static const char *parse_optional_path(void *target, const char *value) {
        if (*value)
                return parse_path(target, value);
        release_string(target);
        return NULL;
}

static const char *parse_path_list(void *target, const char *value) {
        char *path = NULL;
        const char *expected = parse_path(&path, value);

        return expected ? expected : append(target, path);
}

/* Appends words that are separated by blanks. check: NULL, or like helper_environment_check(). */
static const char *append_words(char ***list, const char *value,
                                int (*check)(const char *word, const char **ret_expected)) {
        const char *expected = NULL;

        while (!expected && *(value += strspn(value, " \t"))) {
                size_t n = strcspn(value, " \t");
                char *word = strndup(value, n);

                if (word && check && check(word, &expected) < 0)
                        secret_free(word);
                else
                        expected = append(list, word);
                value += n;
        }
        return expected;
}

static const char *parse_pattern_list(void *target, const char *value) {
        return append_words(target, value, NULL);
}

static const char *parse_helper_environment(void *target, const char *value) {
        return append_words(target, value, helper_environment_check);
}

/* "SPAN", which may be of several words, or "PATTERN SPAN". */
static const char *parse_helper_lifetime(void *target, const char *value) {
        size_t n = strcspn(value, " \t");
        HelperLifetimes *l = target;
        HelperLifetime item = {0};
        HelperLifetime *items;

        if (timespan_parse(value, &item.usec) < 0) {
                if (timespan_parse(value + n, &item.usec) < 0)
                        return "a time such as 1h, or a pattern of registries and a time";
                item.pattern = strndup(value, n);
                if (!item.pattern)
                        return no_memory;
        }
        items = reallocarray(l->items, l->n_items + 1, sizeof(HelperLifetime));
        if (!items) {
                free(item.pattern);
                return no_memory;
        }
        items[l->n_items++] = item;
        l->items = items;
        return NULL;
}

static const char *parse_timespan(void *target, const char *value) {
        return timespan_parse(value, target) < 0 ? "a time such as 2s, 5min or 1h" : NULL;
}

static const char *parse_boolean(void *target, const char *value) {
        static const char *const words[] = {"no", "yes", "n", "y", "false", "true", "f", "t", "off", "on", "0", "1"};

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strcasecmp(value, words[i]) == 0) {
                        *(bool *) target = i % 2;
                        return NULL;
                }
        return "yes or no";
}

static const char *parse_auth_type(void *target, const char *value) {
        return auth_type_from_string(value, target) < 0 ? "auto, dockercfg or docker" : NULL;
}

/* The name becomes part of the path of a request: only Docker's own set of characters is accepted. */
static const char *parse_container(void *target, const char *value) {
        if (!isalnum((unsigned char) value[0]) ||
            value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")])
                return "the name of a container";
        return assign(target, strdup(value));
}

static const char *parse_url(void *target, const char *value) {
        size_t n = strlen(value);

        if (!startswith(value, "http://") && !startswith(value, "https://"))
                return "a URL that starts with http:// or https://";
        while (value[n - 1] == '/')
                n--;
        return assign(target, strndup(value, n));
}

/* A name without a suffix is a service, as for systemctl. */
static const char *parse_unit(void *target, const char *value) {
        const char *dot = strrchr(value, '.');
        char *unit;

        if (str_empty(value) || strpbrk(value, "/ \t") || (dot && dot[1] == 0))
                return "the name of a unit such as ecs.service";
        if (asprintf(&unit, "%s%s", value, dot ? "" : ".service") < 0)
                return no_memory;
        return assign(target, unit);
}

/* Returns the position of value in a list that ends with NULL, or the list's length. */
static size_t find_word(const char *const *words, const char *value) {
        size_t i = 0;

        while (words[i] && !streq(words[i], value))
                i++;
        return i;
}

static const char *parse_method(void *target, const char *value) {
        static const char *const words[] = {"systemd", "upstart", "docker", "none", NULL}; /* as the enum */
        size_t i = find_word(words, value);

        if (!words[i])
                return "systemd, upstart, docker or none";
        *(RestartMethod *) target = (RestartMethod) i;
        return NULL;
}

static const char *parse_unsaved_state(void *target, const char *value) {
        static const char *const words[] = {"wait", "force", "never", NULL}; /* as the enum */
        size_t i = find_word(words, value);

        if (!words[i])
                return "wait, force or never";
        *(UnsavedState *) target = (UnsavedState) i;
        return NULL;
}

/* --- the settings --- */

typedef struct Setting {
        const char *section;
        const char *key;
        const char *default_value;
        parse_value_t parse;
        size_t offset;
        release_t release; /* NULL: nothing to free */
        bool list;         /* each assignment adds, an empty one clears */
        bool secret;       /* no message contains a value */
} Setting;

/* Where an assignment comes from: a later origin replaces a list, the same one adds to it. */
typedef enum Origin {
        ORIGIN_DEFAULT,
        ORIGIN_FILE,
        ORIGIN_OPTION,
} Origin;

static void *setting_target(Settings *s, const Setting *setting) {
        return (char *) s + setting->offset;
}

/* Every setting there is; conf/ecs-authd.conf shows the same keys and defaults, and a test compares them. */
static const Setting table[] = {
        /* clang-format off */
        { "Credentials", "File",             "/root/.docker/config.json", parse_path_list,     offsetof(Settings, credentials.files), release_list, true, false },
        { "Credentials", "StrictModes",      "yes",                       parse_boolean,       offsetof(Settings, credentials.strict), NULL, false, false },
        { "Credentials", "HelperTimeoutSec", "10s",                       parse_timespan,      offsetof(Settings, credentials.helper_timeout_usec), NULL, false, false },
        { "Credentials", "HelperEnvironment", "",                         parse_helper_environment, offsetof(Settings, credentials.helper_environment), release_list, true, true },
        { "Credentials", "HelperLifetime",   "",                          parse_helper_lifetime, offsetof(Settings, credentials.helper_lifetimes), release_lifetimes, true, false },
        { "Credentials", "Exclude",          EXCLUDE_DEFAULT,      parse_pattern_list,  offsetof(Settings, credentials.exclude), release_list, true, false },
        { "Credentials", "RefreshSec",       "1h",                        parse_timespan,      offsetof(Settings, credentials.refresh_usec), NULL, false, false },
        { "Agent",       "EnvironmentFile",  "/etc/ecs/ecs.config",       parse_path,          offsetof(Settings, ecsconfig.environment_file), release_string, false, false },
        { "Agent",       "AuthType",         "auto",                      parse_auth_type,     offsetof(Settings, ecsconfig.auth_type), NULL, false, false },
        { "Agent",       "Container",        "ecs-agent",                 parse_container,     offsetof(Settings, agent.container), release_string, false, false },
        { "Agent",       "DockerSocket",     "/run/docker.sock",          parse_path,          offsetof(Settings, agent.docker_socket), release_string, false, false },
        { "Agent",       "IntrospectionURL", "http://localhost:51678",    parse_url,           offsetof(Settings, agent.introspection_url), release_string, false, false },
        { "Restart",     "Method",           "systemd",                   parse_method,        offsetof(Settings, restart.method), NULL, false, false },
        { "Restart",     "Unit",             "ecs.service",               parse_unit,          offsetof(Settings, unit), release_string, false, false },
        { "Restart",     "UnsavedState",     "wait",                      parse_unsaved_state, offsetof(Settings, restart.unsaved_state), NULL, false, false },
        { "Restart",     "SettleSec",        "2s",                        parse_timespan,      offsetof(Settings, restart.settle_usec), NULL, false, false },
        { "Restart",     "MinIntervalSec",   "1min",                      parse_timespan,      offsetof(Settings, restart.min_interval_usec), NULL, false, false },
        { "Restart",     "JitterSec",        "0",                         parse_timespan,      offsetof(Settings, restart.jitter_usec), NULL, false, false },
        { "Restart",     "VerifySec",        "2min",                      parse_timespan,      offsetof(Settings, restart.verify_usec), NULL, false, false },
        { "Status",      "MetricsFile",      "",                          parse_optional_path, offsetof(Settings, metrics_file), release_string, false, false },
        /* clang-format on */
};

/* What is being read, for messages and for the rule that lists follow. */
typedef struct Parser {
        Settings *settings;
        Problems *problems;
        Origin origins[ELEMENTSOF(table)];
        Origin origin;
        const char *path;  /* of the file, or the option */
        size_t path_shown; /* how much of it may be shown */
        const char *rest;  /* of the text of the file */
        size_t n_rest;
        unsigned line;
        int error;
} Parser;

_printf_(2, 3) static void parser_complain(Parser *p, const char *format, ...) {
        char text[PROBLEM_TEXT_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);
        p->error = -EINVAL;
        if (p->origin == ORIGIN_FILE)
                problems_add(p->problems, LOG_ERR, "%s:%u: %s", p->path, p->line, text);
        else
                problems_add(p->problems, LOG_ERR, "-o %.*s: %s", (int) p->path_shown, p->path, text);
}

/* What an older version had: who upgrades keeps a service that runs. True: it was one of these. */
static bool parser_pass_over(Parser *p, const char *section, const char *key) {
        static const char *const gone[] = {"Rollback", "PendingSec"};

        for (size_t i = 0; streq(section, "Restart") && i < ELEMENTSOF(gone); i++)
                if (streq(key, gone[i])) {
                        problems_add(p->problems, LOG_WARNING,
                                     "%s:%u: there is no %s= any more (since 0.2.0): remove it", p->path, p->line, key);
                        return true;
                }
        return false;
}

static const Setting *find_setting(const char *section, const char *key, bool *ret_section_known) {
        *ret_section_known = false;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                if (!streq(table[i].section, section))
                        continue;
                *ret_section_known = true;
                if (streq(table[i].key, key))
                        return &table[i];
        }
        return NULL;
}

static void suggest_section(const char *section, char *ret, size_t size) {
        Nearest n = {.typed = section};

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                nearest_consider(&n, table[i].section);
        if (n.word)
                (void) snprintf(ret, size, "did you mean [%s]?", n.word);
        else
                (void) snprintf(ret, size, "there are [Credentials], [Agent], [Restart] and [Status]");
}

/* One of the same section before those of others. */
static void suggest_key(const char *section, const char *key, char *ret, size_t size) {
        Nearest own = {.typed = key}, any = {.typed = key};
        const char *section_of_any = "";

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *before = any.word;

                if (streq(table[i].section, section))
                        nearest_consider(&own, table[i].key);
                nearest_consider(&any, table[i].key);
                if (any.word != before)
                        section_of_any = table[i].section;
        }
        if (own.word)
                (void) snprintf(ret, size, "did you mean %s=?", own.word);
        else if (any.word)
                (void) snprintf(ret, size, "did you mean [%s] %s=?", section_of_any, any.word);
        else
                (void) snprintf(ret, size, "see ecs-authd.conf(5)");
}

static void parser_complain_unknown(Parser *p, const char *section, const char *key, bool section_known) {
        char hint[80];

        if (str_empty(section)) {
                parser_complain(p, "%s= stands before the first [Section]", key);
        } else if (!section_known) {
                suggest_section(section, hint, sizeof(hint));
                parser_complain(p, "unknown section [%s]; %s", section, hint);
        } else {
                suggest_key(section, key, hint, sizeof(hint));
                parser_complain(p, "unknown setting %s= in [%s]; %s", key, section, hint);
        }
}

static void parser_set(Parser *p, const Setting *setting, const char *value) {
        Origin *origin = &p->origins[setting - table];
        void *target = setting_target(p->settings, setting);
        bool clears = setting->list && str_empty(value);
        const char *expected;

        if (setting->list && (clears || *origin != p->origin))
                setting->release(target);
        *origin = p->origin;

        expected = clears ? NULL : setting->parse(target, value);
        if (expected == no_memory)
                p->error = -ENOMEM;
        else if (expected)
                parser_complain(p, "%s=%s: not %s", setting->key, setting->secret ? "" : value, expected);
}

static void parser_assign(Parser *p, const char *section, const char *key, const char *value) {
        bool section_known;
        const Setting *setting = find_setting(section, key, &section_known);

        if (!setting && p->origin == ORIGIN_FILE && parser_pass_over(p, section, key))
                return;
        if (!setting) {
                parser_complain_unknown(p, section, key, section_known);
                return;
        }
        if (!setting->secret)
                p->path_shown = strlen(p->path);
        parser_set(p, setting, value);
}

/* --- the files --- */

/* inih tells of what it could not read only at the end, and with one number; we name each line as it goes by. Comments
 * and mistakes are handed on as empty lines. It reads lines of at most 200 bytes by default and splits longer ones
 * without a word. */
static bool line_counts(Parser *p, const char *line, size_t n, size_t size) {
        const char *mistake = NULL;

        if (memchr(line, 0, n))
                mistake = "a NUL character: not a text";
        else if (n == 0 || line[0] == '#' || line[0] == ';')
                return false; /* a comment may be of any length */
        else if (n + 1 >= size)
                mistake = "line too long; a list may be given in several lines with the same key";
        else if (line[0] == '[' && !memchr(line, ']', n))
                mistake = "section without ']'";
        else if (line[0] != '[' && !memchr(line, '=', n))
                mistake = "not a section, a comment or Key=VALUE";

        if (mistake)
                parser_complain(p, "%s", mistake);
        return !mistake;
}

static char *parser_read_line(char *buffer, int size, void *userdata) {
        Parser *p = userdata;
        const char *line = p->rest, *newline = memchr(line, '\n', p->n_rest);
        size_t n = newline ? (size_t) (newline - line) : p->n_rest;

        if (p->n_rest == 0)
                return NULL;
        p->line++;
        p->rest += newline ? n + 1 : n;
        p->n_rest -= newline ? n + 1 : n;

        /* An indented line would continue the one above in inih; here, as in systemd's files, it does not. */
        while (n > 0 && strchr(" \t\r\v\f", *line) && *line) {
                line++;
                n--;
        }
        if (!line_counts(p, line, n, (size_t) size))
                n = 0;
        (void) snprintf(buffer, (size_t) size, "%.*s\n", (int) n, line);
        return buffer;
}

static int parser_handle(void *userdata, const char *section, const char *key, const char *value) {
        parser_assign(userdata, section, key, value);
        return 1;
}

static int complain_of_file(const char *path, int error, const Distrust *distrust, Problems *problems) {
        char why[PROBLEM_TEXT_MAX];

        if (error == -EKEYREJECTED)
                distrust_describe(distrust, why, sizeof(why));
        else
                (void) snprintf(why, sizeof(why), "%s",
                                error == -ENOTSUP ? "not a regular file"
                                : error == -EFBIG ? "longer than 1 MiB"
                                                  : strerror(-error));
        problems_add(problems, LOG_ERR, "%s: cannot read the settings: %s", path, why);
        return error;
}

static int parser_read_file(Parser *p, const char *path) {
        _cleanup_close_ int fd = -1;
        Distrust distrust;
        ForeignFile file;
        char *text = NULL;
        size_t size = 0;
        int r;

        r = foreign_file_open(path, &fd, &file, &distrust);
        /* /dev/null masks a drop-in. */
        if (r >= 0)
                r = secret_read_fd(fd, S_ISREG(file.st.st_mode) ? FILE_SIZE_MAX : 0, &text, &size);
        if (r < 0)
                return complain_of_file(path, r, &distrust, p->problems);

        p->path = path;
        p->rest = text;
        p->n_rest = size;
        p->line = 0;
        p->origin = ORIGIN_FILE;

        r = ini_parse_stream(parser_read_line, p, parser_handle, p);
        if (r != 0 && p->error >= 0)
                parser_complain(p, "not a section, a comment or Key=VALUE");
        secret_free_sized(text, size);
        return p->error == -ENOMEM ? -ENOMEM : 0;
}

static const char *name_of(const char *path) {
        return strrchr(path, '/') + 1;
}

static int compare_names(const void *a, const void *b) {
        return strcmp(name_of(*(char *const *) a), name_of(*(char *const *) b));
}

static bool has_name(char *const *paths, const char *name) {
        for (char *const *p = paths; p && *p; p++)
                if (streq(name_of(*p), name))
                        return true;
        return false;
}

static bool is_drop_in(const char *name) {
        size_t n = strlen(name);

        return name[0] != '.' && n > strlen(".conf") && streq(name + n - strlen(".conf"), ".conf");
}

static int list_directory(const char *directory, char ***paths) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        const struct dirent *e;

        if (!d)
                return errno == ENOENT ? 0 : negative_errno();

        while (errno = 0, e = readdir(d)) {
                char *path;

                if (!is_drop_in(e->d_name) || has_name(*paths, e->d_name))
                        continue;
                if (asprintf(&path, "%s/%s", directory, e->d_name) < 0)
                        return -ENOMEM;
                if (append(paths, path))
                        return -ENOMEM;
        }
        return errno != 0 ? negative_errno() : 0;
}

/* Reads the drop-ins in the order of their names over all directories. A file hides those of the same name in later
 * directories. */
static int parser_read_drop_ins(Parser *p, const char *const *directories) {
        _cleanup_(release_list) char **paths = NULL;
        int r = 0;

        for (const char *const *d = directories; *d; d++) {
                r = list_directory(*d, &paths);
                if (r < 0) {
                        problems_add(p->problems, LOG_ERR, "%s: cannot read the drop-ins: %s", *d, strerror(-r));
                        return r;
                }
        }
        if (paths)
                qsort(paths, list_length(paths), sizeof(char *), compare_names);
        for (char **path = paths; r >= 0 && path && *path; path++)
                r = parser_read_file(p, *path);
        return r;
}

static int parser_read_files(Parser *p, const SettingsPlaces *places) {
        int r = 0;

        if (!places->file_is_optional || access(places->file, F_OK) == 0 || errno != ENOENT)
                r = parser_read_file(p, places->file);
        return r < 0 ? r : parser_read_drop_ins(p, places->drop_in_directories);
}

static void parser_read_option(Parser *p, const char *option) {
        char section[64], key[64];
        const char *dot = strchr(option, '.'), *equals = strchr(option, '=');

        p->origin = ORIGIN_OPTION;
        p->path = option;
        /* The value only where it is known to be none of HelperEnvironment=, be the key mistyped. */
        p->path_shown = equals ? (size_t) (equals - option) + 1 : strlen(option);

        if (!dot || !equals || dot > equals || (size_t) (dot - option) >= sizeof(section) ||
            (size_t) (equals - dot) > sizeof(key)) {
                parser_complain(p, "not Section.Key=VALUE");
                return;
        }

        (void) snprintf(section, sizeof(section), "%.*s", (int) (dot - option), option);
        (void) snprintf(key, sizeof(key), "%.*s", (int) (equals - dot - 1), dot + 1);
        parser_assign(p, section, key, equals + 1);
}

static void parser_set_defaults(Parser *p) {
        p->path = "";
        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                parser_set(p, &table[i], table[i].default_value);
}

/* What follows from several of them. */
static int derive(Settings *s, Problems *problems) {
        bool unit = s->restart.method == RESTART_METHOD_SYSTEMD || s->restart.method == RESTART_METHOD_UPSTART;

        if (!s->credentials.files) {
                problems_add(problems, LOG_ERR, "[Credentials] File= is empty: there is no credential file to read");
                return -EINVAL;
        }

        /* Where nothing restarts the agent for us, nobody knows who reads the file, and the strictest reader counts. */
        s->ecsconfig.line_max = unit ? ENVFILE_LINE_MAX_EXEC : ENVFILE_LINE_MAX_DOCKER;
        s->agent.swapped = s->restart.method == RESTART_METHOD_DOCKER;
        return 0;
}

int settings_load_from(const SettingsPlaces *places, char *const *options, Settings **ret, Problems *problems) {
        _cleanup_(settings_freep) Settings *s = calloc(1, sizeof(Settings));
        Parser p = {.settings = s, .problems = problems};
        int r;

        if (!s)
                return -ENOMEM;

        parser_set_defaults(&p);
        r = parser_read_files(&p, places);
        if (r < 0)
                return r;

        for (char *const *o = options; o && *o; o++)
                parser_read_option(&p, *o);

        r = p.error < 0 ? p.error : derive(s, problems);
        if (r < 0)
                return r;

        *ret = STEAL_POINTER(s);
        return 0;
}

int settings_load(const char *path, char *const *options, Settings **ret, Problems *problems) {
        const char *directories[] = {"/etc/ecs-authd.conf.d", "/run/ecs-authd.conf.d", "/usr/lib/ecs-authd.conf.d",
                                     NULL};
        SettingsPlaces places = {
                .file = SETTINGS_PATH_DEFAULT, .file_is_optional = true, .drop_in_directories = directories};
        _cleanup_free_ char *beside = NULL;

        if (path) {
                if (asprintf(&beside, "%s.d", path) < 0)
                        return -ENOMEM;
                directories[0] = beside;
                directories[1] = NULL;
                places.file = path;
                places.file_is_optional = false;
        }
        return settings_load_from(&places, options, ret, problems);
}

Settings *settings_free(Settings *s) {
        if (!s)
                return NULL;

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                if (table[i].release)
                        table[i].release(setting_target(s, &table[i]));
        free(s);
        return NULL;
}
