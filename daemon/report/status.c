/* SPDX-License-Identifier: Apache-2.0 */
#include "report/status.h"

#include <systemd/sd-daemon.h>
#include <time.h>

#include "base/log.h"
#include "report/metrics.h"
#include "report/statusfile.h"

enum {
        SENTENCE_MAX = 1400,
        SHORT_ID = 12, /* as docker ps shows a container */
};

struct Status {
        bool notify;

        /* What was said last, so that it is not said again. */
        Problems problems;
        Action action;
        Reason reason;
        char container_id[65];
        Digest digest;
        bool failed; /* the write before it */
        int keep_error;
        int metrics_error;
        char *file; /* what statusfile_write() wrote */
};

int status_new(Status **ret, bool notify) {
        Status *s = calloc(1, sizeof(Status));

        if (!s)
                return -ENOMEM;

        s->notify = notify;
        *ret = s;
        return 0;
}

Status *status_free(Status *s) {
        if (!s)
                return NULL;

        if (s->notify)
                statusfile_remove();
        free(s->file);
        free(s);
        return NULL;
}

/* What is restarted, as people know it: a unit, or the container of an agent that was started by hand. */
static const char *agent_name(const Config *c) {
        return c->method == RESTART_METHOD_DOCKER ? c->container : c->unit;
}

/* Where it tells what ails it. */
typedef struct Command {
        char text[320];
} Command;

static Command log_command(const Config *c) {
        Command command;

        if (c->method == RESTART_METHOD_SYSTEMD)
                (void) snprintf(command.text, sizeof(command.text), "journalctl -u %s and docker logs %s", c->unit,
                                c->container);
        else
                (void) snprintf(command.text, sizeof(command.text), "docker logs %s", c->container);
        return command;
}

static const char *plural(unsigned n, const char *one, const char *many) {
        return n == 1 ? one : many;
}

static void tell_problems(Status *s, const Config *config, const Problems *problems) {
        if (problems_equal(&s->problems, problems))
                return;

        for (unsigned i = 0; i < problems->n_items; i++)
                log_event(problems->items[i].level, MESSAGE_PROBLEM, LOG_FIELDS({"FILE", config->environment_file}),
                          "%s", problems->items[i].text);
        if (problems->n_dropped > 0)
                log_warning("... and %u more problems of this kind", problems->n_dropped);
        if (problems_worst_level(&s->problems) <= LOG_WARNING && problems_worst_level(problems) > LOG_WARNING)
                log_info("The credential files and %s are in order again", config->environment_file);
        s->problems = *problems;
}

void status_tell_sync(Status *s, const Config *config, const SyncReport *report) {
        char count[16];

        tell_problems(s, config, &report->problems);

        (void) snprintf(count, sizeof(count), "%u", report->n_registries);
        if (report->outcome == SYNC_WRITTEN)
                log_event(LOG_INFO, MESSAGE_WRITTEN,
                          LOG_FIELDS({"REGISTRY_COUNT", count}, {"REGISTRIES", report->registries},
                                     {"FILE", config->environment_file}),
                          "Wrote the credentials of %s %s to %s: %s", count,
                          plural(report->n_registries, "registry", "registries"), config->environment_file,
                          report->registries);
        else if (report->outcome == SYNC_REMOVED)
                log_event(LOG_INFO, MESSAGE_REMOVED,
                          LOG_FIELDS({"REGISTRY_COUNT", count}, {"FILE", config->environment_file}),
                          "Removed the auth entries from %s: the credential files name no registry any more",
                          config->environment_file);
}

