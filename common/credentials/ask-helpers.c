/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/ask-helpers.h"

#include <time.h>

#include "base/directories.h"
#include "base/secret.h"
#include "credentials/credential-file.h"
#include "credentials/run-helpers.h"
#include "credentials/helper-lifetime.h"
#include "credentials/token-expiry.h"

/* An answer that somebody took out of the environment file is asked for again, and not at once: a tool that rewrites
 * the file all the time would have the helper asked all the time. */
#define RESTORE_USEC ((int64_t) (5 * USEC_PER_SEC))

/* Whose lease is shorter has the agent restarted more often than anybody wants. */
#define SHORT_LEASE_USEC ((int64_t) (30 * 60 * USEC_PER_SEC))

static void note_next(HelperRound *round, int64_t when) {
        if (when > 0 && (round->next == 0 || when < round->next))
                round->next = when;
}

static int fail(const HelperRound *round, Lease *lease, int error, const char *complaint) {
        int r = lease_failed(lease, error, complaint, round->now + round->took);

        lease->asked = round->now;
        return r;
}

/* The pause after a helper that failed, and took its time, begins when that is over. */
static void run_helpers(const CredentialSettings *settings, HelperRound *round, HelperCall *calls, size_t n,
                        const char *home) {
        struct timespec before = {0}, after = {0};

        (void) clock_gettime(CLOCK_MONOTONIC, &before);
        helper_run(calls, n, home, settings->helper_environment, settings->helper_timeout_usec);
        (void) clock_gettime(CLOCK_MONOTONIC, &after);
        if (n > 0)
                round->took += (int64_t) (after.tv_sec - before.tv_sec) * (int64_t) USEC_PER_SEC +
                               (after.tv_nsec - before.tv_nsec) / 1000;
}

/* --- stores --- */

