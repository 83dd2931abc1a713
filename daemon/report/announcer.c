/* SPDX-License-Identifier: Apache-2.0 */
#include "report/announcer.h"

#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/directories.h"
#include "base/log.h"
#include "report/publisher.h"
#include "report/sentence.h"
#include "report/reason-texts.h"
#include "report/written-lines.h"

struct Announcer {
        bool notify;

        WrittenLines *written;

        /* What was said last, so that it is not said again. */
        Problems problems;
        Action action;
        Reason reason;
        char container_id[65];
        Digest digest;
        const ReasonText *text;          /* one reason may have several */
        uint64_t told_usec[_REASON_MAX]; /* when each was last said */
        int record_error;
        Publisher *publisher; /* NULL without notify */
};

int announcer_new(Announcer **ret, sd_event *event, void (*stale)(void *userdata), void *userdata) {
        _cleanup_(announcer_freep) Announcer *s = calloc(1, sizeof(Announcer));
        int r;

        if (!s)
                return -ENOMEM;

        s->notify = event != NULL;
        r = written_lines_new(&s->written, event);
        if (r < 0)
                return r;
        r = event ? publisher_new(&s->publisher, event, stale, userdata) : 0;
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(s);
        return 0;
}

Announcer *announcer_free(Announcer *s) {
        if (!s)
                return NULL;

        written_lines_free(s->written);
        publisher_free(s->publisher);
        free(s);
        return NULL;
}

static void tell_problems(Announcer *s, const Settings *settings, const SyncReport *report) {
        const Problems *problems = &report->problems;
        bool better = problems_worst_level(problems) > problems_worst_level(&s->problems);

        if (problems_equal(&s->problems, problems))
                return;
        /* A helper is about to be asked: whether that is so is seen then. */
        if (better && !report->asked && report->ask_in_usec == SYNC_ASK_NOW)
                return;

        written_lines_flush(s->written);
        for (unsigned i = 0; i < problems->n_items; i++)
                log_event(problems->items[i].level, MESSAGE_PROBLEM,
                          LOG_FIELDS({"FILE", settings->ecsconfig.environment_file}), "%s", problems->items[i].text);
        if (problems->n_dropped > 0)
                log_warning("... and %u more problems of this kind", problems->n_dropped);
        if (problems_worst_level(&s->problems) <= LOG_WARNING && problems_worst_level(problems) > LOG_WARNING &&
            !report->no_login_yet)
                log_info("The credential files and %s are in order again", settings->ecsconfig.environment_file);
        s->problems = *problems;
}

void announcer_tell_sync(Announcer *s, const Settings *settings, const SyncReport *report) {
        tell_problems(s, settings, report);
        written_lines_tell(s->written, settings, report);
}

static void log_decision(const Settings *settings, const Facts *facts, const ReasonText *text, const char *sentence) {
        char count[16];

        (void) snprintf(count, sizeof(count), "%u", facts->file.sync.n_registries);
        log_event(text->level, text->message_id,
                  LOG_FIELDS({"UNIT", settings->unit}, {"REGISTRY_COUNT", count},
                             {"REGISTRIES", facts->file.sync.registries}, {"CONTAINER", settings->agent.container},
                             {"CONTAINER_ID", str_empty(facts->agent.container_id) ? NULL : facts->agent.container_id},
                             {"CLUSTER", str_empty(facts->agent.cluster) ? NULL : facts->agent.cluster},
                             {"AGENT_VERSION", str_empty(facts->agent.version) ? NULL : facts->agent.version}),
                  "%s", sentence);
}

/* Of what comes and goes all the time, each is said now and then. */
#define SAY_AGAIN_USEC (600 * USEC_PER_SEC)

