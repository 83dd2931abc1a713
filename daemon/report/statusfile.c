/* SPDX-License-Identifier: Apache-2.0 */
#include "report/statusfile.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>

#include "base/json.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

#define RUNTIME_DIRECTORY_DEFAULT "/run/ecs-authd"

enum {
        FILE_SIZE_MAX = 1024 * 1024,
        SHORT_ID = 12,
};

static const char *runtime_directory(void) {
        const char *e = getenv("RUNTIME_DIRECTORY");

        return e && e[0] == '/' ? e : RUNTIME_DIRECTORY_DEFAULT;
}

static void make_path(const char *name, char *ret) {
        (void) snprintf(ret, PATH_MAX, "%s/%s", runtime_directory(), name);
}

/* --- the words of the file --- */

const char *statusfile_state(const Facts *f, const Decision *d) {
        switch (d->action) {
        case ACTION_HOLD:
                return d->reason == REASON_GAVE_UP || d->reason == REASON_BROKE ? "failed" : "held";
        case ACTION_DONE:
                if (d->reason == REASON_ROLLED_BACK)
                        return "rolled-back";
                if (f->sync.outcome == SYNC_FAILED)
                        return "problem";
                return d->reason == REASON_WRITE_ONLY ? "written" : "live";
        default:
                return "waiting";
        }
}

static const char *agent_word(AgentState s) {
        switch (s) {
        case AGENT_ABSENT:
                return "absent";
        case AGENT_STOPPED:
                return "stopped";
        case AGENT_RUNNING:
                return "running";
        case AGENT_UNKNOWN:
                break;
        }
        return "unknown";
}

static const char *level_word(int level) {
        return level <= LOG_ERR ? "error" : level <= LOG_WARNING ? "warning" : "note";
}

/* --- writing --- */

static json_object *time_string(uint64_t usec, uint64_t now) {
        char text[32];
        struct tm tm;
        time_t t;

        if (usec == 0)
                return NULL;
        t = time(NULL) - (time_t) (((int64_t) now - (int64_t) usec) / (int64_t) USEC_PER_SEC);
        if (!gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                return NULL;
        return json_object_new_string(text);
}

static void add(json_object *o, const char *name, json_object *value) {
        (void) json_object_object_add(o, name, value);
}

/* null where there is none. */
static void add_string(json_object *o, const char *name, const char *s) {
        add(o, name, str_empty(s) ? NULL : json_object_new_string(s));
}

static json_object *describe_registries(const Facts *f) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < SYNC_ENTRIES_MAX && !str_empty(f->sync.entries[i].registry); i++) {
                const SyncEntry *e = &f->sync.entries[i];
                json_object *o = json_object_new_object();

                add_string(o, "name", e->registry);
                add_string(o, "source", e->source);
                add_string(o, "helper", e->helper);
                add(o, "identity_token", json_object_new_boolean(e->token));
                (void) json_object_array_add(list, o);
        }
        return list;
}

static json_object *describe_problems(const Facts *f) {
        json_object *list = json_object_new_array();

        for (unsigned i = 0; i < f->sync.problems.n_items; i++) {
                json_object *o = json_object_new_object();

                add_string(o, "level", level_word(f->sync.problems.items[i].level));
                add_string(o, "text", f->sync.problems.items[i].text);
                (void) json_object_array_add(list, o);
        }
        return list;
}

static json_object *describe_agent(const Config *c, const Facts *f) {
        json_object *o = json_object_new_object();

        add_string(o, "container", c->container);
        add_string(o, "id", f->agent.container_id);
        add_string(o, "state", agent_word(f->agent.agent));
        add_string(o, "cluster", f->agent.cluster);
        add_string(o, "version", f->agent.version);
        add(o, "answers", json_object_new_boolean(f->agent.answers));
        add(o, "keeps_state", json_object_new_boolean(f->agent.state_kept == STATE_KEPT));
        add(o, "task_containers", json_object_new_int((int) f->agent.n_tasks));
        add_string(o, "task_families", f->agent.families);
        add(o, "tasks_pending", json_object_new_int((int) f->agent.n_pending));
        return o;
}

