/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/gather.h"
#include "credentials/registry-name.h"

/* Root owns what a helper's PATH leads to. */
#define PROGRAM "/usr/local/bin/docker-credential-unit-lease"

#define SECONDS(n) ((int64_t) (n) * (int64_t) USEC_PER_SEC)
#define NOW SECONDS(1000000)

/* Another token at each call, and a line in the log, so that calls can be counted. What it does for a registry is said
 * by files in its directory. */
static const char script[] = "#!/bin/sh\n"
                             "read -r server\n"
                             "echo \"$1 $server\" >> \"$UNIT_DIRECTORY/log\"\n"
                             "n=$(wc -l < \"$UNIT_DIRECTORY/log\")\n"
                             "if [ \"$1\" = list ]; then cat \"$UNIT_DIRECTORY/list\"; exit; fi\n"
                             "if [ -e \"$UNIT_DIRECTORY/hang-$server\" ]; then exec sleep 100; fi\n"
                             "if [ -e \"$UNIT_DIRECTORY/fail-$server\" ]; then echo no luck >&2; exit 1; fi\n"
                             "if [ -e \"$UNIT_DIRECTORY/none-$server\" ]; then\n"
                             "echo credentials not found in native keychain; exit 1; fi\n"
                             "if [ -e \"$UNIT_DIRECTORY/jwt-$server\" ]; then\n"
                             "echo \"{\\\"Username\\\":\\\"<token>\\\",\\\"Secret\\\":\\\"$(cat "
                             "\"$UNIT_DIRECTORY/jwt-$server\")\\\"}\"; exit; fi\n"
                             "echo \"{\\\"Username\\\":\\\"user\\\",\\\"Secret\\\":\\\"secret-$n\\\"}\"\n";

static const DigestKey key = {{1}};

/* A host at some time of day; what is gathered goes into its environment file, as sync does it. */
typedef struct Host {
        void *directory;
        char *first, *second, *log, *environment[2];
        char *files[3];
        HelperLifetime lifetimes[2];
        CredentialSettings settings;
        Leases leases;
        Credentials current;
        int64_t now, next;
        Problems problems;
        bool ask_all, ask_nobody, incomplete;
} Host;

static char *format(const char *text, const char *value) {
        char *s = NULL;

        assert_true(asprintf(&s, "%s%s", text, value) > 0);
        return s;
}

static int set_up(void **state) {
        Host *h = calloc(1, sizeof(Host));

        if (!h || unit_make_directory(&h->directory) < 0)
                return -1;
        h->first = unit_path(h->directory, "first.json");
        h->second = unit_path(h->directory, "second.json");
        h->log = unit_path(h->directory, "log");
        h->environment[0] = format("UNIT_DIRECTORY=", h->directory);
        h->files[0] = h->first;
        h->now = NOW;
        h->settings = (CredentialSettings){.files = h->files,
                                           .refresh_usec = 3600 * USEC_PER_SEC,
                                           .helper_timeout_usec = 10 * USEC_PER_SEC,
                                           .helper_environment = h->environment};
        *state = h;
        if (!unit_may_install_programs())
                return 0;
        unit_write_file(PROGRAM, script);
        return chmod(PROGRAM, 0755);
}

static int tear_down(void **state) {
        Host *h = *state;

        (void) unlink(PROGRAM);
        leases_done(&h->leases);
        credentials_done(&h->current);
        free(h->first);
        free(h->second);
        free(h->log);
        free(h->environment[0]);
        (void) unit_remove_directory(&h->directory);
        free(h);
        return 0;
}

static void put(const Host *h, const char *name, const char *text) {
        _cleanup_free_ char *path = unit_path(h->directory, name);

        unit_write_file(path, text);
}

static void take_away(const Host *h, const char *name) {
        _cleanup_free_ char *path = unit_path(h->directory, name);

        assert_int_equal(unlink(path), 0);
}

/* Like gather(), but the leases keep the answers of the round before. */
static void gather_again(Host *h, Credentials *ret) {
        HelperRound round = {.key = &key,
                             .current = &h->current,
                             .now = h->now,
                             .ask = h->ask_all      ? ASK_ALL
                                    : h->ask_nobody ? ASK_NOBODY
                                                    : ASK_DUE,
                             .leases = &h->leases};

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */
        h->problems = (Problems){0};
        assert_int_equal(gather_credentials(&h->settings, &round, ret, &h->problems), 0);
        h->next = round.next;
        h->incomplete = ret->incomplete;
}

