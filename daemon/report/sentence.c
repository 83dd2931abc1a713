/* SPDX-License-Identifier: Apache-2.0 */
#include "report/sentence.h"

#include <time.h>

enum {
        SHORT_ID = 12, /* as docker ps shows a container */
        WORD_MAX = 600,
};

/* {word} stands for what words_of() gives for it. */
static const char *const sentences[] = {
        [REASON_NONE] = "Looking",

        [REASON_LIVE] = "Container {container} ({id}) runs {credentials}; {version} in cluster {cluster}",
        [REASON_ROLLED_BACK] =
                "Rolled back: container {container} ({id}) runs {credentials} of before, the present ones "
                "broke it. Mend them, or the agent, then: systemctl reload ecs-authd",
        [REASON_WRITE_ONLY] = "{file} is up to date; nothing is restarted, as asked",
        [REASON_FILE_UNKNOWN] = "{file} cannot be read; nothing is done",

        [REASON_RESTART_JOB] = "Waiting for the restart of {agent}",
        [REASON_SETTLE] = "Credentials changed; waiting for them to settle before {agent} is restarted",
        [REASON_MIN_INTERVAL] = "{agent} is restarted in {seconds} s: the last restart is not longer ago than "
                                "MinIntervalSec=",
        [REASON_BACKOFF] = "{agent} is restarted again in {seconds} s: {failures} failed",
        [REASON_UNIT_CHANGING] = "{agent} is starting or stopping, or has a job queued: left to that",
        [REASON_AGENT_COMING] = "{agent} is active, container {container} does not run (yet): see {logs}",
        [REASON_AGENT_SILENT] = "Container {container} has the credentials; waiting for its answer at {url}",
        [REASON_TASKS_PENDING] = "{pending} being pulled or started; {agent} is restarted when they run, or after "
                                 "PendingSec=",
        [REASON_OTHER_INSTANCE] = "Another ecs-authd restarts {agent}: waiting for that",
        [REASON_VERIFYING] = "{agent} was restarted; waiting for its new container to run and answer",

        [REASON_ENGINE] = "No restart while the Docker Engine cannot be asked at {socket} ({engine})",
        [REASON_BUS] = "No restart while systemd cannot be reached over D-Bus",
        [REASON_UNIT_NOT_FOUND] =
                "Restart held: there is no unit {unit}; install the ECS agent, or set [Restart] Unit= "
                "(SUSE: amazon-ecs.service)",
        [REASON_UNIT_MASKED] =
                "Restart held: {unit} is masked; after systemctl unmask and start it has the credentials",
        [REASON_UNIT_INACTIVE] = "{agent} is not running and is not started; its next start has the credentials",
        [REASON_UNIT_FAILED] = "Restart held: {unit} has failed; see systemctl status {unit}",
        [REASON_UNIT_BAD_SETTING] = "Restart held: the unit file of {unit} cannot be used; see systemctl status {unit}",
        [REASON_UNIT_START_LIMIT] =
                "Restart held: {unit} was started too often in a short time (its start limit). When "
                "its cause is mended: systemctl reset-failed {unit} && systemctl start {unit}",
        [REASON_AGENT_REFUSED] = "Restart held: the agent ended with status 5 and must not be started as it is: its "
                                 "state could not be saved, or is that of another ECS_CLUSTER. See docker logs "
                                 "{container}",
        [REASON_BROKE] = "The restart broke the agent, and it is not rolled back ({rollback}). See {logs}",
        [REASON_GAVE_UP] = "The agent does not come up, with the credentials of before either: nothing more is tried. "
                           "See {logs}; when it runs again, it has the credentials of {file}",
        [REASON_TASKS] =
                "Restart held: {tasks} and would be lost, the agent does not keep its state ({unsaved}). It is "
                "restarted when the last task is gone",
        [REASON_FRUITLESS] = "Restart held: the last one did not bring the credentials of {file} into container "
                             "{container}; does {unit} read that file (and not /var/lib/ecs/ecs.config as well)? "
                             "'systemctl reload ecs-authd' tries again",
        [REASON_UNSAVED_NEVER] = "Restart held by UnsavedState=never: the agent does not keep its state ({unsaved})",

        [REASON_NO_NEW_CONTAINER] = "The restart of {agent} cannot be confirmed: its container is still the old one. "
                                    "See {logs}",
        [REASON_NOT_RUNNING] = "The restart of {agent} cannot be confirmed: its container does not run. See {logs}",
        [REASON_OTHER_CREDENTIALS] = "The restart of {agent} cannot be confirmed: its container runs without the "
                                     "credentials of the environment file: does the unit read that file? See {logs}",
        [REASON_SILENT] = "The restart of {agent} cannot be confirmed: the agent does not answer introspection, so it "
                          "has not registered. See {logs}",
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
        default:
                return agent->engine_error < 0 ? strerror(-agent->engine_error) : "not asked yet";
        }
}

