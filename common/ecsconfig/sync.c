/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/sync.h"

#include "base/clock.h"
#include "base/directories.h"
#include "base/foreign-file.h"
#include "base/secret.h"
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

/* An environment file that was read: its auth entries, and the record of those that ecs-authd wrote. */
typedef struct Current {
        AuthData data;
        WrittenRecord record;
        bool owned; /* ecs-authd wrote one of the entries */
} Current;

static void current_done(Current *c) {
        authdata_done(&c->data);
        written_record_done(&c->record);
}

static void read_auth_data(const EnvFile *file, const DigestKey *key, AuthData *ret) {
        _cleanup_secret_ char *type = envfile_get(file, AUTHDATA_TYPE_KEY),
                              *data = envfile_get(file, AUTHDATA_DATA_KEY);

        authdata_read(type, data, key, ret);
        if (!*ret->ignored && !data && envfile_has_blank(file, AUTHDATA_DATA_KEY))
                (void) snprintf(ret->ignored, sizeof(ret->ignored), "there is a blank before the '='");
}

/* Marks the entries that ecs-authd did not write. ecs-authd spells a key exactly like the registry. */
static void mark_foreign(const DigestKey *key, Current *c) {
        for (size_t i = 0; i < c->data.entries.n_items; i++) {
                Credential *e = c->data.entries.items[i];

                e->foreign = !streq(e->key, e->registry) || !written_record_has(&c->record, e, key);
                c->owned |= !e->foreign;
        }
}

static void explain_record(const EcsConfigSettings *settings, const char *what, int error, Problems *problems) {
        problems_add(
                problems, LOG_WARNING,
                "%s/written: cannot be %s: %s; a docker logout now would leave its entry in %s. Make the directory "
                "root's alone (chmod 700 %s), and make room on its file system",
                state_directory(), what, strerror(-error), settings->environment_file, state_directory());
}

/* Without a record every entry is foreign: none is removed. */
static int read_current(const EnvFile *file, const EcsConfigSettings *settings, const DigestKey *key, Current *ret,
                        Problems *problems) {
        _cleanup_(current_done) Current c = {0};
        int r;

        written_record_load(settings->environment_file, &c.record);
        r = c.record.error;
        if (r == -EBADMSG || r == -EILSEQ)
                problems_add(
                        problems, LOG_WARNING,
                        "%s/written: is damaged, or not root's alone; it is replaced. Entries that are in %s, and in "
                        "no credential file, now count as entries of others",
                        state_directory(), settings->environment_file);
        else if (r < 0 && r != -EACCES)
                explain_record(settings, "read", r, problems);
        read_auth_data(file, key, &c.data);
        mark_foreign(key, &c);
        *ret = c;
        c = (Current){0};
        return 0;
}

