/* SPDX-License-Identifier: Apache-2.0 */
#include "report/sentence.h"

#include "base/directories.h"
#include "base/timespan.h"
#include "report/reason-texts.h"

enum {
        SHORT_ID = 12, /* as docker ps shows a container */
        WORD_MAX = 600,
};

const char *sentence_agent_name(const Settings *s) {
        return s->restart.method == RESTART_METHOD_DOCKER ? s->agent.container : s->unit;
}

const char *sentence_plural(unsigned n, const char *one, const char *many) {
        return n == 1 ? one : many;
}

static const char *describe_unsaved(StateKept kept) {
        switch (kept) {
        case STATE_NO_DATADIR:
                return "ECS_DATADIR is not set: set ECS_DATADIR=/data and mount a directory there";
        case STATE_NO_CHECKPOINT:
                return "ECS_CHECKPOINT=false: remove that line";
        case STATE_NO_MOUNT:
                return "ECS_DATADIR is not on a mount of the container: mount a directory of the host there";
        case STATE_KEPT:
                break;
        }
        return "state is kept";
}

static const char *describe_engine(const ObserveReport *agent) {
        switch (agent->engine_error) {
        case -ENOENT:
        case -ECONNREFUSED:
                return "it is not running: systemctl start docker";
        case -EACCES:
                return "no permission to use the socket";
        case -ETIMEDOUT:
                return "it does not answer: see journalctl -u docker";
        case -EBADMSG:
                return "its answer is not Docker's: is DockerSocket= right?";
        case -EFBIG:
                return "its answer is longer than any of Docker's: is DockerSocket= right?";
        default:
                return agent->engine_error < 0 ? strerror(-agent->engine_error) : "not asked yet";
        }
}

static const char *describe_introspection(const ObserveReport *agent) {
        if (!str_empty(agent->impostor))
                return "another user holds its port";
        switch (agent->tasks_error) {
        case -EBADMSG:
                return "its answer is not the agent's";
        case -EFBIG:
                return "its answer is longer than any of the agent's";
        case -ENOTCONN:
                return "who answered does not listen there any more";
        default:
                return agent->tasks_error < 0 ? strerror(-agent->tasks_error) : "";
        }
}

typedef struct Context {
        const Settings *settings;
        const Facts *facts;
        const Decision *decision;
        uint64_t now;
        bool brief;
} Context;

/* In whole seconds, which are over then. What is read a while later is without it. */
static void describe_wait(const Context *c, char *ret) {
        const uint64_t end = c->decision->look_again_usec;
        const uint64_t seconds = end > c->now ? (end - c->now + USEC_PER_SEC - 1) / USEC_PER_SEC : 0;

        if (c->brief)
                return;
        ret[0] = ' ';
        timespan_format(ret + 1, WORD_MAX - 1, seconds * USEC_PER_SEC);
}

static void describe_credentials(const Facts *f, char *ret) {
        if (f->file.sync.n_registries == 0)
                (void) snprintf(ret, WORD_MAX, "without registry credentials, as its environment file says");
        else
                (void) snprintf(ret, WORD_MAX, "with the credentials of %u %s", f->file.sync.n_registries,
                                sentence_plural(f->file.sync.n_registries, "registry", "registries"));
}

/* One that is being pulled has no container yet. */
static void describe_tasks(const ObserveReport *a, char *ret) {
        bool named = !str_empty(a->families);
        unsigned n = a->n_containers > 0 ? a->n_containers : a->n_tasks;
        const char *what = a->n_containers > 0 ? sentence_plural(n, "task container runs", "task containers run")
                                               : sentence_plural(n, "task has not ended", "tasks have not ended");

        (void) snprintf(ret, WORD_MAX, "%u %s%s%s%s", n, what, named ? " (" : "", a->families, named ? ")" : "");
}

static void describe_unknown(const ObserveReport *a, char *ret) {
        if (a->n_unknown > 0)
                (void) snprintf(ret, WORD_MAX,
                                ". The agent does not know of %u of the containers: one that lost its state left %s "
                                "behind (docker ps --filter label=com.amazonaws.ecs.task-arn); docker stop ends %s",
                                a->n_unknown, sentence_plural(a->n_unknown, "it", "them"),
                                sentence_plural(a->n_unknown, "it", "them"));
}

/* Each has a line of its own in the journal. */
static void describe_problems(const Facts *f, char *ret) {
        const unsigned n = problems_count(&f->file.sync.problems, LOG_WARNING) + !str_empty(f->settings_problem);

        (void) snprintf(ret, WORD_MAX, "%u %s named before", n, sentence_plural(n, "problem was", "problems were"));
}

static void describe_silence(const Context *c, char *ret) {
        uint64_t minutes = (c->now - c->facts->silent_usec) / (60 * USEC_PER_SEC);

        if (minutes < 1)
                (void) snprintf(ret, WORD_MAX, "a while");
        else if (minutes < 120)
                (void) snprintf(ret, WORD_MAX, "%u %s", (unsigned) minutes,
                                sentence_plural((unsigned) minutes, "minute", "minutes"));
        else
                (void) snprintf(ret, WORD_MAX, "%u hours", (unsigned) (minutes / 60));
}

/* Where the agent tells what ails it. */
static void describe_logs(const Settings *s, char *ret) {
        if (s->restart.method == RESTART_METHOD_SYSTEMD)
                (void) snprintf(ret, WORD_MAX, "journalctl -u %s and docker logs %s", s->unit, s->agent.container);
        else
                (void) snprintf(ret, WORD_MAX, "docker logs %s", s->agent.container);
}

