/* SPDX-License-Identifier: Apache-2.0 */
#include "manager/apply-dry-run.h"

#include <stdarg.h>

#include "base/json.h"
#include "base/memory.h"
#include "check/check.h"
#include "decision/apply-outcome.h"
#include "ecsconfig/sync.h"
#include "manager/manager.h"
#include "report/reason-texts.h"

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

static bool is_same(const Credential *a, const Credential *b, const DigestKey *key) {
        Digest one, other;

        credential_digest(a, key, &one);
        credential_digest(b, key, &other);
        return digest_equal(&one, &other);
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

/* Returns the number of registries that would change. */
static unsigned say_registries(const SyncForecast *f, const DigestKey *key, const char *file) {
        unsigned n = 0;

        for (size_t i = 0; i < f->after.n_items; i++) {
                const Credential *after = f->after.items[i], *before = credentials_find(&f->before, after->registry);
                const bool same = before && is_same(before, after, key);

                say_written(sync_shown_name(after),
                            same     ? "kept"
                            : before ? "changed"
                                     : "added",
                            after->foreign ? after : credentials_find(&f->sources, after->registry), file);
                say_coverage(after, &f->after);
                n += !same;
        }
        for (size_t i = 0; i < f->before.n_items; i++)
                if (!credentials_find(&f->after, f->before.items[i]->registry)) {
                        say("%s: would be removed", f->before.items[i]->registry);
                        n++;
                }
        return n;
}

static void say_file(const SyncForecast *f, const DigestKey *key, const char *file) {
        for (unsigned i = 0; i < f->report.problems.n_items; i++)
                (void) fprintf(stderr, "%s\n", f->report.problems.items[i].text);
        if (f->report.outcome == SYNC_FAILED)
                say("%s: would stay as it is, for the reason named before", file);
        else if (say_registries(f, key, file) == 0 && f->report.outcome == SYNC_WRITTEN)
                say("%s: would be written anew; the credentials in it stay the same", file);
        else if (f->before.n_items == 0 && f->after.n_items == 0)
                say("%s: there are no registry credentials in it, and there would be none", file);
}

/* --- the agent --- */

static bool leads_to_restart(const Decision *d) {
        return d->action == ACTION_RESTART || d->action == ACTION_START || d->reason == REASON_OWED ||
               d->reason == REASON_TASKS_ENDED || d->reason == REASON_MIN_INTERVAL;
}

/* Returns the exit status of apply for the agent alone. */
static int status_of(const Judgement *j, uint64_t deadline) {
        const Decision *d = &j->decision;
        Facts well = j->facts;

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

static void say_decision(const Settings *s, const Judgement *j, int status) {
        const Decision *d = &j->decision;
        const bool starts = d->action == ACTION_START || d->reason == REASON_OWED;
        char sentence[SENTENCE_MAX];

        /* The last task may have ended long ago. */
        if (d->action == ACTION_RESTART || d->reason == REASON_TASKS_ENDED) {
                say("The agent: would be restarted%s. Container %s runs with other credentials than %s %s",
                    d->action == ACTION_RESTART ? "" : " when no task was seen for a few seconds", s->agent.container,
                    s->ecsconfig.environment_file, j->facts.file.sync.outcome == SYNC_UNCHANGED ? "has" : "would have");
                return;
        }
        sentence_describe(s, &j->facts, d, j->now, sentence, sizeof(sentence));
        say("The agent: %s. %s",
            status == EXIT_STATUS_HELD           ? "would not be restarted now"
            : status != EXIT_STATUS_WOULD_CHANGE ? "would be left as it is"
            : starts                             ? "would be started"
                                                 : "would be restarted, but not at once",
            sentence);
}

/* file: the forecast. Returns the exit status for the agent alone. */
static int say_agent(const Settings *s, const DigestKey *key, const SyncReport *file) {
        Judgement j;
        int r;

        if (s->restart.method == RESTART_METHOD_NONE) {
                say("The agent: would be left as it is, as Method=none says");
                return EXIT_SUCCESS;
        }
        r = judge_agent(s, key, file, &j);
        if (r < 0)
                return r;
        r = status_of(&j, j.now + apply_timeout_usec(&s->credentials, &s->restart));
        say_decision(s, &j, r);
        return r;
}

int apply_dry_run(const Settings *settings, bool no_restart) {
        _cleanup_(sync_forecast_done) SyncForecast f = {0};
        DigestKey key;
        int r, agent = EXIT_SUCCESS;

        r = digest_key_look(&key);
        if (r < 0)
                return r;
        sync_forecast(&settings->credentials, &settings->ecsconfig, &key, &f);
        say_file(&f, &key, settings->ecsconfig.environment_file);
        if (!no_restart)
                r = agent = say_agent(settings, &key, &f.report);
        if (r < 0)
                return r;
        if (fflush(stdout) != 0)
                return negative_errno();

        if (!sync_is_well(&f.report))
                return EXIT_STATUS_FAILED;
        return f.report.outcome == SYNC_UNCHANGED ? agent : EXIT_STATUS_WOULD_CHANGE;
}
