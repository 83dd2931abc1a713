/* SPDX-License-Identifier: Apache-2.0 */
#include "report/show-status.h"

#include <limits.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "base/foreign-file.h"
#include "base/memory.h"
#include "base/secret.h"
#include "report/screen.h"
#include "report/status-file.h"

enum {
        FILE_SIZE_MAX = 1024 * 1024,
        SHORT_ID = 12, /* as docker ps shows a container */
        STATUS_NEEDS_A_LOOK = 3,
        INDENT = 13,
};

static Colour colour_of(const char *state) {
        if (streq(state, "live") || streq(state, "written"))
                return COLOUR_GOOD;
        return streq(state, "waiting") || streq(state, "held") ? COLOUR_WAIT : COLOUR_BAD;
}

static void print_field(const Screen *screen, const char *label, const char *text) {
        (void) printf("%*s ", INDENT - 1, label);
        screen_print(screen, INDENT, INDENT + 2, text); /* deeper than the next of a list */
}

static const char *string_of(json_object *o, const char *name) {
        const char *s = json_get_string(o, name);

        return s ? s : "";
}

static int integer_of(json_object *o, const char *name) {
        return json_object_get_int(json_get(o, name, json_type_int));
}

static bool is_true(json_object *o, const char *name) {
        return json_object_get_boolean(json_get(o, name, json_type_boolean));
}

/* The time of the day, and the day where it is another one. zone: with its name. */
static const char *local_time(const char *text, bool zone, char *ret, size_t size) {
        struct tm utc = {0}, then, today;
        time_t t, now = time(NULL);
        size_t n;

        if (!strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc))
                return "?";
        t = timegm(&utc);
        if (!localtime_r(&t, &then) || !localtime_r(&now, &today))
                return "?";
        if (then.tm_year == today.tm_year && then.tm_yday == today.tm_yday)
                n = strftime(ret, size, zone ? "%H:%M:%S %Z" : "%H:%M:%S", &then);
        else
                n = strftime(ret, size, zone ? "%Y-%m-%d %H:%M %Z" : "%Y-%m-%d %H:%M", &then);
        return n > 0 ? ret : "?";
}

static void show_time(const Screen *screen, json_object *o, const char *name, const char *label) {
        const char *text = string_of(o, name);
        char time[32];

        if (!str_empty(text))
                print_field(screen, label, local_time(text, false, time, sizeof(time)));
}

static void show_agent(const Screen *screen, json_object *agent) {
        char text[1024];
        int tasks = integer_of(agent, "task_containers");

        (void) snprintf(text, sizeof(text), "%s%s%.*s%s, %s", string_of(agent, "container"),
                        str_empty(string_of(agent, "id")) ? "" : " (", SHORT_ID, string_of(agent, "id"),
                        str_empty(string_of(agent, "id")) ? "" : ")", string_of(agent, "state"));
        print_field(screen, "Agent:", text);
        if (streq(string_of(agent, "state"), "running")) {
                (void) snprintf(
                        text, sizeof(text), "%s; cluster %s; %s its state; %d task container%s",
                        str_empty(string_of(agent, "version")) ? "does not answer" : string_of(agent, "version"),
                        str_empty(string_of(agent, "cluster")) ? "?" : string_of(agent, "cluster"),
                        is_true(agent, "keeps_state") ? "keeps" : "does not keep", tasks, tasks == 1 ? "" : "s");
                print_field(screen, "", text);
        }
}

/* Of what a helper gave: since when, until when, and when it is asked again. */
static void describe_lease(json_object *o, char *ret, size_t size) {
        const char *asked = string_of(o, "asked"), *ends = string_of(o, "ends"), *again = string_of(o, "asked_again");
        const char *failing = str_empty(asked) ? "; has not worked yet; next try " : ", has failed since; next try ";
        char a[32], e[32], g[32];

        (void) snprintf(ret, size, "%s%s%s%s%s%s", str_empty(asked) ? "" : "; asked ",
                        str_empty(asked) ? "" : local_time(asked, false, a, sizeof(a)),
                        str_empty(ends) ? "" : ", good until ",
                        str_empty(ends) ? "" : local_time(ends, false, e, sizeof(e)),
                        is_true(o, "failing") ? failing : ", asked again ",
                        str_empty(again) ? "when something changes" : local_time(again, false, g, sizeof(g)));
}

/* Without the member (an older service wrote the file), assumes KEY_COVERS_HOST. */
static bool covers(json_object *o, KeyCoverage coverage) {
        const char *word = string_of(o, "covers");

        return streq(str_empty(word) ? key_coverage_to_string(KEY_COVERS_HOST) : word,
                     key_coverage_to_string(coverage));
}

static void show_registries(const Screen *screen, json_object *status) {
        json_object *list = json_get(status, "registries", json_type_array);
        size_t n = list ? json_object_array_length(list) : 0;
        int hidden = integer_of(status, "registry_count");
        char text[1024];
        size_t n_text;

        if (hidden < 0)
                hidden = 0;
        if (n == 0)
                print_field(screen, "Registries:", "none");
        for (size_t i = 0; i < n; i++) {
                json_object *o = json_object_array_get_idx(list, i);
                const char *source = string_of(o, "source"), *helper = string_of(o, "helper");

                hidden -= !is_true(o, "missing") && !covers(o, KEY_COVERS_NOTHING);
                n_text = (size_t) snprintf(text, sizeof(text), "%s%s from %s%s%s%s%s%s", string_of(o, "name"),
                                           is_true(o, "missing") ? " (not there yet)" : "",
                                           is_true(o, "foreign") ? "the environment file, in it by other means"
                                           : str_empty(source)   ? "the environment file, kept"
                                                                 : source,
                                           str_empty(helper) ? "" : ", docker-credential-", helper,
                                           is_true(o, "identity_token") ? ", an identity token" : "",
                                           covers(o, KEY_COVERS_HOST) ? "" : "; ",
                                           covers(o, KEY_COVERS_HOST) ? "" : string_of(o, "images"));
                if (n_text < sizeof(text) && !str_empty(helper))
                        describe_lease(o, text + n_text, sizeof(text) - n_text);
                print_field(screen, i == 0 ? "Registries:" : "", text);
        }
        if (hidden > 0) {
                (void) snprintf(text, sizeof(text), "and %d more", hidden);
                print_field(screen, "", text);
        }
}

