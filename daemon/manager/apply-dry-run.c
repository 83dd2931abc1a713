/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/apply-dry-run.h"

#include <signal.h>
#include <stdarg.h>

#include "base/clock.h"
#include "base/printable.h"
#include "decision/apply-outcome.h"
#include "manager/manager.h"
#include "manager/observe-job.h"
#include "report/sentence.h"
#include "service/restart-lock-and-record.h"

/* A line. Names of registries are whatever somebody has written into a file. */
static void say(const char *format, ...) _printf_(1, 2);
static void say(const char *format, ...) {
        char line[2 * SENTENCE_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(line, sizeof(line), format, ap);
        va_end(ap);
        make_printable(line);
        (void) puts(line);
}

/* --- the environment file --- */

/* what: became of it. */
static void say_written(const char *registry, const char *what, const Credential *source, const char *file) {
        if (source && source->foreign)
                say("%s: would be kept; it is in %s by other means than ecs-authd", registry, file);
        else if (!source || !source->source)
                say("%s: would be %s, as it stands in %s", registry, what, file);
        else if (source->helper)
                say("%s: would be %s, from %s and docker-credential-%s", registry, what, source->source,
                    source->helper);
        else
                say("%s: would be %s, from %s", registry, what, source->source);
}

static int is_same(const Credential *a, const Credential *b, const DigestKey *key, bool *ret) {
        Digest one, other;

        credential_digest(a, key, &one);
        credential_digest(b, key, &other);
        *ret = digest_equal(&one, &other);
        return 0;
}

/* Prints which images the agent would use the entry for, unless it covers exactly the images of its host. */
static void say_coverage(const Credential *c, const Credentials *written) {
        const KeyCoverage coverage = key_coverage(sync_key_in_file(c), written);
        char images[512];

        if (coverage == KEY_COVERS_HOST)
                return;
        key_coverage_describe(sync_shown_name(c), coverage, images, sizeof(images));
        say("%s: would be used for %s", sync_shown_name(c), images);
}

/* Returns how many would change. */
static int say_registries(const SyncForecast *f, const DigestKey *key, const char *file) {
        int n = 0;

        for (size_t i = 0; i < f->after.n_items; i++) {
                const Credential *after = f->after.items[i], *before = credentials_find(&f->before, after->registry);
                bool same = false;
                int r = before ? is_same(before, after, key, &same) : 0;

                if (r < 0)
                        return r;
                say_written(sync_shown_name(after),
                            same     ? "kept"
                            : before ? "changed"
                                     : "added",
                            after->foreign ? after : credentials_find(&f->sources, after->registry), file);
                say_coverage(after, &f->after);
                n += !same;
        }
        for (size_t i = 0; i < f->before.n_items; i++) {
                if (credentials_find(&f->after, f->before.items[i]->registry))
                        continue;
                say("%s: would be removed", f->before.items[i]->registry);
                n++;
        }
        return n;
}

static int say_file(const SyncForecast *f, const DigestKey *key, const char *file) {
        int n;

        for (unsigned i = 0; i < f->report.problems.n_items; i++)
                (void) fprintf(stderr, "%s\n", f->report.problems.items[i].text);
        if (f->report.outcome == SYNC_FAILED) {
                say("%s: would stay as it is, for the reason named before", file);
                return 0;
        }

        n = say_registries(f, key, file);
        if (n < 0)
                return n;
        if (n == 0 && f->report.outcome == SYNC_WRITTEN)
                say("%s: would be written anew; the credentials in it stay the same", file);
        else if (f->before.n_items == 0 && f->after.n_items == 0)
                say("%s: there are no registry credentials in it, and there would be none", file);
        return 0;
}

/* --- the agent --- */

typedef struct Look {
        sd_event *event;
        Observer *observer;
        Service *service;
        ObserveReport agent;
        UnitReport unit;
} Look;

static void look_done(Look *l) {
        observer_free(l->observer);
        service_free(l->service);
        sd_event_unref(l->event);
}

static void on_observed(void *userdata, const ObserveReport *agent, const UnitReport *unit) {
        Look *l = userdata;

        l->agent = *agent;
        l->unit = *unit;
        (void) sd_event_exit(l->event, 0);
}

static void on_queried(void *userdata, const UnitReport *unit) {
        const Look *l = userdata;

        observer_take_unit(l->observer, unit);
}

static void on_changed(void *userdata _unused_) {
}

static void on_finished(void *userdata _unused_, JobOutcome outcome _unused_, const char *result _unused_,
                        const char *message _unused_) {
}

static int look_begin(Look *l, const Settings *s) {
        static const ServiceHandlers handlers = {.changed = on_changed, .queried = on_queried, .finished = on_finished};
        const ServiceSettings settings = {
                .method = s->restart.method,
                .unit = s->unit,
                .agent = &s->agent,
                .environment_file = s->ecsconfig.environment_file,
        };
        sigset_t mask;
        int r;

        /* For the child that asks Docker. */
        (void) sigemptyset(&mask);
        (void) sigaddset(&mask, SIGCHLD);
        if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
                return negative_errno();

        r = sd_event_new(&l->event);
        if (r >= 0)
                r = service_new(&l->service, l->event, &settings, &handlers, l);
        if (r >= 0)
                r = observer_new(&l->observer, l->event, on_observed, l);
        return r;
}

/* As the service looks. */
static int look(const Settings *s, const DigestKey *key, ObserveReport *ret_agent, UnitReport *ret_unit) {
        _cleanup_(look_done) Look l = {0};
        int r;

        r = look_begin(&l, s);
        if (r < 0)
                return r;
        observer_start(l.observer, &s->agent, key, l.service);
        r = sd_event_loop(l.event);
        if (r < 0)
                return r;

        if (s->restart.method == RESTART_METHOD_DOCKER && l.unit.state == UNIT_ACTIVE)
                l.unit.state = facts_unit_of_container(&l.agent);
        *ret_agent = l.agent;
        *ret_unit = l.unit;
        return 0;
}

/* With what can be closed of a restart before. */
static Decision decide(Facts *f, const RestartSettings *settings, uint64_t now) {
        Policy policy = {.settings = *settings};
        Decision d;

        policy.settings.settle_usec = policy.settings.jitter_usec = 0; /* as apply does it */
        while ((d = decide_agent(f, &policy, now)).action == ACTION_CLOSE)
                facts_close(f, &d);
        return d;
}

static bool leads_to_restart(const Decision *d) {
        return d->action == ACTION_RESTART || d->action == ACTION_START || d->reason == REASON_OWED ||
               d->reason == REASON_TASKS_ENDED || d->reason == REASON_MIN_INTERVAL;
}

/* What apply would come to, whatever is wrong with the file: that is counted by itself. */
static int status_of(const Facts *f, const Decision *d, uint64_t deadline) {
        Facts well = *f;

        well.file.sync.outcome = SYNC_UNCHANGED;
        well.file.sync.problems = (Problems){0};
        switch (outcome_of(&well, d, false, deadline)) {
        case OUTCOME_DONE:
                return EXIT_SUCCESS;
        case OUTCOME_OPEN:
                if (leads_to_restart(d))
                        return EXIT_STATUS_WOULD_CHANGE;
                return d->reason == REASON_REGISTERING ? EXIT_SUCCESS : EXIT_STATUS_HELD;
        default:
                return EXIT_STATUS_HELD;
        }
}

static void say_decision(const Settings *s, const Facts *f, const Decision *d, int status, uint64_t now) {
        const bool starts = d->action == ACTION_START || d->reason == REASON_OWED;
        char sentence[SENTENCE_MAX];

        /* The last task may have ended long ago: nobody was there to see it. */
        if (d->action == ACTION_RESTART || d->reason == REASON_TASKS_ENDED) {
                say("The agent: would be restarted%s. Container %s runs with other credentials than %s %s",
                    d->action == ACTION_RESTART ? "" : " when no task was seen for a few seconds", s->agent.container,
                    s->ecsconfig.environment_file, f->file.sync.outcome == SYNC_UNCHANGED ? "has" : "would have");
                return;
        }
        sentence_describe(s, f, d, now, sentence, sizeof(sentence));
        say("The agent: %s. %s",
            status == EXIT_STATUS_HELD           ? "would not be restarted now"
            : status != EXIT_STATUS_WOULD_CHANGE ? "would be left as it is"
            : starts                             ? "would be started"
                                                 : "would be restarted, but not at once",
            sentence);
}

/* file: as it would be. Returns what the exit status would be for the agent alone. */
static int say_agent(const Settings *s, const DigestKey *key, const SyncReport *file) {
        RestartRecord record;
        ObserveReport agent;
        UnitReport unit;
        Facts f = {0};
        uint64_t now;
        Decision d;
        int r;

        if (s->restart.method == RESTART_METHOD_NONE) {
                say("The agent: would be left as it is, as Method=none says");
                return EXIT_SUCCESS;
        }
        r = look(s, key, &agent, &unit);
        if (r < 0)
                return r;

        restart_record_load(&record);
        now = clock_monotonic_usec();
        facts_look_once(&f, &record, file, &agent, &unit, now);
        d = decide(&f, &s->restart, now);
        r = status_of(&f, &d, now + apply_timeout_usec(&s->credentials, &s->restart));
        say_decision(s, &f, &d, r, now);
        return r;
}

int apply_dry_run(const Settings *settings, bool no_restart) {
        SyncForecast forecast;
        SyncReport file;
        DigestKey key;
        int r, agent = EXIT_SUCCESS;

        r = digest_key_look(&key);
        if (r < 0)
                return r;
        sync_forecast(&settings->credentials, &settings->ecsconfig, &key, &forecast);
        r = say_file(&forecast, &key, settings->ecsconfig.environment_file);
        file = forecast.report;
        sync_forecast_done(&forecast); /* no secret is left when a child is made */
        if (r >= 0 && !no_restart)
                r = agent = say_agent(settings, &key, &file);
        if (r < 0)
                return r;
        if (fflush(stdout) != 0)
                return negative_errno();

        if (!sync_is_well(&file))
                return EXIT_STATUS_FAILED;
        return file.outcome == SYNC_UNCHANGED ? agent : EXIT_STATUS_WOULD_CHANGE;
}
