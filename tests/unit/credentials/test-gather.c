/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/credential-file.h"
#include "credentials/gather.h"
#include "settings/settings.h"

/* "user:password" */
#define ENTRY "{\"auth\":\"dXNlcjpwYXNzd29yZA==\"}"
#define PROGRAMS "/usr/local/bin/docker-credential-unit-gather-"

/* As by somebody who asks every helper. */
static int gather_once(const CredentialSettings *settings, Credentials *ret, Problems *problems) {
        static const DigestKey key = {{1}};
        const Credentials none = {0};
        Leases leases = {0};
        HelperRound round = {
                .key = &key, .current = &none, .now = 1000 * (int64_t) USEC_PER_SEC, .ask = ASK_ALL, .leases = &leases};
        int r;

        r = gather_credentials(settings, &round, ret, problems);
        leases_done(&leases);
        return r;
}

static const struct {
        const char *name, *script;
} helpers[] = {
        /* A store with two registries, one of them with an identity token. */
        {"store", "#!/bin/sh\ncase $1 in\nlist) echo '{\"one.example\":\"user\",\"two.example\":\"<token>\"}' ;;\n"
                  "get) read -r server; case $server in\n"
                  "one.example) echo '{\"Username\":\"user\",\"Secret\":\"from the store\"}' ;;\n"
                  "two.example) echo '{\"Username\":\"<token>\",\"Secret\":\"token\"}' ;;\n"
                  "*) echo credentials not found in native keychain; exit 1 ;; esac ;;\nesac\n"},
        {"broken", "#!/bin/sh\necho the secret of hunter2\nexit 1\n"},
        {"odd", "#!/bin/sh\nprintf %s '{\"Username\":\"user\",\"Secret\":\"with a newline\\n\"}'\n"},
        {"marker", "#!/bin/sh\ntouch " PROGRAMS "was-asked\nexit 1\n"},
};

static int install(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(helpers) && unit_may_install_programs(); i++) {
                char path[128];

                (void) snprintf(path, sizeof(path), PROGRAMS "%s", helpers[i].name);
                unit_write_file(path, helpers[i].script);
                assert_int_equal(chmod(path, 0755), 0);
        }
        return 0;
}

static int uninstall(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(helpers) && unit_may_install_programs(); i++) {
                char path[128];

                (void) snprintf(path, sizeof(path), PROGRAMS "%s", helpers[i].name);
                (void) unlink(path);
        }
        return 0;
}

/* What comes of these files; text NULL: the file does not exist. */
static int gather(const char *directory, const char *text, const char *later, Credentials *ret, Problems *problems) {
        _cleanup_free_ char *first = unit_path(directory, "first.json"), *second = unit_path(directory, "second.json");
        char exclude_a[] = "*.excluded.example", exclude_b[] = "excluded.example:5000";
        char *exclude[] = {exclude_a, exclude_b, NULL}, *files[] = {first, later ? second : NULL, NULL};
        const CredentialSettings settings = {
                .files = files, .exclude = exclude, .helper_timeout_usec = 10 * USEC_PER_SEC};

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */

        if (text)
                unit_write_file(first, text);
        if (later)
                unit_write_file(second, later);
        return gather_once(&settings, ret, problems);
}

static void assert_login(const Credentials *c, const char *registry, const char *username, const char *password) {
        const Credential *item = credentials_find(c, registry);

        assert_non_null(item);
        assert_string_equal(item->username, username);
        assert_string_equal(item->password, password);
}

static void test_store_that_alone_knows(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(gather(*state, "{\"credsStore\":\"unit-gather-store\"}", NULL, &c, &problems), 0);
        assert_int_equal(problems.n_items, 0);
        assert_int_equal(c.n_items, 2);
        assert_false(c.incomplete);
        assert_login(&c, "one.example", "user", "from the store");
        assert_string_equal(credentials_find(&c, "two.example")->identity_token, "token");
        assert_null(credentials_find(&c, "two.example")->password);
}