static void show_list(const Screen *screen, json_object *list, const char *label) {
        size_t n = list ? json_object_array_length(list) : 0;

        for (size_t i = 0; i < n; i++) {
                const char *text = json_object_get_string(json_object_array_get_idx(list, i));

                print_field(screen, i == 0 ? label : "", text ? text : "");
        }
}

static void show_problems(const Screen *screen, json_object *list, const char *level, const char *label) {
        size_t n = list ? json_object_array_length(list) : 0;

        for (size_t i = 0; i < n; i++) {
                json_object *o = json_object_array_get_idx(list, i);

                if (!streq(string_of(o, "level"), level))
                        continue;
                print_field(screen, label, string_of(o, "text"));
                label = "";
        }
}

static void print_status(const Screen *screen, json_object *o) {
        json_object *problems = json_get(o, "problems", json_type_array);
        const char *state = string_of(o, "state");
        char time[64];

        /* The one place that names the zone: all times are of it. */
        (void) printf("%s%s %s%s since %s\n", screen_colour(screen, colour_of(state)), screen->utf8 ? "\u25cf" : "*",
                      state, screen_no_colour(screen), local_time(string_of(o, "since"), true, time, sizeof(time)));
        print_field(screen, "", string_of(o, "sentence"));
        show_problems(screen, problems, "error", "Problems:");
        show_problems(screen, problems, "warning", "Warnings:");
        if (!str_empty(string_of(o, "metrics_error")))
                print_field(screen, "Metrics:", string_of(o, "metrics_error"));
        show_agent(screen, json_get(o, "agent", json_type_object));
        show_registries(screen, o);
        show_list(screen, json_get(o, "left_out", json_type_array), "Left out:");
        show_problems(screen, problems, "note", "Note:");
        show_list(screen, json_get(o, "sources", json_type_array), "Watching:");
        print_field(screen, "Writing:", string_of(o, "environment_file"));
        show_time(screen, o, "last_change", "Changed:");
        show_time(screen, o, "last_restart", "Restarted:");
}

static int complain(const char *why) {
        (void) fprintf(stderr,
                       "ecs-authd: %s: systemctl status ecs-authd tells more; 'ecs-authd apply' needs no service\n",
                       why);
        return EXIT_FAILURE;
}

/* The process that wrote it is still there. */
static bool is_current(json_object *o) {
        int pid = integer_of(o, "pid");

        return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

/* Somebody should look at it. */
static bool needs_a_look(json_object *o) {
        const char *state = string_of(o, "state");

        return streq(state, "held") || streq(state, "silent") || streq(state, "problem") ||
               !str_empty(string_of(o, "metrics_error"));
}

static int load(json_object **ret) {
        _cleanup_close_ int fd = -1;
        _cleanup_free_ char *text = NULL;
        char path[PATH_MAX];
        ForeignFile file;
        size_t size;
        int r;

        status_file_path(path, sizeof(path));
        r = foreign_file_open(path, &fd, &file, NULL);
        if (r >= 0)
                r = secret_read_fd(fd, FILE_SIZE_MAX, &text, &size);
        return r < 0 ? r : json_parse_strict(text, size, 0, ret, NULL, NULL);
}

static int show_once(bool json) {
        _cleanup_json_ json_object *o = NULL;
        Screen screen;
        int r;

        r = load(&o);
        if (r < 0 && r != -EBADMSG)
                return complain(r == -ENOENT ? "the service does not run" : strerror(-r));
        if (!o || integer_of(o, "schema") != STATUS_FILE_SCHEMA)
                return complain("what the service has written is of another version");
        if (!is_current(o))
                return complain("the service has ended without a word");

        if (json) {
                const char *text = xjson_to_text(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                            JSON_C_TO_STRING_NOSLASHESCAPE);

                (void) printf("%s\n", text);
        } else {
                screen_look(&screen);
                print_status(&screen, o);
        }
        if (fflush(stdout) != 0)
                return EXIT_FAILURE;
        return needs_a_look(o) ? STATUS_NEEDS_A_LOOK : EXIT_SUCCESS;
}

static struct timespec changed_at(void) {
        char path[PATH_MAX];
        struct stat st = {0};

        status_file_path(path, sizeof(path));
        (void) stat(path, &st); /* all zero where it is not there */
        return st.st_mtim;
}

int show_status(bool json, bool watch) {
        const struct timespec pause = {.tv_nsec = 500 * 1000000L};
        struct timespec seen, now;
        int r;

        do {
                seen = changed_at();
                r = show_once(json);
                if (!watch)
                        return r;
                (void) printf("\n");
                (void) fflush(stdout);
                do {
                        (void) nanosleep(&pause, NULL);
                        now = changed_at();
                } while (now.tv_sec == seen.tv_sec && now.tv_nsec == seen.tv_nsec);
        } while (true);
}
