/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/gather.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/directories.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/timespan.h"
#include "credentials/credential-file.h"
#include "credentials/key-coverage.h"
#include "credentials/registry-name.h"
#include "credentials/run-helpers.h"

/* A login to a registry whose secret a helper keeps writes the credential file anew, and nothing in it changes. The
 * first has the helper asked at once; of several within this time the last one counts, too. */
#define LOGIN_USEC ((int64_t) (30 * USEC_PER_SEC))

/* How long after its helper was last run an unnamed lease is kept: a broken file or store may name it, or a file of
 * another ecs-authd. */
#define UNNAMED_USEC ((int64_t) (30 * 86400 * USEC_PER_SEC))

/* Whose lease is shorter has the agent restarted more often than anybody wants. */
#define MINUTE_USEC ((int64_t) (60 * USEC_PER_SEC))
#define SHORT_LEASE_USEC (30 * MINUTE_USEC)

enum {
        /* Of a line of the environment file (131071 bytes, execve(2)) the shortest entry takes 20. */
        HELPERS_MAX = 131071 / 20,
};

/* --- files --- */

static int64_t login_due(FileMark *mark, int64_t now) {
        if (mark->login > now && mark->login <= now + LOGIN_USEC)
                return mark->login; /* it is on its way already */
        mark->login = mark->login <= now && mark->login + LOGIN_USEC > now ? mark->login + LOGIN_USEC : now;
        return mark->login;
}

static void note_stamp(HelperRound *round, const char *path, const CredFileStamp *stamp) {
        FileMark *mark = leases_mark(round->leases, path);
        const bool written_again = digest_equal(&mark->stamp.digest, &stamp->digest) &&
                                   (mark->stamp.inode != stamp->inode || mark->stamp.mtime_nsec != stamp->mtime_nsec);
        int64_t due;

        mark->stamp = *stamp;
        if (!written_again)
                return;

        due = login_due(mark, round->now);
        for (size_t i = 0; i < round->leases->n_items; i++)
                if (streq(round->leases->items[i]->source, path))
                        lease_bring_forward(round->leases->items[i], due, round->now);
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
                        note_stamp(round, *file, &stamp);
                else if (found.n_items > 0)
                        tell_what_stays(round, &found);
                problems_append(problems, &found);
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

/* --- how long an answer is good --- */

enum {
        CLAIMS_MAX = 64 * 1024,
};

/* Later than anybody means (the year 33658), and still a number of microseconds. */
#define SECONDS_MAX 1e12

int jwt_expiry(const char *token, int64_t *ret_sec) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        _cleanup_secret_ char *text = NULL, *claims = NULL;
        _cleanup_json_ json_object *o = NULL;
        const char *start = strchr(token, '.');
        json_object *exp;
        size_t n;
        int r;

        if (!start)
                return -ENODATA;
        n = strspn(++start, alphabet);
        if (n == 0 || n > CLAIMS_MAX || n % 4 == 1 || start[n] != '.')
                return -ENODATA;

        text = xmemory(secret_dup(start, n));
        if (credfile_decode_base64(text, &claims) < 0)
                return -ENODATA;
        r = json_parse_strict(claims, strlen(claims), 0, &o, NULL, NULL);
        if (r < 0)
                return -ENODATA;
        /* NumericDate: it may have a fraction. */
        exp = json_get(o, "exp", json_type_int);
        if (!exp)
                exp = json_get(o, "exp", json_type_double);
        if (!exp || json_object_get_double(exp) < 1 || json_object_get_double(exp) > SECONDS_MAX)
                return -ENODATA;
        *ret_sec = json_object_get_int64(exp);
        return 0;
}

/* How much a pattern says: counts characters that stand for themselves, and those that do not. */
static void weigh(const char *pattern, size_t *literal, size_t *wild) {
        for (const char *s = pattern; *s; s++) {
                const char *end = *s == '[' && s[1] ? strchr(s + 2, ']') : NULL;

                if (end)
                        s = end;
                if (end || *s == '*' || *s == '?') {
                        (*wild)++;
                        continue;
                }
                if (*s == '\\' && s[1])
                        s++;
                (*literal)++;
        }
}