static void test_store_comes_before_the_entry(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(gather(*state,
                                "{\"auths\":{\"one.example\":" ENTRY ",\"three.example\":" ENTRY
                                ",\"four.example\":{}},"
                                "\"credsStore\":\"unit-gather-store\"}",
                                NULL, &c, &problems),
                         0);
        assert_login(&c, "one.example", "user", "from the store");
        /* The store has none: Docker does not use those of the file (measured with 28.2.2). */
        assert_null(credentials_find(&c, "three.example"));
        assert_null(credentials_find(&c, "four.example"));
        unit_assert_problem(&problems, "four.example from docker-credential-unit-gather-store: it has no credentials");
}

static void test_helper_that_fails_costs_its_own_registry(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(gather(*state,
                                "{\"auths\":{\"one.example\":" ENTRY
                                "},\"credHelpers\":{\"two.example\":\"unit-gather-store\","
                                "\"three.example\":\"unit-gather-broken\",\"four.example\":\"unit-gather-missing\"}}",
                                NULL, &c, &problems),
                         0);
        assert_login(&c, "one.example", "user", "password");
        assert_string_equal(credentials_find(&c, "two.example")->identity_token, "token");
        /* They stand there without a secret: the caller keeps what it has. */
        assert_false(credential_is_usable(credentials_find(&c, "three.example")));
        assert_false(credential_is_usable(credentials_find(&c, "four.example")));
        assert_false(c.incomplete);
        unit_assert_problem(&problems, "three.example from docker-credential-unit-gather-broken: it failed");
        unit_assert_problem(&problems,
                            "four.example from docker-credential-unit-gather-missing: there is no such program");
        for (unsigned i = 0; i < problems.n_items; i++)
                assert_null(strstr(problems.items[i].text, "hunter2"));
}

static void test_store_that_does_not_answer(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(gather(*state, "{\"credsStore\":\"unit-gather-broken\"}", NULL, &c, &problems), 0);
        assert_int_equal(c.n_items, 0);
        assert_true(c.incomplete);
        unit_assert_problem(&problems, "docker-credential-unit-gather-broken list: it failed");
}

static void test_file_among_others_that_cannot_be_read(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(gather(*state, NULL, "{\"auths\":{\"one.example\":" ENTRY "}}", &c, &problems), 0);
        assert_true(c.incomplete);
        assert_int_equal(c.n_items, 1);
        unit_assert_problem(&problems, "first.json: there is no such file");
}

/* What each of them would say may be what the broken file says, too: the environment file's entries stay. */
static void test_stores_before_a_broken_file(void **state) {
        static const char *const texts[] = {"{\"credsStore\":\"unit-gather-broken\"}",
                                            "{\"credsStore\":\"unit-gather-store\"}", "{"},
                                 *const names[] = {"a.json", "b.json", "c.json"};
        static const char now[] = "{\"auths\":{\"one.example\":" ENTRY ",\"two.example\":" ENTRY "}}";
        _cleanup_(credentials_done) Credentials c = {0}, current = {0};
        static const DigestKey key = {{1}};
        char *files[ELEMENTSOF(texts) + 1] = {0};
        const CredentialSettings settings = {.files = files, .helper_timeout_usec = 10 * USEC_PER_SEC};
        _cleanup_(leases_done) Leases leases = {0};
        HelperRound round = {.key = &key, .current = &current, .now = 1000, .ask = ASK_ALL, .leases = &leases};
        Problems problems = {0};

        if (!unit_may_install_programs())
                skip(); /* cannot put a program on PATH */
        for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
                files[i] = unit_path(*state, names[i]);
                unit_write_file(files[i], texts[i]);
        }
        assert_int_equal(credfile_parse(&current, "now", now, strlen(now), NULL, &problems), 0);
        assert_int_equal(gather_credentials(&settings, &round, &c, &problems), 0);
        assert_int_equal(c.n_items, 2);
        for (size_t i = 0; i < c.n_items; i++)
                assert_true(c.items[i]->yields && !credential_is_usable(c.items[i]));
        for (size_t i = 0; i < ELEMENTSOF(texts); i++)
                free(files[i]);
}

/* Before the first login there is no file, which is no failure; one that is broken is, whatever comes before or after
 * it. */
static void test_broken_file_beside_a_missing_one(void **state) {
        _cleanup_free_ char *broken = unit_path(*state, "broken"), *missing = unit_path(*state, "missing");
        struct {
                char *files[3];
                int r;
        } table[] = {{{broken, missing}, -EBADMSG}, {{missing, broken}, -EBADMSG}, {{missing, missing}, -ENOENT}};

        unit_write_file(broken, "{");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const CredentialSettings settings = {.files = table[i].files};
                Credentials c = {0};
                Problems problems = {0};

                assert_int_equal(gather_once(&settings, &c, &problems), table[i].r);
        }
}

