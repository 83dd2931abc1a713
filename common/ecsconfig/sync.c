/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/sync.h"

#include "base/clock.h"
#include "base/directories.h"
#include "base/foreign-file.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/state-file.h"
#include "credentials/registry-name.h"
#include "credentials/other-logins.h"
#include "ecsconfig/environment-file.h"
#include "ecsconfig/gathered.h"
#include "ecsconfig/sync-report.h"
#include "ecsconfig/written-record.h"

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

/* One plan for the environment file: sync saves it, render prints it, the dry run describes it. */
typedef struct Plan {
        const CredentialSettings *sources;
        const EcsConfigSettings *settings;
        const DigestKey *key;
        SyncReport *report;
        EnvFile *file;           /* the lines are changed in memory */
        AuthData current;        /* entries in the file as it was read */
        WrittenRecord record;    /* entries that ecs-authd has written to the file */
        bool owned;              /* ecs-authd wrote one of the current entries */
        Credentials credentials; /* entries in the new lines, and registries without a secret */
        AuthData made;           /* entries in new lines, as the agent reads them */
        const AuthData *after;   /* made, or current if the lines stay */
        SyncOutcome outcome;     /* result of a save */
} Plan;

static void plan_done(Plan *p) {
        envfile_free(p->file);
        authdata_done(&p->current);
        written_record_done(&p->record);
        credentials_done(&p->credentials);
        authdata_done(&p->made);
}

static void read_auth_data(const Plan *p, AuthData *ret) {
        _cleanup_secret_ char *type = envfile_get(p->file, AUTHDATA_TYPE_KEY),
                              *data = envfile_get(p->file, AUTHDATA_DATA_KEY);

        authdata_read(type, data, p->key, ret);
        if (!*ret->ignored && !data && envfile_has_blank(p->file, AUTHDATA_DATA_KEY))
                (void) snprintf(ret->ignored, sizeof(ret->ignored), "there is a blank before the '='");
}

static void explain_record(const Plan *p, const char *what, int error) {
        problems_add(
                &p->report->problems, LOG_WARNING,
                "%s/written: cannot be %s: %s; a docker logout now would leave its entry in %s. Make the directory "
                "root's alone (chmod 700 %s), and make room on its file system",
                state_directory(), what, strerror(-error), p->settings->environment_file, state_directory());
}

/* Reads the current entries, and marks those that ecs-authd did not write. ecs-authd spells a key exactly like the
 * registry. Without a record every entry is foreign: none is removed. */
static void read_current(Plan *p) {
        int r;

        written_record_load(p->settings->environment_file, &p->record);
        r = p->record.error;
        if (r == -EBADMSG || r == -EILSEQ)
                problems_add(
                        &p->report->problems, LOG_WARNING,
                        "%s/written: is damaged, or not root's alone; it is replaced. Entries that are in %s, and in "
                        "no credential file, now count as entries of others",
                        state_directory(), p->settings->environment_file);
        else if (r < 0 && r != -EACCES)
                explain_record(p, "read", r);
        read_auth_data(p, &p->current);
        for (size_t i = 0; i < p->current.entries.n_items; i++) {
                Credential *e = p->current.entries.items[i];

                e->foreign = !streq(e->key, e->registry) || !written_record_has(&p->record, e, p->key);
                p->owned |= !e->foreign;
        }
}

static bool has_answer(const Leases *leases, const Credential *entry, const DigestKey *key) {
        Digest digest;

        credential_digest(entry, key, &digest);
        for (size_t i = 0; i < leases->n_items; i++)
                if (streq(leases->items[i]->registry, entry->registry) && lease_has_answered(leases->items[i]) &&
                    digest_equal(&leases->items[i]->digest, &digest))
                        return true;
        return false;
}

/* Also among the logins that are not written because no image can use them: version 0.2.0 wrote these. */
static const Credential *find_login(const Gathered *gathered, const char *registry) {
        const Credential *login = credentials_find(&gathered->credentials, registry);

        return login ? login : credentials_find(&gathered->useless, registry);
}

/* An entry that equals a login or the answer of a helper is ours although it is not on record: version 0.2.0 kept no
 * record, and a person may have copied the login. */
static void claim_entries(Plan *p, const Gathered *gathered) {
        for (size_t i = 0; i < p->current.entries.n_items; i++) {
                Credential *e = p->current.entries.items[i];
                const Credential *login = find_login(gathered, e->registry);

                if (!e->foreign || !streq(e->key, e->registry))
                        continue;
                e->foreign = !(login && acr_same_login(login, e)) && !has_answer(&gathered->leases, e, p->key);
                p->owned |= !e->foreign;
        }
}

