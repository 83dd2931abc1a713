/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/ask-helpers.h"

#include "base/clock.h"
#include "base/directories.h"
#include "base/secret.h"
#include "base/timespan.h"
#include "credentials/credential-file.h"
#include "credentials/helper-lifetime.h"
#include "credentials/helper-network.h"
#include "credentials/registry-name.h"
#include "credentials/run-helpers.h"
#include "credentials/token-expiry.h"

/* Whose lease is shorter has the agent restarted more often than anybody wants. */
#define MINUTE_USEC ((int64_t) (60 * USEC_PER_SEC))
#define SHORT_LEASE_USEC (30 * MINUTE_USEC)

enum {
        /* Of a line of the environment file (131071 bytes, execve(2)) the shortest entry takes 20. */
        HELPERS_MAX = 131071 / 20,
};

static void note_next(HelperRound *round, int64_t when) {
        if (when > 0 && (round->next == 0 || when < round->next))
                round->next = when;
}

static void fail(const HelperRound *round, Lease *lease, int error) {
        lease_failed(lease, error, round->now + round->took);
        lease->asked = round->now;
}

static void answered(const CredentialSettings *settings, const HelperRound *round, Lease *lease, const Digest *digest,
                     int64_t end) {
        lease_answered(lease, digest, end, (int64_t) settings->refresh_usec, round->now, round->now + round->took);
}

/* The words of the settings that an answer depends on, as they stand there: what our own environment has for a NAME
 * differs between a service and a shell. They may be secret. */
static int digest_settings(const CredentialSettings *settings, const DigestKey *key, const char *registry,
                           Digest *ret) {
        uint64_t times[] = {settings->refresh_usec, helper_lifetime_usec(settings, registry)};
        int r = digest_compute(key, times, sizeof(times), ret);

        for (char **word = settings->helper_environment; r >= 0 && word && *word; word++) {
                Digest both[2] = {*ret};

                r = digest_compute(key, *word, strlen(*word), &both[1]);
                if (r >= 0)
                        r = digest_compute(key, both, sizeof(both), ret);
        }
        return r;
}

/* The pause after a helper that failed, and took its time, begins when that is over. */
static void run_helpers(const CredentialSettings *settings, HelperRound *round, HelperCall *calls, size_t n,
                        const char *home) {
        int64_t before = clock_usec(CLOCK_MONOTONIC);

        helper_run(calls, n, home, settings->helper_environment, settings->helper_timeout_usec);
        if (n > 0)
                round->took += clock_usec(CLOCK_MONOTONIC) - before;
}

/* The lease of what a file or store names in this round. terms: but for the settings. */
static int name_lease(const CredentialSettings *settings, const HelperRound *round, const char *registry,
                      const char *helper, LeaseTerms terms, Lease **ret) {
        Lease *lease = leases_add(round->leases, registry, helper);
        int r;

        r = lease ? digest_settings(settings, round->key, registry, &terms.settings) : -ENOMEM;
        if (r >= 0)
                r = lease_describe(lease, &terms);
        if (r < 0)
                return r;
        lease->named = true;
        *ret = lease;
        return 0;
}

/* --- stores --- */