static bool has_answer(const Leases *leases, const char *registry, const Digest *digest) {
        for (size_t i = 0; i < leases->n_items; i++)
                if (streq(leases->items[i]->registry, registry) && lease_has_answered(leases->items[i]) &&
                    digest_equal(&leases->items[i]->digest, digest))
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
static int claim_entries(const Gathered *gathered, const DigestKey *key, Current *current) {
        for (size_t i = 0; i < current->data.entries.n_items; i++) {
                Credential *e = current->data.entries.items[i];
                const Credential *login = find_login(gathered, e->registry);
                Digest digest, other;
                int r;

                if (!e->foreign || !streq(e->key, e->registry))
                        continue;
                r = credential_digest(e, key, &digest);
                if (r >= 0 && login)
                        r = credential_digest(login, key, &other);
                if (r < 0)
                        return r;
                e->foreign = !(login && digest_equal(&digest, &other)) &&
                             !has_answer(&gathered->leases, e->registry, &digest);
                current->owned |= !e->foreign;
        }
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

/* Keeps the current entry of a registry whose login is unknown at present. A foreign entry needs no copy: it stays
 * unless a login replaces it. */
static int keep_current(const Credential *current, const DigestKey *key, Credentials *credentials, Problems *problems) {
        Credential *c = credentials_find_item(credentials, current->registry);
        int r;

        if (c ? credential_is_usable(c) && !c->yields : !credentials->incomplete)
                return 0;
        if (c && credential_is_usable(c)) {
                r = explain_yielding(c, current, key, problems);
                if (r < 0)
                        return r;
        }
        if (!current->foreign)
                return credentials_put_copy(credentials, current);
        if (c)
                credential_forget_secrets(c);
        return 0;
}

/* Merges the gathered credentials with the current entries that stay. */
static int merge(const DigestKey *key, const Current *current, const Credentials *gathered, Credentials *credentials,
                 Problems *problems) {
        int r;

        r = credentials_copy(gathered, credentials);
        for (size_t i = 0; r >= 0 && i < current->data.entries.n_items; i++)
                r = keep_current(current->data.entries.items[i], key, credentials, problems);
        return r;
}

/* Returns false if the entries cannot be read now, or another program is writing the file. */
static bool try_read_current(const EcsConfigSettings *settings, const DigestKey *key, Current *ret) {
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        Problems ignored = {0};

        return envfile_open(settings->environment_file, &file, &ignored) >= 0 &&
               read_current(file, settings, key, ret, &ignored) >= 0 && envfile_is_whole(file);
}

/* Runs helpers. Call before the environment file is locked for a change: helpers take long. */
static void ask(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Asking asking, Gathered *g) {
        _cleanup_(current_done) Current current = {0};
        HelperRound round = {.key = key, .ask = asking};

        if (try_read_current(settings, key, &current)) {
                round.current = &current.data.entries;
                round.owned = current.owned;
        }
        gathered_fill(g, sources, &round);
}

static void explain_ignored(const EcsConfigSettings *settings, const AuthData *current, bool replaced,
                            Problems *problems) {
        problems_add(problems, LOG_WARNING,
                     replaced ? "%s: the agent ignored the credentials in it: %s. They are replaced"
                              : "%s: the agent ignores the credentials in it: %s. Correct the two lines "
                                "ECS_ENGINE_AUTH_TYPE and ECS_ENGINE_AUTH_DATA or delete both; the next docker login "
                                "replaces them",
                     settings->environment_file, current->ignored);
}

static bool has_ours(const Credentials *credentials) {
        for (size_t i = 0; i < credentials->n_items; i++)
                if (credential_is_usable(credentials->items[i]) && !credentials->items[i]->foreign)
                        return true;
        return false;
}

static int set_values(EnvFile *file, const EcsConfigSettings *settings, const char *type, const char *data) {
        int r;

        r = envfile_set(file, AUTHDATA_TYPE_KEY, type, settings->line_max);
        return r < 0 ? r : envfile_set(file, AUTHDATA_DATA_KEY, data, settings->line_max);
}

/* Sets the two lines to their current values, which removes a second line for the same key and carriage returns:
 * readers of the file treat these differently. Leaves the lines unchanged if they contain no entry of ours. */
static int keep_values(EnvFile *file, const EcsConfigSettings *settings, const AuthData *current,
                       Credentials *credentials) {
        _cleanup_secret_ char *type = NULL, *data = NULL;
        int r = 0;

        if (has_ours(credentials)) {
                type = envfile_get(file, AUTHDATA_TYPE_KEY);
                data = envfile_get(file, AUTHDATA_DATA_KEY);
                r = set_values(file, settings, type, data);
        }
        if (r >= 0)
                authdata_add_foreign(credentials, current);
        return r;
}

/* Sets the two lines in memory. If they already give the agent these credentials, they keep their spelling. -EINVAL:
 * readers of the file would read the line differently. */
static int set_lines(EnvFile *file, const EcsConfigSettings *settings, const AuthData *current,
                     Credentials *credentials, Problems *problems) {
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        int r;

        if (authdata_is_current(credentials, current, settings->auth_type)) {
                r = keep_values(file, settings, current, credentials);
                if (r >= 0 || (r != -EINVAL && r != -E2BIG))
                        return r;
        }
        r = authdata_format(credentials, current, settings->auth_type, &type, &data, problems);
        if (r < 0)
                return r;

        r = set_values(file, settings, type, data);
        if (r < 0 && data)
                sync_explain_refused_line(settings, r, credentials, data, problems);
        return r;
}

/* Makes the two lines in memory, and fills the empty list *credentials: entries in the lines, and registries without a
 * secret. Returns SYNC_WRITTEN, or SYNC_REMOVED if no entry is ours. */
static int prepare(const Gathered *gathered, const Current *current, const EcsConfigSettings *settings,
                   const DigestKey *key, EnvFile *file, Credentials *credentials, SyncReport *report) {
        int r;

        r = merge(key, current, &gathered->credentials, credentials, &report->problems);
        if (r < 0)
                return r;
        report->behind = true; /* until save() has succeeded */

        if (*current->data.ignored)
                explain_ignored(settings, &current->data, has_ours(credentials), &report->problems);
        r = set_lines(file, settings, &current->data, credentials, &report->problems);
        if (r < 0)
                return r;
        key_coverage_warn(credentials, &report->problems);
        sync_describe_entries(credentials, &gathered->leases, report);
        return has_ours(credentials) ? SYNC_WRITTEN : SYNC_REMOVED;
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

/* Reads the lines that prepare() has made. */
static void read_prepared(const EnvFile *file, const DigestKey *key, const Credentials *credentials, AuthData *ret) {
        read_auth_data(file, key, ret);
        for (size_t i = 0; i < ret->entries.n_items; i++) {
                const Credential *c = credentials_find(credentials, ret->entries.items[i]->registry);

                ret->entries.items[i]->foreign = !c || c->foreign;
        }
}

/* Explains entries that have no effect, and lines that the next write removes. */
static void explain_idle(const EcsConfigSettings *settings, const EnvFile *file, const AuthData *current,
                         Problems *problems) {
        const unsigned n = file ? envfile_count(file, AUTHDATA_DATA_KEY) : 0;

        if (*current->useless)
                problems_add(problems, LOG_WARNING,
                             "%s: the agent does not use the entries of %s: their form needs "
                             "ECS_ENGINE_AUTH_TYPE=%s. Change the type, or run docker login for them",
                             settings->environment_file, current->useless,
                             auth_type_to_string(current->type == AUTH_TYPE_DOCKER ? AUTH_TYPE_DOCKERCFG
                                                                                   : AUTH_TYPE_DOCKER));
        if (n > 1)
                problems_add(
                        problems, LOG_WARNING,
                        "%s: ECS_ENGINE_AUTH_DATA is in %u lines, and the last one counts; a write leaves one line. "
                        "Move the entries that you need into the last one",
                        settings->environment_file, n);
}

static void explain_foreign(const EcsConfigSettings *settings, const Credentials *entries, Problems *problems) {
        char names[200];

        if (sync_list_registries(entries, true, names, sizeof(names)) > 0)
                problems_add(problems, LOG_NOTICE,
                             "%s: in it by other means than ecs-authd: %s. ecs-authd keeps these entries. To have one "
                             "managed, run docker login REGISTRY; to drop one, delete the entry from the file",
                             settings->environment_file, names);
}

/* Its mode is kept as it is, whoever chose it. */
static void warn_if_exposed(const char *path, Problems *problems) {
        _cleanup_close_ int fd = -1;
        ForeignFile file;

        if (foreign_file_open(path, &fd, &file, NULL) >= 0 && file.is_exposed)
                problems_add(problems, LOG_WARNING,
                             "%s: everybody on this host can read the passwords in it; run 'chmod 600 %s'", path, path);
}

/* Records the entries that ecs-authd is about to write. Call before the file is written: an entry that is not on record
 * would stay after a docker logout. */
static int record_entries(const EcsConfigSettings *settings, const DigestKey *key, const Current *before,
                          const AuthData *after, Problems *problems) {
        int r = written_record_save(&before->record, &before->data.entries, &after->entries, key);

        if (r == -ENOMEM)
                return r;
        if (r < 0)
                explain_record(settings, "replaced", r, problems);
        return 0;
}

/* Replaces the file on disk, and reports its new content. */
static int save(Gathered *gathered, const EcsConfigSettings *settings, const DigestKey *key, const Current *before,
                const Credentials *credentials, EnvFile *file, SyncOutcome outcome, SyncReport *report) {
        _cleanup_(authdata_done) AuthData current = {0};
        SyncReport after;
        int r;

        /* Before the answers: one that is on record and was not written is asked for again; one that was written and
         * is not on record would be taken for somebody else's doing. */
        if (gathered_was_asked(gathered))
                gathered_keep(gathered, report);
        /* Everything that can fail comes before the write, so that a write is always reported. */
        read_prepared(file, key, credentials, &current);
        r = record_entries(settings, key, before, &current, &report->problems);
        if (r < 0)
                return r;
        after = *report;
        describe(&current, &after);
        r = envfile_save(file, &report->problems);
        if (r < 0)
                return r;

        explain_foreign(settings, &current.entries, &report->problems);
        after.problems = report->problems;
        *report = after;
        report->behind = false;
        report->outcome = r > 0 ? outcome : SYNC_UNCHANGED;
        /* An answer that was not written is requested again later. */
        gathered_give_back(gathered, &current.entries, key);
        return 0;
}

/* Explains the entries that stay although no credential file exists. */
static void explain_current(const EcsConfigSettings *settings, const Current *current, Problems *problems) {
        if (*current->data.ignored)
                explain_ignored(settings, &current->data, false, problems);
        explain_foreign(settings, &current->data.entries, problems);
}

/* Reports the first file with a login that the service can read but File= does not name. */
static void find_other_login(const CredentialSettings *sources, SyncReport *report) {
        _cleanup_free_ OtherLogins *l = calloc(1, sizeof(OtherLogins));

        if (!l)
                return;
        l->settings = sources;
        other_logins_try_own(l);
        if (l->n_items > 0 && strlen(l->items[0].path) < sizeof(report->other_login))
                memcpy(report->other_login, l->items[0].path, strlen(l->items[0].path) + 1);
}

/* Brings the credentials of the files and the answers in g->leases into the environment file. -EAGAIN: another program
 * is writing the file. patient: also if nothing would change, because the file may be half written. */
static int sync_once(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                     Gathered *g, bool patient, SyncReport *report) {
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_(current_done) Current current = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        HelperRound round = {.key = key, .current = &current.data.entries, .ask = ASK_NOBODY};
        int r;

        r = envfile_open_for_change(settings->environment_file, &file, &report->problems);
        if (r < 0)
                return r;
        if (patient && !envfile_is_whole(file))
                return -EAGAIN;
        report->seen_usec = clock_monotonic_usec();

        /* The current content counts even if a step below fails: the agent should run with it. */
        r = read_current(file, settings, key, &current, &report->problems);
        if (r < 0)
                return r;
        describe(&current.data, report);
        explain_idle(settings, file, &current.data, &report->problems);
        round.owned = current.owned;

        gathered_fill(g, sources, &round);
        problems_append(&report->problems, &g->problems);
        r = g->error;
        report->no_login_yet = r == -ENOENT && !current.owned;
        if (report->no_login_yet) {
                explain_current(settings, &current, &report->problems);
                find_other_login(sources, report);
                report->outcome = SYNC_UNCHANGED;
                return 0;
        }
        if (r >= 0)
                r = claim_entries(g, key, &current);
        if (r >= 0)
                r = prepare(g, &current, settings, key, file, &credentials, report);
        if (r >= 0)
                r = save(g, settings, key, &current, &credentials, file, (SyncOutcome) r, report);
        if (r >= 0 && report->n_registries > 0)
                warn_if_exposed(settings->environment_file, &report->problems);
        if (r == -EAGAIN)
                return r;
        if (r < 0 && g->error >= 0)
                gathered_give_back(g, NULL, key);
        if (g->error >= 0)
                gathered_keep(g, report);
        report->ask_in_usec = until(g->next);
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

void sync_run(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key, Asking asking,
              SyncReport *ret) {
        const struct timespec pause = {.tv_nsec = BUSY_WAIT_MSEC * 1000000L};
        _cleanup_close_ int lock = gathered_lock(asking == ASK_NOBODY ? 0 : helpers_timeout_usec(sources));
        const bool locked = lock == -EWOULDBLOCK, asked = asking != ASK_NOBODY && !locked;
        _cleanup_(gathered_done) Gathered gathered = {.leases_locked = locked};
        SyncReport report = {0};
        unsigned n_failed;
        int r = -EAGAIN;

        if (asked)
                ask(sources, settings, key, asking, &gathered);
        n_failed = gathered_count_failed(&gathered);
        for (unsigned tries = 0; r == -EAGAIN && tries < BUSY_TRIES; tries++) {
                if (tries > 0)
                        (void) nanosleep(&pause, NULL);
                report = (SyncReport){.outcome = SYNC_FAILED};
                /* One that is kept open for good, as by an editor, is read as it is in the end. */
                r = sync_once(sources, settings, key, &gathered, tries + 1 < BUSY_TRIES, &report);
        }

        if (asking != ASK_NOBODY && locked)
                explain_lock(&report.problems);
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
        report.asked = asked;
        report.n_failed = n_failed;
        *ret = report;
}

int sync_look(const EcsConfigSettings *settings, const DigestKey *key, SyncReport *ret) {
        _cleanup_(current_done) Current current = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        SyncReport report = {.outcome = SYNC_UNCHANGED};
        int r;

        r = envfile_open(settings->environment_file, &file, &report.problems);
        if (r >= 0)
                r = read_current(file, settings, key, &current, &report.problems);
        if (r < 0)
                return r;
        describe(&current.data, &report);
        *ret = report;
        return 0;
}

/* Returns the two values that would be in the lines of the file. Content that the agent ignores is not shown. */
static int render_values(const EnvFile *file, const AuthData *current, Credentials *credentials,
                         const EcsConfigSettings *settings, char **ret_type, char **ret_data, Problems *problems) {
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        int r;

        if (authdata_is_current(credentials, current, settings->auth_type)) {
                authdata_add_foreign(credentials, current);
                if (current->top) {
                        *ret_type = envfile_get(file, AUTHDATA_TYPE_KEY);
                        *ret_data = envfile_get(file, AUTHDATA_DATA_KEY);
                }
                return 0;
        }
        r = authdata_format(credentials, current, settings->auth_type, &type, &data, problems);
        if (r >= 0 && data)
                r = envfile_check_line(AUTHDATA_DATA_KEY, data, settings->line_max);
        if (r < 0 && data)
                sync_explain_refused_line(settings, r, credentials, data, problems);
        if (r < 0 || !data)
                return r;
        *ret_type = strdup(type);
        if (!*ret_type)
                return -ENOMEM;
        *ret_data = STEAL_POINTER(data);
        return 0;
}

/* Opens and reads the environment file, if it exists. */
static int open_current(const EcsConfigSettings *settings, const DigestKey *key, EnvFile **ret, Current *ret_current,
                        Problems *problems) {
        int r;

        if (access(settings->environment_file, F_OK) < 0)
                return 0;
        r = envfile_open(settings->environment_file, ret, problems);
        return r < 0 ? r : read_current(*ret, settings, key, ret_current, problems);
}

int sync_render(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Credentials *ret_credentials, char **ret_type, char **ret_data, Problems *problems) {
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_(current_done) Current current = {0};
        HelperRound round = {.key = key, .current = &current.data.entries, .ask = ASK_DUE};
        _cleanup_(gathered_done) Gathered gathered = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        int r;

        r = open_current(settings, key, &file, &current, problems);
        if (r < 0)
                return r;
        explain_idle(settings, file, &current.data, problems);
        round.owned = current.owned;
        gathered_fill(&gathered, sources, &round);
        problems_append(problems, &gathered.problems);
        r = gathered.error;
        if (r == -ENOENT && !current.owned)
                explain_current(settings, &current, problems);
        if (r >= 0)
                r = claim_entries(&gathered, key, &current);
        if (r >= 0)
                r = merge(key, &current, &gathered.credentials, &credentials, problems);
        if (r < 0)
                return r;

        if (*current.data.ignored)
                explain_ignored(settings, &current.data, has_ours(&credentials), problems);
        r = render_values(file, &current.data, &credentials, settings, ret_type, ret_data, problems);
        if (r < 0)
                return r;
        key_coverage_warn(&credentials, problems);
        explain_foreign(settings, &credentials, problems);
        *ret_credentials = credentials;
        credentials = (Credentials){0};
        return 0;
}

/* Forecasts the content of the file that open_current() has read. */
static int forecast_content(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                            EnvFile *file, Current *current, SyncForecast *f) {
        HelperRound round = {.key = key, .current = &current->data.entries, .owned = current->owned, .ask = ASK_ALL};
        _cleanup_(authdata_done) AuthData after = {0};
        _cleanup_(gathered_done) Gathered gathered = {0};
        int outcome;

        gathered_fill(&gathered, sources, &round);
        problems_append(&f->report.problems, &gathered.problems);
        outcome = gathered.error;
        f->report.no_login_yet = outcome == -ENOENT && !current->owned;
        if (f->report.no_login_yet) {
                explain_current(settings, current, &f->report.problems);
                find_other_login(sources, &f->report);
                f->report.outcome = SYNC_UNCHANGED;
                return credentials_copy(&current->data.entries, &f->after);
        }
        if (outcome >= 0)
                outcome = claim_entries(&gathered, key, current);
        if (outcome >= 0)
                outcome = prepare(&gathered, current, settings, key, file, &f->sources, &f->report);
        if (outcome < 0)
                return outcome;

        read_prepared(file, key, &f->sources, &after);
        describe(&after, &f->report);
        explain_foreign(settings, &after.entries, &f->report.problems);
        f->after = after.entries;
        after.entries = (Credentials){0};
        f->report.behind = false;
        f->report.outcome = envfile_is_changed(file) ? (SyncOutcome) outcome : SYNC_UNCHANGED;
        return 0;
}

/* Does the same as sync_once() up to the point where that would save. */
static int forecast(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                    SyncForecast *f) {
        _cleanup_(current_done) Current current = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        int r;

        r = envfile_open(settings->environment_file, &file, &f->report.problems);
        if (r >= 0)
                r = read_current(file, settings, key, &current, &f->report.problems);
        if (r < 0)
                return r;
        describe(&current.data, &f->report);
        explain_idle(settings, file, &current.data, &f->report.problems);
        r = forecast_content(sources, settings, key, file, &current, f);
        f->before = current.data.entries;
        current.data.entries = (Credentials){0};
        return r;
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
