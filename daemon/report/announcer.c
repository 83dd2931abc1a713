/* SPDX-License-Identifier: Apache-2.0 */
#include "report/announcer.h"

#include <limits.h>
#include <systemd/sd-daemon.h>

#include "base/clock.h"
#include "base/directories.h"
#include "base/log.h"
#include "report/publisher.h"
#include "report/reason-texts.h"

/* Journal lines about the environment file: the first is logged at once. Of those within two seconds after it, as in a
 * burst of logins, the last one is logged for all. Problems that change more often than this in that time, as while a
 * file is broken and mended in turn, are logged at its end. */
#define FOLD_USEC (2 * USEC_PER_SEC)
#define PROBLEM_CHANGES_MAX 8

typedef enum WrittenKind {
        WRITTEN,
        WRITTEN_BACK, /* restored after a change by another program */
        REMOVED,
} WrittenKind;

typedef struct WrittenLine {
        WrittenKind kind;
        unsigned n_registries; /* number of registries whose entries ecs-authd wrote */
        char registries[sizeof(((SyncReport *) NULL)->registries)];
        char coverages[sizeof(((SyncReport *) NULL)->coverages)];
        char file[PATH_MAX];
} WrittenLine;

struct Announcer {
        sd_event *event; /* NULL: log each line at once, and publish nothing */

        sd_event_source *fold_timer; /* armed when a line about the file was logged */
        WrittenLine line;            /* the last one that is not logged yet */
        unsigned n_folded;           /* number of changes it is logged for; 0: all are logged */
        Digest file_digest;          /* of the credentials in the file when last known */
        bool file_digest_known;

        Problems seen;      /* of the last report */
        unsigned n_changes; /* of the logged problems, in the present FOLD_USEC */
        bool seen_a_login;  /* whether it knew of a login */

        /* What was said last, so that it is not said again. */
        Problems problems;
        Action action;
        Reason reason;
        char container_id[65];
        Digest digest;
        const ReasonText *text;          /* one reason may have several */
        uint64_t told_usec[_REASON_MAX]; /* when each was last said */
        int record_error;
        Publisher *publisher; /* NULL without event */
};

int announcer_new(Announcer **ret, sd_event *event, void (*stale)(void *userdata), void *userdata) {
        _cleanup_(announcer_freep) Announcer *s = calloc(1, sizeof(Announcer));
        int r;

        if (!s)
                return -ENOMEM;

        s->event = event ? sd_event_ref(event) : NULL;
        r = event ? publisher_new(&s->publisher, event, stale, userdata) : 0;
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(s);
        return 0;
}

Announcer *announcer_free(Announcer *s) {
        if (!s)
                return NULL;

        announcer_flush(s);
        sd_event_source_disable_unref(s->fold_timer);
        sd_event_unref(s->event);
        publisher_free(s->publisher);
        free(s);
        return NULL;
}

static void log_line(const WrittenLine *line, unsigned n) {
        char count[16], writes[16], of[48] = "";
        const LogField *fields = LOG_FIELDS({"REGISTRY_COUNT", count}, {"REGISTRIES", line->registries},
                                            {"WRITES", writes}, {"FILE", line->file});
        const char *registries = sentence_plural(line->n_registries, "registry", "registries");

        (void) snprintf(count, sizeof(count), "%u", line->n_registries);
        (void) snprintf(writes, sizeof(writes), "%u", n);
        if (n > 1)
                (void) snprintf(of, sizeof(of), " (the last of %u changes)", n);
        switch (line->kind) {
        case WRITTEN:
                log_event(LOG_INFO, MESSAGE_WRITTEN, fields, "Wrote the credentials of %s %s to %s%s: %s%s%s", count,
                          registries, line->file, of, line->registries, str_empty(line->coverages) ? "" : ". ",
                          line->coverages);
                break;
        case WRITTEN_BACK:
                log_event(LOG_NOTICE, MESSAGE_WRITTEN, fields,
                          "Something else took the credentials out of %s, or changed them: they are back%s, those of "
                          "%s %s",
                          line->file, of, count, registries);
                break;
        case REMOVED:
                log_event(LOG_INFO, MESSAGE_REMOVED, fields,
                          "Removed our auth entries from %s%s: the credential files name no registry any more",
                          line->file, of);
                break;
        }
}

static void log_problems(Announcer *s) {
        const Problems *problems = &s->seen;

        for (unsigned i = 0; i < problems->n_items; i++)
                log_event(problems->items[i].level, MESSAGE_PROBLEM, LOG_FIELDS({"FILE", s->line.file}), "%s",
                          problems->items[i].text);
        if (problems->n_dropped > 0)
                log_warning("... and %u more problems of this kind", problems->n_dropped);
        if (problems_worst_level(&s->problems) <= LOG_WARNING && problems_worst_level(problems) > LOG_WARNING &&
            s->seen_a_login)
                log_info("The credential files and %s are in order again", s->line.file);
        s->problems = *problems;
        s->n_changes++;
}

static bool has_news(const Announcer *s) {
        return s->n_folded > 0 || !problems_equal(&s->problems, &s->seen);
}

void announcer_flush(Announcer *s) {
        if (!problems_equal(&s->problems, &s->seen))
                log_problems(s);
        if (s->n_folded > 0)
                log_line(&s->line, s->n_folded);
        s->n_folded = 0;
}