/* As the store said when it was last asked. */
static int list_from_leases(const CredentialSettings *settings, const HelperRound *round, const CredentialStore *store,
                            Credentials *c) {
        for (size_t i = 0; i < round->leases->n_items; i++) {
                const Lease *l = round->leases->items[i];
                _cleanup_(credential_done) Credential entry = {0};
                int r;

                if (!l->listed || !streq(l->helper, store->helper) || credentials_find(c, l->registry) ||
                    registry_is_docker_own(l->registry))
                        continue;
                r = registry_is_excluded(l->registry, settings->exclude);
                if (r < 0)
                        return r;
                if (r > 0)
                        continue;
                entry = (Credential){.registry = strdup(l->registry),
                                     .key = strdup(l->key),
                                     .source = strdup(store->source),
                                     .helper = strdup(store->helper),
                                     .listed = true,
                                     .yields = store->yields};
                if (!entry.registry || !entry.key || !entry.source || !entry.helper)
                        return -ENOMEM;
                r = credentials_put(c, &entry);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_list(const CredentialSettings *settings, HelperRound *round, const HelperCall *call, Lease *lease,
                     const CredentialStore *store, Credentials *c, Problems *problems) {
        static const Digest none;
        int r = call->error;

        lease_begin(lease);
        if (r >= 0)
                r = credfile_parse_list(c, store, call->output, settings->exclude, problems);
        if (r == -ENOMEM)
                return r;
        if (r < 0) {
                fail(round, lease, r);
                return 0;
        }
        /* ask_helpers() marks the entries of the new list again. */
        for (size_t i = 0; i < round->leases->n_items; i++)
                if (streq(round->leases->items[i]->helper, store->helper))
                        round->leases->items[i]->listed = false;
        answered(settings, round, lease, &none, 0);
        return 0;
}

static void explain_store(const CredentialStore *store, const Lease *lease, Problems *problems) {
        problems_add(problems, LOG_ERR,
                     "%s: docker-credential-%s list: %s; the entries that the environment file has stay%s. By hand: "
                     "docker-credential-%s list",
                     store->source, store->helper, helper_strerror(lease->error), helper_network_hint(lease->error),
                     store->helper);
}

static bool store_is_due(const HelperRound *round, const Lease *lease) {
        return round->ask == ASK_ALL || lease_is_due(lease, round->now);
}

/* call: NULL where it was not asked. */
static int take_store(const CredentialSettings *settings, HelperRound *round, Lease *lease, const HelperCall *call,
                      const CredentialStore *store, Credentials *c, Problems *problems) {
        int r = 0;

        if (call)
                r = take_list(settings, round, call, lease, store, c, problems);
        if (r >= 0 && (!call || lease->failures > 0))
                r = list_from_leases(settings, round, store, c);
        if (r < 0)
                return r;

        note_next(round, !call && store_is_due(round, lease) ? round->now : lease->due);
        if (lease->failures > 0)
                explain_store(store, lease, problems);
        if (lease->failures > 0 || (!call && !lease->answered))
                c->incomplete = true;
        return 0;
}

int ask_stores(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems) {
        const size_t n = c->n_stores;
        _cleanup_free_ HelperCall *calls = calloc(n + 1, sizeof(HelperCall));
        _cleanup_free_ Lease **leases = calloc(n + 1, sizeof(Lease *));
        _cleanup_free_ char *home = home_directory();
        size_t n_calls = 0, next = 0;
        int r = calls && leases && home ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < n; i++) {
                r = name_lease(settings, round, "", c->stores[i].helper,
                               (LeaseTerms){.key = "", .source = c->stores[i].source}, &leases[i]);
                if (r >= 0 && round->ask != ASK_NOBODY && store_is_due(round, leases[i]))
                        calls[n_calls++] = (HelperCall){.helper = c->stores[i].helper, .verb = "list", .input = ""};
        }
        if (r < 0)
                return r;

        run_helpers(settings, round, calls, n_calls, home);
        for (size_t i = 0; r >= 0 && i < n; i++) {
                bool asked = next < n_calls && streq(calls[next].helper, c->stores[i].helper);

                r = take_store(settings, round, leases[i], asked ? &calls[next] : NULL, &c->stores[i], c, problems);
                next += asked;
        }
        helper_calls_done(calls, n_calls);
        return r;
}

/* --- helpers --- */

static const char *explain_error(int error) {
        if (error == -ECANCELED)
                return "what it gave could not be written";
        return error == -EKEYEXPIRED ? "what it gives has ended already" : helper_strerror(error);
}

static void explain_failure(const Credential *c, const Lease *lease, Problems *problems) {
        char consequence[PROBLEM_TEXT_MAX] = "an entry that the environment file has for it stays";

        if (credential_is_usable(c)) {
                (void) snprintf(consequence, sizeof(consequence), "the credentials in the file itself are used");
        } else if (lease->error == -ENOKEY) {
                char advice[PROBLEM_TEXT_MAX / 2];

                credfile_advise_login(c, advice, sizeof(advice));
                (void) snprintf(consequence, sizeof(consequence), "none are used. %s", advice);
        }

        problems_add(problems, lease->error == -ENOKEY ? LOG_WARNING : LOG_ERR,
                     "%s: the credentials of %s from docker-credential-%s: %s; %s%s. By hand (this prints the secret): "
                     "echo %s | docker-credential-%s get",
                     c->source, c->key, c->helper, explain_error(lease->error), consequence,
                     helper_network_hint(lease->error), c->key, c->helper);
}

static void warn_of_short_lease(const Credential *c, const Lease *lease, Problems *problems) {
        /* As of its answer: when it is due may be the pause after a failure, or a login since. */
        const int64_t length = lease_used_of(lease->end - lease->given);
        char every[TIMESPAN_MAX];

        if (lease->end == 0 || lease->failures > 0 || length >= SHORT_LEASE_USEC)
                return;
        timespan_format(every, sizeof(every), (uint64_t) ((length / MINUTE_USEC + 1) * MINUTE_USEC));
        problems_add(
                problems, LOG_WARNING,
                "%s: what docker-credential-%s gives for %s is good for so short a time that the agent is restarted "
                "every %s; have it give tokens that last longer, or raise HelperLifetime= if that is what ends them",
                c->source, c->helper, c->key, every);
}

/* Sets the secrets of c, which is empty, to the answer of "get". */
static int take_answer(Credential *c, const HelperCall *call, int64_t now, int64_t *ret_end) {
        _cleanup_secret_ char *username = NULL, *secret = NULL;
        int64_t end = 0;
        int r;

        if (call->error < 0)
                return call->error;
        r = helper_parse_get(call->output, &username, &secret);
        if (r < 0)
                return r;
        r = jwt_expiry(secret, &end);
        if (r == -ENOMEM)
                return r;
        if (r >= 0)
                end *= (int64_t) USEC_PER_SEC;
        if (end > 0 && end <= now)
                return -EKEYEXPIRED;

        if (streq(username, "<token>")) {
                c->identity_token = STEAL_POINTER(secret);
        } else {
                c->username = STEAL_POINTER(username);
                c->password = STEAL_POINTER(secret);
        }
        *ret_end = end;
        return 0;
}

/* An answer, or that there is none (any more), or a failure. */
static int conclude(const CredentialSettings *settings, const HelperRound *round, Lease *lease,
                    const HelperCall *call) {
        static const Digest none;
        int64_t end = 0, lifetime;
        Credential answer;
        Digest digest;
        int r;

        lease_begin(lease);
        r = take_answer(&lease->answer, call, round->now, &end);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOKEY) {
                answered(settings, round, lease, &none, 0);
                lease->error = r;
                return 0;
        }
        if (r < 0) {
                fail(round, lease, r);
                return 0;
        }

        answer = lease->answer;
        answer.registry = lease->registry;
        r = credential_digest(&answer, round->key, &digest);
        if (r < 0)
                return r;
        lifetime = (int64_t) helper_lifetime_usec(settings, lease->registry);
        if (end == 0 && lifetime > 0)
                end = round->now + lifetime;
        answered(settings, round, lease, &digest, end);
        return 0;
}

