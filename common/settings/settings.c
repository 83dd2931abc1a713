/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/settings.h"

#include <ini.h>

#include "base/nearest.h"
#include "base/secret.h"
#include "credentials/helper-environment.h"
#include "ecsconfig/environment-file.h"
#include "settings/parse-values.h"
#include "settings/read-files.h"

typedef struct Parser Parser;

typedef struct Setting {
        const char *section;
        const char *key;
        const char *default_value;
        parse_value_t parse;
        size_t offset;
        bool list;   /* each assignment adds, an empty one clears */
        bool secret; /* a value is shown to nobody */
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
        { "Credentials", "File",             "/root/.docker/config.json", parse_path_list,     offsetof(Settings, credentials.files), true, false },
        { "Credentials", "StrictModes",      "yes",                       parse_boolean,       offsetof(Settings, credentials.strict), false, false },
        { "Credentials", "HelperTimeoutSec", "10s",                       parse_timespan,      offsetof(Settings, credentials.helper_timeout_usec), false, false },
        { "Credentials", "HelperEnvironment", "",                         parse_helper_environment, offsetof(Settings, credentials.helper_environment), true, true },
        { "Credentials", "HelperLifetime",   "",                          parse_helper_lifetime, offsetof(Settings, credentials.helper_lifetimes), true, false },
        { "Credentials", "Exclude",          EXCLUDE_DEFAULT,      parse_pattern_list,  offsetof(Settings, credentials.exclude), true, false },
        { "Credentials", "RefreshSec",       "1h",                        parse_timespan,      offsetof(Settings, credentials.refresh_usec), false, false },
        { "Agent",       "EnvironmentFile",  "/etc/ecs/ecs.config",       parse_path,          offsetof(Settings, ecsconfig.environment_file), false, false },
        { "Agent",       "AuthType",         "auto",                      parse_auth_type,     offsetof(Settings, ecsconfig.auth_type), false, false },
        { "Agent",       "Container",        "ecs-agent",                 parse_container,     offsetof(Settings, agent.container), false, false },
        { "Agent",       "DockerSocket",     "/run/docker.sock",          parse_path,          offsetof(Settings, agent.docker_socket), false, false },
        { "Agent",       "IntrospectionURL", "http://localhost:51678",    parse_url,           offsetof(Settings, agent.introspection_url), false, false },
        { "Restart",     "Method",           "systemd",                   parse_method,        offsetof(Settings, restart.method), false, false },
        { "Restart",     "Unit",             "ecs.service",               parse_unit,          offsetof(Settings, unit), false, false },
        { "Restart",     "UnsavedState",     "wait",                      parse_unsaved_state, offsetof(Settings, restart.unsaved_state), false, false },
        { "Restart",     "SettleSec",        "2s",                        parse_timespan,      offsetof(Settings, restart.settle_usec), false, false },
        { "Restart",     "MinIntervalSec",   "1min",                      parse_timespan,      offsetof(Settings, restart.min_interval_usec), false, false },
        { "Restart",     "JitterSec",        "0",                         parse_timespan,      offsetof(Settings, restart.jitter_usec), false, false },
        { "Restart",     "VerifySec",        "2min",                      parse_timespan,      offsetof(Settings, restart.verify_usec), false, false },
        { "Status",      "MetricsFile",      "",                          parse_optional_path, offsetof(Settings, metrics_file), false, false },
        /* clang-format on */
};

/* What is being read, for messages and for the rule that lists follow. */
struct Parser {
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
};

static void parser_complain(Parser *p, const char *text) {
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
        char text[PROBLEM_TEXT_MAX], hint[80];

        if (str_empty(section)) {
                (void) snprintf(text, sizeof(text), "%s= stands before the first [Section]", key);
        } else if (!section_known) {
                suggest_section(section, hint, sizeof(hint));
                (void) snprintf(text, sizeof(text), "unknown section [%s]; %s", section, hint);
        } else {
                suggest_key(section, key, hint, sizeof(hint));
                (void) snprintf(text, sizeof(text), "unknown setting %s= in [%s]; %s", key, section, hint);
        }
        parser_complain(p, text);
}

static void parser_assign(Parser *p, const char *section, const char *key, const char *value) {
        const char *expected = "a value";
        bool section_known;
        const Setting *setting = find_setting(section, key, &section_known);
        char text[PROBLEM_TEXT_MAX];
        Origin *origin;
        int r;

        if (!setting && p->origin == ORIGIN_FILE && parser_pass_over(p, section, key))
                return;
        if (!setting) {
                parser_complain_unknown(p, section, key, section_known);
                return;
        }

        if (!setting->secret)
                p->path_shown = strlen(p->path);
        origin = &p->origins[setting - table];
        if (setting->list && *origin != p->origin)
                (void) setting->parse(setting_target(p->settings, setting), "", &expected);
        *origin = p->origin;

        r = setting->parse(setting_target(p->settings, setting), value, &expected);
        if (r == -ENOMEM) {
                p->error = r;
        } else if (r < 0) {
                (void) snprintf(text, sizeof(text), "%s=%s: not %s", key, setting->secret ? "" : value, expected);
                parser_complain(p, text);
        }
}

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
                parser_complain(p, mistake);
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

static int parser_read_file(Parser *p, const char *path) {
        char *text = NULL;
        size_t size = 0;
        int r;

        r = settings_read_file(path, &text, &size, p->problems);
        if (r < 0)
                return r;

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

static int parser_read_files(Parser *p, const SettingsPlaces *places) {
        _cleanup_(strv_freep) char **drop_ins = NULL;
        int r = 0;

        if (!places->file_is_optional || access(places->file, F_OK) == 0 || errno != ENOENT)
                r = parser_read_file(p, places->file);
        if (r >= 0)
                r = settings_list_drop_ins(places->drop_in_directories, &drop_ins, p->problems);
        for (size_t i = 0; r >= 0 && drop_ins && drop_ins[i]; i++)
                r = parser_read_file(p, drop_ins[i]);
        return r;
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
                parser_assign(p, table[i].section, table[i].key, table[i].default_value);
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

        strv_free(s->credentials.files);
        strv_free(s->credentials.exclude);
        helper_environment_free(s->credentials.helper_environment);
        helper_lifetimes_done(&s->credentials.helper_lifetimes);
        free(s->ecsconfig.environment_file);
        free(s->agent.container);
        free(s->agent.docker_socket);
        free(s->agent.introspection_url);
        free(s->unit);
        free(s->metrics_file);
        free(s);
        return NULL;
}