static int on_time(sd_event_source *timer, uint64_t usec, void *userdata) {
        Announcer *s = userdata;

        s->n_changes = 0;
        if (!has_news(s))
                return 0;
        announcer_flush(s);
        if (sd_event_source_set_time(timer, usec + FOLD_USEC) >= 0)
                (void) sd_event_source_set_enabled(timer, SD_EVENT_ONESHOT);
        return 0;
}

/* Holds back the lines of the next FOLD_USEC. */
static int arm(Announcer *s) {
        s->fold_timer = sd_event_source_disable_unref(s->fold_timer);
        return sd_event_add_time_relative(s->event, &s->fold_timer, CLOCK_MONOTONIC, FOLD_USEC, 100 * USEC_PER_MSEC,
                                          on_time, s);
}

static bool armed(const Announcer *s) {
        int enabled = SD_EVENT_OFF;

        return s->fold_timer && sd_event_source_get_enabled(s->fold_timer, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}

/* Coalesces lines of the same kind. */
static void note_line(Announcer *s, const SyncReport *report, WrittenKind kind) {
        if (s->n_folded > 0 && s->line.kind != kind)
                announcer_flush(s);
        s->line.kind = kind;
        s->line.n_registries = report->n_ours;
        (void) snprintf(s->line.registries, sizeof(s->line.registries), "%s", report->registries);
        (void) snprintf(s->line.coverages, sizeof(s->line.coverages), "%s", report->coverages);
        s->n_folded++;
}

static void note_file(Announcer *s, const SyncReport *report) {
        const bool same = s->file_digest_known && digest_equal(&s->file_digest, &report->digest);

        if (report->outcome == SYNC_WRITTEN)
                note_line(s, report, same ? WRITTEN_BACK : WRITTEN);
        else if (report->outcome == SYNC_REMOVED)
                note_line(s, report, REMOVED);
        if (report->outcome != SYNC_FAILED && report->digest_known) {
                s->file_digest = report->digest;
                s->file_digest_known = true;
        }
}

static void note_problems(Announcer *s, const SyncReport *report, const Problems *problems) {
        bool better = problems_worst_level(problems) > problems_worst_level(&s->seen);

        /* A helper is about to be asked: whether that is so is seen then. */
        if (better && !report->asked && report->ask_in_usec == SYNC_ASK_NOW)
                return;
        s->seen = *problems;
        s->seen_a_login = !report->no_login_yet;
}

void announcer_tell_sync(Announcer *s, const Settings *settings, const SyncReport *report, const Problems *problems) {
        const char *file = settings->ecsconfig.environment_file;

        if (!streq(s->line.file, file))
                announcer_flush(s);
        (void) snprintf(s->line.file, sizeof(s->line.file), "%s", file);
        note_problems(s, report, problems);
        note_file(s, report);
        if (!has_news(s))
                return;
        if (!s->event || !armed(s)) {
                if (s->event)
                        (void) arm(s);
                announcer_flush(s);
        } else if (s->n_changes < PROBLEM_CHANGES_MAX && !problems_equal(&s->problems, &s->seen))
                announcer_flush(s);
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
        if (waits && same && s->told_usec[d->reason] > 0 && now < s->told_usec[d->reason] + FOLD_USEC)
                return true;
        if (!digest_equal(&s->digest, &facts->file.sync.digest) || d->action == ACTION_DONE)
                memset(s->told_usec, 0, sizeof(s->told_usec));
        else if (waits && s->told_usec[d->reason] > 0 && now < s->told_usec[d->reason] + SAY_AGAIN_USEC)
                return true;

        /* While it waits, containers may come and go. */
        if (waits)
                return same && digest_equal(&s->digest, &facts->file.sync.digest);
        if (d->reason == REASON_WRITE_ONLY)
                return same && (s->text == reason_text(facts, d) || s->n_changes >= PROBLEM_CHANGES_MAX);
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
        if (facts_problem(facts) && (d->action == ACTION_DONE || streq(reason_state(facts, d), "problem")))
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
        if (s->event) {
                char brief[SENTENCE_MAX];

                sentence_describe_briefly(settings, facts, d, now, brief, sizeof(brief));
                tell_service_manager(facts, d, brief);
                publisher_tell(s->publisher, settings, facts, d, brief);
        }
        /* A person in front of it is told what is waited for. */
        if (!text->message_id || (s->event && d->reason == REASON_UNIT_CHANGING) || told_before(s, facts, d, now))
                return;

        announcer_flush(s);
        log_decision(settings, facts, text, sentence);
        s->action = d->action;
        s->reason = d->reason;
        s->told_usec[d->reason] = now;
        (void) snprintf(s->container_id, sizeof(s->container_id), "%s", facts->agent.container_id);
        s->digest = facts->file.sync.digest;
        s->text = text;
}

void announcer_tell_not_recorded(Announcer *s, int error) {
        if (s->record_error != error)
                log_error("%s: a restart cannot be written down there: %s", state_directory(), strerror(-error));
        s->record_error = error;
}

void announcer_say_again(Announcer *s) {
        announcer_flush(s);
        memset(s->told_usec, 0, sizeof(s->told_usec));
        s->file_digest_known = false;
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