static void gather(Host *h, Credentials *ret) {
        for (size_t i = 0; i < h->leases.n_items; i++)
                h->leases.items[i]->fresh = false; /* as from its file */
        gather_again(h, ret);
}

/* One look, whose outcome is then what stands in the environment file. */
static void look(Host *h) {
        _cleanup_(credentials_done) Credentials found = {0}, merged = {0};

        gather(h, &found);
        credentials_copy(&found, &merged);
        for (size_t i = 0; i < h->current.n_items; i++) {
                const Credential *c = credentials_find(&merged, h->current.items[i]->registry);

                if (c ? credential_is_usable(c) && !c->yields : !merged.incomplete)
                        continue;
                credentials_put(&merged, h->current.items[i]);
        }
        for (size_t i = merged.n_items; i-- > 0;)
                if (!credential_is_usable(merged.items[i]))
                        credentials_remove(&merged, i);
        credentials_done(&h->current);
        h->current = merged;
        merged = (Credentials){0};
}

static unsigned calls(const Host *h) {
        FILE *f = fopen(h->log, "re");
        unsigned n = 0;
        int c;

        while (f && (c = getc(f)) != EOF)
                n += c == '\n';
        if (f)
                (void) fclose(f);
        return n;
}

/* Of those the ones for a secret. */
static unsigned gets(const Host *h) {
        FILE *f = fopen(h->log, "re");
        char line[256];
        unsigned n = 0;

        while (f && fgets(line, sizeof(line), f))
                n += startswith(line, "get ") != NULL;
        if (f)
                (void) fclose(f);
        return n;
}

static void expect_secret(const Host *h, const char *registry, const char *secret) {
        const Credential *c = credentials_find(&h->current, registry);

        assert_int_equal(c != NULL, secret != NULL);
        if (c)
                assert_string_equal(c->password ? c->password : c->identity_token, secret);
}

#define HELPERS(list) "{\"credHelpers\":{" list "}}"
#define OF(registry) "\"" registry "\":\"unit-lease\""

static void test_asked_when_due(void **state) {
        static const struct {
                int64_t seconds; /* later */
                unsigned calls;
        } table[] = {{0, 1}, {1, 1}, {2399, 1}, {2400, 2}, {2401, 2}, {4799, 2}, {4800, 3}};
        Host *h = *state;

        unit_write_file(h->first, HELPERS(OF("one.example")));
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char secret[32];

                h->now = NOW + SECONDS(table[i].seconds);
                look(h);
                (void) snprintf(secret, sizeof(secret), "secret-%u", table[i].calls);
                assert_int_equal(calls(h), table[i].calls);
                expect_secret(h, "one.example", secret);
                assert_int_equal(h->next, NOW + SECONDS(2400) * table[i].calls);
        }
}

static void test_asked_when_somebody_says_so(void **state) {
        Host *h = *state;

        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        h->ask_all = true;
        look(h);
        assert_int_equal(calls(h), 2);
        expect_secret(h, "one.example", "secret-2");
}

/* What it is given counts for what it answers. */
static void test_asked_with_other_words(void **state) {
        Host *h = *state;
        char word[] = "UNIT_WORD=1", *words[] = {h->environment[0], word, NULL};

        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        h->settings.helper_environment = words;
        look(h);
        assert_int_equal(calls(h), 2);
        look(h);
        assert_int_equal(calls(h), 2);
        word[strlen(word) - 1] = '2';
        look(h);
        assert_int_equal(calls(h), 3);
}

/* It is older than what the helper gave, also while that is not asked, or fails. */
static void test_secret_beside_a_helper(void **state) {
        Host *h = *state;

        unit_write_file(h->first,
                        "{\"auths\":{\"one.example\":{\"auth\":\"dTpw\"}},\"credHelpers\":{" OF("one.example") "}}");
        look(h);
        expect_secret(h, "one.example", "secret-1");
        look(h);
        assert_int_equal(calls(h), 1);
        expect_secret(h, "one.example", "secret-1");
        put(h, "fail-one.example", "");
        h->now += SECONDS(2400);
        look(h);
        assert_int_equal(calls(h), 2);
        expect_secret(h, "one.example", "secret-1");
}

