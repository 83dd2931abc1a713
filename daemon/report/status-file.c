/* SPDX-License-Identifier: Apache-2.0 */
#include "report/status-file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "base/directories.h"
#include "report/reason-texts.h"

void status_file_path(char *ret, size_t size) {
        (void) snprintf(ret, size, "%s/status.json", runtime_directory());
}

/* --- the words of the file --- */

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

/* --- the text --- */

/* Prints JSON in json-c's layout. Not with json-c: up to version 0.16 it ends the process if no memory is left for the
 * name of a member, and it drops parts of the text without an error. */
typedef struct Writer {
        FILE *f;
        unsigned depth;
        bool empty; /* nothing printed yet in the open list or object */
        int64_t clock_offset;
} Writer;

static void new_line(const Writer *w) {
        (void) fprintf(w->f, "\n%*s", (int) (2 * w->depth), "");
}

/* Escapes the characters that JSON requires to be escaped. */
static void print_string(const Writer *w, const char *s) {
        (void) fputc('"', w->f);
        for (; *s; s++)
                if (*s == '"' || *s == '\\')
                        (void) fprintf(w->f, "\\%c", *s);
                else if ((unsigned char) *s < ' ')
                        (void) fprintf(w->f, "\\u%04x", (unsigned) (unsigned char) *s);
                else
                        (void) fputc(*s, w->f);
        (void) fputc('"', w->f);
}

/* Starts the next member, or the next item of a list (name: NULL). */
static void next(Writer *w, const char *name) {
        if (!w->empty)
                (void) fputc(',', w->f);
        if (w->depth > 0)
                new_line(w);
        w->empty = false;
        if (name)
                (void) fprintf(w->f, "\"%s\": ", name);
}

static void begin(Writer *w, const char *name, char bracket) {
        next(w, name);
        (void) fputc(bracket, w->f);
        w->depth++;
        w->empty = true;
}

static void end(Writer *w, char bracket) {
        w->depth--;
        if (!w->empty)
                new_line(w);
        (void) fputc(bracket, w->f);
        w->empty = false;
}

/* Adds null if the string is empty. */
static void add_string(Writer *w, const char *name, const char *s) {
        next(w, name);
        if (str_empty(s))
                (void) fputs("null", w->f);
        else
                print_string(w, s);
}

static void add_number(Writer *w, const char *name, unsigned n) {
        next(w, name);
        (void) fprintf(w->f, "%u", n);
}

static void add_boolean(Writer *w, const char *name, bool value) {
        next(w, name);
        (void) fputs(value ? "true" : "false", w->f);
}

/* Of CLOCK_REALTIME, in microseconds; 0: none. */
static void add_moment(Writer *w, const char *name, int64_t usec) {
        time_t t = (time_t) (usec / (int64_t) USEC_PER_SEC);
        char text[32] = "";
        struct tm tm;

        if (usec != 0 && gmtime_r(&t, &tm))
                (void) strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
        add_string(w, name, text);
}

/* Of CLOCK_MONOTONIC, likewise. */
static void add_time(Writer *w, const char *name, uint64_t usec) {
        add_moment(w, name, usec == 0 ? 0 : (int64_t) usec + w->clock_offset);
}

static void add_coverage(Writer *w, const SyncEntry *e) {
        char images[sizeof(e->registry) * 3 + 128];

        key_coverage_describe(e->registry, e->coverage, images, sizeof(images));
        add_string(w, "covers", key_coverage_to_string(e->coverage));
        add_string(w, "images", images);
}

static void add_registries(Writer *w, const Facts *f) {
        begin(w, "registries", '[');
        for (size_t i = 0; i < SYNC_ENTRIES_MAX && !str_empty(f->file.sync.entries[i].registry); i++) {
                const SyncEntry *e = &f->file.sync.entries[i];

                begin(w, NULL, '{');
                add_string(w, "name", e->registry);
                add_string(w, "source", e->source);
                add_string(w, "helper", e->helper);
                add_boolean(w, "foreign", e->foreign);
                add_boolean(w, "identity_token", e->token);
                add_moment(w, "asked", e->asked_usec);
                add_moment(w, "ends", e->end_usec);
                add_moment(w, "asked_again", e->due_usec);
                add_boolean(w, "failing", e->failing);
                add_boolean(w, "missing", e->missing);
                add_coverage(w, e);
                end(w, '}');
        }
        end(w, ']');
}

static void add_problem(Writer *w, int level, const char *text) {
        begin(w, NULL, '{');
        add_string(w, "level", level_word(level));
        add_string(w, "text", text);
        end(w, '}');
}