/* Explains to the user why the new login is not used. */
static void explain_yielding(const Credential *c, Problems *problems) {
        problems_add(problems, LOG_ERR,
                     "%s: its credentials of %s are not used while a file that comes after it cannot be read; "
                     "the entry that the environment file has for it stays. Mend that file, or take it out of "
                     "[Credentials] File=",
                     c->source, c->key);
}

/* Keeps the current entry of a registry whose login is unknown at present. A foreign entry needs no copy: it stays
 * unless a login replaces it. */
static void keep_current(Plan *p, const Credential *current) {
        Credential *c = credentials_find(&p->credentials, current->registry);

        if (c ? credential_is_usable(c) && !c->yields : !p->credentials.incomplete)
                return;
        if (c && credential_is_usable(c) && !acr_same_login(c, current))
                explain_yielding(c, &p->report->problems);
        if (!current->foreign)
                credentials_put_copy(&p->credentials, current);
        else if (c)
                credential_forget_secrets(c);
}

static void explain_ignored(const Plan *p, bool replaced) {
        problems_add(&p->report->problems, LOG_WARNING,
                     replaced ? "%s: the agent ignored the credentials in it: %s. They are replaced"
                              : "%s: the agent ignores the credentials in it: %s. Correct the two lines "
                                "ECS_ENGINE_AUTH_TYPE and ECS_ENGINE_AUTH_DATA or delete both; the next docker login "
                                "replaces them",
                     p->settings->environment_file, p->current.ignored);
}

static bool has_ours(const Credentials *credentials) {
        for (size_t i = 0; i < credentials->n_items; i++)
                if (credential_is_usable(credentials->items[i]) && !credentials->items[i]->foreign)
                        return true;
        return false;
}

static int set_values(Plan *p, const char *type, const char *data) {
        int r;

        r = envfile_set(p->file, AUTHDATA_TYPE_KEY, type, p->settings->line_max);
        return r < 0 ? r : envfile_set(p->file, AUTHDATA_DATA_KEY, data, p->settings->line_max);
}

/* Sets the two lines to their current values, which removes a second line for the same key and carriage returns:
 * readers of the file treat these differently. Leaves the lines unchanged if they contain no entry of ours. */
static int keep_values(Plan *p) {
        _cleanup_secret_ char *type = envfile_get(p->file, AUTHDATA_TYPE_KEY),
                              *data = envfile_get(p->file, AUTHDATA_DATA_KEY);
        int r = has_ours(&p->credentials) ? set_values(p, type, data) : 0;

        if (r >= 0)
                authdata_add_foreign(&p->credentials, &p->current);
        return r;
}

/* Sets the two lines in memory. If they already give the agent these credentials, they keep their spelling. -EINVAL:
 * readers of the file would read the line differently. */
static int set_lines(Plan *p) {
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        int r;

        if (authdata_is_current(&p->credentials, &p->current, p->settings->auth_type) && keep_values(p) >= 0) {
                p->after = &p->current;
                return 0;
        }
        r = authdata_format(&p->credentials, &p->current, p->settings->auth_type, p->key, &type, &data, &p->made,
                            &p->report->problems);
        p->after = &p->made;
        if (r < 0)
                return r;
        r = set_values(p, type, data);
        if (r < 0 && data)
                sync_explain_refused_line(p->settings, r, &p->credentials, data, &p->report->problems);
        return r;
}

/* Merges the gathered credentials, which are moved, with the current entries that stay, and makes the two lines. */
static int prepare(Plan *p, Gathered *gathered) {
        int r;

        p->credentials = gathered->credentials;
        gathered->credentials = (Credentials){0};
        for (size_t i = 0; i < p->current.entries.n_items; i++)
                keep_current(p, p->current.entries.items[i]);
        p->report->behind = true; /* until the file is saved */

        if (*p->current.ignored)
                explain_ignored(p, has_ours(&p->credentials));
        r = set_lines(p);
        if (r < 0)
                return r;
        key_coverage_warn(&p->credentials, &p->report->problems);
        sync_describe_entries(&p->credentials, &gathered->leases, p->report);
        p->outcome = !envfile_is_changed(p->file) ? SYNC_UNCHANGED
                     : has_ours(&p->credentials)  ? SYNC_WRITTEN
                                                  : SYNC_REMOVED;
        return 0;
}