/* A change of one entry asks nobody else. */
static void test_another_entry(void **state) {
        Host *h = *state;

        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        unit_write_file(h->first, HELPERS(OF("one.example") "," OF("two.example")));
        look(h);
        unit_assert_file(h->log, "get one.example\nget two.example\n");
        unit_write_file(h->first, "{\"auths\":{\"three.example\":{\"auth\":\"dTpw\"}},\"credHelpers\":{" OF(
                                          "one.example") "," OF("two.example") "}}");
        look(h);
        assert_int_equal(calls(h), 2);
        /* One that goes and comes back is a new one. */
        unit_write_file(h->first, HELPERS(OF("two.example")));
        look(h);
        expect_secret(h, "one.example", NULL);
        unit_write_file(h->first, HELPERS(OF("one.example") "," OF("two.example")));
        look(h);
        unit_assert_file(h->log, "get one.example\nget two.example\nget one.example\n");
        /* So is one that somebody has logged in to since. */
        unit_write_file(h->first, "{\"auths\":{\"one.example\":{}},\"credHelpers\":{" OF("one.example") "," OF(
                                          "two.example") "}}");
        look(h);
        unit_assert_file(h->log, "get one.example\nget two.example\nget one.example\nget one.example\n");
        /* Docker looks up no other spelling in credHelpers. */
        unit_write_file(h->first, HELPERS(OF("https://one.example") "," OF("two.example")));
        look(h);
        expect_secret(h, "one.example", NULL);
        assert_int_equal(calls(h), 4);
}

static void test_ends_of_tokens(void **state) {
        Host *h = *state;

        /* {"exp":1000900}, {"exp":1000000} */
        put(h, "jwt-one.example", "e30.eyJleHAiOjEwMDA5MDB9.x");
        put(h, "jwt-two.example", "e30.eyJleHAiOjEwMDAwMDB9.x");
        h->lifetimes[0] = (HelperLifetime){.usec = 120 * USEC_PER_SEC};
        h->settings.helper_lifetimes = (HelperLifetimes){.items = h->lifetimes, .n_items = 1};
        unit_write_file(h->first, HELPERS(OF("one.example") "," OF("two.example") "," OF("three.example")));
        look(h);

        /* exp counts for more than HelperLifetime=, that for more than RefreshSec=. */
        assert_int_equal(leases_find(&h->leases, "one.example", "unit-lease")->due, NOW + SECONDS(600));
        assert_int_equal(leases_find(&h->leases, "one.example", "unit-lease")->end, NOW + SECONDS(900));
        assert_int_equal(leases_find(&h->leases, "three.example", "unit-lease")->due, NOW + SECONDS(80));
        assert_int_equal(leases_find(&h->leases, "three.example", "unit-lease")->end, NOW + SECONDS(120));
        /* One that has ended is no answer. */
        assert_int_equal(leases_find(&h->leases, "two.example", "unit-lease")->error, -EKEYEXPIRED);
        expect_secret(h, "two.example", NULL);
        unit_assert_problem(&h->problems, "what it gives has ended already");
        /* An identity token that stands there is found again. */
        h->now += SECONDS(6);
        look(h);
        assert_int_equal(calls(h), 4); /* two.example alone, for the second time */
}

/* Every so many minutes; 0: no word of it. */
static unsigned warned(const Host *h) {
        static const char words[] = "the agent is restarted every ";

        for (unsigned i = 0; i < h->problems.n_items; i++) {
                const char *s = strstr(h->problems.items[i].text, words);

                if (s)
                        return (unsigned) strtoul(s + strlen(words), NULL, 10);
        }
        return 0;
}

static void test_short_lease_is_a_warning(void **state) {
        static const struct {
                uint64_t seconds;
                unsigned warned;
        } table[] = {{0, 0}, {6, 1}, {2699, 30}, {2700, 0}, {3600, 0}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Host *h = *state;

                h->lifetimes[0] = (HelperLifetime){.usec = table[i].seconds * USEC_PER_SEC};
                h->settings.helper_lifetimes =
                        (HelperLifetimes){.items = h->lifetimes, .n_items = table[i].seconds > 0};
                h->ask_all = true;
                unit_write_file(h->first, HELPERS(OF("one.example")));
                look(h);
                assert_int_equal(warned(h), table[i].warned);
                assert_int_equal(h->problems.n_items, table[i].warned > 0);
                /* As long as it is so. */
                h->ask_all = false;
                look(h);
                assert_int_equal(warned(h), table[i].warned);
        }
}

