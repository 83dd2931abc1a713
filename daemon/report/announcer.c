/* SPDX-License-Identifier: Apache-2.0 */
#include "report/announcer.h"

#include <systemd/sd-daemon.h>

#include "base/log.h"
#include "base/directories.h"
#include "report/metrics.h"
#include "report/sentence.h"
#include "report/status-file.h"

struct Announcer {
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
        char *file; /* what status_file_write() wrote */
};

int announcer_new(Announcer **ret, bool notify) {
        Announcer *s = calloc(1, sizeof(Announcer));

        if (!s)
                return -ENOMEM;

        s->notify = notify;
        *ret = s;
        return 0;
}

Announcer *announcer_free(Announcer *s) {
        if (!s)
                return NULL;

        if (s->notify)
                status_file_remove();
        free(s->file);
        free(s);
        return NULL;
}

static void tell_problems(Announcer *s, const Settings *settings, const Problems *problems) {
        if (problems_equal(&s->problems, problems))
                return;

        for (unsigned i = 0; i < problems->n_items; i++)
                log_event(problems->items[i].level, MESSAGE_PROBLEM,
                          LOG_FIELDS({"FILE", settings->ecsconfig.environment_file}), "%s", problems->items[i].text);
        if (problems->n_dropped > 0)
                log_warning("... and %u more problems of this kind", problems->n_dropped);
        if (problems_worst_level(&s->problems) <= LOG_WARNING && problems_worst_level(problems) > LOG_WARNING)
                log_info("The credential files and %s are in order again", settings->ecsconfig.environment_file);
        s->problems = *problems;
}

void announcer_tell_sync(Announcer *s, const Settings *settings, const SyncReport *report) {
        char count[16];

        tell_problems(s, settings, &report->problems);

        (void) snprintf(count, sizeof(count), "%u", report->n_registries);
        if (report->outcome == SYNC_WRITTEN)
                log_event(LOG_INFO, MESSAGE_WRITTEN,
                          LOG_FIELDS({"REGISTRY_COUNT", count}, {"REGISTRIES", report->registries},
                                     {"FILE", settings->ecsconfig.environment_file}),
                          "Wrote the credentials of %s %s to %s: %s", count,
                          sentence_plural(report->n_registries, "registry", "registries"),
                          settings->ecsconfig.environment_file, report->registries);
        else if (report->outcome == SYNC_REMOVED)
                log_event(LOG_INFO, MESSAGE_REMOVED,
                          LOG_FIELDS({"REGISTRY_COUNT", count}, {"FILE", settings->ecsconfig.environment_file}),
                          "Removed the auth entries from %s: the credential files name no registry any more",
                          settings->ecsconfig.environment_file);
}

/* Steps that follow from a line which is there already, or precede one that will be. */
static bool goes_without_saying(const Announcer *s, const Decision *d) {
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

static void log_decision(const Settings *settings, const Facts *facts, const Decision *d, const char *sentence) {
        char count[16];
        int level;
        const char *id = decision_message_id(d, &level);

        (void) snprintf(count, sizeof(count), "%u", facts->sync.n_registries);
        log_event(level, id,
                  LOG_FIELDS({"UNIT", settings->unit}, {"REGISTRY_COUNT", count},
                             {"REGISTRIES", facts->sync.registries}, {"CONTAINER", settings->agent.container},
                             {"CONTAINER_ID", str_empty(facts->agent.container_id) ? NULL : facts->agent.container_id},
                             {"CLUSTER", str_empty(facts->agent.cluster) ? NULL : facts->agent.cluster},
                             {"AGENT_VERSION", str_empty(facts->agent.version) ? NULL : facts->agent.version}),
                  "%s", sentence);
}

/* The same again: the same words about the same container and the same credentials. */
static bool told_before(const Announcer *s, const Facts *facts, const Decision *d) {
        if (s->action != d->action || s->reason != d->reason)
                return false;
        /* While it waits, containers may come and go. */
        if (d->action == ACTION_WAIT)
                return true;
        if (d->reason == REASON_WRITE_ONLY)
                return s->failed == (facts->sync.outcome == SYNC_FAILED);
        return streq(s->container_id, facts->agent.container_id) && digest_equal(&s->digest, &facts->sync.digest);
}

static void tell_metrics(Announcer *s, const Settings *settings, const Facts *facts, const Decision *d, uint64_t now) {
        int r = 0;

        if (settings->metrics_file)
                r = metrics_write(settings->metrics_file, facts, status_file_state(facts, d), now);
        if (r < 0 && r != s->metrics_error)
                log_warning("%s: cannot be written: %s; its directory has to be in ReadWritePaths= of the unit",
                            settings->metrics_file, strerror(-r));
        s->metrics_error = r;
}

static void tell_keep_error(Announcer *s, int error) {
        if (error < 0 && error != s->keep_error)
                log_warning("A restart that fails will not be rolled back: cannot write to %s: %s", state_directory(),
                            strerror(-error));
        s->keep_error = error;
}

void announcer_tell_decision(Announcer *s, const Settings *settings, const Facts *facts, const Decision *d,
                             uint64_t now) {
        char sentence[SENTENCE_MAX];

        if (d->action == ACTION_WAIT && d->reason == REASON_JOB_RUNNING)
                return;
        if (d->action == ACTION_WRITE || d->action == ACTION_OBSERVE)
                return;

        tell_keep_error(s, facts->agent.keep_error);
        sentence_describe(settings, facts, d, now, sentence, sizeof(sentence));
        if (s->notify) {
                char brief[SENTENCE_MAX];

                sentence_describe_briefly(settings, facts, d, now, brief, sizeof(brief));
                (void) sd_notifyf(false, "STATUS=%s", brief);
                (void) status_file_write(settings, facts, d, brief, now, &s->file);
                tell_metrics(s, settings, facts, d, now);
        }
        if (told_before(s, facts, d) || goes_without_saying(s, d))
                return;

        log_decision(settings, facts, d, sentence);
        s->action = d->action;
        s->reason = d->reason;
        (void) snprintf(s->container_id, sizeof(s->container_id), "%s", facts->agent.container_id);
        s->digest = facts->sync.digest;
        s->failed = facts->sync.outcome == SYNC_FAILED;
}

void announcer_say_again(Announcer *s) {
        if (s->action == ACTION_HOLD)
                s->reason = REASON_NONE;
}

void announcer_tell_job(const Settings *settings, JobOutcome outcome, const char *result, const char *message) {
        const LogField *fields =
                LOG_FIELDS({"UNIT", sentence_agent_name(settings)}, {"JOB_RESULT", result ? result : "unknown"});

        if (outcome == JOB_DONE)
                log_event(LOG_INFO, MESSAGE_JOB_FINISHED, fields, "Restart job of %s: %s",
                          sentence_agent_name(settings), result ? result : "done");
        else if (outcome == JOB_UNKNOWN)
                log_event(
                        LOG_WARNING, MESSAGE_JOB_FAILED, fields,
                        "Nobody tells how the restart of %s ended (the connection was lost); its outcome is looked at "
                        "instead",
                        sentence_agent_name(settings));
        else if (result)
                log_event(LOG_ERR, MESSAGE_JOB_FAILED, fields, "Restart job of %s: %s; see systemctl status %s",
                          sentence_agent_name(settings), result, sentence_agent_name(settings));
        else
                log_event(LOG_ERR, MESSAGE_JOB_FAILED, fields, "The restart of %s was refused: %s",
                          sentence_agent_name(settings), message ? message : "no reason given");
}