uint64_t helper_lifetime_usec(const CredentialSettings *settings, const char *registry) {
        const HelperLifetimes *list = &settings->helper_lifetimes;
        size_t best_literal = 0, best_wild = 0;
        const HelperLifetime *best = NULL;

        for (size_t i = 0; i < list->n_items; i++) {
                const HelperLifetime *item = &list->items[i];
                size_t literal = 0, wild = 0;

                /* Less than any pattern. */
                if (!item->pattern)
                        wild = SIZE_MAX;
                else if (!registry_matches(registry, item->pattern))
                        continue;
                else
                        weigh(item->pattern, &literal, &wild);

                if (best && (literal < best_literal || (literal == best_literal && wild > best_wild)))
                        continue;
                best = item;
                best_literal = literal;
                best_wild = wild;
        }
        return best ? best->usec : 0;
}

/* --- why a helper may fail --- */

enum {
        PORT_DISCARD = 9,
};

/* An empty packet to all hosts, by way of the loopback interface and with no hop to go: it never leaves this one. The
 * filter of the unit's control group sees an address that is not localhost, and refuses it. */
static bool is_denied(void) {
        const struct sockaddr_in all_hosts = {.sin_family = AF_INET,
                                              .sin_port = htons(PORT_DISCARD),
                                              .sin_addr.s_addr = htonl(INADDR_ALLHOSTS_GROUP)};
        const struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const unsigned char no_hop = 0;

        return fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &no_hop, sizeof(no_hop)) >= 0 &&
               setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof(loopback)) >= 0 &&
               sendto(fd, "", 0, 0, (const struct sockaddr *) &all_hosts, sizeof(all_hosts)) < 0 && errno == EPERM;
}

const char *helper_network_hint(int error) {
        if ((error != -ETIMEDOUT && error != -EPROTO) || !is_denied())
                return "";
        return ". It has no network here but this host: ecs-authd(8), PRIVILEGES";
}

/* --- leases --- */

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

static Digest digest_of(const DigestKey *key, const void *data, size_t size) {
        Digest digest;

        if (digest_compute(key, data, size, &digest) < 0)
                memory_exhausted();
        return digest;
}

/* The words of the settings that an answer depends on, as they stand there: what our own environment has for a NAME
 * differs between a service and a shell. They may be secret. */
static Digest digest_settings(const CredentialSettings *settings, const DigestKey *key, const char *registry) {
        uint64_t times[] = {settings->refresh_usec, helper_lifetime_usec(settings, registry)};
        Digest digest = digest_of(key, times, sizeof(times));

        for (char **word = settings->helper_environment; word && *word; word++) {
                const Digest both[2] = {digest, digest_of(key, *word, strlen(*word))};

                digest = digest_of(key, both, sizeof(both));
        }
        return digest;
}

/* The pause after a helper that failed, and took its time, begins when that is over. */
static void run_helpers(const CredentialSettings *settings, HelperRound *round, HelperCall *calls, size_t n) {
        _cleanup_free_ char *home = xmemory(home_directory());
        int64_t before = clock_usec(CLOCK_MONOTONIC);

        helper_run(calls, n, home, settings->helper_environment, settings->helper_timeout_usec);
        if (n > 0)
                round->took += clock_usec(CLOCK_MONOTONIC) - before;
}

/* The lease of what a file or store names in this round. terms: but for the settings. */
static Lease *name_lease(const CredentialSettings *settings, const HelperRound *round, const char *registry,
                         const char *helper, LeaseTerms terms) {
        Lease *lease = leases_add(round->leases, registry, helper);

        terms.settings = digest_settings(settings, round->key, registry);
        lease_describe(lease, &terms);
        lease->named = true;
        return lease;
}

/* --- stores --- */

/* As the store said when it was last asked. */
static void list_from_leases(const CredentialSettings *settings, const HelperRound *round, const CredentialStore *store,
                             Credentials *c) {
        for (size_t i = 0; i < round->leases->n_items; i++) {
                const Lease *l = round->leases->items[i];
                _cleanup_(credential_done) Credential entry = {0};

                if (!l->listed || !streq(l->helper, store->helper) || credentials_find(c, l->registry) ||
                    registry_is_docker_own(l->registry) || registry_is_excluded(l->registry, settings->exclude))
                        continue;
                entry = (Credential){.registry = xstrdup(l->registry),
                                     .key = xstrdup(l->key),
                                     .source = xstrdup(store->source),
                                     .helper = xstrdup(store->helper),
                                     .listed = true,
                                     .yields = store->yields};
                credentials_put(c, &entry);
        }
}

