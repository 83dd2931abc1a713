/* SPDX-License-Identifier: Apache-2.0 */
#include "settings/settings.h"

#include <glob.h>
#include <ini.h>

#include "ecsconfig/environment-file.h"
#include "settings/values.h"

enum {
        /* inih reads lines of at most 200 bytes by default and splits longer ones without a word. */
        LINE_MAX_READ = 4096,
};

typedef struct Parser Parser;

typedef struct Setting {
        const char *section;
        const char *key;
        const char *default_value;
        parse_value_t parse;
        size_t offset;
        bool list; /* each assignment adds, an empty one clears */
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
        { "Credentials", "File",             "/root/.docker/config.json", parse_path_list,     offsetof(Settings, credentials.files), true },
        { "Credentials", "HelperTimeoutSec", "10s",                       parse_timespan,      offsetof(Settings, credentials.helper_timeout_usec), false },
        { "Credentials", "Exclude",          EXCLUDE_DEFAULT,      parse_pattern_list,  offsetof(Settings, credentials.exclude), true },
        { "Credentials", "RefreshSec",       "1h",                        parse_timespan,      offsetof(Settings, refresh_usec), false },
        { "Agent",       "EnvironmentFile",  "/etc/ecs/ecs.config",       parse_path,          offsetof(Settings, ecsconfig.environment_file), false },
        { "Agent",       "AuthType",         "auto",                      parse_auth_type,     offsetof(Settings, ecsconfig.auth_type), false },
        { "Agent",       "Container",        "ecs-agent",                 parse_container,     offsetof(Settings, agent.container), false },
        { "Agent",       "DockerSocket",     "/run/docker.sock",          parse_path,          offsetof(Settings, agent.docker_socket), false },
        { "Agent",       "IntrospectionURL", "http://localhost:51678",    parse_url,           offsetof(Settings, agent.introspection_url), false },
        { "Restart",     "Method",           "systemd",                   parse_method,        offsetof(Settings, restart.method), false },
        { "Restart",     "Unit",             "ecs.service",               parse_unit,          offsetof(Settings, unit), false },
        { "Restart",     "UnsavedState",     "wait",                      parse_unsaved_state, offsetof(Settings, restart.unsaved_state), false },
        { "Restart",     "SettleSec",        "2s",                        parse_timespan,      offsetof(Settings, restart.settle_usec), false },
        { "Restart",     "MinIntervalSec",   "1min",                      parse_timespan,      offsetof(Settings, restart.min_interval_usec), false },
        { "Restart",     "JitterSec",        "0",                         parse_timespan,      offsetof(Settings, restart.jitter_usec), false },
        { "Restart",     "VerifySec",        "2min",                      parse_timespan,      offsetof(Settings, restart.verify_usec), false },
        { "Status",      "MetricsFile",      "",                          parse_optional_path, offsetof(Settings, metrics_file), false },
        /* clang-format on */
};

/* What is being read, for messages and for the rule that lists follow. */
struct Parser {
        Settings *settings;
        Problems *problems;
        Origin origins[ELEMENTSOF(table)];
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

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                if (!streq(table[i].section, section))
                        continue;
                *ret_section_known = true;
                if (streq(table[i].key, key))
                        return &table[i];
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

        origin = &p->origins[setting - table];
        if (setting->list && *origin != p->origin)
                (void) setting->parse(setting_target(p->settings, setting), "", &expected);
        *origin = p->origin;

        r = setting->parse(setting_target(p->settings, setting), value, &expected);
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
        const char *main_file = path ? path : SETTINGS_PATH_DEFAULT;
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
        return 0;
}

int settings_load(const char *path, char *const *options, Settings **ret, Problems *problems) {
        _cleanup_(settings_freep) Settings *s = calloc(1, sizeof(Settings));
        Parser p = {.settings = s, .problems = problems};
        int r;

        if (!s)
                return -ENOMEM;

        parser_set_defaults(&p);
        r = parser_read_files(&p, path);
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

Settings *settings_free(Settings *s) {
        if (!s)
                return NULL;

        strv_free(s->credentials.files);
        strv_free(s->credentials.exclude);
        free(s->ecsconfig.environment_file);
        free(s->agent.container);
        free(s->agent.docker_socket);
        free(s->agent.introspection_url);
        free(s->unit);
        free(s->metrics_file);
        free(s);
        return NULL;
}