typedef struct Context {
        const Settings *settings;
        const Facts *facts;
        const Decision *decision;
        uint64_t now;
} Context;

static unsigned seconds_until(uint64_t usec, uint64_t now) {
        return usec > now ? (unsigned) ((usec - now + USEC_PER_SEC - 1) / USEC_PER_SEC) : 0;
}

static void describe_credentials(const Facts *f, char *ret) {
        if (f->sync.n_registries == 0)
                (void) snprintf(ret, WORD_MAX, "without registry credentials, as its environment file says");
        else
                (void) snprintf(ret, WORD_MAX, "with the credentials of %u %s", f->sync.n_registries,
                                sentence_plural(f->sync.n_registries, "registry", "registries"));
}

static void describe_tasks(const ObserveReport *a, char *ret) {
        bool named = !str_empty(a->families);

        (void) snprintf(ret, WORD_MAX, "%u %s%s%s%s", a->n_tasks,
                        sentence_plural(a->n_tasks, "task container runs", "task containers run"), named ? " (" : "",
                        a->families, named ? ")" : "");
}

/* Where the agent tells what ails it. */
static void describe_logs(const Settings *s, char *ret) {
        if (s->restart.method == RESTART_METHOD_SYSTEMD)
                (void) snprintf(ret, WORD_MAX, "journalctl -u %s and docker logs %s", s->unit, s->agent.container);
        else
                (void) snprintf(ret, WORD_MAX, "docker logs %s", s->agent.container);
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
        else if (streq(name, "seconds"))
                (void) snprintf(ret, WORD_MAX, "%u", seconds_until(c->decision->look_again_usec, c->now));
        else if (streq(name, "failures"))
                (void) snprintf(ret, WORD_MAX, "%u %s", f->attempt.failures,
                                sentence_plural(f->attempt.failures, "restart", "restarts in a row"));
        else if (streq(name, "pending"))
                (void) snprintf(ret, WORD_MAX, "%u %s", f->agent.n_pending,
                                sentence_plural(f->agent.n_pending, "task is", "tasks are"));
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
                {"socket", s->agent.docker_socket},
                {"url", s->agent.introspection_url},
                {"engine", describe_engine(a)},
                {"unsaved", describe_unsaved(a->state_kept)},
                {"version", str_empty(a->version) ? "agent" : a->version},
                {"cluster", str_empty(a->cluster) ? "?" : a->cluster},
                {"rollback",
                 s->restart.rollback ? "no other credentials are known with which it was well" : "Rollback=no"},
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

static const char *sentence_of(const Facts *f, const Decision *d) {
        if (d->action == ACTION_ROLL_BACK)
                return "The restart broke the agent: putting the auth entries of before back into {file}";
        if (d->action == ACTION_RESTART && d->reason != REASON_REPAIR)
                return "Restarting {agent}: container {container} runs with other credentials than {file}";
        if (d->action == ACTION_RESTART)
                return f->sync.rejected
                               ? "Restarting {agent}, with the former credentials: the last restart broke the agent"
                               : "Restarting {agent}, with new credentials: the last restart broke the agent";
        if (d->reason == REASON_WRITE_ONLY && f->sync.outcome == SYNC_FAILED)
                return "{file} could not be brought up to date, for the reason named before";
        if ((size_t) d->reason < ELEMENTSOF(sentences) && sentences[d->reason])
                return sentences[d->reason];
        return sentences[REASON_NONE];
}

void sentence_describe(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                       size_t size) {
        const Context c = {.settings = settings, .facts = facts, .decision = d, .now = now};

        expand(&c, sentence_of(facts, d), ret, size);
}

void sentence_describe_briefly(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                               size_t size) {
        time_t since = time(NULL) - (time_t) ((now - facts->waiting_since_usec) / USEC_PER_SEC);
        unsigned n_files = 0, n = facts->sync.n_registries;
        char clock[16] = "?";
        struct tm tm;

        if (d->reason != REASON_LIVE) {
                sentence_describe(settings, facts, d, now, ret, size);
                return;
        }
        while (settings->credentials.files[n_files])
                n_files++;
        if (localtime_r(&since, &tm))
                (void) strftime(clock, sizeof(clock), "%H:%M", &tm);
        (void) snprintf(ret, size, "%u %s live in %s since %s; watching %u %s", n,
                        sentence_plural(n, "registry", "registries"), settings->agent.container, clock, n_files,
                        sentence_plural(n_files, "file", "files"));
}