/* One that is never due does not hide when another is. */
static void test_next_of_several(void **state) {
        static char pattern[] = "one.example";
        Host *h = *state;

        h->settings.refresh_usec = 0;
        h->lifetimes[0] = (HelperLifetime){.pattern = pattern, .usec = 120 * USEC_PER_SEC};
        h->settings.helper_lifetimes = (HelperLifetimes){.items = h->lifetimes, .n_items = 1};
        unit_write_file(h->first, HELPERS(OF("one.example") "," OF("two.example")));
        look(h);
        assert_int_equal(leases_find(&h->leases, "two.example", "unit-lease")->due, 0);
        assert_int_equal(h->next, NOW + SECONDS(80));
}

/* Neither the pause after a failure nor a login makes a lease a short one. */
static void test_what_is_no_short_lease(void **state) {
        Host *h = *state;

        h->lifetimes[0] = (HelperLifetime){.usec = 3600 * USEC_PER_SEC};
        h->settings.helper_lifetimes = (HelperLifetimes){.items = h->lifetimes, .n_items = 1};
        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        lease_bring_forward(h->leases.items[0], NOW + SECONDS(30), h->now);
        look(h);
        assert_false(warned(h));
        put(h, "fail-one.example", "");
        h->now = NOW + SECONDS(30);
        look(h);
        unit_assert_problem(&h->problems, "unit-lease: it failed");
        assert_false(warned(h));

        /* While it fails there are other worries. */
        h->lifetimes[0].usec = 120 * USEC_PER_SEC;
        take_away(h, "fail-one.example");
        look(h); /* other settings: it is asked */
        assert_true(warned(h));
        put(h, "fail-one.example", "");
        h->now += SECONDS(90);
        look(h);
        assert_int_equal(h->leases.items[0]->failures, 1);
        unit_assert_problem(&h->problems, "unit-lease: it failed");
        assert_false(warned(h));
}

static void test_failure_and_backoff(void **state) {
        Host *h = *state;

        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        put(h, "fail-one.example", "");
        h->now = NOW + SECONDS(2400);
        look(h);
        assert_int_equal(calls(h), 2);
        unit_assert_in_range(h->next, h->now + SECONDS(3), h->now + SECONDS(6)); /* from when it had failed */
        /* Wakes before that ask nobody, and say the same. */
        for (unsigned i = 0; i < 20; i++) {
                look(h);
                assert_int_equal(calls(h), 2);
                unit_assert_problem(&h->problems, "unit-lease: it failed");
                assert_int_equal(problems_worst_level(&h->problems), LOG_ERR);
                expect_secret(h, "one.example", "secret-1"); /* stays */
        }
        h->now += SECONDS(6); /* the pause counts from the end of the failed call */
        look(h);
        assert_int_equal(calls(h), 3);
        unit_assert_in_range(h->next, h->now + SECONDS(7), h->now + SECONDS(11));
        take_away(h, "fail-one.example");
        h->now += SECONDS(12);
        look(h);
        assert_int_equal(h->problems.n_items, 0);
        expect_secret(h, "one.example", "secret-4");
        assert_int_equal(h->next, h->now + SECONDS(2400));
}

static void test_no_credentials_is_an_answer(void **state) {
        Host *h = *state;

        unit_write_file(h->first, HELPERS(OF("one.example")));
        put(h, "fail-one.example", "");
        look(h);
        take_away(h, "fail-one.example");
        put(h, "none-one.example", "");
        h->now += SECONDS(6);
        look(h);
        expect_secret(h, "one.example", NULL);
        unit_assert_problem(&h->problems,
                            "it has no credentials for it; none are used. Run 'docker login one.example'");
        assert_int_equal(h->problems.n_items, 1); /* the failure was before */
        h->now += SECONDS(60);
        look(h);
        assert_int_equal(calls(h), 2);
}

