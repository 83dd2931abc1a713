/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/sync.h"

#include "base/clock.h"
#include "base/directories.h"
#include "base/foreign-file.h"
#include "base/secret.h"
#include "credentials/other-logins.h"
#include "ecsconfig/environment-file.h"
#include "ecsconfig/gathered.h"
#include "ecsconfig/sync-report.h"

/* How long another program may keep the environment file busy before we say so. */
enum {
        BUSY_TRIES = 40,
        BUSY_WAIT_MSEC = 50,
};

/* 0: never. */
static uint64_t until(int64_t when) {
        int64_t now = clock_usec(CLOCK_REALTIME);

        return when == 0 ? 0 : when > now ? (uint64_t) (when - now) : SYNC_ASK_NOW;
}

/* The two values of an environment file; each NULL when it is not set. */
typedef struct AuthEntries {
        char *type;
        char *data;
} AuthEntries;

static void auth_entries_done(AuthEntries *e) {
        secret_free(e->type);
        secret_free(e->data);
}

/* As the environment file has them now. */
static int read_current(const EnvFile *file, AuthEntries *ret) {
        _cleanup_secret_ char *type = NULL, *data = NULL;
        int r;

        r = envfile_get(file, AUTHDATA_TYPE_KEY, &type);
        if (r < 0)
                return r;
        r = envfile_get(file, AUTHDATA_DATA_KEY, &data);
        if (r < 0)
                return r;

        *ret = (AuthEntries){.type = STEAL_POINTER(type), .data = STEAL_POINTER(data)};
        return 0;
}

/* Somebody has logged in, and does not see why nothing comes of it. */
static int explain_yielding(const Credential *c, const Credential *current, const DigestKey *key, Problems *problems) {
        Digest ours, theirs;
        int r;

        r = credential_digest(c, key, &ours);
        if (r >= 0)
                r = credential_digest(current, key, &theirs);
        if (r < 0)
                return r;
        if (!digest_equal(&ours, &theirs))
                problems_add(problems, LOG_ERR,
                             "%s: its credentials of %s are not used while a file that comes after it cannot be read; "
                             "the entry that the environment file has for it stays. Mend that file, or take it out of "
                             "[Credentials] File=",
                             c->source, c->key);
        return 0;
}

