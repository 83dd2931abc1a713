/* SPDX-License-Identifier: Apache-2.0 */
#include "report/reason-texts.h"

#include <stdarg.h>

#include "base/clock.h"
#include "base/directories.h"
#include "base/log.h"
#include "base/timespan.h"

const char *const reason_states[] = {"live", "waiting", "held", "stopped", "silent", "problem", "written", NULL};

#define EXITS                                                                                                            \
        "The agent in container {container} ended with status {status}, {exits}, and is started again. The credentials " \
        "are not the cause, and nothing is restarted for it. See {logs}"

static const ReasonText texts[_REASON_MAX] = {
        [REASON_NONE] = {"waiting", LOG_INFO, NULL, "Looking"},
        [REASON_LOOKING] = {"waiting", LOG_INFO, NULL, "Looking"},

        /* restart, start */
        [REASON_OTHER_CREDENTIALS] = {"waiting", LOG_NOTICE, MESSAGE_RESTARTING,
                                      "Restarting {agent}: container {container} runs with other credentials than "
                                      "{file}"},
        [REASON_OWED] = {"problem", LOG_WARNING, MESSAGE_STARTING,
                         "{agent} is down since our restart, and is started again"},

        /* close */
        [REASON_RESTARTED] = {"waiting", LOG_INFO, NULL, "{agent} was restarted"},
        [REASON_STOPPED] = {"waiting", LOG_INFO, NULL, "{agent} was stopped by somebody"},
        [REASON_CUT_OFF] = {"waiting", LOG_WARNING, MESSAGE_PROBLEM,
                            "The restart of {agent} was cut off: container {container} is still the old one"},
        [REASON_NO_EFFECT] = {"problem", LOG_ERR, MESSAGE_NO_EFFECT,
                              "The restart of {agent} had no effect: container {container} is still the old one. See "
                              "{logs}"},
        [REASON_WITHOUT_THEM] = {"problem", LOG_ERR, MESSAGE_NO_EFFECT,
                                 "The restart of {agent} did not bring the credentials of {file} into container "
                                 "{container}. See {logs}"},

        /* done */
        [REASON_LIVE] = {"live", LOG_INFO, MESSAGE_LIVE,
                         "Container {container} ({id}) runs {credentials}; {version} in cluster {cluster}"},
        [REASON_WRITE_ONLY] = {"written", LOG_INFO, MESSAGE_WAITING,
                               "{file} is up to date; nothing is restarted, as {asked}"},

        /* wait */
        [REASON_RESTART_JOB] = {"waiting", LOG_INFO, NULL, "Waiting for the restart of {agent}"},
        [REASON_VERIFYING] = {"waiting", LOG_INFO, NULL, "{agent} was restarted; waiting for its new container"},
        [REASON_SETTLE] = {"waiting", LOG_INFO, NULL,
                           "Credentials changed; waiting for them to settle before {agent} is restarted{jitter}"},
        [REASON_MIN_INTERVAL] =
                {"waiting", LOG_INFO, MESSAGE_WAITING,
                 "The restart of {agent} waits{wait}: at most one restart per MinIntervalSec={interval}"},
        [REASON_BACKOFF] = {"waiting", LOG_WARNING, MESSAGE_WAITING,
                            "The next restart of {agent} waits{wait}: {failures} had no effect"},
        [REASON_TASKS_ENDED] = {"waiting", LOG_INFO, NULL,
                                "The last task has ended; {agent} is restarted some seconds later, when that has been "
                                "reported"},
        [REASON_UNIT_CHANGING] = {"waiting", LOG_INFO, MESSAGE_WAITING,
                                  "{agent} is starting or stopping, or has a job queued: left to that"},
        [REASON_REGISTERING] = {"waiting", LOG_INFO, NULL,
                                "Waiting for the agent in container {container} to register and answer at {url}"},
        [REASON_SILENT] = {"silent", LOG_WARNING, MESSAGE_SILENT,
                           "The agent in container {container} has not registered with ECS for {silence}: it does not "
                           "answer at {url}. The credentials are not the cause, and nothing is restarted for it. See "
                           "{logs}"},
        [REASON_EXITS] = {"silent", LOG_WARNING, MESSAGE_SILENT, EXITS},
        [REASON_IMPOSTOR] =
                {"silent", LOG_WARNING, MESSAGE_IMPOSTOR,
                 "Port {port} is held by {impostor}, not by the agent in container {container}: what is said "
                 "there is not believed, and the agent cannot answer. Find the process, and end it: ss -ltnp "
                 "'sport = :{port}'"},
        [REASON_OTHER_INSTANCE] = {"waiting", LOG_INFO, MESSAGE_WAITING,
                                   "Another ecs-authd restarts {agent}: waiting for that"},

        /* hold */
        [REASON_FILE_UNKNOWN] = {"problem", LOG_ERR, MESSAGE_HELD_FILE,
                                 "{file} cannot be read, for the reason named before; the agent stays as it is"},
        [REASON_FILE_WRONG] = {"problem", LOG_ERR, MESSAGE_HELD_FILE,
                               "Restart held: {file} could not be brought up to date, for the reason named before; the "
                               "agent keeps what it has"},
        [REASON_ENGINE] = {"held", LOG_WARNING, MESSAGE_HELD_ENGINE,
                           "No restart while the Docker Engine cannot be asked at {socket} ({engine})"},
        [REASON_BUS] = {"held", LOG_WARNING, MESSAGE_HELD_BUS,
                        "No restart while systemd cannot be reached over D-Bus; see systemctl status dbus"},
        [REASON_UNIT_NOT_FOUND] = {"held", LOG_WARNING, MESSAGE_HELD_UNIT,
                                   "Restart held: there is no unit {unit}; install the ECS agent, or set [Restart] "
                                   "Unit= (SUSE: amazon-ecs.service)"},
        [REASON_UNIT_MASKED] = {"held", LOG_WARNING, MESSAGE_HELD_UNIT,
                                "Restart held: {unit} is masked. To let it start again: systemctl unmask {unit} && "
                                "systemctl start {unit}"},
        [REASON_UNIT_BAD_SETTING] = {"held", LOG_WARNING, MESSAGE_HELD_UNIT,
                                     "Restart held: the unit file of {unit} cannot be used; see systemctl status "
                                     "{unit}"},
        [REASON_UNIT_INACTIVE] = {"stopped", LOG_INFO, MESSAGE_HELD_STOPPED,
                                  "{agent} is stopped; left alone ({end}). Its next start uses the credentials of "
                                  "{file}"},
        [REASON_UNIT_EXITED] = {"held", LOG_WARNING, MESSAGE_HELD_EXITED,
                                "{unit} is inactive: {end}. Start it: systemctl start {unit}. It then uses the "
                                "credentials of {file}"},
        [REASON_UNIT_FAILED] =
                {"held", LOG_WARNING, MESSAGE_HELD_FAILED,
                 "Restart held: {unit} has failed; see systemctl status {unit}. When its cause is fixed: "
                 "systemctl reset-failed {unit} && systemctl start {unit}"},
        [REASON_UNIT_START_LIMIT] = {"held", LOG_WARNING, MESSAGE_HELD_FAILED,
                                     "Restart held: {unit} was started too often in a short time (its start limit). "
                                     "When its cause is fixed: systemctl reset-failed {unit} && systemctl start "
                                     "{unit}"},
        [REASON_AGENT_REFUSED] = {"held", LOG_WARNING, MESSAGE_HELD_REFUSED,
                                  "The agent ended with status 5: it must not be started as it is, and is left alone. "
                                  "Its reason is in its log: docker logs {container} (state not saved, another "
                                  "ECS_CLUSTER than before, registration refused, a changed instance type or "
                                  "attribute, failed user data)"},
        [REASON_TASKS] = {"held", LOG_WARNING, MESSAGE_HELD_TASKS,
                          "Restart held: {tasks}, which a restart would lose: the agent does not keep its state "
                          "({unsaved}). It is restarted when the last one is gone{unknown}"},
        [REASON_TASKS_UNKNOWN] = {"held", LOG_WARNING, MESSAGE_HELD_TASKS,
                                  "Restart held: the agent does not keep its state ({unsaved}), and does not tell at "
                                  "{url} which tasks it would lose ({introspection})"},
        [REASON_UNSAVED_NEVER] = {"held", LOG_WARNING, MESSAGE_HELD_TASKS,
                                  "Restart held by UnsavedState=never: the agent does not keep its state ({unsaved}). "
                                  "When its tasks may be lost: ecs-authd apply -o Restart.UnsavedState=force"},
        [REASON_FRUITLESS] = {"held", LOG_WARNING, MESSAGE_HELD_FRUITLESS,
                              "Restart held: the last one did not bring the credentials of {file} into container "
                              "{container}; does {unit} read that file (and not /var/lib/ecs/ecs.config as well)? "
                              "'systemctl reload ecs-authd' tries again"},
        [REASON_NO_RECORD] = {"held", LOG_ERR, MESSAGE_HELD_RECORD,
                              "Restart held: it cannot be written down in {state}, and what a crash would leave half "
                              "done is not begun. Make room there (df {state}), or, if others can write there: chmod "
                              "go-w {state}"},
};