static void test_one_hangs(void **state) {
        Host *h = *state;

        h->settings.helper_timeout_usec = 2 * USEC_PER_SEC;
        put(h, "hang-one.example", "");
        unit_write_file(h->first, HELPERS(OF("one.example") "," OF("two.example")));
        look(h);
        expect_secret(h, "one.example", NULL);
        assert_non_null(credentials_find(&h->current, "two.example"));
        unit_assert_problem(&h->problems, "one.example from docker-credential-unit-lease: it did not answer");
        assert_int_equal(h->problems.n_items, 1);
        /* The pause begins after the time that it had. */
        assert_true(leases_find(&h->leases, "one.example", "unit-lease")->due > h->now + SECONDS(5));
        /* The next try is for the one alone. */
        take_away(h, "hang-one.example");
        h->now += SECONDS(10);
        look(h);
        assert_int_equal(calls(h), 3);
        assert_non_null(credentials_find(&h->current, "one.example"));
}

/* Somebody took it out of the environment file. */
static void test_lost_answer(void **state) {
        static const unsigned asked[] = {1, 2, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5};
        Host *h = *state;

        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        credentials_done(&h->current);
        h->now = NOW + SECONDS(5) - 1;
        look(h);
        assert_int_equal(calls(h), 1);
        unit_assert_problem(&h->problems, "by somebody; it is asked again within 5 s");
        assert_int_equal(h->next, NOW + SECONDS(5));
        h->now = NOW + SECONDS(5);
        look(h);
        assert_int_equal(calls(h), 2);
        expect_secret(h, "one.example", "secret-2");
        /* It came back, and is lost time and again: with pauses that grow, and it is said. */
        for (unsigned i = 0; i < ELEMENTSOF(asked); i++) {
                credentials_done(&h->current);
                h->now += SECONDS(30);
                look(h);
                assert_int_equal(calls(h), 2 + asked[i]);
                assert_int_equal(problems_worst_level(&h->problems) == LOG_ERR, i > 0 && asked[i] == asked[i - 1]);
        }
        /* As ever, once it was asked because it was due. */
        h->now += SECONDS(2400);
        look(h);
        credentials_done(&h->current);
        h->now += SECONDS(5);
        look(h);
        assert_int_equal(calls(h), 2 + 5 + 2);
}

/* The same bytes in another file, or at another time: that was a login. The helper is asked at once, and of those that
 * follow within 30 s the last one counts. */
static void test_login_into_a_helper(void **state) {
        static const struct {
                int64_t at, calls, next; /* in seconds; next: when it is asked */
        } logins[] = {{1, 2, 0}, {2, 2, 31}, {30, 2, 31}, {31, 3, 0}, {60, 3, 61}, {500, 4, 0}};
        _cleanup_free_ char *new = NULL;
        Host *h = *state;

        new = unit_path(h->directory, "new.json");
        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        for (size_t i = 0; i < ELEMENTSOF(logins); i++) {
                unit_write_file(new, HELPERS(OF("one.example")));
                assert_int_equal(rename(new, h->first), 0);
                h->now = NOW + SECONDS(logins[i].at);
                look(h);
                assert_int_equal(calls(h), logins[i].calls);
                if (logins[i].next > 0)
                        assert_int_equal(h->next, NOW + SECONDS(logins[i].next));
        }
}

static void test_store(void **state) {
        Host *h = *state;

        put(h, "list", "{\"one.example\":\"user\"}");
        unit_write_file(h->first, "{\"credsStore\":\"unit-lease\"}");
        look(h);
        look(h);
        unit_assert_file(h->log, "list \nget one.example\n");
        expect_secret(h, "one.example", "secret-2");
        h->now += SECONDS(2400);
        put(h, "list", "{\"two.example\":\"user\"}");
        look(h);
        unit_assert_file(h->log, "list \nget one.example\nlist \nget two.example\n");
        expect_secret(h, "one.example", NULL);
        assert_int_equal(h->leases.n_items, 2);
        /* It does not answer: what it said stays. */
        put(h, "list", "oops");
        h->now += SECONDS(2400);
        look(h);
        look(h);
        assert_int_equal(calls(h), 6);
        assert_non_null(credentials_find(&h->current, "two.example"));
        unit_assert_problem(&h->problems, "the entries that the environment file has stay");
}

static void test_store_that_is_not_due(void **state) {
        Host *h = *state;

        put(h, "list", "{\"one.example\":\"user\",\"two.example\":\"user\"}");
        unit_write_file(h->first, "{\"credsStore\":\"unit-lease\"}");
        look(h);
        look(h);
        assert_int_equal(calls(h), 3);
        assert_non_null(credentials_find(&h->current, "one.example"));
        assert_non_null(credentials_find(&h->current, "two.example"));
}