/* As the store said when it was last asked. */
static int list_from_leases(const HelperRound *round, const CredentialStore *store, Credentials *c) {
        for (size_t i = 0; i < round->leases->n_items; i++) {
                const Lease *l = &round->leases->items[i];
                _cleanup_(credential_done) Credential entry = {0};
                int r;

                if (!l->listed || !streq(l->helper, store->helper) || credentials_find(c, l->registry))
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

        if (r >= 0)
                r = credfile_parse_list(c, store, call->output, problems);
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return fail(round, lease, r, call->complaint);
        lease_answered(lease, &none, 0, (int64_t) settings->refresh_usec, round->now);
        return 0;
}

static void explain_store(const CredentialStore *store, const Lease *lease, Problems *problems) {
        problems_add(problems, LOG_ERR,
                     "%s: docker-credential-%s list: %s%s%s; the entries that the environment file has stay",
                     store->source, store->helper, helper_strerror(lease->error),
                     str_empty(lease->complaint) ? "" : ": ", lease->complaint);
}

static int ask_store(const CredentialSettings *settings, HelperRound *round, const char *home,
                     const CredentialStore *store, Credentials *c, Problems *problems) {
        Lease *lease = leases_add(round->leases, "", store->helper);
        int r;

        if (!lease || lease_describe(lease, "", store->source, false) < 0)
                return -ENOMEM;
        lease->named = true;
        if (round->ask_all || lease_is_due(lease, round->now)) {
                HelperCall call = {.helper = store->helper, .verb = "list", .input = ""};

                run_helpers(settings, round, &call, 1, home);
                r = take_list(settings, round, &call, lease, store, c, problems);
                helper_calls_done(&call, 1);
                if (r < 0)
                        return r;
        } else if (lease->failures == 0) {
                r = list_from_leases(round, store, c);
                if (r < 0)
                        return r;
        }

        note_next(round, lease->due);
        if (lease->failures == 0)
                return 0;
        c->incomplete = true;
        explain_store(store, lease, problems);
        return list_from_leases(round, store, c);
}

int ask_stores(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems) {
        _cleanup_free_ char *home = home_directory();
        int r = home ? 0 : -ENOMEM;

        for (size_t i = 0; r >= 0 && i < c->n_stores; i++)
                r = ask_store(settings, round, home, &c->stores[i], c, problems);
        return r;
}

/* --- helpers --- */

static const char *explain_error(int error) {
        if (error == -ECANCELED)
                return "what it gave could not be written";
        return error == -EKEYEXPIRED ? "what it gives has ended already" : helper_strerror(error);
}

static void explain_failure(const Credential *c, const Lease *lease, Problems *problems) {
        const char *consequence = credential_is_usable(c)   ? "the ones that stand in the file itself are used"
                                  : lease->error == -ENOKEY ? "none are used. Run 'docker login' for it"
                                                            : "the entry that the environment file has for it stays";

        problems_add(problems, lease->error == -ENOKEY ? LOG_WARNING : LOG_ERR,
                     "%s: the credentials of %s from docker-credential-%s: %s%s%s; %s. By hand: echo %s | "
                     "docker-credential-%s get",
                     c->source, c->key, c->helper, explain_error(lease->error), str_empty(lease->complaint) ? "" : ": ",
                     lease->complaint, consequence, c->key, c->helper);
}

static void warn_of_short_lease(const Credential *c, const Lease *lease, Problems *problems) {
        /* As of its answer: when it is due may be the pause after a failure, or a login since. */
        int64_t length = (lease->end - lease->asked) / 3 * 2;

        if (lease->end == 0 || lease->failures > 0 || length >= SHORT_LEASE_USEC)
                return;
        problems_add(
                problems, LOG_WARNING,
                "%s: what docker-credential-%s gives for %s is good for so short that the agent is restarted every %lld "
                "minutes; have it give tokens that last longer, or set HelperLifetime= if it says so too strictly",
                c->source, c->helper, c->key, (long long) (length / 60 / (int64_t) USEC_PER_SEC) + 1);
}

static void forget_secrets(Credential *c) {
        c->username = secret_free(c->username);
        c->password = secret_free(c->password);
        c->identity_token = secret_free(c->identity_token);
}

/* The answer of "get" in place of what the file itself has. */
static int take_answer(Credential *c, const HelperCall *call, int64_t now, int64_t *ret_end) {
        _cleanup_secret_ char *username = NULL, *secret = NULL;
        int64_t end = 0;
        int r;

        if (call->error < 0)
                return call->error;
        r = helper_parse_get(call->output, &username, &secret);
        if (r < 0)
                return r;
        if (jwt_expiry(secret, &end) >= 0)
                end *= (int64_t) USEC_PER_SEC;
        if (end > 0 && end <= now)
                return -EKEYEXPIRED;

        forget_secrets(c);
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
static int conclude(const CredentialSettings *settings, const HelperRound *round, Credential *c, Lease *lease,
                    const HelperCall *call) {
        static const Digest none;
        int64_t end = 0, lifetime;
        Digest digest;
        int r;

        lease->fresh = true;
        lease->failures_before = lease->failures;
        r = take_answer(c, call, round->now, &end);
        if (r == -ENOMEM)
                return r;
        if (r == -ENOKEY) {
                lease_answered(lease, &none, 0, (int64_t) settings->refresh_usec, round->now);
                lease->error = r;
                return 0;
        }
        if (r < 0)
                return fail(round, lease, r, call->complaint);

        r = credential_digest(c, round->key, &digest);
        if (r < 0)
                return r;
        lifetime = (int64_t) helper_lifetime_usec(settings, c->registry);
        if (end == 0 && lifetime > 0)
                end = round->now + lifetime;
        lease_answered(lease, &digest, end, (int64_t) settings->refresh_usec, round->now);
        return 0;
}

/* What the helper gave is not in the environment file (any more). */
static bool is_lost(const HelperRound *round, const Lease *lease) {
        const Credential *current;
        Digest digest;

        if (!round->current || !lease->answered || lease->failures > 0 || lease->error == -ENOKEY)
                return false;
        current = credentials_find(round->current, lease->registry);
        return !current || credential_digest(current, round->key, &digest) < 0 ||
               !digest_equal(&digest, &lease->digest);
}

/* Its answer would not count: what stands in the environment file stays. */
static bool is_no_use(const HelperRound *round, const Credential *c) {
        return c->yields && (!round->current || credentials_find(round->current, c->registry));
}

static bool has_to_be_asked(HelperRound *round, Lease *lease) {
        if (round->ask_all || lease_is_due(lease, round->now))
                return true;
        if (!is_lost(round, lease)) {
                lease->restored = false;
                return false;
        }
        /* Once: an answer that cannot be written is not asked for again and again. */
        if (lease->restored)
                return false;
        if (round->now < lease->asked + RESTORE_USEC) {
                note_next(round, lease->asked + RESTORE_USEC);
                return false;
        }
        lease->restored = true;
        return true;
}

/* The lease of each entry that names a helper, and which of them are to be asked. */
typedef struct Question {
        size_t item;
        size_t lease;
        bool useless; /* not asked, even if it is due */
        bool asked;
} Question;

static int collect_questions(HelperRound *round, const Credentials *c, Question *ret, size_t *ret_n) {
        size_t n = 0;

        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *item = &c->items[i];
                Lease *lease;

                if (!item->helper)
                        continue;
                lease = leases_add(round->leases, item->registry, item->helper);
                if (!lease || lease_describe(lease, item->key, item->source, item->listed) < 0)
                        return -ENOMEM;
                lease->named = true;
                ret[n] = (Question){
                        .item = i, .lease = (size_t) (lease - round->leases->items), .useless = is_no_use(round, item)};
                ret[n].asked = !ret[n].useless && has_to_be_asked(round, lease);
                n++;
        }
        *ret_n = n;
        return 0;
}

static int take_answers(const CredentialSettings *settings, HelperRound *round, Credentials *c,
                        const Question *questions, size_t n, const HelperCall *calls, Problems *problems) {
        size_t n_calls = 0;

        for (size_t i = 0; i < n; i++) {
                Credential *item = &c->items[questions[i].item];
                Lease *lease = &round->leases->items[questions[i].lease];
                int r = 0;

                if (questions[i].asked)
                        r = conclude(settings, round, item, lease, &calls[n_calls++]);
                else if (lease->failures == 0 && lease->error == 0)
                        forget_secrets(item);
                if (r < 0)
                        return r;

                if (!questions[i].useless)
                        note_next(round, lease->due);
                if (lease->failures > 0 || lease->error == -ENOKEY)
                        explain_failure(item, lease, problems);
                else if (questions[i].asked)
                        credfile_check_characters(item, problems);
                warn_of_short_lease(item, lease, problems);
        }
        return 0;
}

/* It says that there is nothing (any more): as good as no entry. */
static void remove_empty(const HelperRound *round, Credentials *c, const Question *questions, size_t n) {
        for (size_t i = n; i-- > 0;)
                if (round->leases->items[questions[i].lease].error == -ENOKEY &&
                    !credential_is_usable(&c->items[questions[i].item]))
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
        r = collect_questions(round, c, questions, &n);
        if (r < 0)
                return r;

        for (size_t i = 0; i < n; i++)
                if (questions[i].asked)
                        calls[n_calls++] = (HelperCall){.helper = c->items[questions[i].item].helper,
                                                        .verb = "get",
                                                        .input = c->items[questions[i].item].key};
        run_helpers(settings, round, calls, n_calls, home);
        r = take_answers(settings, round, c, questions, n, calls, problems);
        helper_calls_done(calls, n_calls);
        if (r >= 0)
                remove_empty(round, c, questions, n);
        return r;
}