static bool has_digest(const HelperRound *round, const Credential *c, const Digest *expected) {
        Digest digest;

        return c && credential_digest(c, round->key, &digest) >= 0 && digest_equal(&digest, expected);
}

static bool answered_with(const HelperRound *round, const Lease *lease, const Credential *c) {
        return has_digest(round, c, &lease->digest);
}

static bool has_answer(const Lease *lease) {
        return lease_has_answered(lease) && lease->failures == 0;
}

/* What the helper gave is not in the environment file any more. */
static bool is_lost(const HelperRound *round, const Lease *lease) {
        return round->current && has_answer(lease) && !lease->fresh &&
               !answered_with(round, lease, credentials_find(round->current, lease->registry));
}

/* Its answer would not count: what stands in the environment file stays, as a file that cannot be read now may have
 * said so. Not if it is an answer of this helper. */
static bool is_no_use(const HelperRound *round, const Credential *c, const Lease *lease) {
        const Credential *current = round->current ? credentials_find(round->current, c->registry) : NULL;

        if (!c->yields || (round->current && !current))
                return false;
        /* One that is new is not there yet. */
        if (lease->fresh)
                return !lease->before.answered || !has_digest(round, current, &lease->before.digest);
        return !lease_has_answered(lease) || !answered_with(round, lease, current);
}

static bool is_due(HelperRound *round, const Lease *lease) {
        int64_t restore = lease->asked + lease_restore_pause(lease);

        if (round->ask == ASK_ALL || lease_is_due(lease, round->now))
                return true;
        if (!is_lost(round, lease))
                return false;
        if (round->now >= restore)
                return true;
        note_next(round, restore);
        return false;
}

/* The lease of each entry that names a helper, and which of them are to be asked. */
typedef struct Question {
        size_t item;
        Lease *lease;
        bool useless; /* not asked, even if it is due */
        bool due;
        bool asked;
} Question;

static size_t count_helpers(const Credentials *c) {
        size_t n = 0;

        for (size_t i = 0; i < c->n_items; i++)
                n += c->items[i]->helper != NULL;
        return n;
}

/* What more say than can be written is no use: nobody is kept busy with it. */
static void explain_too_many(const Credentials *c, Problems *problems) {
        const size_t n = count_helpers(c);
        size_t i = 0;

        if (n <= HELPERS_MAX)
                return;
        while (!c->items[i]->helper)
                i++;
        problems_add(
                problems, LOG_ERR,
                "%s: credential helpers have %zu registries, and a line of the environment file has room for %d at "
                "most; none is asked, and what the environment file has for them stays. Take registries out of it, "
                "or set Exclude=",
                c->items[i]->source, n, HELPERS_MAX);
}