/* Counts the entries that an image can use. */
static unsigned count_registries(const Credentials *entries) {
        unsigned n = 0;

        for (size_t i = 0; i < entries->n_items; i++)
                n += credential_is_usable(entries->items[i]) &&
                     !key_covers_nothing(entries->items[i]->foreign ? entries->items[i]->key
                                                                    : entries->items[i]->registry,
                                         entries);
        return n;
}

/* Reports the content of the environment file. */
static void describe(const AuthData *data, SyncReport *report) {
        char names[2]; /* not used: only the number is needed */

        report->n_foreign = sync_list_registries(&data->entries, true, names, sizeof(names));
        report->n_ours = sync_list_registries(&data->entries, false, report->registries, sizeof(report->registries));
        report->n_registries = count_registries(&data->entries);
        sync_describe_coverages(&data->entries, report->coverages, sizeof(report->coverages));
        if (str_empty(report->entries[0].registry))
                sync_describe_entries(&data->entries, NULL, report);
        report->digest = data->digest;
        report->digest_known = true;
}

/* Explains entries that have no effect, and lines that the next write removes. */
static void explain_idle(const Plan *p) {
        const unsigned n = envfile_count(p->file, AUTHDATA_DATA_KEY);

        if (*p->current.useless)
                problems_add(&p->report->problems, LOG_WARNING,
                             "%s: the agent does not use the entries of %s: their form needs "
                             "ECS_ENGINE_AUTH_TYPE=%s. Change the type, or run docker login for them",
                             p->settings->environment_file, p->current.useless,
                             auth_type_to_string(p->current.type == AUTH_TYPE_DOCKER ? AUTH_TYPE_DOCKERCFG
                                                                                     : AUTH_TYPE_DOCKER));
        if (n > 1)
                problems_add(
                        &p->report->problems, LOG_WARNING,
                        "%s: ECS_ENGINE_AUTH_DATA is in %u lines, and the last one counts; a write leaves one line. "
                        "Move the entries that you need into the last one",
                        p->settings->environment_file, n);
}

static void explain_foreign(const Plan *p, const Credentials *entries) {
        char names[200];

        if (sync_list_registries(entries, true, names, sizeof(names)) > 0)
                problems_add(&p->report->problems, LOG_NOTICE,
                             "%s: in it by other means than ecs-authd: %s. ecs-authd keeps these entries. To have one "
                             "managed, run docker login REGISTRY; to drop one, delete the entry from the file",
                             p->settings->environment_file, names);
}

/* The file keeps its mode, also if all users can read it. */
static void warn_if_exposed(const char *path, Problems *problems) {
        _cleanup_close_ int fd = -1;
        ForeignFile file;

        if (foreign_file_open(path, &fd, &file, NULL) >= 0 && file.is_exposed)
                problems_add(problems, LOG_WARNING,
                             "%s: everybody on this host can read the passwords in it; run 'chmod 600 %s'", path, path);
}

/* Reports the first file with a login that the service can read but File= does not name. */
static void find_other_login(const CredentialSettings *sources, SyncReport *report) {
        _cleanup_free_ OtherLogins *l = xcalloc(1, sizeof(OtherLogins));

        l->settings = sources;
        other_logins_try_own(l);
        if (l->n_items > 0 && strlen(l->items[0].path) < sizeof(report->other_login))
                memcpy(report->other_login, l->items[0].path, strlen(l->items[0].path) + 1);
}

/* Plans the change of the open file. The current content is reported even if a step fails: the agent should run with
 * it. Before the first login, no_login_yet is set and nothing changes. */
static int make_plan(Plan *p, Gathered *gathered, Asking asking) {
        HelperRound round = {.key = p->key, .current = &p->current.entries, .ask = asking};
        int r;

        read_current(p);
        describe(&p->current, p->report);
        explain_idle(p);
        round.owned = p->owned;
        gathered_fill(gathered, p->sources, &round);
        problems_append(&p->report->problems, &gathered->problems);
        r = gathered->error;
        p->report->no_login_yet = r == -ENOENT && !p->owned;
        if (p->report->no_login_yet) {
                if (*p->current.ignored)
                        explain_ignored(p, false);
                find_other_login(p->sources, p->report);
                p->after = &p->current;
                p->outcome = SYNC_UNCHANGED;
                r = 0;
        } else if (r >= 0) {
                claim_entries(p, gathered);
                r = prepare(p, gathered);
        }
        if (r >= 0)
                explain_foreign(p, &p->after->entries);
        return r;
}

