/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/config.h"

#include <ctype.h>
#include <glob.h>
#include <ini.h>
#include <limits.h>
#include <pwd.h>
#include <sys/stat.h>

#include "ecsconfig/envfile.h"

enum {
        TIMESPAN_YEARS_MAX = 10,
        /* inih reads lines of at most 200 bytes by default and splits longer ones without a word. */
        LINE_MAX_READ = 4096,
};

#define STATE_DIRECTORY_DEFAULT "/var/lib/ecs-authd"

#define USEC_PER_YEAR (365ULL * 24 * 3600 * USEC_PER_SEC)

typedef struct Parser Parser;

typedef struct Setting {
        const char *section;
        const char *key;
        const char *default_value;
        int (*parse)(Config *c, const struct Setting *setting, const char *value, const char **ret_expected);
        size_t offset;
        bool list; /* each assignment adds, an empty one clears */
} Setting;

/* Where an assignment comes from: a later origin replaces a list, the same one adds to it. */
typedef enum Origin {
        ORIGIN_DEFAULT,
        ORIGIN_FILE,
        ORIGIN_OPTION,
} Origin;

static void *setting_target(Config *c, const Setting *setting) {
        return (char *) c + setting->offset;
}

char *config_home_directory(void) {
        const char *e = getenv("HOME");
        const struct passwd *pw;

        /* Services have no $HOME unless somebody sets it. */
        if (e && e[0] == '/')
                return strdup(e);

        pw = getpwuid(geteuid());
        return strdup(pw && pw->pw_dir ? pw->pw_dir : "/root");
}

const char *config_state_directory(void) {
        const char *e = getenv("STATE_DIRECTORY");

        return e && e[0] == '/' ? e : STATE_DIRECTORY_DEFAULT;
}

void config_make_state_directory(void) {
        (void) mkdir(config_state_directory(), 0700);
}

static int expand_path(const char *value, char **ret) {
        _cleanup_free_ char *home = NULL;

        if (!startswith(value, "~/")) {
                char *copy = strdup(value);

                if (!copy)
                        return -ENOMEM;
                *ret = copy;
                return 0;
        }

        home = config_home_directory();
        if (!home || asprintf(ret, "%s%s", home, value + 1) < 0)
                return -ENOMEM;
        return 0;
}

static int replace_string(char **target, char *value) {
        free(*target);
        *target = value;
        return 0;
}

static int parse_path(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
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

        return replace_string(setting_target(c, setting), expanded);
}

static int parse_optional_path(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        return str_empty(value) ? replace_string(setting_target(c, setting), NULL)
                                : parse_path(c, setting, value, ret_expected);
}

static char **strv_free(char **l) {
        for (char **s = l; s && *s; s++)
                free(*s);
        free(l);
        return NULL;
}