static int collect_questions(const CredentialSettings *settings, HelperRound *round, Credentials *c, Question *ret,
                             size_t *ret_n) {
        const bool too_many = count_helpers(c) > HELPERS_MAX;
        size_t n = 0;
        int r;

        for (size_t i = 0; i < c->n_items; i++) {
                Credential *item = c->items[i];
                Question *q = &ret[n];
                Lease *lease;

                if (!item->helper)
                        continue;
                *q = (Question){.item = i};
                r = name_lease(settings, round, item->registry, item->helper,
                               (LeaseTerms){.key = item->key,
                                            .source = item->source,
                                            .listed = item->listed,
                                            .entered = item->entered},
                               &q->lease);
                if (r < 0)
                        return r;
                lease = q->lease;
                q->useless = too_many || is_no_use(round, item, lease);
                q->due = !q->useless && is_due(round, lease);
                q->asked = q->due && round->ask != ASK_NOBODY;
                if (!q->useless)
                        item->yields = false;
                if (q->asked)
                        lease->restored =
                                lease_is_due(lease, round->now) || round->ask == ASK_ALL ? 0 : lease->restored + 1;
                n++;
        }
        *ret_n = n;
        return 0;
}

static void explain_lost(const Credential *c, const Lease *lease, Problems *problems) {
        problems_add(problems, LOG_ERR,
                     "%s: what docker-credential-%s gave for %s was taken out of the environment file by somebody; it "
                     "is asked again within %lld s",
                     c->source, lease->helper, c->key,
                     (long long) (lease_restore_pause(lease) / (int64_t) USEC_PER_SEC));
}

/* call: NULL where it was not asked. */
static int take_one(const CredentialSettings *settings, HelperRound *round, Credential *item, Lease *lease,
                    const Question *q, const HelperCall *call, Problems *problems) {
        int r = 0;

        if (call)
                r = conclude(settings, round, lease, call);
        /* The secret that stands beside a helper in the file is older than what that has given, or is about to give. */
        if (r >= 0 && ((q->due && !call) || ((!call || lease->failures > 0) && lease_has_answered(lease))))
                credential_forget_secrets(item);
        if (r >= 0 && lease->fresh && has_answer(lease))
                r = credential_copy_secrets(item, &lease->answer);
        if (r < 0)
                return r;

        if (!q->useless)
                note_next(round, q->due && !call ? round->now : lease->due);
        if (lease->failures > 0 || lease->error == -ENOKEY)
                explain_failure(item, lease, problems);
        else if (!call && !q->useless && is_lost(round, lease))
                explain_lost(item, lease, problems);
        if (lease->fresh && lease->failures == 0)
                credfile_check_newline(item, problems);
        warn_of_short_lease(item, lease, problems);
        return 0;
}

static int take_answers(const CredentialSettings *settings, HelperRound *round, Credentials *c,
                        const Question *questions, size_t n, const HelperCall *calls, Problems *problems) {
        size_t n_calls = 0;
        int r = 0;

        for (size_t i = 0; r >= 0 && i < n; i++)
                r = take_one(settings, round, c->items[questions[i].item], questions[i].lease, &questions[i],
                             questions[i].asked ? &calls[n_calls++] : NULL, problems);
        return r;
}

/* It says that there is nothing (any more): as good as no entry. One that is about to be asked may say otherwise. */
static void remove_empty(Credentials *c, const Question *questions, size_t n) {
        for (size_t i = n; i-- > 0;)
                if (questions[i].lease->error == -ENOKEY && (questions[i].asked || !questions[i].due) &&
                    !credential_is_usable(c->items[questions[i].item]))
                        credentials_remove(c, questions[i].item);
}

int ask_helpers(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems) {
        _cleanup_free_ Question *questions = calloc(c->n_items + 1, sizeof(Question));
        _cleanup_free_ HelperCall *calls = calloc(c->n_items + 1, sizeof(HelperCall));
        _cleanup_free_ char *home = home_directory();
        size_t n = 0, n_calls = 0;
        int r;

        if (!questions || !calls || !home)
                return -ENOMEM;
        explain_too_many(c, problems);
        r = collect_questions(settings, round, c, questions, &n);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n; i++)
                if (questions[i].asked)
                        calls[n_calls++] = (HelperCall){.helper = c->items[questions[i].item]->helper,
                                                        .verb = "get",
                                                        .input = c->items[questions[i].item]->key};
        run_helpers(settings, round, calls, n_calls, home);
        r = take_answers(settings, round, c, questions, n, calls, problems);
        helper_calls_done(calls, n_calls);
        if (r >= 0)
                remove_empty(c, questions, n);
        return r;
}