/* Reports the plan as done. */
static void describe_plan(const Plan *p) {
        describe(p->after, p->report);
        p->report->behind = false;
        p->report->outcome = p->outcome;
        if (p->report->n_registries > 0 && !p->report->no_login_yet)
                warn_if_exposed(p->settings->environment_file, &p->report->problems);
}

/* Runs helpers. Call before the environment file is locked for a change: helpers take long. If the file cannot be read,
 * or another program is writing it, its entries count as unknown. */
static void ask(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Asking asking, SyncReport *scratch, Gathered *g) {
        _cleanup_(plan_done) Plan p = {.settings = settings, .key = key, .report = scratch};
        HelperRound round = {.key = key, .ask = asking};

        if (envfile_open(settings->environment_file, &p.file, &scratch->problems) >= 0) {
                read_current(&p);
                if (envfile_is_whole(p.file)) {
                        round.current = &p.current.entries;
                        round.owned = p.owned;
                }
        }
        gathered_fill(g, sources, &round);
}

/* Saves the plan. */
static int save(Plan *p, Gathered *gathered) {
        int r;

        /* Before the answers: one that is on record and was not written is asked for again; one that was written and
         * is not on record would be taken for somebody else's doing. */
        if (gathered_was_asked(gathered))
                gathered_keep(gathered, p->report);
        /* The record comes before the write: an entry that is not on record would stay after a docker logout. */
        r = written_record_save(&p->record, &p->current.entries, &p->after->entries, p->key);
        if (r < 0)
                explain_record(p, "replaced", r);
        r = envfile_save(p->file, &p->report->problems);
        if (r < 0)
                return r;
        describe_plan(p);
        /* An answer that was not written is requested again later. */
        gathered_give_back(gathered, &p->after->entries, p->key);
        return 0;
}

/* Brings the credentials of the files and the answers in g->leases into the environment file. -EAGAIN: another program
 * is writing the file. patient: also if nothing would change, because the file may be half written. */
static int sync_once(Plan *p, Gathered *g, bool patient) {
        int r;

        r = envfile_open_for_change(p->settings->environment_file, &p->file, &p->report->problems);
        if (r < 0)
                return r;
        if (patient && !envfile_is_whole(p->file))
                return -EAGAIN;
        p->report->seen_usec = clock_monotonic_usec();
        r = make_plan(p, g, ASK_NOBODY);
        if (p->report->no_login_yet) {
                p->report->outcome = SYNC_UNCHANGED;
                return 0;
        }
        if (r >= 0)
                r = save(p, g);
        if (r == -EAGAIN)
                return r;
        if (g->error >= 0) {
                if (r < 0)
                        gathered_give_back(g, NULL, p->key);
                gathered_keep(g, p->report);
        }
        p->report->ask_in_usec = until(g->next);
        return r;
}

/* what: did not come of it. What is noted besides says nothing of it. */
static void explain_failure(const EcsConfigSettings *settings, int error, const char *what, Problems *problems) {
        if (problems_worst_level(problems) > LOG_ERR)
                problems_add(problems, LOG_ERR, "%s: %s: %s", settings->environment_file, what, strerror(-error));
}

static void explain_lock(Problems *problems) {
        problems_add(problems, LOG_WARNING,
                     "%s/leases.lock: another process has locked the leases for longer than credential helpers may "
                     "take; no helper was asked. It is tried again",
                     state_directory());
}

/* Returns true if a credential file names a helper. */
static bool names_helper(const CredentialSettings *sources, const DigestKey *key) {
        _cleanup_(gathered_done) Gathered g = {.leases_locked = true};
        HelperRound round = {.key = key, .ask = ASK_NOBODY};
        bool named = false;

        gathered_fill(&g, sources, &round);
        for (size_t i = 0; i < g.leases.n_items; i++)
                named |= g.leases.items[i]->named;
        return named;
}

/* Locks the leases. A job that runs helpers waits for another process that runs helpers. */
static int lock_leases(const CredentialSettings *sources, const DigestKey *key, Asking asking, bool *ret_asks) {
        int lock = gathered_lock(0);

        *ret_asks = asking != ASK_NOBODY;
        if (lock != -EWOULDBLOCK || !*ret_asks || !names_helper(sources, key))
                return lock;
        lock = gathered_lock(helpers_timeout_usec(sources));
        *ret_asks = lock != -EWOULDBLOCK;
        return lock;
}