static void test_no_file_at_all(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(gather(*state, "{", "[]", &c, &problems), -EBADMSG);
        assert_int_equal(problems.n_items, 2);
}

static void test_hosts_that_are_left_out(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        (void) unlink(PROGRAMS "was-asked");
        assert_int_equal(gather(*state,
                                "{\"auths\":{\"a.excluded.example\":" ENTRY
                                ",\"https://excluded.example:5000/path\":" ENTRY ",\"excluded.example\":" ENTRY
                                "},\"credHelpers\":{\"b.excluded.example\":\"unit-gather-marker\"}}",
                                NULL, &c, &problems),
                         0);
        assert_int_equal(c.n_items, 1);
        assert_non_null(credentials_find(&c, "excluded.example"));
        assert_int_equal(problems.n_items, 3);
        unit_assert_problem(&problems, "a.excluded.example is left out, as Exclude= says");
        assert_int_equal(problems.items[0].level, LOG_INFO);
        assert_int_equal(access(PROGRAMS "was-asked", F_OK), -1);
}

static void test_odd_password_of_a_helper(void **state) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(gather(*state, "{\"credHelpers\":{\"one.example\":\"unit-gather-odd\"}}", NULL, &c, &problems),
                         0);
        assert_login(&c, "one.example", "user", "with a newline\n");
        unit_assert_problem(&problems, "the password of one.example ends with a newline");
}

#define DAYS(n) ((n) *86400 * (int64_t) USEC_PER_SEC)

static void add_lease(Leases *leases, const char *registry, const char *source, int64_t asked) {
        Lease *l = leases_add(leases, registry, "unit-gather-store");

        assert_non_null(l);
        free(l->source);
        l->source = strdup(source);
        assert_non_null(l->source);
        l->asked = asked;
}

/* Another ecs-authd may read other files, and its leases stand in the same list. */
static void test_leases_of_other_files(void **state) {
        static const DigestKey key = {{1}};
        _cleanup_free_ char *first = unit_path(*state, "first.json"), *second = unit_path(*state, "second.json");
        char *files[] = {first, second, NULL};
        const CredentialSettings settings = {.files = files};
        const int64_t now = DAYS(100);

        unit_write_file(first, "{}");
        for (unsigned broken = 0; broken < 2; broken++) {
                _cleanup_(credentials_done) Credentials c = {0};
                _cleanup_(leases_done) Leases leases = {0};
                HelperRound round = {.key = &key, .now = now, .ask = ASK_DUE, .leases = &leases};
                Problems problems = {0};

                unit_write_file(second, broken ? "{" : "{}");
                add_lease(&leases, "ours.example", second, now);
                add_lease(&leases, "kept.example", "/other.json", now - DAYS(30) + 1);
                add_lease(&leases, "gone.example", "/other.json", now - DAYS(30));
                assert_int_equal(gather_credentials(&settings, &round, &c, &problems), 0);
                assert_int_equal(leases_find(&leases, "ours.example", "unit-gather-store") != NULL, broken);
                assert_non_null(leases_find(&leases, "kept.example", "unit-gather-store"));
                assert_null(leases_find(&leases, "gone.example", "unit-gather-store"));
        }
}