/* What it listed before is what there is; never asked, it says nothing yet. */
static void test_store_while_nobody_is_asked(void **state) {
        const int64_t due = NOW + SECONDS(2400);
        Host *h = *state;

        put(h, "list", "{\"one.example\":\"user\"}");
        unit_write_file(h->first, "{\"credsStore\":\"unit-lease\"}");
        h->ask_nobody = true;
        look(h);
        assert_true(h->incomplete && h->next == h->now);
        h->ask_nobody = false;
        look(h);
        assert_true(!h->incomplete && h->next == due);
        h->ask_nobody = true;
        look(h);
        assert_true(!h->incomplete && h->next == due);
        h->now = due;
        look(h);
        assert_true(!h->incomplete && h->next == due);
        unit_assert_file(h->log, "list \nget one.example\n");

        /* When it fails for the first time, what it listed is asked for all the same. */
        put(h, "list", "oops");
        h->ask_nobody = false;
        look(h);
        assert_true(h->incomplete);
        unit_assert_file(h->log, "list \nget one.example\nlist \nget one.example\n");
        expect_secret(h, "one.example", "secret-4");
}

/* Of two users, say: it is one store all the same. */
static void test_store_of_two_files(void **state) {
        Host *h = *state;

        h->files[1] = h->second;
        put(h, "list", "{\"one.example\":\"user\"}");
        unit_write_file(h->first, "{\"credsStore\":\"unit-lease\"}");
        unit_write_file(h->second, "{\"credsStore\":\"unit-lease\"}");
        for (unsigned i = 0; i < 5; i++)
                look(h);
        unit_assert_file(h->log, "list \nget one.example\n");
}

/* What stands in the environment file may be what the broken file says: nobody asks, not even if somebody wants it. But
 * an answer of this very helper is renewed as ever. */
static void test_yields_to_a_broken_file(void **state) {
        static const char *const firsts[] = {HELPERS(OF("one.example")), "{\"credsStore\":\"unit-lease\"}"},
                                 *const seconds[] = {"{}", "{\"auths\":{\"one.example\":{\"auth\":\"dTpw\"}}}"};

        for (size_t i = 0; i < ELEMENTSOF(firsts) * ELEMENTSOF(seconds); i++) {
                bool named = i % 2 == 1;
                Host *h = *state;
                unsigned n;

                h->files[1] = h->second;
                leases_done(&h->leases);
                credentials_done(&h->current);
                (void) unlink(h->log);
                put(h, "list", "{\"one.example\":\"user\"}");
                unit_write_file(h->first, firsts[i / 2]);
                unit_write_file(h->second, seconds[i % 2]);
                look(h);
                n = gets(h);
                assert_int_equal(n, named ? 0 : 1);

                unit_write_file(h->second, "{");
                h->now += SECONDS(3000);
                h->ask_all = true;
                look(h);
                h->ask_all = false;
                h->now += SECONDS(60);
                look(h);
                assert_int_equal(gets(h), named ? 0 : 2);
                assert_true(h->next > h->now || (h->next == 0 && named));
                if (named)
                        expect_secret(h, "one.example", "p");
                /* And then it is, at once. */
                unit_write_file(h->second, "{}");
                look(h);
                assert_int_equal(gets(h), named ? 1 : 2);
                assert_string_not_equal(credentials_find(&h->current, "one.example")->password, "p");
        }
}

/* One that the environment file does not have has nothing to lose. */
static void test_new_entry_beside_a_broken_file(void **state) {
        Host *h = *state;

        h->files[1] = h->second;
        unit_write_file(h->first, HELPERS(OF("one.example")));
        unit_write_file(h->second, "{");
        look(h);
        expect_secret(h, "one.example", "secret-1");
}