static void describe_credentials(const Facts *f, char *ret, size_t size) {
        if (f->sync.n_registries == 0)
                (void) snprintf(ret, size, "without registry credentials, as its environment file says");
        else
                (void) snprintf(ret, size, "with the credentials of %u %s", f->sync.n_registries,
                                plural(f->sync.n_registries, "registry", "registries"));
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

static unsigned seconds_until(uint64_t usec, uint64_t now) {
        return usec > now ? (unsigned) ((usec - now + USEC_PER_SEC - 1) / USEC_PER_SEC) : 0;
}

static void describe_wait(const Config *c, const Facts *f, const Decision *d, uint64_t now, char *ret, size_t size) {
        unsigned seconds = seconds_until(d->look_again_usec, now);

        switch (d->reason) {
        case REASON_RESTART_JOB:
                (void) snprintf(ret, size, "Waiting for the restart of %s", agent_name(c));
                return;
        case REASON_SETTLE:
                (void) snprintf(ret, size, "Credentials changed; waiting for them to settle before %s is restarted",
                                agent_name(c));
                return;
        case REASON_MIN_INTERVAL:
                (void) snprintf(ret, size,
                                "%s is restarted in %u s: the last restart is not longer ago than MinIntervalSec=",
                                agent_name(c), seconds);
                return;
        case REASON_BACKOFF:
                (void) snprintf(ret, size, "%s is restarted again in %u s: %u %s failed", agent_name(c), seconds,
                                f->attempt.failures, plural(f->attempt.failures, "restart", "restarts in a row"));
                return;
        case REASON_UNIT_CHANGING:
                (void) snprintf(ret, size, "%s is starting or stopping, or has a job queued: left to that",
                                agent_name(c));
                return;
        case REASON_AGENT_COMING:
                (void) snprintf(ret, size, "%s is active, container %s does not run (yet): see %s", agent_name(c),
                                c->container, log_command(c).text);
                return;
        case REASON_AGENT_SILENT:
                (void) snprintf(ret, size, "Container %s has the credentials; waiting for its answer at %s",
                                c->container, c->introspection_url);
                return;
        case REASON_TASKS_PENDING:
                (void) snprintf(ret, size,
                                "%u %s being pulled or started; %s is restarted when they run, or after PendingSec=",
                                f->agent.n_pending, plural(f->agent.n_pending, "task is", "tasks are"), agent_name(c));
                return;
        case REASON_OTHER_INSTANCE:
                (void) snprintf(ret, size, "Another ecs-authd restarts %s: waiting for that", agent_name(c));
                return;
        case REASON_VERIFYING:
                (void) snprintf(ret, size, "%s was restarted; waiting for its new container to run and answer",
                                agent_name(c));
                return;
        default:
                (void) snprintf(ret, size, "Looking");
        }
}

static void describe_hold(const Config *c, const Facts *f, const Decision *d, char *ret, size_t size) {
        switch (d->reason) {
        case REASON_ENGINE:
                (void) snprintf(ret, size, "No restart while the Docker Engine cannot be asked at %s (%s)",
                                c->docker_socket, describe_engine(&f->agent));
                return;
        case REASON_BUS:
                (void) snprintf(ret, size, "No restart while systemd cannot be reached over D-Bus");
                return;
        case REASON_UNIT_NOT_FOUND:
                (void) snprintf(ret, size,
                                "Restart held: there is no unit %s; install the ECS agent, or set [Restart] Unit= "
                                "(SUSE: amazon-ecs.service)",
                                c->unit);
                return;
        case REASON_UNIT_MASKED:
                (void) snprintf(ret, size,
                                "Restart held: %s is masked; after systemctl unmask and start it has the "
                                "credentials",
                                c->unit);
                return;
        case REASON_UNIT_INACTIVE:
                (void) snprintf(ret, size, "%s is not running and is not started; its next start has the credentials",
                                agent_name(c));
                return;
        case REASON_UNIT_FAILED:
                (void) snprintf(ret, size, "Restart held: %s has failed; see systemctl status %s", c->unit, c->unit);
                return;
        case REASON_UNIT_BAD_SETTING:
                (void) snprintf(ret, size, "Restart held: the unit file of %s cannot be used; see systemctl status %s",
                                c->unit, c->unit);
                return;
        case REASON_UNIT_START_LIMIT:
                (void) snprintf(ret, size,
                                "Restart held: %s was started too often in a short time (its start limit). When its "
                                "cause is mended: systemctl reset-failed %s && systemctl start %s",
                                c->unit, c->unit, c->unit);
                return;
        case REASON_AGENT_REFUSED:
                (void) snprintf(ret, size,
                                "Restart held: the agent ended with status %d and must not be started as it is: its "
                                "state could not be saved, or is that of another ECS_CLUSTER. See docker logs %s",
                                AGENT_EXIT_TERMINAL, c->container);
                return;
        case REASON_BROKE:
                (void) snprintf(ret, size, "The restart broke the agent, and it is not rolled back (%s). See %s",
                                c->rollback ? "no other credentials are known with which it was well" : "Rollback=no",
                                log_command(c).text);
                return;
        case REASON_GAVE_UP:
                (void) snprintf(ret, size,
                                "The agent does not come up, with the credentials of before either: nothing more is "
                                "tried. See %s; when it runs again, it has the credentials of %s",
                                log_command(c).text, c->environment_file);
                return;
        case REASON_TASKS:
                (void) snprintf(
                        ret, size,
                        "Restart held: %u %s%s%s%s and would be lost, the agent does not keep its state (%s). It is "
                        "restarted when the last task is gone",
                        f->agent.n_tasks, plural(f->agent.n_tasks, "task container runs", "task containers run"),
                        str_empty(f->agent.families) ? "" : " (", f->agent.families,
                        str_empty(f->agent.families) ? "" : ")", describe_unsaved(f->agent.state_kept));
                return;
        case REASON_FRUITLESS:
                (void) snprintf(
                        ret, size,
                        "Restart held: the last one did not bring the credentials of %s into container %s; does %s "
                        "read that file (and not /var/lib/ecs/ecs.config as well)? 'systemctl reload ecs-authd' "
                        "tries again",
                        c->environment_file, c->container, c->unit);
                return;
        case REASON_UNSAVED_NEVER:
                (void) snprintf(ret, size, "Restart held by UnsavedState=never: the agent does not keep its state (%s)",
                                describe_unsaved(f->agent.state_kept));
                return;
        default:
                (void) snprintf(ret, size, "Restart held");
        }
}

static void describe_not_verified(const Config *c, const Decision *d, char *ret, size_t size) {
        const char *why = "";

        switch (d->reason) {
        case REASON_NO_NEW_CONTAINER:
                why = "its container is still the old one";
                break;
        case REASON_NOT_RUNNING:
                why = "its container does not run";
                break;
        case REASON_OTHER_CREDENTIALS:
                why = "its container runs without the credentials of the environment file: does the unit read that file?";
                break;
        case REASON_SILENT:
                why = "the agent does not answer introspection, so it has not registered";
                break;
        default:
                break;
        }
        (void) snprintf(ret, size, "The restart of %s cannot be confirmed: %s. See %s", agent_name(c), why,
                        log_command(c).text);
}

static void describe_done(const Config *c, const Facts *f, const Decision *d, char *ret, size_t size) {
        char credentials[128];

        if (d->reason == REASON_WRITE_ONLY && f->sync.outcome == SYNC_FAILED) {
                (void) snprintf(ret, size, "%s could not be brought up to date, for the reason named before",
                                c->environment_file);
                return;
        }
        if (d->reason == REASON_WRITE_ONLY) {
                (void) snprintf(ret, size, "%s is up to date; nothing is restarted, as asked", c->environment_file);
                return;
        }
        if (d->reason == REASON_FILE_UNKNOWN) {
                (void) snprintf(ret, size, "%s cannot be read; nothing is done", c->environment_file);
                return;
        }

        describe_credentials(f, credentials, sizeof(credentials));
        if (d->reason == REASON_ROLLED_BACK) {
                (void) snprintf(
                        ret, size,
                        "Rolled back: container %s (%.*s) runs %s of before, the present ones broke it. Mend them, "
                        "or the agent, then: systemctl reload ecs-authd",
                        c->container, SHORT_ID, f->agent.container_id, credentials);
                return;
        }
        (void) snprintf(ret, size, "Container %s (%.*s) runs %s; %s in cluster %s", c->container, SHORT_ID,
                        f->agent.container_id, credentials, str_empty(f->agent.version) ? "agent" : f->agent.version,
                        str_empty(f->agent.cluster) ? "?" : f->agent.cluster);
}

static void describe_restart(const Config *c, const Facts *f, const Decision *d, char *ret, size_t size) {
        if (d->reason != REASON_REPAIR)
                (void) snprintf(ret, size, "Restarting %s: container %s runs with other credentials than %s",
                                agent_name(c), c->container, c->environment_file);
        else
                (void) snprintf(ret, size, "Restarting %s, with %s credentials: the last restart broke the agent",
                                agent_name(c), f->sync.rejected ? "the former" : "new");
}

void status_describe(const Config *config, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                     size_t size) {
        switch (d->action) {
        case ACTION_RESTART:
                describe_restart(config, facts, d, ret, size);
                return;
        case ACTION_ROLL_BACK:
                (void) snprintf(ret, size,
                                "The restart broke the agent: putting the auth entries of before back into %s",
                                config->environment_file);
                return;
        case ACTION_NOT_VERIFIED:
                describe_not_verified(config, d, ret, size);
                return;
        case ACTION_HOLD:
                describe_hold(config, facts, d, ret, size);
                return;
        case ACTION_DONE:
                describe_done(config, facts, d, ret, size);
                return;
        case ACTION_WAIT:
                describe_wait(config, facts, d, now, ret, size);
                return;
        case ACTION_WRITE:
        case ACTION_OBSERVE:
        case ACTION_VERIFY:
                break;
        }
        (void) snprintf(ret, size, "Looking");
}

/* Steps that follow from a line which is there already, or precede one that will be. */
static bool goes_without_saying(const Status *s, const Decision *d) {
        switch (d->action) {
        case ACTION_WRITE:
        case ACTION_OBSERVE:
        case ACTION_VERIFY:
                return true;
        case ACTION_WAIT:
                return d->reason == REASON_SETTLE || d->reason == REASON_RESTART_JOB || d->reason == REASON_VERIFYING ||
                       (s->notify && d->reason == REASON_UNIT_CHANGING);
        case ACTION_RESTART:
        case ACTION_ROLL_BACK:
        case ACTION_NOT_VERIFIED:
        case ACTION_HOLD:
        case ACTION_DONE:
                break;
        }
        return false;
}

static const char *hold_message_id(Reason reason) {
        switch (reason) {
        case REASON_ENGINE:
                return MESSAGE_HELD_ENGINE;
        case REASON_BUS:
                return MESSAGE_HELD_BUS;
        case REASON_UNIT_INACTIVE:
                return MESSAGE_HELD_STOPPED;
        case REASON_UNIT_NOT_FOUND:
        case REASON_UNIT_MASKED:
        case REASON_UNIT_BAD_SETTING:
                return MESSAGE_HELD_UNIT;
        case REASON_UNIT_FAILED:
        case REASON_UNIT_START_LIMIT:
        case REASON_AGENT_REFUSED:
                return MESSAGE_HELD_FAILED;
        case REASON_FRUITLESS:
                return MESSAGE_HELD_FRUITLESS;
        case REASON_BROKE:
        case REASON_GAVE_UP:
                return MESSAGE_GAVE_UP;
        default: /* REASON_TASKS, REASON_UNSAVED_NEVER */
                return MESSAGE_HELD_TASKS;
        }
}

static int hold_level(Reason reason) {
        /* An agent that somebody stopped on purpose is nobody's problem. */
        if (reason == REASON_UNIT_INACTIVE)
                return LOG_INFO;
        return reason == REASON_GAVE_UP || reason == REASON_BROKE ? LOG_ERR : LOG_WARNING;
}

static const char *decision_message_id(const Decision *d, int *ret_level) {
        *ret_level = LOG_INFO;

        switch (d->action) {
        case ACTION_RESTART:
                *ret_level = LOG_NOTICE;
                return MESSAGE_RESTARTING;
        case ACTION_NOT_VERIFIED:
                *ret_level = LOG_ERR;
                return MESSAGE_NOT_VERIFIED;
        case ACTION_ROLL_BACK:
                *ret_level = LOG_ERR;
                return MESSAGE_ROLLED_BACK;
        case ACTION_HOLD:
                *ret_level = hold_level(d->reason);
                return hold_message_id(d->reason);
        case ACTION_DONE:
                if (d->reason == REASON_LIVE)
                        return MESSAGE_LIVE;
                if (d->reason != REASON_ROLLED_BACK)
                        return MESSAGE_WAITING;
                *ret_level = LOG_ERR;
                return MESSAGE_ROLLED_BACK;
        case ACTION_WAIT:
        case ACTION_WRITE:
        case ACTION_OBSERVE:
        case ACTION_VERIFY:
                break;
        }
        return MESSAGE_WAITING;
}

static void log_decision(const Config *config, const Facts *facts, const Decision *d, const char *sentence) {
        char count[16];
        int level;
        const char *id = decision_message_id(d, &level);

        (void) snprintf(count, sizeof(count), "%u", facts->sync.n_registries);
        log_event(level, id,
                  LOG_FIELDS({"UNIT", config->unit}, {"REGISTRY_COUNT", count}, {"REGISTRIES", facts->sync.registries},
                             {"CONTAINER", config->container},
                             {"CONTAINER_ID", str_empty(facts->agent.container_id) ? NULL : facts->agent.container_id},
                             {"CLUSTER", str_empty(facts->agent.cluster) ? NULL : facts->agent.cluster},
                             {"AGENT_VERSION", str_empty(facts->agent.version) ? NULL : facts->agent.version}),
                  "%s", sentence);
}

/* The same again: the same words about the same container and the same credentials. */
static bool told_before(const Status *s, const Facts *facts, const Decision *d) {
        if (s->action != d->action || s->reason != d->reason)
                return false;
        /* While it waits, containers may come and go. */
        if (d->action == ACTION_WAIT)
                return true;
        if (d->reason == REASON_WRITE_ONLY)
                return s->failed == (facts->sync.outcome == SYNC_FAILED);
        return streq(s->container_id, facts->agent.container_id) && digest_equal(&s->digest, &facts->sync.digest);
}

static void tell_metrics(Status *s, const Config *config, const Facts *facts, const Decision *d, uint64_t now) {
        int r = 0;

        if (config->metrics_file)
                r = metrics_write(config->metrics_file, facts, statusfile_state(facts, d), now);
        if (r < 0 && r != s->metrics_error)
                log_warning("%s: cannot be written: %s; its directory has to be in ReadWritePaths= of the unit",
                            config->metrics_file, strerror(-r));
        s->metrics_error = r;
}

/* For systemctl status, which has one line: what is so at this moment. */
static void describe_briefly(const Config *c, const Facts *f, const Decision *d, const char *sentence, uint64_t now,
                             char *ret, size_t size) {
        time_t since = time(NULL) - (time_t) ((now - f->waiting_since_usec) / USEC_PER_SEC);
        char clock[16] = "?";
        struct tm tm;
        unsigned n_files = 0;

        if (d->reason != REASON_LIVE) {
                (void) snprintf(ret, size, "%s", sentence);
                return;
        }
        while (c->credential_files[n_files])
                n_files++;
        if (localtime_r(&since, &tm))
                (void) strftime(clock, sizeof(clock), "%H:%M", &tm);
        (void) snprintf(ret, size, "%u %s live in %s since %s; watching %u %s", f->sync.n_registries,
                        plural(f->sync.n_registries, "registry", "registries"), c->container, clock, n_files,
                        plural(n_files, "file", "files"));
}

static void tell_keep_error(Status *s, int error) {
        if (error < 0 && error != s->keep_error)
                log_warning("A restart that fails will not be rolled back: cannot write to %s: %s",
                            config_state_directory(), strerror(-error));
        s->keep_error = error;
}

void status_tell_decision(Status *s, const Config *config, const Facts *facts, const Decision *d, uint64_t now) {
        char sentence[SENTENCE_MAX];

        if (d->action == ACTION_WAIT && d->reason == REASON_JOB_RUNNING)
                return;
        if (d->action == ACTION_WRITE || d->action == ACTION_OBSERVE)
                return;

        tell_keep_error(s, facts->agent.keep_error);
        status_describe(config, facts, d, now, sentence, sizeof(sentence));
        if (s->notify) {
                char brief[SENTENCE_MAX];

                describe_briefly(config, facts, d, sentence, now, brief, sizeof(brief));
                (void) sd_notifyf(false, "STATUS=%s", brief);
                (void) statusfile_write(config, facts, d, brief, now, &s->file);
                tell_metrics(s, config, facts, d, now);
        }
        if (told_before(s, facts, d) || goes_without_saying(s, d))
                return;

        log_decision(config, facts, d, sentence);
        s->action = d->action;
        s->reason = d->reason;
        (void) snprintf(s->container_id, sizeof(s->container_id), "%s", facts->agent.container_id);
        s->digest = facts->sync.digest;
        s->failed = facts->sync.outcome == SYNC_FAILED;
}

void status_say_again(Status *s) {
        if (s->action == ACTION_HOLD)
                s->reason = REASON_NONE;
}

void status_tell_job(const Config *config, JobOutcome outcome, const char *result, const char *message) {
        const LogField *fields = LOG_FIELDS({"UNIT", agent_name(config)}, {"JOB_RESULT", result ? result : "unknown"});

        if (outcome == JOB_DONE)
                log_event(LOG_INFO, MESSAGE_JOB_FINISHED, fields, "Restart job of %s: %s", agent_name(config),
                          result ? result : "done");
        else if (outcome == JOB_UNKNOWN)
                log_event(
                        LOG_WARNING, MESSAGE_JOB_FAILED, fields,
                        "Nobody tells how the restart of %s ended (the connection was lost); its outcome is looked at "
                        "instead",
                        agent_name(config));
        else if (result)
                log_event(LOG_ERR, MESSAGE_JOB_FAILED, fields, "Restart job of %s: %s; see systemctl status %s",
                          agent_name(config), result, agent_name(config));
        else
                log_event(LOG_ERR, MESSAGE_JOB_FAILED, fields, "The restart of %s was refused: %s", agent_name(config),
                          message ? message : "no reason given");
}
