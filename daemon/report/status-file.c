/* SPDX-License-Identifier: Apache-2.0 */
#include "report/status-file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>

#include "base/directories.h"
#include "base/json.h"
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

/* --- its text --- */

/* An object under construction. json-c takes what does not fit into memory for nothing: a member that is missing would
 * say that something is not so. */
typedef struct Builder {
        json_object *object;
        int64_t clock_offset;
        bool failed;
} Builder;

static Builder builder_new(void) {
        json_object *o = json_object_new_object();

        return (Builder){.object = o, .failed = !o};
}

/* Takes the value. */
static void add(Builder *b, const char *name, json_object *value) {
        if (!value || b->failed || json_object_object_add(b->object, name, value) < 0) {
                json_object_put(value);
                b->failed = true;
        }
}

static void add_null(Builder *b, const char *name) {
        if (b->failed || json_object_object_add(b->object, name, NULL) < 0)
                b->failed = true;
}

/* null where there is none. */
static void add_string(Builder *b, const char *name, const char *s) {
        if (str_empty(s))
                add_null(b, name);
        else
                add(b, name, json_object_new_string(s));
}

static void add_number(Builder *b, const char *name, unsigned n) {
        add(b, name, json_object_new_int64((int64_t) n));
}

static void add_boolean(Builder *b, const char *name, bool value) {
        add(b, name, json_object_new_boolean(value));
}

/* Of CLOCK_REALTIME, in microseconds; 0: none. */
static void add_moment(Builder *b, const char *name, int64_t usec) {
        time_t t = (time_t) (usec / (int64_t) USEC_PER_SEC);
        char text[32] = "";
        struct tm tm;

        if (usec != 0 && gmtime_r(&t, &tm))
                (void) strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
        add_string(b, name, text);
}

/* Of CLOCK_MONOTONIC, likewise. */
static void add_time(Builder *b, const char *name, uint64_t usec) {
        add_moment(b, name, usec == 0 ? 0 : (int64_t) usec + b->clock_offset);
}

/* Adds the list, of which every item has been appended. */
static void append(Builder *b, json_object *list, json_object *item) {
        if (!list || !item || json_object_array_add(list, item) < 0) {
                json_object_put(item);
                b->failed = true;
        }
}

static void append_object(Builder *b, json_object *list, Builder *item) {
        b->failed |= item->failed;
        append(b, list, item->object);
}

static void add_coverage(Builder *b, const SyncEntry *e) {
        char images[sizeof(e->registry) * 3 + 128];

        key_coverage_describe(e->registry, e->coverage, images, sizeof(images));
        add_string(b, "covers", key_coverage_to_string(e->coverage));
        add_string(b, "images", images);
}

static void add_registries(Builder *b, const Facts *f) {
        json_object *list = json_object_new_array();

        for (size_t i = 0; i < SYNC_ENTRIES_MAX && !str_empty(f->file.sync.entries[i].registry); i++) {
                const SyncEntry *e = &f->file.sync.entries[i];
                Builder o = builder_new();

                add_string(&o, "name", e->registry);
                add_string(&o, "source", e->source);
                add_string(&o, "helper", e->helper);
                add_boolean(&o, "foreign", e->foreign);
                add_boolean(&o, "identity_token", e->token);
                add_moment(&o, "asked", e->asked_usec);
                add_moment(&o, "ends", e->end_usec);
                add_moment(&o, "asked_again", e->due_usec);
                add_boolean(&o, "failing", e->failing);
                add_boolean(&o, "missing", e->missing);
                add_coverage(&o, e);
                append_object(b, list, &o);
        }
        add(b, "registries", list);
}

static void add_problems(Builder *b, const Facts *f) {
        json_object *list = json_object_new_array();

        for (unsigned i = 0; i < f->file.sync.problems.n_items; i++) {
                Builder o;

                if (f->file.sync.problems.items[i].level >= LOG_INFO)
                        continue;
                o = builder_new();

                add_string(&o, "level", level_word(f->file.sync.problems.items[i].level));
                add_string(&o, "text", f->file.sync.problems.items[i].text);
                append_object(b, list, &o);
        }
        if (!str_empty(f->settings_problem)) {
                Builder o = builder_new();

                add_string(&o, "level", level_word(LOG_ERR));
                add_string(&o, "text", f->settings_problem);
                append_object(b, list, &o);
        }
        add(b, "problems", list);
}