static const ReasonText write_failed = {"problem", LOG_ERR, MESSAGE_WAITING,
                                        "{file} could not be brought up to date, for the reason named before"};
static const ReasonText written_in_part = {"problem", LOG_WARNING, MESSAGE_PROBLEM,
                                           "{file} is up to date, and nothing is restarted, as {asked}. {problems}"};
static const ReasonText start_waits = {"problem", LOG_WARNING, MESSAGE_STARTING,
                                       "{agent} is down since our restart; its next start waits{wait}. See "
                                       "{logs}"};
static const ReasonText live_with_problem = {"problem", LOG_WARNING, MESSAGE_LIVE,
                                             "Container {container} ({id}) runs {credentials}; {version} in cluster "
                                             "{cluster}. {problems}"};
static const ReasonText no_container_yet = {"waiting", LOG_INFO, NULL,
                                            "Waiting for container {container}: {agent} is active, and has none (yet)"};
static const ReasonText no_container = {"silent", LOG_WARNING, MESSAGE_SILENT,
                                        "{agent} is active, and container {container} does not run, for {silence}. See "
                                        "{logs}; then restart {agent}"};
static const ReasonText exits_yet = {"waiting", LOG_INFO, NULL, EXITS};
static const ReasonText no_credentials_left = {
        "held", LOG_WARNING, MESSAGE_HELD_FILE,
        "Restart held: there is no credential file, and no credentials in {file}; the agent keeps those that it runs "
        "with. Run docker login, which makes {source}{elsewhere}"};