/* The default of Exclude=, against the hosts that Amazon ECR has. */
/* It costs those whose helper is not asked, and no other; and it is forgotten with its cause. */
static void test_more_helpers_than_a_line_carries(void **state) {
        enum { ROOM = 6553 };
        _cleanup_free_ char *path = unit_path(*state, "config.json"), *text = calloc(ROOM + 3, 64);
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_(leases_done) Leases leases = {0};
        char *files[] = {path, NULL}, *end;
        const CredentialSettings settings = {.files = files, .helper_timeout_usec = USEC_PER_SEC};
        const Credentials none = {0};
        static const DigestKey key = {{1}};
        const int64_t now = 1000 * (int64_t) USEC_PER_SEC;
        HelperRound round = {.key = &key, .current = &none, .now = now, .ask = ASK_DUE, .leases = &leases};
        Problems problems = {0};

        assert_non_null(text);
        end = stpcpy(text, "{\"auths\":{\"one.example\":" ENTRY "},\"credHelpers\":{");
        for (unsigned i = 0; i <= ROOM; i++)
                end += sprintf(end, "%s\"r%u.example\":\"unit-gather-marker\"", i > 0 ? "," : "", i);
        (void) stpcpy(end, "}}");
        unit_write_file(path, text);

        assert_int_equal(gather_credentials(&settings, &round, &c, &problems), 0);
        assert_int_equal(access(PROGRAMS "was-asked", F_OK), -1);
        assert_int_equal(c.n_items, ROOM + 2);
        assert_login(&c, "one.example", "user", "password");
        assert_false(credential_is_usable(credentials_find(&c, "r6553.example")));
        assert_int_equal(problems.items[0].level, LOG_ERR);
        assert_int_equal(problems.n_items, 1);
        assert_non_null(strstr(problems.items[0].text, "have 6554 registries"));
        assert_int_equal(round.next, 0); /* until the file changes */
        for (size_t i = 0; i < leases.n_items; i++)
                assert_int_equal(leases.items[i]->failures, 0);
}

static void test_amazon_ecr(void **state) {
        static const char *const excluded[] = {
                "123456789012.dkr.ecr.us-east-1.amazonaws.com",
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com",
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "123456789012.dkr-ecr.eu-west-1.on.aws",
                "123456789012.dkr-ecr-fips.us-east-1.on.aws",
                "123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
                "123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov",
                "123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov",
                "123456789012.dkr.ecr.eu-isoe-west-1.cloud.adc-e.uk",
                "123456789012.dkr.ecr.us-isof-south-1.csp.hci.ic.gov",
                "public.ecr.aws",
                "ecr-public.aws.com",
                "https://123456789012.dkr.ecr.us-east-1.amazonaws.com/v2/",
        };
        static const char *const kept[] = {
                "registry.example",
                "dkr.ecr.example",
                "amazonaws.com",
                "ghcr.io",
                "123456789012.dkr.ecr.us-east-1.example.com",
                "registry.example/123456789012.dkr.ecr.us-east-1.amazonaws.com",
        };
        _cleanup_(settings_freep) Settings *config = NULL;
        _cleanup_free_ char *path = unit_path(*state, "config.json"), *option = NULL;
        _cleanup_(credentials_done) Credentials c = {0};
        char text[8192] = "{\"auths\":{";
        Problems problems = {0};
        size_t used = strlen(text);

        for (size_t i = 0; i < ELEMENTSOF(excluded) + ELEMENTSOF(kept); i++)
                used += (size_t) snprintf(text + used, sizeof(text) - used, "%s\"%s\":" ENTRY, i > 0 ? "," : "",
                                          i < ELEMENTSOF(excluded) ? excluded[i] : kept[i - ELEMENTSOF(excluded)]);
        (void) snprintf(text + used, sizeof(text) - used, "}}");
        unit_write_file(path, text);

        assert_true(asprintf(&option, "Credentials.File=%s", path) > 0);
        assert_int_equal(settings_load(NULL, (char *const[]){option, NULL}, &config, &problems), 0);
        assert_int_equal(gather_once(&config->credentials, &c, &problems), 0);
        assert_int_equal(c.n_items, ELEMENTSOF(kept));
        for (size_t i = 0; i < ELEMENTSOF(kept); i++)
                assert_non_null(credentials_find(&c, kept[i]));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_make_directory, unit_remove_directory)
        const struct CMUnitTest tests[] = {
                TEST(test_store_that_alone_knows),
                TEST(test_store_comes_before_the_entry),
                TEST(test_helper_that_fails_costs_its_own_registry),
                TEST(test_store_that_does_not_answer),
                TEST(test_file_among_others_that_cannot_be_read),
                TEST(test_stores_before_a_broken_file),
                TEST(test_broken_file_beside_a_missing_one),
                TEST(test_no_file_at_all),
                TEST(test_hosts_that_are_left_out),
                TEST(test_odd_password_of_a_helper),
                TEST(test_leases_of_other_files),
                TEST(test_more_helpers_than_a_line_carries),
                TEST(test_amazon_ecr),
        };

        return cmocka_run_group_tests_name("gather", tests, install, uninstall);
}