static void describe_other_login(const char *path, char *ret) {
        if (!str_empty(path))
                (void) snprintf(
                        ret, WORD_MAX,
                        ". %s has a login, but is not watched: to use it, add the line File=%s to [Credentials] in "
                        "/etc/ecs-authd.conf; then: systemctl reload ecs-authd",
                        path, path);
}

void sentence_describe_end(const UnitReport *unit, char *ret, size_t size) {
        switch (unit->end) {
        case UNIT_END_NEVER_RAN:
                (void) snprintf(ret, size, "no start since the boot is on record");
                break;
        case UNIT_END_STOP:
                (void) snprintf(ret, size, "a stop was requested, of it or of a unit that it is part of");
                break;
        case UNIT_END_EXIT:
                (void) snprintf(ret, size, "the agent exited with status %d, and no stop was requested before",
                                unit->exit_status);
                break;
        case UNIT_END_SIGNAL:
                (void) snprintf(ret, size, "signal %d ended its main process, and no stop was requested before",
                                unit->exit_status);
                break;
        case UNIT_END_UNKNOWN:
                (void) snprintf(ret, size, "whether a stop was requested is unknown");
                break;
        }
}

/* Words that are made of numbers and more; false: there is no such one. */
static bool make_word(const Context *c, const char *name, char *ret) {
        const Facts *f = c->facts;

        ret[0] = 0;
        if (streq(name, "credentials"))
                describe_credentials(f, ret);
        else if (streq(name, "tasks"))
                describe_tasks(&f->agent, ret);
        else if (streq(name, "logs"))
                describe_logs(c->settings, ret);
        else if (streq(name, "id"))
                (void) snprintf(ret, WORD_MAX, "%.*s", SHORT_ID, f->agent.container_id);
        else if (streq(name, "wait"))
                describe_wait(c, ret);
        else if (streq(name, "interval"))
                timespan_format(ret, WORD_MAX, c->settings->restart.min_interval_usec);
        else if (streq(name, "failures"))
                (void) snprintf(ret, WORD_MAX, "%u %s", f->record.failures,
                                sentence_plural(f->record.failures, "restart", "restarts in a row"));
        else if (streq(name, "port"))
                (void) snprintf(ret, WORD_MAX, "%u", f->agent.impostor_port);
        else if (streq(name, "problems"))
                describe_problems(f, ret);
        else if (streq(name, "elsewhere"))
                describe_other_login(f->file.sync.other_login, ret);
        else if (streq(name, "end"))
                sentence_describe_end(&f->unit, ret, WORD_MAX);
        else if (streq(name, "unknown"))
                describe_unknown(&f->agent, ret);
        else if (streq(name, "silence"))
                describe_silence(c, ret);
        else
                return false;
        return true;
}

static const char *word_of(const Context *c, const char *name, char *buffer) {
        const Settings *s = c->settings;
        const ObserveReport *a = &c->facts->agent;
        const struct {
                const char *name, *value;
        } words[] = {
                {"agent", sentence_agent_name(s)},
                {"unit", s->unit},
                {"container", s->agent.container},
                {"file", s->ecsconfig.environment_file},
                {"source", s->credentials.files[0]},
                {"socket", s->agent.docker_socket},
                {"url", s->agent.introspection_url},
                {"engine", describe_engine(a)},
                {"unsaved", describe_unsaved(a->state_kept)},
                {"version", str_empty(a->version) ? "agent" : a->version},
                {"cluster", str_empty(a->cluster) ? "?" : a->cluster},
                {"state", state_directory()},
                {"impostor", a->impostor},
                {"asked", s->restart.method == RESTART_METHOD_NONE ? "Method=none says" : "asked"},
                {"introspection", describe_introspection(a)},
        };

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (streq(words[i].name, name))
                        return words[i].value;
        return make_word(c, name, buffer) ? buffer : name;
}

static void expand(const Context *c, const char *sentence, char *ret, size_t size) {
        char name[32], buffer[WORD_MAX];
        size_t used = 0;

        for (ret[0] = 0; *sentence && used + 1 < size;) {
                size_t n = strcspn(sentence, "{");

                used += (size_t) snprintf(ret + used, size - used, "%.*s", (int) n, sentence);
                sentence += n;
                if (*sentence != '{' || used + 1 >= size)
                        continue;
                n = strcspn(sentence, "}");
                (void) snprintf(name, sizeof(name), "%.*s", (int) n - 1, sentence + 1);
                used += (size_t) snprintf(ret + used, size - used, "%s", word_of(c, name, buffer));
                sentence += n + 1;
        }
}

void sentence_describe(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                       size_t size) {
        const Context c = {.settings = settings, .facts = facts, .decision = d, .now = now};

        expand(&c, reason_text(facts, d)->sentence, ret, size);
}

void sentence_describe_briefly(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                               size_t size) {
        unsigned n_files = 0, n = facts->file.sync.n_registries;
        char count[64];

        if (d->reason != REASON_LIVE || facts->file.sync.no_login_yet) {
                const Context c = {.settings = settings, .facts = facts, .decision = d, .now = now, .brief = true};

                expand(&c, reason_text(facts, d)->sentence, ret, size);
                return;
        }
        while (settings->credentials.files[n_files])
                n_files++;
        if (n == 0)
                (void) snprintf(count, sizeof(count), "No registry credentials in use");
        else
                (void) snprintf(count, sizeof(count), "%u %s live", n, sentence_plural(n, "registry", "registries"));
        (void) snprintf(ret, size, "%s in %s; watching %u %s", count, settings->agent.container, n_files,
                        sentence_plural(n_files, "file", "files"));
}