static const ReasonText no_login_yet = {"waiting", LOG_INFO, MESSAGE_WAITING,
                                        "Waiting for the first docker login, which makes {source}{elsewhere}"};

static const ReasonText no_agent_yet = {"waiting", LOG_INFO, MESSAGE_WAITING,
                                        "Waiting for {agent}, which does not exist yet, and for the first docker "
                                        "login, which makes {source}{elsewhere}"};

/* Where nothing is restarted, the file is all that there is to tell of; and nothing is before the first report. */
static const ReasonText *write_only_text(const Facts *f) {
        const FileFacts *file = &f->file;

        if (!file->known)
                return &texts[REASON_LOOKING];
        if (file->sync.outcome == SYNC_FAILED)
                return &write_failed;
        if (file->sync.no_login_yet)
                return &no_login_yet;
        return facts_are_well(f) ? &texts[REASON_WRITE_ONLY] : &written_in_part;
}

const ReasonText *reason_text(const Facts *f, const Decision *d) {
        if (d->reason == REASON_WRITE_ONLY)
                return write_only_text(f);
        if (d->reason == REASON_LIVE && !facts_are_well(f))
                return &live_with_problem;
        if (d->reason == REASON_LIVE && f->file.sync.no_login_yet)
                return &no_login_yet;
        if (d->reason == REASON_UNIT_NOT_FOUND && f->file.sync.no_login_yet)
                return &no_agent_yet;
        if (d->reason == REASON_FILE_WRONG && f->file.sync.no_login_yet)
                return &no_credentials_left;
        if (d->reason == REASON_OWED && d->action == ACTION_WAIT)
                return &start_waits;
        if (d->reason == REASON_REGISTERING && f->exits > 0)
                return &exits_yet;
        if (d->reason == REASON_REGISTERING && f->agent.agent != AGENT_RUNNING)
                return &no_container_yet;
        if (d->reason == REASON_SILENT && f->agent.agent != AGENT_RUNNING)
                return &no_container;
        return &texts[d->reason];
}

const char *reason_state(const Facts *f, const Decision *d) {
        const char *state = reason_text(f, d)->state;

        return streq(state, "waiting") && !facts_are_well(f) ? "problem" : state;
}

/* --- the words of the sentences --- */

