/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/gather.h"

#include "credentials/ask-helpers.h"
#include "credentials/credential-file.h"
#include "credentials/key-coverage.h"

/* A login to a registry whose secret a helper keeps writes the credential file anew, and nothing in it changes. The
 * first has the helper asked at once; of several within this time the last one counts, too. */
#define LOGIN_USEC ((int64_t) (30 * USEC_PER_SEC))

/* A lease of a file that the settings do not name, but those of another ecs-authd may, is kept for so long. */
#define FOREIGN_USEC ((int64_t) (30 * 86400 * USEC_PER_SEC))

static int64_t login_due(FileMark *mark, int64_t now) {
        if (mark->login > now && mark->login <= now + LOGIN_USEC)
                return mark->login; /* it is on its way already */
        mark->login = mark->login <= now && mark->login + LOGIN_USEC > now ? mark->login + LOGIN_USEC : now;
        return mark->login;
}

static int note_stamp(HelperRound *round, const char *path, const CredFileStamp *stamp) {
        FileMark *mark = leases_mark(round->leases, path);
        bool written_again;
        int64_t due;

        if (!mark)
                return -ENOMEM;
        written_again = digest_equal(&mark->stamp.digest, &stamp->digest) &&
                        (mark->stamp.inode != stamp->inode || mark->stamp.mtime_nsec != stamp->mtime_nsec);
        mark->stamp = *stamp;
        if (!written_again)
                return 0;

        due = login_due(mark, round->now);
        for (size_t i = 0; i < round->leases->n_items; i++)
                if (streq(round->leases->items[i]->source, path))
                        lease_bring_forward(round->leases->items[i], due, round->now);
        return 0;
}

/* Of a registry that a file before the one that cannot be read names, too, nobody knows what that says: what stands in
 * the environment file stays. */
static void yield_to(Credentials *c) {
        for (size_t i = 0; i < c->n_items; i++)
                c->items[i]->yields = true;
        for (size_t i = 0; i < c->n_stores; i++)
                c->stores[i].yields = true;
}

/* What the agent pulls with meanwhile; a file that went missing is worth a look then, too. */
static void tell_what_stays(const HelperRound *round, Problems *found) {
        Problem *last = &found->items[found->n_items - 1];
        size_t n = strlen(last->text);

        if (!round->owned)
                return;
        last->level = last->level < LOG_WARNING ? last->level : LOG_WARNING;
        (void) snprintf(last->text + n, sizeof(last->text) - n, ". The last good credentials stay in use");
}

/* A file that cannot be read costs its own registries, and not those of the others. */
static int load_files(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems) {
        unsigned n_loaded = 0;
        int r, error = 0;

        for (char **file = settings->files; *file; file++) {
                Problems found = {0};
                CredFileStamp stamp;

                r = credfile_load(c, *file, settings->strict, settings->exclude, round->key, &stamp, &found);
                if (r >= 0)
                        r = note_stamp(round, *file, &stamp);
                else if (found.n_items > 0)
                        tell_what_stays(round, &found);
                problems_append(problems, &found);
                if (r == -ENOMEM)
                        return r;
                if (r < 0) {
                        error = error < 0 && r == -ENOENT ? error : r;
                        yield_to(c);
                } else {
                        n_loaded++;
                }
        }
        /* The agent pulls with what nobody can renew. */
        if (n_loaded == 0 && round->owned)
                problems_raise(problems, LOG_ERR);
        if (n_loaded == 0)
                return error;

        c->incomplete = error < 0;
        return 0;
}

/* Removes the placeholders (file_only) that kept stores from supplying a registry. Call after the stores have been
 * queried. */
static void remove_marks(Credentials *c) {
        for (size_t i = c->n_items; i-- > 0;)
                if (c->items[i]->file_only)
                        credentials_remove(c, i);
}

typedef struct Sources {
        const CredentialSettings *settings;
        const Credentials *credentials;
        int64_t now;
} Sources;

/* Another ecs-authd may read other files. */
static bool is_wanted(const Lease *lease, void *userdata) {
        const Sources *s = userdata;

        if (lease->named || s->credentials->incomplete)
                return true;
        for (char **file = s->settings->files; *file; file++)
                if (streq(lease->source, *file))
                        return false;
        return s->now < lease->asked + FOREIGN_USEC;
}

int gather_credentials(const CredentialSettings *settings, HelperRound *round, Credentials *ret, Problems *problems) {
        _cleanup_(credentials_done) Credentials c = {0};
        int r;

        for (size_t i = 0; i < round->leases->n_items; i++)
                round->leases->items[i]->named = false;
        r = load_files(settings, round, &c, problems);
        if (r >= 0)
                r = ask_stores(settings, round, &c, problems);
        if (r < 0)
                return r;

        remove_marks(&c);
        r = key_coverage_remove_useless(&c, round->useless, problems);
        if (r < 0)
                return r;
        credentials_sort(&c);
        r = ask_helpers(settings, round, &c, problems);
        if (r < 0)
                return r;
        leases_prune(round->leases, is_wanted, &(Sources){.settings = settings, .credentials = &c, .now = round->now});
        /* With no helper nobody needs to know when a file was written. */
        if (round->leases->n_items == 0)
                leases_done(round->leases);

        credentials_sort(&c);
        *ret = c;
        c = (Credentials){0};
        return 0;
}
