/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/sync.h"

#include <time.h>

#include "base/directories.h"
#include "base/secret.h"
#include "credentials/gather.h"
#include "ecsconfig/environment-file.h"

#define UNKEPT_USEC (30 * USEC_PER_SEC)

/* How long another program may keep the environment file busy before we say so. */
enum {
        BUSY_TRIES = 40,
        BUSY_WAIT_MSEC = 50,
};

static int64_t realtime_usec(void) {
        struct timespec t;

        if (clock_gettime(CLOCK_REALTIME, &t) < 0)
                return 0;
        return (int64_t) t.tv_sec * (int64_t) USEC_PER_SEC + t.tv_nsec / 1000;
}

/* 0: never. */
static uint64_t until(int64_t when) {
        int64_t now = realtime_usec();

        return when == 0 ? 0 : when > now ? (uint64_t) (when - now) : 1;
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

/* An entry whose secret cannot be had keeps the last good one; where not all is known, so does every other. */
static int keep_last_good(const Credentials *current, Credentials *credentials) {
        for (size_t i = 0; i < current->n_items; i++) {
                const Credential *c = credentials_find(credentials, current->items[i].registry);
                int r;

                if (c ? credential_is_usable(c) && !c->yields : !credentials->incomplete)
                        continue;
                r = credentials_put_copy(credentials, &current->items[i]);
                if (r < 0)
                        return r;
        }
        return 0;
}

/* file may be NULL: no environment file yet. */
static int merge(const EcsConfigSettings *settings, const EnvFile *file, const Credentials *gathered,
                 Credentials *credentials, const char **ret_type, char **ret_data, Problems *problems) {
        _cleanup_(auth_entries_done) AuthEntries entries = {0};
        _cleanup_(credentials_done) Credentials current = {0};
        int r;

        r = credentials_copy(gathered, credentials);
        if (r >= 0 && file)
                r = read_current(file, &entries);
        if (r < 0)
                return r;
        /* What the agent would not take is nothing good to keep. */
        if (authdata_parse(entries.type, entries.data, &current) >= 0)
                r = keep_last_good(&current, credentials);
        if (r < 0)
                return r;
        return authdata_format(credentials, &current, settings->auth_type, ret_type, ret_data, problems);
}

/* Their names, separated by ", "; cut short after the last whole one. Returns how many there are. */
static unsigned list_registries(const Credentials *credentials, char *ret, size_t size) {
        unsigned n_registries = 0;
        bool cut = false;
        size_t used = 0;

        ret[0] = 0;
        for (size_t i = 0; i < credentials->n_items; i++) {
                const Credential *c = &credentials->items[i];

                if (!credential_is_usable(c))
                        continue;
                n_registries++;
                if (cut)
                        continue;

                cut = used + strlen(", ") + strlen(c->registry) + sizeof("...") > size;
                used += (size_t) snprintf(ret + used, size - used, "%s%s", used > 0 && !cut ? ", " : "",
                                          cut ? "..." : c->registry);
        }
        return n_registries;
}

/* About what an entry adds to the line. */
static size_t weigh(const Credential *c) {
        size_t n = strlen(c->registry);

        n += c->username ? strlen(c->username) : 0;
        n += c->password ? strlen(c->password) : 0;
        return n + (c->identity_token ? strlen(c->identity_token) : 0);
}

static int compare_weights(const void *a, const void *b) {
        size_t x = weigh(a), y = weigh(b);

        return x < y ? 1 : x > y ? -1 : 0;
}

/* Puts the heaviest entries first: the list is not used for anything else after this. */
static void explain_refused_line(const EcsConfigSettings *settings, int error, Credentials *credentials,
                                 const char *data, Problems *problems) {
        size_t size = sizeof(AUTHDATA_DATA_KEY) + strlen(data), max = settings->line_max;
        char names[200];
        unsigned n;

        if (credentials->n_items > 0)
                qsort(credentials->items, credentials->n_items, sizeof(Credential), compare_weights);
        n = list_registries(credentials, names, sizeof(names));

        if (error == -E2BIG)
                problems_add(
                        problems, LOG_ERR,
                        "%s: the line for %u registries would have %zu bytes, %zu more than the %zu that its reader "
                        "takes; nothing was written. Log out of registries that this host does not pull from; the "
                        "heaviest come first: %s",
                        settings->environment_file, n, size, size - max, max, names);
        else if (error == -EINVAL)
                problems_add(problems, LOG_ERR,
                             "%s: the line for %s has a byte that its readers would take each in another way; nothing "
                             "was written",
                             settings->environment_file, names);
}

static void copy_string(char *ret, size_t size, const char *s) {
        (void) snprintf(ret, size, "%s", s ? s : "");
}

/* Of an entry that was kept the source is told by the lease, where there is one. */
static void describe_lease(const Credential *c, const Leases *leases, SyncEntry *e) {
        const Lease *l = NULL;

        for (size_t i = 0; !l && leases && i < leases->n_items; i++)
                if (streq(leases->items[i].registry, c->registry) && (leases->items[i].named || !c->source) &&
                    (!c->helper || streq(leases->items[i].helper, c->helper)))
                        l = &leases->items[i];
        if (!l || (c->source && !c->helper))
                return;
        copy_string(e->source, sizeof(e->source), l->source);
        copy_string(e->helper, sizeof(e->helper), l->helper);
        e->asked_usec = l->answered ? l->asked : 0;
        e->end_usec = l->end;
        e->due_usec = l->due;
        e->failing = l->failures > 0;
}

static void describe_entries(const Credentials *credentials, const Leases *leases, SyncReport *report) {
        unsigned n = 0;

        memset(report->entries, 0, sizeof(report->entries));
        for (size_t i = 0; i < credentials->n_items && n < SYNC_ENTRIES_MAX; i++) {
                const Credential *c = &credentials->items[i];
                SyncEntry *e = &report->entries[n];

                if (!credential_is_usable(c))
                        continue;
                copy_string(e->registry, sizeof(e->registry), c->registry);
                copy_string(e->source, sizeof(e->source), c->source);
                copy_string(e->helper, sizeof(e->helper), c->helper);
                e->token = c->identity_token != NULL;
                describe_lease(c, leases, e);
                n++;
        }
}

/* What the credential files and helpers say. They are asked once, before the environment file is opened: that takes
 * long, and the file may have to be read again. */
typedef struct Gathered {
        int error;
        Credentials credentials;
        Leases leases;
        int64_t next; /* when a helper is due */
        Problems problems;
} Gathered;

static void gathered_done(Gathered *g) {
        credentials_done(&g->credentials);
        leases_done(&g->leases);
}

/* False: nobody can tell; a file that cannot be read, or that somebody is writing right now. */
static bool read_credentials(const char *path, Credentials *ret) {
        _cleanup_(auth_entries_done) AuthEntries entries = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        Problems ignored = {0};

        if (access(path, F_OK) < 0)
                return errno == ENOENT;
        if (envfile_open(path, &file, &ignored) < 0 || read_current(file, &entries) < 0 || !envfile_is_whole(file))
                return false;
        /* What the agent would not take is as good as nothing. */
        (void) authdata_parse(entries.type, entries.data, ret);
        return true;
}

static void gather(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                   bool ask_all, Gathered *ret) {
        _cleanup_(credentials_done) Credentials current = {0};
        HelperRound round = {.key = key, .now = realtime_usec(), .ask_all = ask_all, .leases = &ret->leases};

        if (read_credentials(settings->environment_file, &current))
                round.current = &current;
        ret->error = leases_load(&ret->leases);
        if (ret->error >= 0)
                ret->error = gather_credentials(sources, &round, &ret->credentials, &ret->problems);
        ret->next = round.next;
}

/* What could not be written is nobody's answer. */
static void give_back_answers(Gathered *g) {
        int64_t now = realtime_usec();

        for (size_t i = 0; i < g->leases.n_items; i++) {
                Lease *l = &g->leases.items[i];

                if (!l->fresh || lease_not_written(l, now) < 0)
                        continue;
                if (g->next == 0 || l->due < g->next)
                        g->next = l->due;
        }
}

/* So that who comes after us asks nobody again. */
static void keep_leases(const Gathered *g, SyncReport *report) {
        int r = leases_save(&g->leases);

        if (r >= 0 || g->leases.n_items == 0)
                return;
        problems_add(&report->problems, LOG_WARNING,
                     "%s/leases: cannot be kept: %s; credential helpers are asked more often than they should be",
                     state_directory(), strerror(-r));
        /* Nobody remembers how often it has failed. */
        if (report->ask_in_usec > 0 && report->ask_in_usec < UNKEPT_USEC)
                report->ask_in_usec = UNKEPT_USEC;
}

/* Credentials to the two lines, in memory. */
static int prepare(const Gathered *gathered, const EcsConfigSettings *settings, EnvFile *file, SyncReport *report) {
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        size_t line_max = settings->line_max;
        int r;

        r = gathered->error;
        if (r >= 0)
                r = merge(settings, file, &gathered->credentials, &credentials, &type, &data, &report->problems);
        if (r < 0)
                return r;
        report->behind = true; /* until it is saved */

        r = envfile_set(file, AUTHDATA_TYPE_KEY, type, line_max);
        if (r >= 0)
                r = envfile_set(file, AUTHDATA_DATA_KEY, data, line_max);
        if (r < 0 && data)
                explain_refused_line(settings, r, &credentials, data, &report->problems);
        if (r >= 0)
                describe_entries(&credentials, &gathered->leases, report);
        return r < 0 ? r : data ? SYNC_WRITTEN : SYNC_REMOVED;
}

/* What stands in the file now, for the report. */
static int describe_current(const EnvFile *file, const DigestKey *key, SyncReport *report) {
        _cleanup_(auth_entries_done) AuthEntries entries = {0};
        _cleanup_(credentials_done) Credentials current = {0};
        int r;

        r = read_current(file, &entries);
        if (r < 0)
                return r;
        r = authdata_digest(entries.type, entries.data, key, &report->digest);
        if (r < 0)
                return r;

        r = authdata_parse(entries.type, entries.data, &current);
        if (r < 0 && r != -EBADMSG)
                return r; /* -EBADMSG: the agent would use none of it, so there is none */

        report->n_registries = list_registries(&current, report->registries, sizeof(report->registries));
        if (str_empty(report->entries[0].registry))
                describe_entries(&current, NULL, report);
        report->digest_known = true;
        return 0;
}

/* -EAGAIN: another program is writing it. patient: also where there would be nothing to write, since what was read may
 * be half of what it will be. */
static int sync_once(const Gathered *gathered, const EcsConfigSettings *settings, const DigestKey *key, bool patient,
                     SyncReport *report) {
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        SyncOutcome outcome;
        int r;

        r = envfile_open_for_change(settings->environment_file, &file, &report->problems);
        if (r < 0)
                return r;

        if (patient && !envfile_is_whole(file))
                return -EAGAIN;

        /* What stands there counts even if we fail below: the agent is to run with it. */
        r = describe_current(file, key, report);
        if (r < 0)
                return r;

        r = prepare(gathered, settings, file, report);
        if (r < 0)
                return r;
        outcome = (SyncOutcome) r;

        r = envfile_save(file, &report->problems);
        if (r < 0)
                return r;
        report->behind = false;
        if (r == 0) {
                report->outcome = SYNC_UNCHANGED;
                envfile_identify(file, &report->identity);
                return 0;
        }

        report->outcome = outcome;
        envfile_identify(file, &report->identity);
        return describe_current(file, key, report);
}

void sync_run(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key, bool ask_all,
              SyncReport *ret) {
        const struct timespec pause = {.tv_nsec = BUSY_WAIT_MSEC * 1000000L};
        Gathered gathered = {0};
        SyncReport report = {0};
        int r = -EAGAIN;

        gather(sources, settings, key, ask_all, &gathered);
        for (unsigned tries = 0; r == -EAGAIN && tries < BUSY_TRIES; tries++) {
                if (tries > 0)
                        (void) nanosleep(&pause, NULL);
                report = (SyncReport){.outcome = SYNC_FAILED, .problems = gathered.problems};
                /* One that is kept open for good, as by an editor, is read as it is in the end. */
                r = sync_once(&gathered, settings, key, tries + 1 < BUSY_TRIES, &report);
        }

        if (r < 0) {
                report.outcome = SYNC_FAILED;
                if (r == -EAGAIN)
                        problems_add(&report.problems, LOG_ERR,
                                     "%s: another program has it open for writing, or changes it all the time; nothing "
                                     "was written. It is tried again as soon as that program closes it",
                                     settings->environment_file);
                else if (report.problems.n_items == 0)
                        problems_add(&report.problems, LOG_ERR, "%s: nothing was written: %s",
                                     settings->environment_file, strerror(-r));
        }
        if (r < 0 && gathered.error >= 0)
                give_back_answers(&gathered);
        report.ask_in_usec = until(gathered.next);
        keep_leases(&gathered, &report);
        gathered_done(&gathered);
        *ret = report;
}

int sync_look(const EcsConfigSettings *settings, const DigestKey *key, SyncReport *ret) {
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        SyncReport report = {.outcome = SYNC_UNCHANGED};
        int r;

        r = envfile_open(settings->environment_file, &file, &report.problems);
        if (r >= 0)
                r = describe_current(file, key, &report);
        if (r < 0)
                return r;
        *ret = report;
        return 0;
}

int sync_render(const CredentialSettings *sources, const EcsConfigSettings *settings, const DigestKey *key,
                Credentials *ret_credentials, const char **ret_type, char **ret_data, Problems *problems) {
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_(gathered_done) Gathered gathered = {0};
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        int r;

        if (access(settings->environment_file, F_OK) == 0) {
                r = envfile_open(settings->environment_file, &file, problems);
                if (r < 0)
                        return r;
        }

        gather(sources, settings, key, false, &gathered);
        *problems = gathered.problems;
        r = gathered.error;
        if (r >= 0)
                r = merge(settings, file, &gathered.credentials, &credentials, &type, &data, problems);
        if (r < 0)
                return r;

        r = data ? envfile_check_line(AUTHDATA_DATA_KEY, data, settings->line_max) : 0;
        if (r < 0) {
                explain_refused_line(settings, r, &credentials, data, problems);
                return r;
        }

        *ret_type = type;
        *ret_data = STEAL_POINTER(data);
        *ret_credentials = credentials;
        credentials = (Credentials){0};
        return 0;
}