/* The leases of a file that stays broken end one day. */
static void test_leases_of_a_broken_file(void **state) {
        Host *h = *state;

        h->files[1] = h->second;
        unit_write_file(h->first, HELPERS(OF("one.example")));
        unit_write_file(h->second, HELPERS(OF("two.example")));
        look(h);
        assert_int_equal(h->leases.n_items, 2);
        unit_write_file(h->second, "{");
        h->now += SECONDS(29 * 86400);
        look(h);
        assert_non_null(leases_find(&h->leases, "two.example", "unit-lease"));
        h->now += SECONDS(2 * 86400);
        look(h);
        assert_null(leases_find(&h->leases, "two.example", "unit-lease"));
        assert_non_null(leases_find(&h->leases, "one.example", "unit-lease"));
}

/* Another round writes the answer of a helper, behind the lock of the environment file. The lease keeps the answer
 * until then, also beside a broken file. */
static void test_answer_of_the_round_before(void **state) {
        _cleanup_(credentials_done) Credentials found = {0};
        Host *h = *state;

        h->files[1] = h->second;
        unit_write_file(h->first, HELPERS(OF("one.example")));
        unit_write_file(h->second, "{");
        look(h);
        expect_secret(h, "one.example", "secret-1");
        h->now += SECONDS(2400);
        gather(h, &found);

        for (unsigned i = 0; i < 2; i++) {
                _cleanup_(credentials_done) Credentials again = {0};
                const Credential *c;

                gather_again(h, &again);
                c = credentials_find(&again, "one.example");
                assert_non_null(c);
                assert_false(c->yields);
                assert_string_equal(c->password, "secret-2");
        }
        assert_int_equal(calls(h), 2);
}

static void test_clock_jumps(void **state) {
        Host *h = *state;

        unit_write_file(h->first, HELPERS(OF("one.example")));
        look(h);
        h->now -= SECONDS(5 * 86400);
        look(h);
        look(h);
        assert_int_equal(calls(h), 2); /* once, and not for five days */
        assert_int_equal(h->next, h->now + SECONDS(2400));
        h->now += SECONDS(5 * 86400);
        look(h);
        look(h);
        assert_int_equal(calls(h), 3);
}

/* The rules about names hold for leases, too: another version may have saved them, or other settings. */
static void test_leases_obey_the_rules_about_names(void **state) {
        static const char *const names[] = {"https://index.docker.io/v1/access-token", "hub-tool-token",
                                            "left.example"};
        char *const exclude[] = {(char *) "LEFT.example", NULL};
        _cleanup_(credentials_done) Credentials c = {0};
        Host *h = *state;

        put(h, "first.json", "{\"credsStore\":\"unit-lease\"}");
        put(h, "list", "{\"one.example\":\"user\",\"left.example\":\"user\"}");
        look(h);
        assert_int_equal(h->current.n_items, 2);
        for (size_t i = 0; i < 2; i++) {
                _cleanup_free_ char *registry = NULL;
                Lease *lease;

                assert_int_equal(registry_normalize(names[i], &registry), 0);
                lease = leases_add(&h->leases, registry, "unit-lease");
                assert_non_null(lease);
                lease_describe(lease, &(LeaseTerms){.key = names[i], .source = h->first, .listed = true});
        }

        h->settings.exclude = (char **) exclude;
        h->ask_nobody = true;
        gather(h, &c);
        assert_int_equal(c.n_items, 1);
        assert_non_null(credentials_find(&c, "one.example"));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        const struct CMUnitTest tests[] = {
                TEST(test_asked_when_due),
                TEST(test_asked_when_somebody_says_so),
                TEST(test_asked_with_other_words),
                TEST(test_secret_beside_a_helper),
                TEST(test_another_entry),
                TEST(test_ends_of_tokens),
                TEST(test_short_lease_is_a_warning),
                TEST(test_next_of_several),
                TEST(test_what_is_no_short_lease),
                TEST(test_failure_and_backoff),
                TEST(test_no_credentials_is_an_answer),
                TEST(test_one_hangs),
                TEST(test_lost_answer),
                TEST(test_login_into_a_helper),
                TEST(test_store),
                TEST(test_store_that_is_not_due),
                TEST(test_store_while_nobody_is_asked),
                TEST(test_store_of_two_files),
                TEST(test_yields_to_a_broken_file),
                TEST(test_new_entry_beside_a_broken_file),
                TEST(test_leases_of_a_broken_file),
                TEST(test_answer_of_the_round_before),
                TEST(test_clock_jumps),
                TEST(test_leases_obey_the_rules_about_names),
        };

        return cmocka_run_group_tests_name("ask helpers", tests, NULL, NULL);
}