enum {
        SHORT_ID = 12, /* as docker ps shows a container */
        WORDS_MAX = 2048,
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

/* A word that a sentence names as {name}. */
typedef struct Word {
        const char *name, *value;
} Word;

typedef struct Context {
        const Settings *settings;
        const Facts *facts;
        const Decision *decision;
        uint64_t now;
        bool brief;
        size_t used;
        char words[WORDS_MAX]; /* words that depend on numbers */
} Context;

/* Returns a word that is made for this sentence; cuts it if there is no more room. */
static _printf_(2, 3) const char *make(Context *c, const char *format, ...) {
        char *word = c->words + c->used;
        va_list list;

        va_start(list, format);
        (void) vsnprintf(word, sizeof(c->words) - c->used, format, list);
        va_end(list);
        c->used += strlen(word);
        if (c->used + 1 < sizeof(c->words))
                c->used++;
        return word;
}

/* In whole seconds, rounded up. A brief sentence is read later, and goes without. */
static const char *describe_wait(Context *c) {
        const uint64_t end = c->decision->look_again_usec;
        const uint64_t seconds = end > c->now ? (end - c->now + USEC_PER_SEC - 1) / USEC_PER_SEC : 0;
        char span[TIMESPAN_MAX];

        timespan_format(span, sizeof(span), seconds * USEC_PER_SEC);
        return c->brief ? "" : make(c, " %s", span);
}

/* Returns the time of the restart if this host's place in JitterSec= puts it off. */
static const char *describe_jitter(Context *c) {
        const uint64_t jitter = c->settings->restart.jitter_usec;
        time_t t = (time_t) (clock_realtime_of(c->decision->look_again_usec) / (int64_t) USEC_PER_SEC);
        char span[TIMESPAN_MAX], text[64] = "?";
        struct tm tm;

        if (jitter == 0)
                return "";
        if (localtime_r(&t, &tm))
                (void) strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %Z", &tm);
        timespan_format(span, sizeof(span), jitter);
        return make(c, " at %s (JitterSec=%s)", text, span);
}

static const char *describe_credentials(Context *c) {
        const unsigned n = c->facts->file.sync.n_registries;

        if (n == 0)
                return "without registry credentials, as its environment file says";
        return make(c, "with the credentials of %u %s", n, sentence_plural(n, "registry", "registries"));
}

/* A task whose image is being pulled has no container yet. */
static const char *describe_tasks(Context *c) {
        const ObserveReport *a = &c->facts->agent;
        bool named = !str_empty(a->families);
        unsigned n = a->n_containers > 0 ? a->n_containers : a->n_tasks;
        const char *what = a->n_containers > 0 ? sentence_plural(n, "task container runs", "task containers run")
                                               : sentence_plural(n, "task has not ended", "tasks have not ended");

        return make(c, "%u %s%s%s%s", n, what, named ? " (" : "", a->families, named ? ")" : "");
}

static const char *describe_unknown(Context *c) {
        const unsigned n = c->facts->agent.n_unknown;
        const char *them = sentence_plural(n, "it", "them");

        if (n == 0)
                return "";
        return make(c,
                    ". The agent does not know of %u of the containers: one that lost its state left %s behind (docker "
                    "ps --filter label=com.amazonaws.ecs.task-arn); docker stop ends %s",
                    n, them, them);
}

/* Each problem has a line of its own in the journal. */
static const char *describe_problems(Context *c) {
        const Problems *p = &c->facts->file.sync.problems;
        const unsigned n = problems_count(p, LOG_ERR) + !str_empty(c->facts->settings_problem),
                       n_warnings = problems_count(p, LOG_WARNING) - problems_count(p, LOG_ERR);

        if (n_warnings == 0)
                return make(c, "%u %s named before", n, sentence_plural(n, "problem was", "problems were"));
        if (n == 0)
                return make(c, "%u %s named before", n_warnings,
                            sentence_plural(n_warnings, "warning was", "warnings were"));
        return make(c, "%u %s and %u %s were named before", n, sentence_plural(n, "problem", "problems"), n_warnings,
                    sentence_plural(n_warnings, "warning", "warnings"));
}

static const char *describe_silence(Context *c) {
        const unsigned minutes = (unsigned) ((c->now - c->facts->silent_usec) / (60 * USEC_PER_SEC));

        if (minutes < 1)
                return "a while";
        if (minutes < 120)
                return make(c, "%u %s", minutes, sentence_plural(minutes, "minute", "minutes"));
        return make(c, "%u hours", minutes / 60);
}

static const char *describe_logs(Context *c) {
        const Settings *s = c->settings;

        if (s->restart.method == RESTART_METHOD_SYSTEMD)
                return make(c, "journalctl -u %s and docker logs %s", s->unit, s->agent.container);
        return make(c, "docker logs %s", s->agent.container);
}

static const char *describe_other_login(Context *c) {
        const char *path = c->facts->file.sync.other_login;

        if (str_empty(path))
                return "";
        return make(c,
                    ". %s has a login, but is not watched: to use it, add the line File=%s to [Credentials] in "
                    "/etc/ecs-authd.conf; then: systemctl reload ecs-authd",
                    path, path);
}

const char *sentence_describe_end(const UnitReport *unit, char *ret, size_t size) {
        switch (unit->end) {
        case UNIT_END_NEVER_RAN:
                (void) snprintf(ret, size, "no start since the boot is on record");
                break;
        case UNIT_END_STOP:
                (void) snprintf(
                        ret, size,
                        "a stop was requested, of it or of a unit that it needs, such as docker.service, whose start "
                        "does not start it again");
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
        return ret;
}

static const char *find_word(const Word *words, const char *name) {
        while (words->name && !streq(words->name, name))
                words++;
        return words->name ? words->value : name;
}

/* Replaces each {word} of the sentence. */
static void replace_words(const char *sentence, const Word *words, char *ret, size_t size) {
        char name[32];
        size_t used = 0;

        for (ret[0] = 0; *sentence && used + 1 < size;) {
                size_t n = strcspn(sentence, "{");

                used += (size_t) snprintf(ret + used, size - used, "%.*s", (int) n, sentence);
                sentence += n;
                if (*sentence != '{' || used + 1 >= size)
                        continue;
                n = strcspn(sentence, "}");
                (void) snprintf(name, sizeof(name), "%.*s", (int) n - 1, sentence + 1);
                used += (size_t) snprintf(ret + used, size - used, "%s", find_word(words, name));
                sentence += n + 1;
        }
}

static void expand(Context *c, char *ret, size_t size) {
        char interval[TIMESPAN_MAX], end[192];
        const Settings *s = c->settings;
        const Facts *f = c->facts;
        const ObserveReport *a = &f->agent;
        const Word words[] = {
                {"agent", sentence_agent_name(s)},
                {"unit", s->unit},
                {"container", s->agent.container},
                {"id", make(c, "%.*s", SHORT_ID, a->container_id)},
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
                {"port", make(c, "%u", a->impostor_port)},
                {"asked", s->restart.method == RESTART_METHOD_NONE ? "Method=none says" : "asked"},
                {"introspection", describe_introspection(a)},
                {"credentials", describe_credentials(c)},
                {"tasks", describe_tasks(c)},
                {"unknown", describe_unknown(c)},
                {"logs", describe_logs(c)},
                {"wait", describe_wait(c)},
                {"jitter", describe_jitter(c)},
                {"interval", interval},
                {"failures", make(c, "%u %s", f->record.failures,
                                  sentence_plural(f->record.failures, "restart", "restarts in a row"))},
                {"problems", describe_problems(c)},
                {"end", sentence_describe_end(&f->unit, end, sizeof(end))},
                {"status", make(c, "%d", f->exit_status)},
                {"exits", make(c, "%u %s", f->exits, sentence_plural(f->exits, "time", "times"))},
                {"silence", describe_silence(c)},
                {"elsewhere", describe_other_login(c)},
                {NULL, NULL},
        };

        timespan_format(interval, sizeof(interval), s->restart.min_interval_usec);
        replace_words(reason_text(f, c->decision)->sentence, words, ret, size);
}

void sentence_describe(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                       size_t size) {
        Context c = {.settings = settings, .facts = facts, .decision = d, .now = now};

        expand(&c, ret, size);
}

void sentence_describe_briefly(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                               size_t size) {
        unsigned n_files = 0, n = facts->file.sync.n_registries;
        char count[64];

        if (d->reason != REASON_LIVE || facts->file.sync.no_login_yet) {
                Context c = {.settings = settings, .facts = facts, .decision = d, .now = now, .brief = true};

                expand(&c, ret, size);
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