static json_object *describe(const Config *c, const Facts *f, const Decision *d, const char *sentence, uint64_t now) {
        json_object *o = json_object_new_object(), *sources = json_object_new_array();

        for (char **file = c->credential_files; *file; file++)
                (void) json_object_array_add(sources, json_object_new_string(*file));

        add(o, "schema", json_object_new_int(STATUSFILE_SCHEMA));
        add_string(o, "ecs_authd", VERSION);
        add(o, "pid", json_object_new_int(getpid()));
        add_string(o, "state", statusfile_state(f, d));
        add_string(o, "sentence", sentence);
        add(o, "since", time_string(f->waiting_since_usec, now));
        add(o, "sources", sources);
        add_string(o, "environment_file", c->environment_file);
        add(o, "registry_count", json_object_new_int((int) f->sync.n_registries));
        add(o, "registries", describe_registries(f));
        add(o, "problems", describe_problems(f));
        add(o, "last_change", time_string(f->changed_usec, now));
        add(o, "last_restart", time_string(f->attempt.started_usec, now));
        add(o, "failed_restarts", json_object_new_int((int) f->attempt.failures));
        add(o, "agent", describe_agent(c, f));
        return o;
}

static int write_text(const char *text) {
        char path[PATH_MAX], temporary[PATH_MAX];
        _cleanup_close_ int fd = -1;
        size_t size = strlen(text);

        (void) mkdir(runtime_directory(), 0755);
        make_path("status.json", path);
        make_path(".status.json.new", temporary);
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return negative_errno();
        /* Everybody may read it, whatever the mask of the unit is. */
        if (fchmod(fd, 0644) < 0 || write(fd, text, size) != (ssize_t) size || rename(temporary, path) < 0)
                return negative_errno();
        return 0;
}

int statusfile_write(const Config *config, const Facts *facts, const Decision *d, const char *sentence, uint64_t now,
                     char **last) {
        _cleanup_json_ json_object *o = describe(config, facts, d, sentence, now);
        const char *json = json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                                     JSON_C_TO_STRING_NOSLASHESCAPE);
        char *text = NULL;
        int r;

        if (!json || asprintf(&text, "%s\n", json) < 0)
                return -ENOMEM;
        if (*last && streq(*last, text)) {
                free(text);
                return 0;
        }

        free(*last);
        *last = text;
        r = write_text(text);
        if (r < 0)
                *last = NULL;
        return r;
}

void statusfile_remove(void) {
        char path[PATH_MAX];

        make_path("status.json", path);
        (void) unlink(path);
}

/* --- showing --- */

typedef struct Screen {
        bool colour;
        unsigned width; /* 0: lines are not broken */
} Screen;

static void look_at_terminal(Screen *ret) {
        const char *term = getenv("TERM");
        struct winsize size;

        *ret = (Screen){0};
        if (!isatty(STDOUT_FILENO))
                return;
        /* no-color.org: whatever its value, if it has one. */
        ret->colour = str_empty(getenv("NO_COLOR")) && term && !streq(term, "dumb");
        ret->width = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 40 ? size.ws_col : 80;
}

static const char *colour_of(const Screen *screen, const char *state) {
        if (!screen->colour)
                return "";
        if (streq(state, "live") || streq(state, "written"))
                return "\033[32m";
        return streq(state, "waiting") || streq(state, "held") ? "\033[33m" : "\033[31m";
}