/* As the settings ask. */
static void add_left_out(Builder *b, const Facts *f) {
        json_object *list = json_object_new_array();

        for (unsigned i = 0; i < f->file.sync.problems.n_items; i++)
                if (f->file.sync.problems.items[i].level >= LOG_INFO)
                        append(b, list, json_object_new_string(f->file.sync.problems.items[i].text));
        add(b, "left_out", list);
}

static void add_agent(Builder *b, const Settings *c, const Facts *f) {
        Builder o = builder_new();

        add_string(&o, "container", c->agent.container);
        add_string(&o, "id", f->agent.container_id);
        add_string(&o, "state", agent_word(f->agent.agent));
        add_string(&o, "cluster", f->agent.cluster);
        add_string(&o, "version", f->agent.version);
        add_boolean(&o, "answers", f->agent.answers);
        add_boolean(&o, "keeps_state", f->agent.state_kept == STATE_KEPT);
        add_number(&o, "tasks", f->agent.n_tasks);
        add_number(&o, "task_containers", f->agent.n_containers);
        add_number(&o, "unknown_task_containers", f->agent.n_unknown);
        add_string(&o, "task_families", f->agent.families);
        b->failed |= o.failed;
        add(b, "agent", o.object);
}

static void add_sources(Builder *b, const Settings *c) {
        json_object *list = json_object_new_array();

        for (char **file = c->credentials.files; *file; file++)
                append(b, list, json_object_new_string(*file));
        add(b, "sources", list);
}

static int describe(const StatusReport *s, json_object **ret) {
        const Settings *c = s->settings;
        const Decision *d = s->decision;
        const Facts *f = s->facts;
        Builder b = builder_new();

        b.clock_offset = s->clock_offset;
        add_number(&b, "schema", STATUS_FILE_SCHEMA);
        add_string(&b, "ecs_authd", VERSION);
        add_number(&b, "pid", (unsigned) s->pid);
        add_string(&b, "state", reason_text(f, d)->state);
        add_string(&b, "sentence", s->sentence);
        add_time(&b, "since", f->waiting_since_usec);
        add_sources(&b, c);
        add_string(&b, "environment_file", c->ecsconfig.environment_file);
        add_number(&b, "registry_count", f->file.sync.n_registries);
        add_number(&b, "foreign_count", f->file.sync.n_foreign);
        add_registries(&b, f);
        add_problems(&b, f);
        add_left_out(&b, f);
        add_time(&b, "last_change", f->file.changed_usec);
        add_time(&b, "last_restart", f->record.restart_usec);
        add_number(&b, "failed_restarts", f->record.failures);
        add_agent(&b, c, f);
        add_string(&b, "metrics_error", s->metrics_error);

        if (b.failed) {
                json_object_put(b.object);
                return -ENOMEM;
        }
        *ret = b.object;
        return 0;
}

/* --- the file --- */

static bool is_there(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        size_t n = strlen(text);
        _cleanup_free_ char *there = malloc(n + 1);

        return f && there && fread(there, 1, n + 1, f) == n && memcmp(there, text, n) == 0;
}

int status_file_write(const StatusReport *report, FileIdentity *ret) {
        _cleanup_json_ json_object *o = NULL, *again = NULL;
        _cleanup_free_ char *text = NULL;
        const char *json;
        char path[PATH_MAX];
        int r;

        r = describe(report, &o);
        if (r < 0)
                return r;
        json = json_to_text(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
        if (!json || asprintf(&text, "%s\n", json) < 0)
                return -ENOMEM;
        /* json-c cuts short what it has no memory to print. */
        again = json_tokener_parse(text);
        if (!again || !json_object_equal(o, again))
                return -ENOMEM;

        (void) mkdir(runtime_directory(), 0755);
        status_file_path(path, sizeof(path));
        if (!is_there(path, text))
                return file_replace(AT_FDCWD, path, text, 0644, false, ret);
        *ret = file_identity_at(path);
        return 0;
}

void status_file_remove(const FileIdentity *ours) {
        FileIdentity there;
        char path[PATH_MAX];

        status_file_path(path, sizeof(path));
        there = file_identity_at(path);
        if (ours->inode == 0 || file_identity_equal(&there, ours))
                (void) unlink(path);
}