/* Takes over item, also when it fails. */
static int strv_append(char ***list, char *item) {
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

static int parse_path_list(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        char ***list = setting_target(c, setting);
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
static int parse_pattern_list(Config *c, const Setting *setting, const char *value,
                              const char **ret_expected _unused_) {
        char ***list = setting_target(c, setting);
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

static int parse_timespan(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        *ret_expected = "a time such as 2s, 5min or 1h";
        return config_parse_timespan(value, setting_target(c, setting));
}

static int parse_auth_type(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        *ret_expected = "auto, dockercfg or docker";
        return auth_type_from_string(value, setting_target(c, setting));
}

static int parse_container(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        char *copy;

        /* The name stands in the path of a request: Docker's own set of characters, and nothing else. */
        if (!isalnum((unsigned char) value[0]) ||
            value[strspn(value, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-")]) {
                *ret_expected = "the name of a container";
                return -EINVAL;
        }

        copy = strdup(value);
        return copy ? replace_string(setting_target(c, setting), copy) : -ENOMEM;
}

static int parse_url(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
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
        return replace_string(setting_target(c, setting), copy);
}

static int parse_unit(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        const char *dot = strrchr(value, '.');
        char *unit;

        if (str_empty(value) || strpbrk(value, "/ \t") || (dot && !streq(dot, ".service") && dot[1] == 0)) {
                *ret_expected = "the name of a unit such as ecs.service";
                return -EINVAL;
        }

        /* As systemctl does: a name without a suffix is a service. */
        if (asprintf(&unit, "%s%s", value, dot ? "" : ".service") < 0)
                return -ENOMEM;
        return replace_string(setting_target(c, setting), unit);
}

/* The position of value among the words of a NULL-terminated list, which are in the order of the enum. */
static int parse_word(const char *const *words, const char *value) {
        for (int i = 0; words[i]; i++)
                if (streq(words[i], value))
                        return i;
        return -EINVAL;
}

static int parse_method(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        static const char *const words[] = {"systemd", "upstart", "docker", "none", NULL};
        int r = parse_word(words, value);

        *ret_expected = "systemd, upstart, docker or none";
        if (r < 0)
                return r;
        *(RestartMethod *) setting_target(c, setting) = (RestartMethod) r;
        return 0;
}

/* The words of systemd.syntax(7). */
static int parse_boolean(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1", NULL};
        int r = -EINVAL;

        *ret_expected = "yes or no";
        for (int i = 0; r < 0 && words[i]; i++)
                if (strcasecmp(words[i], value) == 0)
                        r = i % 2;
        if (r < 0)
                return r;
        *(bool *) setting_target(c, setting) = r == 1;
        return 0;
}

static int parse_unsaved_state(Config *c, const Setting *setting, const char *value, const char **ret_expected) {
        static const char *const words[] = {"wait", "force", "never", NULL};
        int r = parse_word(words, value);

        *ret_expected = "wait, force or never";
        if (r < 0)
                return r;
        *(UnsavedState *) setting_target(c, setting) = (UnsavedState) r;
        return 0;
}

/* Every setting there is; conf/ecs-authd.conf shows the same keys and defaults, and a test compares them. */
static const Setting settings[] = {
        /* clang-format off */
        { "Credentials", "File",             "/root/.docker/config.json", parse_path_list,     offsetof(Config, credential_files), true },
        { "Credentials", "HelperTimeoutSec", "10s",                       parse_timespan,      offsetof(Config, helper_timeout_usec), false },
        { "Credentials", "Exclude",          CONFIG_EXCLUDE_DEFAULT,      parse_pattern_list,  offsetof(Config, exclude), true },
        { "Credentials", "RefreshSec",       "1h",                        parse_timespan,      offsetof(Config, refresh_usec), false },
        { "Agent",       "EnvironmentFile",  "/etc/ecs/ecs.config",       parse_path,          offsetof(Config, environment_file), false },
        { "Agent",       "AuthType",         "auto",                      parse_auth_type,     offsetof(Config, auth_type), false },
        { "Agent",       "Container",        "ecs-agent",                 parse_container,     offsetof(Config, container), false },
        { "Agent",       "DockerSocket",     "/run/docker.sock",          parse_path,          offsetof(Config, docker_socket), false },
        { "Agent",       "IntrospectionURL", "http://localhost:51678",    parse_url,           offsetof(Config, introspection_url), false },
        { "Restart",     "Method",           "systemd",                   parse_method,        offsetof(Config, method), false },
        { "Restart",     "Unit",             "ecs.service",               parse_unit,          offsetof(Config, unit), false },
        { "Restart",     "UnsavedState",     "wait",                      parse_unsaved_state, offsetof(Config, unsaved_state), false },
        { "Restart",     "SettleSec",        "2s",                        parse_timespan,      offsetof(Config, settle_usec), false },
        { "Restart",     "MinIntervalSec",   "1min",                      parse_timespan,      offsetof(Config, min_interval_usec), false },
        { "Restart",     "JitterSec",        "0",                         parse_timespan,      offsetof(Config, jitter_usec), false },
        { "Restart",     "PendingSec",       "2min",                      parse_timespan,      offsetof(Config, pending_usec), false },
        { "Restart",     "VerifySec",        "2min",                      parse_timespan,      offsetof(Config, verify_usec), false },
        { "Restart",     "Rollback",         "yes",                       parse_boolean,       offsetof(Config, rollback), false },
        { "Status",      "MetricsFile",      "",                          parse_optional_path, offsetof(Config, metrics_file), false },
        /* clang-format on */
};

/* What is being read, for messages and for the rule that lists follow. */
struct Parser {
        Config *config;
        Problems *problems;
        Origin origins[ELEMENTSOF(settings)];
        Origin origin;
        const char *path;
        FILE *file;
        unsigned line;
        int error;
};

static void parser_complain(Parser *p, const char *text) {
        p->error = -EINVAL;
        if (p->origin == ORIGIN_FILE)
                problems_add(p->problems, LOG_ERR, "%s:%u: %s", p->path, p->line, text);
        else
                problems_add(p->problems, LOG_ERR, "-o %s: %s", p->path, text);
}

static const Setting *find_setting(const char *section, const char *key, bool *ret_section_known) {
        *ret_section_known = false;

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                if (!streq(settings[i].section, section))
                        continue;
                *ret_section_known = true;
                if (streq(settings[i].key, key))
                        return &settings[i];
        }
        return NULL;
}

static void parser_complain_unknown(Parser *p, const char *section, const char *key, bool section_known) {
        char text[PROBLEM_TEXT_MAX];

        if (str_empty(section))
                (void) snprintf(text, sizeof(text), "%s= stands before the first [Section]", key);
        else if (!section_known)
                (void) snprintf(text, sizeof(text),
                                "unknown section [%s]; there are [Credentials], [Agent], [Restart] and [Status]",
                                section);
        else
                (void) snprintf(text, sizeof(text), "unknown setting %s= in [%s]; see ecs-authd.conf(5)", key, section);
        parser_complain(p, text);
}

static void parser_assign(Parser *p, const char *section, const char *key, const char *value) {
        const char *expected = "a value";
        bool section_known;
        const Setting *setting = find_setting(section, key, &section_known);
        char text[PROBLEM_TEXT_MAX];
        Origin *origin;
        int r;

        if (!setting) {
                parser_complain_unknown(p, section, key, section_known);
                return;
        }

        origin = &p->origins[setting - settings];
        if (setting->list && *origin != p->origin)
                (void) setting->parse(p->config, setting, "", &expected);
        *origin = p->origin;

        r = setting->parse(p->config, setting, value, &expected);
        if (r == -ENOMEM) {
                p->error = r;
        } else if (r < 0) {
                (void) snprintf(text, sizeof(text), "%s=%s: not %s", key, value, expected);
                parser_complain(p, text);
        }
}

/* inih tells of what it could not read only at the end, and with one number; we name each line as it goes by. Comments
 * and mistakes are handed on as empty lines. */
static bool line_counts(Parser *p, const char *line, size_t size) {
        const char *mistake = NULL;

        if (line[0] == '#' || line[0] == ';')
                return false; /* may be of any length */
        if (strlen(line) >= size)
                mistake = "line too long; a list may be given in several lines with the same key";
        else if (line[0] == '[' && !strchr(line, ']'))
                mistake = "section without ']'";
        else if (line[0] && !strchr("[\n", line[0]) && !strchr(line, '='))
                mistake = "not a section, a comment or Key=VALUE";

        if (mistake)
                parser_complain(p, mistake);
        return !mistake;
}

/* The rest of a line that is longer than our buffer. */
static void skip_line(FILE *file) {
        int c;

        do
                c = fgetc(file);
        while (c != EOF && c != '\n');
}

static char *parser_read_line(char *buffer, int size, void *userdata) {
        Parser *p = userdata;
        char line[LINE_MAX_READ];
        const char *start;

        if (!fgets(line, sizeof(line), p->file))
                return NULL;
        p->line++;
        if (!strchr(line, '\n'))
                skip_line(p->file);

        /* An indented line would continue the one above in inih; here, as in systemd's files, it does not. */
        start = line + strspn(line, " \t\r\v\f");
        (void) snprintf(buffer, (size_t) size, "%s", line_counts(p, start, (size_t) size) ? start : "\n");
        return buffer;
}

static int parser_handle(void *userdata, const char *section, const char *key, const char *value) {
        parser_assign(userdata, section, key, value);
        return 1;
}

static int parser_read_file(Parser *p, const char *path) {
        _cleanup_fclose_ FILE *file = fopen(path, "re");
        int r;

        if (!file) {
                r = negative_errno();
                problems_add(p->problems, LOG_ERR, "%s: cannot read the settings: %s", path, strerror(-r));
                return r;
        }

        p->path = path;
        p->file = file;
        p->line = 0;
        p->origin = ORIGIN_FILE;

        r = ini_parse_stream(parser_read_line, p, parser_handle, p);
        if (r != 0 && p->error >= 0)
                parser_complain(p, "not a section, a comment or Key=VALUE");

        if (ferror(file)) {
                problems_add(p->problems, LOG_ERR, "%s: cannot read the settings: %s", path, strerror(errno));
                return -EIO;
        }
        return p->error == -ENOMEM ? -ENOMEM : 0;
}

static int parser_read_files(Parser *p, const char *path) {
        _cleanup_free_ char *pattern = NULL;
        const char *main_file = path ? path : CONFIG_PATH_DEFAULT;
        glob_t found = {0};
        int r = 0;

        if (path || access(main_file, F_OK) == 0 || errno != ENOENT) {
                r = parser_read_file(p, main_file);
                if (r < 0)
                        return r;
        }

        if (asprintf(&pattern, "%s.d/*.conf", main_file) < 0)
                return -ENOMEM;

        /* glob(3) gives the names in order. */
        if (glob(pattern, 0, NULL, &found) == 0)
                for (size_t i = 0; r >= 0 && i < found.gl_pathc; i++)
                        r = parser_read_file(p, found.gl_pathv[i]);
        globfree(&found);
        return r;
}

static void parser_read_option(Parser *p, const char *option) {
        char section[64], key[64];
        const char *dot = strchr(option, '.'), *equals = strchr(option, '=');

        p->origin = ORIGIN_OPTION;
        p->path = option;

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
        for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                parser_assign(p, settings[i].section, settings[i].key, settings[i].default_value);
}

int config_load(const char *path, char *const *options, Config **ret, Problems *problems) {
        _cleanup_(config_freep) Config *c = calloc(1, sizeof(Config));
        Parser p = {.config = c, .problems = problems};
        int r;

        if (!c)
                return -ENOMEM;

        parser_set_defaults(&p);
        r = parser_read_files(&p, path);
        if (r < 0)
                return r;

        for (char *const *o = options; o && *o; o++)
                parser_read_option(&p, *o);

        if (p.error >= 0 && !c->credential_files) {
                problems_add(problems, LOG_ERR, "[Credentials] File= is empty: there is no credential file to read");
                p.error = -EINVAL;
        }
        if (p.error < 0)
                return p.error;

        *ret = STEAL_POINTER(c);
        return 0;
}

Config *config_free(Config *c) {
        if (!c)
                return NULL;

        strv_free(c->credential_files);
        strv_free(c->exclude);
        free(c->environment_file);
        free(c->container);
        free(c->docker_socket);
        free(c->introspection_url);
        free(c->unit);
        free(c->metrics_file);
        free(c);
        return NULL;
}

size_t config_line_max(const Config *c) {
        bool unit = c->method == RESTART_METHOD_SYSTEMD || c->method == RESTART_METHOD_UPSTART;

        return unit ? ENVFILE_LINE_MAX_EXEC : ENVFILE_LINE_MAX_DOCKER;
}

static int timespan_unit(const char *name, size_t length, uint64_t *ret_usec) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                {"us", 1},
                {"usec", 1},
                {"ms", USEC_PER_MSEC},
                {"msec", USEC_PER_MSEC},
                {"", USEC_PER_SEC},
                {"s", USEC_PER_SEC},
                {"sec", USEC_PER_SEC},
                {"second", USEC_PER_SEC},
                {"seconds", USEC_PER_SEC},
                {"m", 60 * USEC_PER_SEC},
                {"min", 60 * USEC_PER_SEC},
                {"minute", 60 * USEC_PER_SEC},
                {"minutes", 60 * USEC_PER_SEC},
                {"h", 3600 * USEC_PER_SEC},
                {"hr", 3600 * USEC_PER_SEC},
                {"hour", 3600 * USEC_PER_SEC},
                {"hours", 3600 * USEC_PER_SEC},
                {"d", 24 * 3600 * USEC_PER_SEC},
                {"day", 24 * 3600 * USEC_PER_SEC},
                {"days", 24 * 3600 * USEC_PER_SEC},
                {"w", 7 * 24 * 3600 * USEC_PER_SEC},
                {"week", 7 * 24 * 3600 * USEC_PER_SEC},
                {"weeks", 7 * 24 * 3600 * USEC_PER_SEC},
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == length && strncmp(units[i].name, name, length) == 0) {
                        *ret_usec = units[i].usec;
                        return 0;
                }
        return -EINVAL;
}

int config_parse_timespan(const char *s, uint64_t *ret_usec) {
        const uint64_t limit = TIMESPAN_YEARS_MAX * USEC_PER_YEAR;
        uint64_t total = 0;

        s += strspn(s, " \t");
        if (!*s)
                return -EINVAL;

        while (*s) {
                unsigned long long number;
                uint64_t unit;
                char *end;
                size_t n;

                if (!isdigit((unsigned char) *s))
                        return -EINVAL;
                errno = 0;
                number = strtoull(s, &end, 10);
                if (errno != 0)
                        return -ERANGE;

                end += strspn(end, " \t");
                n = strspn(end, "abcdefghijklmnopqrstuvwxyz");
                if (timespan_unit(end, n, &unit) < 0)
                        return -EINVAL;
                if (number > (limit - total) / unit)
                        return -ERANGE;

                total += number * unit;
                s = end + n;
                s += strspn(s, " \t");
        }

        *ret_usec = total;
        return 0;
}