/* The same again: the same words about the same container and the same credentials. */
static bool told_before(Announcer *s, const Facts *facts, const Decision *d, uint64_t now) {
        bool waits = d->action == ACTION_WAIT || d->action == ACTION_HOLD;
        bool same = s->action == d->action && s->reason == d->reason;

        /* Of a burst of logins, too, each of which changes what is waited for. */
        if (waits && same && s->told_usec[d->reason] > 0 && now < s->told_usec[d->reason] + WRITTEN_LINES_FOLD_USEC)
                return true;
        if (!digest_equal(&s->digest, &facts->file.sync.digest) || d->action == ACTION_DONE)
                memset(s->told_usec, 0, sizeof(s->told_usec));
        else if (waits && s->told_usec[d->reason] > 0 && now < s->told_usec[d->reason] + SAY_AGAIN_USEC)
                return true;

        /* While it waits, containers may come and go. */
        if (waits)
                return same && digest_equal(&s->digest, &facts->file.sync.digest);
        if (d->reason == REASON_WRITE_ONLY)
                return same && s->text == reason_text(facts, d);
        return same && streq(s->container_id, facts->agent.container_id) &&
               digest_equal(&s->digest, &facts->file.sync.digest);
}

/* For systemctl status, which keeps the line as it is for days: a time has its date and its zone, as those that systemd
 * shows beside it. */
static void tell_service_manager(const Facts *facts, const Decision *d, const char *brief) {
        time_t t = (time_t) (clock_realtime_of(facts->waiting_since_usec) / (int64_t) USEC_PER_SEC);
        char since[64] = "";
        struct tm tm;

        if (d->reason == REASON_LIVE && localtime_r(&t, &tm))
                (void) strftime(since, sizeof(since), " (since %Y-%m-%d %H:%M %Z)", &tm);
        if (facts_problem(facts) && d->action == ACTION_DONE)
                (void) sd_notifyf(false, "STATUS=%s: %s (%s)", facts_are_well(facts) ? "Warning" : "Problem",
                                  facts_problem(facts), brief);
        else
                (void) sd_notifyf(false, "STATUS=%s%s", brief, since);
}

void announcer_tell_decision(Announcer *s, const Settings *settings, const Facts *facts, const Decision *d,
                             uint64_t now) {
        const ReasonText *text = reason_text(facts, d);
        char sentence[SENTENCE_MAX];

        if (d->action == ACTION_OBSERVE || d->action == ACTION_ABANDON || d->reason == REASON_LOOKING)
                return;

        sentence_describe(settings, facts, d, now, sentence, sizeof(sentence));
        if (s->notify) {
                char brief[SENTENCE_MAX];

                sentence_describe_briefly(settings, facts, d, now, brief, sizeof(brief));
                tell_service_manager(facts, d, brief);
                publisher_tell(s->publisher, settings, facts, d, brief);
        }
        /* A person in front of it is told what is waited for. */
        if (!text->message_id || (s->notify && d->reason == REASON_UNIT_CHANGING) || told_before(s, facts, d, now))
                return;

        written_lines_flush(s->written);
        log_decision(settings, facts, text, sentence);
        s->action = d->action;
        s->reason = d->reason;
        s->told_usec[d->reason] = now;
        (void) snprintf(s->container_id, sizeof(s->container_id), "%s", facts->agent.container_id);
        s->digest = facts->file.sync.digest;
        s->text = text;
}

void announcer_flush(Announcer *s) {
        written_lines_flush(s->written);
}

void announcer_tell_not_recorded(Announcer *s, int error) {
        if (s->record_error != error)
                log_error("%s: a restart cannot be written down there: %s", state_directory(), strerror(-error));
        s->record_error = error;
}

void announcer_say_again(Announcer *s) {
        written_lines_flush(s->written);
        memset(s->told_usec, 0, sizeof(s->told_usec));
        written_lines_forget(s->written);
        if (s->action == ACTION_HOLD)
                s->reason = REASON_NONE;
        if (s->publisher)
                publisher_tell_again(s->publisher);
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
                log_event(LOG_ERR, MESSAGE_JOB_FAILED, fields,
                          settings->restart.method == RESTART_METHOD_SYSTEMD
                                  ? "Restart job of %s: %s; see systemctl status %s"
                                  : "Restart job of %s: %s; see docker logs %s",
                          sentence_agent_name(settings), result,
                          settings->restart.method == RESTART_METHOD_SYSTEMD ? settings->unit
                                                                             : settings->agent.container);
        else
                log_event(LOG_ERR, MESSAGE_JOB_FAILED, fields, "The restart of %s was refused: %s",
                          sentence_agent_name(settings), message ? message : "no reason given");
}