/* An entry whose secret cannot be had keeps the last good one; where not all is known, so does every other. */
static int keep_last_good(const Credentials *current, Credentials *credentials, const DigestKey *key,
                          Problems *problems) {
        for (size_t i = 0; i < current->n_items; i++) {
                const Credential *c = credentials_find(credentials, current->items[i]->registry);
                int r = 0;

                if (c ? credential_is_usable(c) && !c->yields : !credentials->incomplete)
                        continue;
                if (c && credential_is_usable(c))
                        r = explain_yielding(c, current->items[i], key, problems);
                if (r < 0)
                        return r;
                r = credentials_put_copy(credentials, current->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* current: what stands in the environment file now. */
static int merge(const EcsConfigSettings *settings, const DigestKey *key, const Credentials *current,
                 const Credentials *gathered, Credentials *credentials, const char **ret_type, char **ret_data,
                 Problems *problems) {
        int r;

        r = credentials_copy(gathered, credentials);
        if (r >= 0)
                r = keep_last_good(current, credentials, key, problems);
        if (r < 0)
                return r;
        return authdata_format(credentials, current, settings->auth_type, ret_type, ret_data, problems);
}

/* What the agent would not take is as good as nothing, and nothing to keep. */
static int read_credentials(const EnvFile *file, Credentials *ret) {
        _cleanup_(auth_entries_done) AuthEntries entries = {0};
        int r;

        r = read_current(file, &entries);
        if (r < 0)
                return r;
        r = authdata_parse(entries.type, entries.data, ret);
        return r == -EBADMSG ? 0 : r;
}

/* False: nobody can tell; a file that cannot be read, or that somebody is writing right now. */
static bool look_at_credentials(const char *path, Credentials *ret) {
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        Problems ignored = {0};

        return envfile_open(path, &file, &ignored) >= 0 && read_credentials(file, ret) >= 0 && envfile_is_whole(file);
}

/* Before the environment file is opened for a change: that takes long. */
static void ask(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Asking asking, Gathered *ret) {
        _cleanup_(credentials_done) Credentials current = {0};
        HelperRound round = {.key = key, .ask = asking};

        if (look_at_credentials(settings->environment_file, &current))
                round.current = &current;
        gathered_fill(ret, sources, &round, NULL);
}

/* Credentials to the two lines, in memory. *credentials: an empty list, for those that are in them, and for those that
 * should be. */
static int prepare(const Gathered *gathered, const Credentials *current, const EcsConfigSettings *settings,
                   const DigestKey *key, EnvFile *file, Credentials *credentials, SyncReport *report) {
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        size_t line_max = settings->line_max;
        int r;

        r = merge(settings, key, current, &gathered->credentials, credentials, &type, &data, &report->problems);
        if (r < 0)
                return r;
        report->behind = true; /* until it is saved */

        r = envfile_set(file, AUTHDATA_TYPE_KEY, type, line_max);
        if (r >= 0)
                r = envfile_set(file, AUTHDATA_DATA_KEY, data, line_max);
        if (r < 0 && data)
                sync_explain_refused_line(settings, r, credentials, data, &report->problems);
        if (r >= 0)
                sync_describe_entries(credentials, &gathered->leases, report);
        return r < 0 ? r : data ? SYNC_WRITTEN : SYNC_REMOVED;
}

/* What stands in the file now, for the report. */
static int describe_current(const EnvFile *file, const DigestKey *key, SyncReport *report, Credentials *ret) {
        _cleanup_(auth_entries_done) AuthEntries entries = {0};
        int r;

        r = read_current(file, &entries);
        if (r >= 0)
                r = authdata_look(entries.type, entries.data, key, ret, &report->digest);
        if (r < 0)
                return r;

        report->n_registries = sync_list_registries(ret, report->registries, sizeof(report->registries));
        if (str_empty(report->entries[0].registry))
                sync_describe_entries(ret, NULL, report);
        report->digest_known = true;
        return 0;
}

/* Its mode is kept as it is, whoever chose it. */
static void warn_if_exposed(const char *path, Problems *problems) {
        _cleanup_close_ int fd = -1;
        ForeignFile file;

        if (foreign_file_open(path, &fd, &file, NULL) >= 0 && file.is_exposed)
                problems_add(problems, LOG_WARNING,
                             "%s: everybody on this host can read the passwords in it; run 'chmod 600 %s'", path, path);
}

/* Into the file on disk, and what stands there then. */
static int save(Gathered *gathered, const DigestKey *key, EnvFile *file, SyncOutcome outcome, SyncReport *report) {
        _cleanup_(credentials_done) Credentials current = {0};
        SyncReport after;
        int r;

        /* Before the answers: one that is on record and was not written is asked for again; one that was written and
         * is not on record would be taken for somebody else's doing. */
        if (gathered_was_asked(gathered))
                gathered_keep(gathered, report);
        /* All that can fail comes first: what is written then is also told of. */
        after = *report;
        r = describe_current(file, key, &after, &current);
        if (r >= 0)
                r = envfile_save(file, &report->problems);
        if (r < 0)
                return r;

        after.problems = report->problems;
        *report = after;
        report->behind = false;
        report->outcome = r > 0 ? outcome : SYNC_UNCHANGED;
        report->identity = envfile_identify(file);
        gathered_give_back(gathered, &current, key); /* what is left of it is asked for again later */
        return 0;
}

/* Notes the first login that the service can read, and the settings do not name. */
static void find_other_login(const CredentialSettings *sources, SyncReport *report) {
        _cleanup_free_ OtherLogins *l = calloc(1, sizeof(OtherLogins));

        if (!l)
                return;
        l->settings = sources;
        other_logins_try_own(l);
        if (l->n_items > 0 && strlen(l->items[0].path) < sizeof(report->other_login))
                memcpy(report->other_login, l->items[0].path, strlen(l->items[0].path) + 1);
}

/* answers: of helpers that were asked; or NULL. -EAGAIN: another program is writing it. patient: also where there would
 * be nothing to write, since what was read may be half of what it will be. */
static int sync_once(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                     const Gathered *answers, bool patient, SyncReport *report) {
        _cleanup_(gathered_done) Gathered gathered = {0};
        _cleanup_(credentials_done) Credentials current = {0}, credentials = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        HelperRound round = {
                .key = key, .current = &current, .answers = answers ? &answers->credentials : NULL, .ask = ASK_NOBODY};
        int r;

        r = envfile_open_for_change(settings->environment_file, &file, &report->problems);
        if (r < 0)
                return r;
        if (patient && !envfile_is_whole(file))
                return -EAGAIN;
        report->seen_usec = clock_monotonic_usec();

        /* What stands there counts even if we fail below: the agent is to run with it. */
        r = describe_current(file, key, report, &current);
        if (r < 0)
                return r;

        gathered_fill(&gathered, sources, &round, answers ? &answers->leases : NULL);
        problems_append(&report->problems, &gathered.problems);
        r = answers && answers->error < 0 ? answers->error : gathered.error;
        report->no_login_yet = r == -ENOENT && current.n_items == 0;
        if (report->no_login_yet) {
                find_other_login(sources, report);
                report->outcome = SYNC_UNCHANGED;
                report->identity = envfile_identify(file);
                report->asked = answers != NULL;
                return 0;
        }
        if (r >= 0)
                r = prepare(&gathered, &current, settings, key, file, &credentials, report);
        if (r >= 0)
                r = save(&gathered, key, file, (SyncOutcome) r, report);
        if (r >= 0 && report->n_registries > 0)
                warn_if_exposed(settings->environment_file, &report->problems);
        if (r == -EAGAIN)
                return r;
        if (r < 0 && gathered.error >= 0)
                gathered_give_back(&gathered, NULL, key);
        report->asked = answers != NULL;
        if (gathered.error >= 0)
                gathered_keep(&gathered, report);
        report->ask_in_usec = until(gathered.next);
        return r;
}

/* what: did not come of it. What is noted besides says nothing of it. */
static void explain_failure(const EcsConfigSettings *settings, int error, const char *what, Problems *problems) {
        if (problems_worst_level(problems) > LOG_ERR)
                problems_add(problems, LOG_ERR, "%s: %s: %s", settings->environment_file, what, strerror(-error));
}

void sync_run(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key, Asking asking,
              SyncReport *ret) {
        const struct timespec pause = {.tv_nsec = BUSY_WAIT_MSEC * 1000000L};
        _cleanup_(gathered_done) Gathered answers = {0};
        SyncReport report = {0};
        unsigned n_failed;
        int r = -EAGAIN;

        if (asking != ASK_NOBODY)
                ask(sources, settings, key, asking, &answers);
        n_failed = gathered_count_failed(&answers);
        for (unsigned tries = 0; r == -EAGAIN && tries < BUSY_TRIES; tries++) {
                if (tries > 0)
                        (void) nanosleep(&pause, NULL);
                report = (SyncReport){.outcome = SYNC_FAILED};
                /* One that is kept open for good, as by an editor, is read as it is in the end. */
                r = sync_once(sources, settings, key, asking != ASK_NOBODY ? &answers : NULL, tries + 1 < BUSY_TRIES,
                              &report);
        }

        if (r == -EAGAIN)
                report.asked = asking != ASK_NOBODY;
        if (r < 0) {
                report.outcome = SYNC_FAILED;
                if (r == -EAGAIN)
                        problems_add(&report.problems, LOG_ERR,
                                     "%s: another program has it open for writing, or changes it all the time; nothing "
                                     "was written. It is tried again as soon as that program closes it",
                                     settings->environment_file);
                else
                        explain_failure(settings, r, "nothing was written", &report.problems);
        }
        report.n_failed = n_failed;
        *ret = report;
}

int sync_look(const EcsConfigSettings *settings, const DigestKey *key, SyncReport *ret) {
        _cleanup_(credentials_done) Credentials current = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        SyncReport report = {.outcome = SYNC_UNCHANGED};
        int r;

        r = envfile_open(settings->environment_file, &file, &report.problems);
        if (r >= 0)
                r = describe_current(file, key, &report, &current);
        if (r < 0)
                return r;
        *ret = report;
        return 0;
}

int sync_render(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Credentials *ret_credentials, const char **ret_type, char **ret_data, Problems *problems) {
        _cleanup_(credentials_done) Credentials credentials = {0}, current = {0};
        HelperRound round = {.key = key, .current = &current, .ask = ASK_DUE};
        _cleanup_(gathered_done) Gathered gathered = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        int r = 0;

        if (access(settings->environment_file, F_OK) == 0) {
                r = envfile_open(settings->environment_file, &file, problems);
                if (r >= 0)
                        r = read_credentials(file, &current);
        }
        if (r < 0)
                return r;

        gathered_fill(&gathered, sources, &round, NULL);
        *problems = gathered.problems;
        r = gathered.error;
        if (r >= 0)
                r = merge(settings, key, &current, &gathered.credentials, &credentials, &type, &data, problems);
        if (r < 0)
                return r;

        r = data ? envfile_check_line(AUTHDATA_DATA_KEY, data, settings->line_max) : 0;
        if (r < 0) {
                sync_explain_refused_line(settings, r, &credentials, data, problems);
                return r;
        }

        *ret_type = type;
        *ret_data = STEAL_POINTER(data);
        *ret_credentials = credentials;
        credentials = (Credentials){0};
        return 0;
}

/* As sync_once(), up to where that would save. */
static int forecast(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                    SyncForecast *f) {
        HelperRound round = {.key = key, .current = &f->before, .ask = ASK_ALL};
        _cleanup_(gathered_done) Gathered gathered = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        int r, outcome;

        r = envfile_open(settings->environment_file, &file, &f->report.problems);
        if (r >= 0)
                r = describe_current(file, key, &f->report, &f->before);
        if (r < 0)
                return r;

        gathered_fill(&gathered, sources, &round, NULL);
        problems_append(&f->report.problems, &gathered.problems);
        outcome = gathered.error;
        f->report.no_login_yet = outcome == -ENOENT && f->before.n_items == 0;
        if (f->report.no_login_yet) {
                find_other_login(sources, &f->report);
                f->report.outcome = SYNC_UNCHANGED;
                return 0;
        }
        if (outcome >= 0)
                outcome = prepare(&gathered, &f->before, settings, key, file, &f->sources, &f->report);
        if (outcome < 0)
                return outcome;

        r = describe_current(file, key, &f->report, &f->after);
        if (r < 0)
                return r;
        f->report.behind = false;
        f->report.outcome = envfile_is_changed(file) ? (SyncOutcome) outcome : SYNC_UNCHANGED;
        return 0;
}

void sync_forecast(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                   SyncForecast *ret) {
        SyncForecast f = {.report = {.outcome = SYNC_FAILED}};
        int r = forecast(sources, settings, key, &f);

        if (r < 0)
                explain_failure(settings, r, "nothing would be written", &f.report.problems);
        else if (f.report.n_registries > 0)
                warn_if_exposed(settings->environment_file, &f.report.problems);
        *ret = f;
}

void sync_forecast_done(SyncForecast *f) {
        credentials_done(&f->before);
        credentials_done(&f->after);
        credentials_done(&f->sources);
}
