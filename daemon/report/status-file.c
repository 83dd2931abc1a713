/* SPDX-License-Identifier: Apache-2.0 */
#include "report/status-file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/directories.h"
#include "base/json.h"
#include "report/reason-texts.h"

#ifndef VERSION
#define VERSION "unknown"
#endif

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

/* --- writing --- */

/* Of CLOCK_REALTIME, in microseconds; 0: none. */
static json_object *moment_string(int64_t usec) {
        time_t t = (time_t) (usec / (int64_t) USEC_PER_SEC);
        char text[32];
        struct tm tm;

        if (usec == 0 || !gmtime_r(&t, &tm) || strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
                return NULL;
        return json_object_new_string(text);
}

/* Of CLOCK_MONOTONIC, likewise. */
static json_object *time_string(uint64_t usec) {
        return usec == 0 ? NULL : moment_string(clock_realtime_of(usec));
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

        for (size_t i = 0; i < SYNC_ENTRIES_MAX && !str_empty(f->file.sync.entries[i].registry); i++) {
                const SyncEntry *e = &f->file.sync.entries[i];
                json_object *o = json_object_new_object();

                add_string(o, "name", e->registry);
                add_string(o, "source", e->source);
                add_string(o, "helper", e->helper);
                add(o, "identity_token", json_object_new_boolean(e->token));
                add(o, "asked", moment_string(e->asked_usec));
                add(o, "ends", moment_string(e->end_usec));
                add(o, "asked_again", moment_string(e->due_usec));
                add(o, "failing", json_object_new_boolean(e->failing));
                add(o, "missing", json_object_new_boolean(e->missing));
                (void) json_object_array_add(list, o);
        }
        return list;
}

static json_object *describe_problems(const Facts *f) {
        json_object *list = json_object_new_array();

        for (unsigned i = 0; i < f->file.sync.problems.n_items; i++) {
                json_object *o = json_object_new_object();

                add_string(o, "level", level_word(f->file.sync.problems.items[i].level));
                add_string(o, "text", f->file.sync.problems.items[i].text);
                (void) json_object_array_add(list, o);
        }
        return list;
}

static json_object *describe_agent(const Settings *c, const Facts *f) {
        json_object *o = json_object_new_object();

        add_string(o, "container", c->agent.container);
        add_string(o, "id", f->agent.container_id);
        add_string(o, "state", agent_word(f->agent.agent));
        add_string(o, "cluster", f->agent.cluster);
        add_string(o, "version", f->agent.version);
        add(o, "answers", json_object_new_boolean(f->agent.answers));
        add(o, "keeps_state", json_object_new_boolean(f->agent.state_kept == STATE_KEPT));
        add(o, "tasks", json_object_new_int((int) f->agent.n_tasks));
        add(o, "task_containers", json_object_new_int((int) f->agent.n_containers));
        add(o, "unknown_task_containers", json_object_new_int((int) f->agent.n_unknown));
        add_string(o, "task_families", f->agent.families);
        return o;
}

static json_object *describe(const Settings *c, const Facts *f, const Decision *d, const char *sentence) {
        json_object *o = json_object_new_object(), *sources = json_object_new_array();

        for (char **file = c->credentials.files; *file; file++)
                (void) json_object_array_add(sources, json_object_new_string(*file));

        add(o, "schema", json_object_new_int(STATUS_FILE_SCHEMA));
        add_string(o, "ecs_authd", VERSION);
        add(o, "pid", json_object_new_int(getpid()));
        add_string(o, "state", reason_text(f, d)->state);
        add_string(o, "sentence", sentence);
        add(o, "since", time_string(f->waiting_since_usec));
        add(o, "sources", sources);
        add_string(o, "environment_file", c->ecsconfig.environment_file);
        add(o, "registry_count", json_object_new_int((int) f->file.sync.n_registries));
        add(o, "registries", describe_registries(f));
        add(o, "problems", describe_problems(f));
        add(o, "last_change", time_string(f->file.changed_usec));
        add(o, "last_restart", time_string(f->record.restart_usec));
        add(o, "failed_restarts", json_object_new_int((int) f->record.failures));
        add(o, "agent", describe_agent(c, f));
        return o;
}

static int write_text(const char *text) {
        char path[PATH_MAX], temporary[PATH_MAX];
        _cleanup_close_ int fd = -1;
        size_t size = strlen(text);

        (void) mkdir(runtime_directory(), 0755);
        status_file_path(path, sizeof(path));
        (void) snprintf(temporary, sizeof(temporary), "%s/.status.json.new", runtime_directory());
        fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return negative_errno();
        /* Everybody may read it, whatever the mask of the unit is. */
        if (fchmod(fd, 0644) < 0 || write(fd, text, size) != (ssize_t) size || rename(temporary, path) < 0)
                return negative_errno();
        return 0;
}

int status_file_write(const Settings *settings, const Facts *facts, const Decision *d, const char *sentence,
                      char **last) {
        _cleanup_json_ json_object *o = describe(settings, facts, d, sentence);
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
        if (r < 0) {
                free(*last);
                *last = NULL;
        }
        return r;
}

static bool is_there(const char *path, const char *text) {
        _cleanup_fclose_ FILE *f = fopen(path, "re");
        size_t n = strlen(text);
        _cleanup_free_ char *there = malloc(n + 1);

        return f && there && fread(there, 1, n + 1, f) == n && memcmp(there, text, n) == 0;
}

void status_file_remove(const char *last) {
        char path[PATH_MAX];

        status_file_path(path, sizeof(path));
        if (last && is_there(path, last))
                (void) unlink(path);
}