static void add_problems(Writer *w, const Facts *f) {
        const Problems *problems = &f->file.sync.problems;

        begin(w, "problems", '[');
        for (unsigned i = 0; i < problems->n_items; i++)
                if (problems->items[i].level < LOG_INFO)
                        add_problem(w, problems->items[i].level, problems->items[i].text);
        if (!str_empty(f->settings_problem))
                add_problem(w, LOG_ERR, f->settings_problem);
        end(w, ']');
}

/* Adds the registries that the settings exclude. */
static void add_left_out(Writer *w, const Problems *problems) {
        begin(w, "left_out", '[');
        for (unsigned i = 0; i < problems->n_items; i++)
                if (problems->items[i].level >= LOG_INFO)
                        add_string(w, NULL, problems->items[i].text);
        end(w, ']');
}

static void add_agent(Writer *w, const Settings *c, const Facts *f) {
        begin(w, "agent", '{');
        add_string(w, "container", c->agent.container);
        add_string(w, "id", f->agent.container_id);
        add_string(w, "state", agent_word(f->agent.agent));
        add_string(w, "cluster", f->agent.cluster);
        add_string(w, "version", f->agent.version);
        add_boolean(w, "answers", f->agent.answers);
        add_boolean(w, "keeps_state", f->agent.state_kept == STATE_KEPT);
        add_number(w, "tasks", f->agent.n_tasks);
        add_number(w, "task_containers", f->agent.n_containers);
        add_number(w, "unknown_task_containers", f->agent.n_unknown);
        add_string(w, "task_families", f->agent.families);
        end(w, '}');
}

static void add_sources(Writer *w, const Settings *c) {
        begin(w, "sources", '[');
        for (char **file = c->credentials.files; *file; file++)
                add_string(w, NULL, *file);
        end(w, ']');
}

static void print_status(FILE *file, const StatusReport *s) {
        Writer w = {.f = file, .empty = true, .clock_offset = s->clock_offset};
        const Facts *f = s->facts;

        begin(&w, NULL, '{');
        add_number(&w, "schema", STATUS_FILE_SCHEMA);
        add_string(&w, "ecs_authd", VERSION);
        add_number(&w, "pid", (unsigned) s->pid);
        add_string(&w, "state", reason_state(f, s->decision));
        add_string(&w, "sentence", s->sentence);
        add_time(&w, "since", f->waiting_since_usec);
        add_sources(&w, s->settings);
        add_string(&w, "environment_file", s->settings->ecsconfig.environment_file);
        add_number(&w, "registry_count", f->file.sync.n_registries);
        add_number(&w, "foreign_count", f->file.sync.n_foreign);
        add_registries(&w, f);
        add_problems(&w, f);
        add_left_out(&w, &f->file.sync.problems);
        add_time(&w, "last_change", f->file.changed_usec);
        add_time(&w, "last_restart", f->record.restart_usec);
        add_number(&w, "failed_restarts", f->record.failures);
        add_agent(&w, s->settings, f);
        add_string(&w, "metrics_error", s->metrics_error);
        end(&w, '}');
        (void) fputc('\n', file);
}

char *status_report_print(const StatusReport *report, void (*print)(FILE *f, const StatusReport *report)) {
        _cleanup_free_ char *text = NULL;
        size_t size = 0;
        FILE *f = open_memstream(&text, &size);
        bool complete;

        if (!f)
                return NULL;
        print(f, report);
        complete = !ferror(f);
        return fclose(f) == 0 && complete ? STEAL_POINTER(text) : NULL;
}

/* --- the file --- */

int status_file_write(StatusFile *f, const StatusReport *report) {
        _cleanup_free_ char *text = status_report_print(report, print_status);
        char path[PATH_MAX];
        FileIdentity there;
        int r;

        if (!text)
                return -ENOMEM;
        status_file_path(path, sizeof(path));
        there = file_identity_at(path);
        if (f->text && streq(f->text, text) && file_identity_equal(&there, &f->identity))
                return 0;

        (void) mkdir(runtime_directory(), 0755);
        r = file_replace(AT_FDCWD, path, text, 0644, false, &f->identity);
        if (r < 0)
                return r;
        free(f->text);
        f->text = STEAL_POINTER(text);
        return 0;
}

void status_file_remove(StatusFile *f) {
        FileIdentity there;
        char path[PATH_MAX];

        status_file_path(path, sizeof(path));
        there = file_identity_at(path);
        if (file_identity_equal(&there, &f->identity))
                (void) unlink(path);
        free(f->text);
        *f = (StatusFile){0};
}