void sync_run(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key, Asking asking,
              SyncReport *ret) {
        const struct timespec pause = {.tv_nsec = BUSY_WAIT_MSEC * 1000000L};
        bool asked;
        _cleanup_close_ int lock = lock_leases(sources, key, asking, &asked);
        _cleanup_(gathered_done) Gathered gathered = {.leases_locked = lock == -EWOULDBLOCK};
        unsigned n_failed;
        int r = -EAGAIN;

        *ret = (SyncReport){0};
        if (asked)
                ask(sources, settings, key, asking, ret, &gathered);
        n_failed = gathered_count_failed(&gathered);
        for (unsigned tries = 0; r == -EAGAIN && tries < BUSY_TRIES; tries++) {
                _cleanup_(plan_done) Plan p = {sources, settings, key, .report = ret};

                if (tries > 0)
                        (void) nanosleep(&pause, NULL);
                *ret = (SyncReport){.outcome = SYNC_FAILED};
                /* The last try also reads a file that is kept open for good, as by an editor. */
                r = sync_once(&p, &gathered, tries + 1 < BUSY_TRIES);
        }

        if (asking != ASK_NOBODY && !asked)
                explain_lock(&ret->problems);
        if (r == -EAGAIN)
                problems_add(&ret->problems, LOG_ERR,
                             "%s: another program has it open for writing, or changes it all the time; nothing "
                             "was written. It is tried again as soon as that program closes it",
                             settings->environment_file);
        else if (r < 0)
                explain_failure(settings, r, "nothing was written", &ret->problems);
        ret->asked = asked;
        ret->n_failed = n_failed;
}

int sync_look(const EcsConfigSettings *settings, const DigestKey *key, SyncReport *ret) {
        _cleanup_(plan_done) Plan p = {.settings = settings, .key = key, .report = ret};
        int r;

        *ret = (SyncReport){.outcome = SYNC_UNCHANGED};
        r = envfile_open(settings->environment_file, &p.file, &ret->problems);
        if (r < 0)
                return r;
        read_current(&p);
        describe(&p.current, ret);
        return 0;
}

int sync_render(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Credentials *ret_credentials, char **ret_type, char **ret_data, Problems *problems) {
        _cleanup_free_ SyncReport *report = xcalloc(1, sizeof(SyncReport));
        _cleanup_(plan_done) Plan p = {sources, settings, key, .report = report};
        _cleanup_(gathered_done) Gathered gathered = {0};
        int r = 0;

        if (access(settings->environment_file, F_OK) < 0)
                p.file = envfile_new(settings->environment_file);
        else
                r = envfile_open(settings->environment_file, &p.file, &report->problems);
        if (r >= 0)
                r = make_plan(&p, &gathered, ASK_DUE);
        problems_append(problems, &report->problems);
        if (r < 0 || report->no_login_yet)
                return r < 0 ? r : -ENOENT;
        /* Data that the agent ignores is not shown. */
        if (p.after->top) {
                *ret_type = envfile_get(p.file, AUTHDATA_TYPE_KEY);
                *ret_data = envfile_get(p.file, AUTHDATA_DATA_KEY);
        }
        *ret_credentials = p.credentials;
        p.credentials = (Credentials){0};
        return 0;
}

void sync_forecast(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                   SyncForecast *ret) {
        _cleanup_(plan_done) Plan p = {sources, settings, key, .report = &ret->report};
        _cleanup_(gathered_done) Gathered gathered = {0};
        int r;

        *ret = (SyncForecast){.report = {.outcome = SYNC_FAILED}};
        r = envfile_open(settings->environment_file, &p.file, &ret->report.problems);
        if (r >= 0)
                r = make_plan(&p, &gathered, ASK_ALL);
        if (r < 0)
                explain_failure(settings, r, "nothing would be written", &ret->report.problems);
        else
                describe_plan(&p);
        ret->before = p.current.entries;
        ret->sources = p.credentials;
        p.current.entries = p.credentials = (Credentials){0};
        if (r >= 0 && p.after == &p.current)
                credentials_copy(&ret->before, &ret->after);
        else if (r >= 0) {
                ret->after = p.made.entries;
                p.made.entries = (Credentials){0};
        }
}

void sync_forecast_done(SyncForecast *f) {
        credentials_done(&f->before);
        credentials_done(&f->after);
        credentials_done(&f->sources);
}