static void take_list(const CredentialSettings *settings, HelperRound *round, const HelperCall *call, Lease *lease,
                      const CredentialStore *store, Credentials *c, Problems *problems) {
        static const Digest none;
        int r = call->error;

        lease_begin(lease);
        if (r >= 0)
                r = credfile_parse_list(c, store, call->output, settings->exclude, problems);
        if (r < 0) {
                fail(round, lease, r);
                return;
        }
        /* ask_helpers() marks the entries of the new list again. */
        for (size_t i = 0; i < round->leases->n_items; i++)
                if (streq(round->leases->items[i]->helper, store->helper))
                        round->leases->items[i]->listed = false;
        answered(settings, round, lease, &none, 0);
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
static void take_store(const CredentialSettings *settings, HelperRound *round, Lease *lease, const HelperCall *call,
                       const CredentialStore *store, Credentials *c, Problems *problems) {
        if (call)
                take_list(settings, round, call, lease, store, c, problems);
        if (!call || lease->failures > 0)
                list_from_leases(settings, round, store, c);
        note_next(round, !call && store_is_due(round, lease) ? round->now : lease->due);
        if (lease->failures > 0)
                explain_store(store, lease, problems);
        if (lease->failures > 0 || (!call && !lease->answered))
                c->incomplete = true;
}

/* Adds the registries that the stores have credentials for, as they answer or last answered. */
static void ask_stores(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems) {
        const size_t n = c->n_stores;
        _cleanup_free_ HelperCall *calls = xcalloc(n + 1, sizeof(HelperCall));
        _cleanup_free_ Lease **leases = xcalloc(n + 1, sizeof(Lease *));
        size_t n_calls = 0, next = 0;

        for (size_t i = 0; i < n; i++) {
                leases[i] = name_lease(settings, round, "", c->stores[i].helper,
                                       (LeaseTerms){.key = "", .source = c->stores[i].source});
                if (round->ask != ASK_NOBODY && store_is_due(round, leases[i]))
                        calls[n_calls++] = (HelperCall){.helper = c->stores[i].helper, .verb = "list", .input = ""};
        }
        run_helpers(settings, round, calls, n_calls);
        for (size_t i = 0; i < n; i++) {
                bool asked = next < n_calls && streq(calls[next].helper, c->stores[i].helper);

                take_store(settings, round, leases[i], asked ? &calls[next] : NULL, &c->stores[i], c, problems);
                next += asked;
        }
        helper_calls_done(calls, n_calls);
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
        if (jwt_expiry(secret, &end) >= 0)
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
static void conclude(const CredentialSettings *settings, const HelperRound *round, Lease *lease,
                     const HelperCall *call) {
        static const Digest none;
        int64_t end = 0, lifetime;
        Credential answer;
        Digest digest;
        int r;

        lease_begin(lease);
        r = take_answer(&lease->answer, call, round->now, &end);
        if (r == -ENOKEY) {
                answered(settings, round, lease, &none, 0);
                lease->error = r;
                return;
        }
        if (r < 0) {
                fail(round, lease, r);
                return;
        }

        answer = lease->answer;
        answer.registry = lease->registry;
        credential_digest(&answer, round->key, &digest);
        lifetime = (int64_t) helper_lifetime_usec(settings, lease->registry);
        if (end == 0 && lifetime > 0)
                end = round->now + lifetime;
        answered(settings, round, lease, &digest, end);
}

static bool has_digest(const HelperRound *round, const Credential *c, const Digest *expected) {
        Digest digest;

        if (!c)
                return false;
        credential_digest(c, round->key, &digest);
        return digest_equal(&digest, expected);
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

/* Returns the number of questions. */
static size_t collect_questions(const CredentialSettings *settings, HelperRound *round, Credentials *c, Question *ret) {
        const bool too_many = count_helpers(c) > HELPERS_MAX;
        size_t n = 0;

        for (size_t i = 0; i < c->n_items; i++) {
                Credential *item = c->items[i];
                Question *q = &ret[n];
                Lease *lease;

                if (!item->helper)
                        continue;
                lease = name_lease(settings, round, item->registry, item->helper,
                                   (LeaseTerms){.key = item->key,
                                                .source = item->source,
                                                .listed = item->listed,
                                                .entered = item->entered});
                *q = (Question){.item = i, .lease = lease};
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
        return n;
}

static void explain_lost(const Credential *c, const Lease *lease, Problems *problems) {
        problems_add(problems, LOG_ERR,
                     "%s: what docker-credential-%s gave for %s was taken out of the environment file by somebody; it "
                     "is asked again within %lld s",
                     c->source, lease->helper, c->key,
                     (long long) (lease_restore_pause(lease) / (int64_t) USEC_PER_SEC));
}

/* call: NULL where it was not asked. */
static void take_one(const CredentialSettings *settings, HelperRound *round, Credential *item, const Question *q,
                     const HelperCall *call, Problems *problems) {
        Lease *lease = q->lease;

        if (call)
                conclude(settings, round, lease, call);
        /* The secret that stands beside a helper in the file is older than what that has given, or is about to give. */
        if ((q->due && !call) || ((!call || lease->failures > 0) && lease_has_answered(lease)))
                credential_forget_secrets(item);
        /* Docker pulls without credentials then, although the file has some. */
        if (lease->error == -ENOKEY)
                credential_forget_secrets(item);
        if (lease->fresh && has_answer(lease))
                credential_copy_secrets(item, &lease->answer);

        if (!q->useless)
                note_next(round, q->due && !call ? round->now : lease->due);
        if (lease->failures > 0 || lease->error == -ENOKEY)
                explain_failure(item, lease, problems);
        else if (!call && !q->useless && is_lost(round, lease))
                explain_lost(item, lease, problems);
        if (lease->fresh && lease->failures == 0)
                credfile_check_newline(item, problems);
        warn_of_short_lease(item, lease, problems);
}

/* It says that there is nothing (any more): as good as no entry. One that is about to be asked may say otherwise. */
static void remove_empty(Credentials *c, const Question *questions, size_t n) {
        for (size_t i = n; i-- > 0;)
                if (questions[i].lease->error == -ENOKEY && (questions[i].asked || !questions[i].due) &&
                    !credential_is_usable(c->items[questions[i].item]))
                        credentials_remove(c, questions[i].item);
}

/* Sets the secrets of the entries that name a helper. An entry without an answer gets no secret: the environment file
 * keeps its current entry. */
static void ask_helpers(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems) {
        _cleanup_free_ Question *questions = xcalloc(c->n_items + 1, sizeof(Question));
        _cleanup_free_ HelperCall *calls = xcalloc(c->n_items + 1, sizeof(HelperCall));
        size_t n, n_calls = 0, next = 0;

        explain_too_many(c, problems);
        n = collect_questions(settings, round, c, questions);
        for (size_t i = 0; i < n; i++)
                if (questions[i].asked)
                        calls[n_calls++] = (HelperCall){.helper = c->items[questions[i].item]->helper,
                                                        .verb = "get",
                                                        .input = c->items[questions[i].item]->key};
        run_helpers(settings, round, calls, n_calls);
        for (size_t i = 0; i < n; i++)
                take_one(settings, round, c->items[questions[i].item], &questions[i],
                         questions[i].asked ? &calls[next++] : NULL, problems);
        helper_calls_done(calls, n_calls);
        remove_empty(c, questions, n);
}

/* --- all of them --- */

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

        if (lease->named)
                return true;
        for (char **file = s->settings->files; *file && !s->credentials->incomplete; file++)
                if (streq(lease->source, *file))
                        return false;
        return s->now < lease->asked + UNNAMED_USEC;
}

int gather_credentials(const CredentialSettings *settings, HelperRound *round, Credentials *ret, Problems *problems) {
        _cleanup_(credentials_done) Credentials c = {0};
        int r;

        for (size_t i = 0; i < round->leases->n_items; i++)
                round->leases->items[i]->named = false;
        r = load_files(settings, round, &c, problems);
        if (r < 0)
                return r;
        ask_stores(settings, round, &c, problems);
        remove_marks(&c);
        key_coverage_remove_useless(&c, round->useless, problems);
        credentials_sort(&c);
        ask_helpers(settings, round, &c, problems);
        leases_prune(round->leases, is_wanted, &(Sources){.settings = settings, .credentials = &c, .now = round->now});
        /* With no helper nobody needs to know when a file was written. */
        if (round->leases->n_items == 0)
                leases_done(round->leases);

        credentials_sort(&c);
        *ret = c;
        c = (Credentials){0};
        return 0;
}