/* Behind a label, in the width of the screen, broken between words. */
static void print_field(const Screen *screen, const char *label, const char *text) {
        const unsigned indent = 13;
        unsigned column = indent;

        (void) printf("%*s ", (int) indent - 1, label);
        while (*text) {
                size_t n = strcspn(text, " ");

                if (screen->width > 0 && column > indent && column + n > screen->width) {
                        (void) printf("\n%*s", (int) indent, "");
                        column = indent;
                }
                (void) printf("%.*s", (int) n, text);
                column += (unsigned) n;
                text += n;
                if (*text) {
                        (void) printf(" ");
                        column++;
                        text++;
                }
        }
        (void) printf("\n");
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

/* The time of the day, and the day where it is another one. */
static const char *local_time(const char *text, char *ret, size_t size) {
        struct tm utc = {0}, then, today;
        time_t t, now = time(NULL);

        if (!strptime(text, "%Y-%m-%dT%H:%M:%SZ", &utc))
                return "?";
        t = timegm(&utc);
        if (!localtime_r(&t, &then) || !localtime_r(&now, &today))
                return "?";
        if (strftime(ret, size,
                     then.tm_year == today.tm_year && then.tm_yday == today.tm_yday ? "%H:%M:%S" : "%Y-%m-%d %H:%M",
                     &then) == 0)
                return "?";
        return ret;
}

static void show_time(const Screen *screen, json_object *o, const char *name, const char *label) {
        const char *text = string_of(o, name);
        char time[32];

        if (!str_empty(text))
                print_field(screen, label, local_time(text, time, sizeof(time)));
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

static void show_registries(const Screen *screen, json_object *status) {
        json_object *list = json_get(status, "registries", json_type_array);
        size_t n = list ? json_object_array_length(list) : 0;
        int hidden = integer_of(status, "registry_count") - (int) n;
        char text[1024];

        if (n == 0)
                print_field(screen, "Registries:", "none");
        for (size_t i = 0; i < n; i++) {
                json_object *o = json_object_array_get_idx(list, i);
                const char *source = string_of(o, "source"), *helper = string_of(o, "helper");

                (void) snprintf(text, sizeof(text), "%s from %s%s%s%s", string_of(o, "name"),
                                str_empty(source) ? "the environment file, kept" : source,
                                str_empty(helper) ? "" : ", docker-credential-", helper,
                                is_true(o, "identity_token") ? ", an identity token" : "");
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
                json_object *o = json_object_array_get_idx(list, i);
                const char *text =
                        json_object_is_type(o, json_type_object) ? string_of(o, "text") : json_object_get_string(o);

                print_field(screen, i == 0 ? label : "", text ? text : "");
        }
}

static void show_status(const Screen *screen, json_object *o) {
        const char *state = string_of(o, "state"), *colour = colour_of(screen, state);
        char time[32];

        (void) printf("%s\u25cf %s%s since %s\n", colour, state, *colour ? "\033[0m" : "",
                      local_time(string_of(o, "since"), time, sizeof(time)));
        print_field(screen, "", string_of(o, "sentence"));
        show_list(screen, json_get(o, "problems", json_type_array), "Problems:");
        show_agent(screen, json_get(o, "agent", json_type_object));
        show_registries(screen, o);
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

static int show_once(bool json) {
        _cleanup_json_ json_object *o = NULL;
        char path[PATH_MAX];
        Screen screen;

        make_path("status.json", path);
        if (access(path, R_OK) < 0)
                return complain(errno == ENOENT ? "the service does not run" : strerror(errno));
        o = json_object_from_file(path);
        if (!o || integer_of(o, "schema") != STATUSFILE_SCHEMA)
                return complain("what the service has written is of another version");
        if (!is_current(o))
                return complain("the service has ended without a word");

        if (json) {
                (void) printf("%s\n",
                              json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                                        JSON_C_TO_STRING_NOSLASHESCAPE));
        } else {
                look_at_terminal(&screen);
                show_status(&screen, o);
        }
        return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static struct timespec changed_at(void) {
        char path[PATH_MAX];
        struct stat st = {0};

        make_path("status.json", path);
        (void) stat(path, &st); /* all zero where it is not there */
        return st.st_mtim;
}

int statusfile_show(bool json, bool watch) {
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
