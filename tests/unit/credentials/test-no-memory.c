/* SPDX-License-Identifier: Apache-2.0 */
#include "failing-allocation.h"

#include <sys/wait.h>

#include "base/secret.h"
#include "base/state-file.h"
#include "credentials/credential-file.h"
#include "credentials/gather.h"
#include "credentials/helper-environment.h"
#include "credentials/lease-file.h"
#include "credentials/registry-login.h"
#include "credentials/registry-name.h"
#include "credentials/registry-server.h"
#include "credentials/run-helpers.h"
#include "credentials/token-expiry.h"

/* Root owns what a helper's PATH leads to. */
#define PROGRAM "/usr/local/bin/docker-credential-unit-memory"

/* {"exp":2000000000} */
#define JWT "e30.eyJleHAiOjIwMDAwMDAwMDB9.x"

#define FILE_TEXT                                                                                           \
        "{\"auths\":{\"https://one.example/v1/\":{\"auth\":\"dXNlcjpwYXNzd29yZA==\",\"email\":\"a@b\"},"    \
        "\"one.example\":{\"username\":\"user\",\"password\":\"other\"},\"two.example\":{\"identitytoken\"" \
        ":\"token\",\"auth\":\"dXNlcjo=\"},\"docker.io\":{}},\"credsStore\":\"store\","                     \
        "\"credHelpers\":{\"two.example\":\"unit-memory\",\"four.example\":\"unit-memory\"}}"

static const DigestKey key = {{1}};

static const char *shown(const char *s) {
        return s ? s : "-";
}

/* Behind what the text has already. */
static void add(char *text, size_t size, const char *format, ...) _printf_(3, 4);
static void add(char *text, size_t size, const char *format, ...) {
        size_t n = strlen(text);
        va_list arguments;

        va_start(arguments, format);
        unit_assert_in_range(vsnprintf(text + n, size - n, format, arguments), 0, size - n - 1);
        va_end(arguments);
}

static void describe(const Credentials *c, const Problems *problems, char *ret, size_t size) {
        add(ret, size, "incomplete %d\n", c->incomplete);
        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *e = c->items[i];

                add(ret, size, "%s %s %s %s %s %s %s %s %d%d%d\n", shown(e->registry), shown(e->key), shown(e->source),
                    shown(e->helper), shown(e->username), shown(e->password), shown(e->identity_token), shown(e->email),
                    e->listed, e->entered, e->yields);
        }
        for (size_t i = 0; i < c->n_stores; i++)
                add(ret, size, "store %s %s\n", c->stores[i].helper, c->stores[i].source);
        for (unsigned i = 0; problems && i < problems->n_items; i++)
                add(ret, size, "%s\n", problems->items[i].text);
}

static void describe_leases(const Leases *l, char *ret, size_t size) {
        for (size_t i = 0; i < l->n_items; i++) {
                const Lease *e = l->items[i];
                char hex[65];

                digest_to_hex(&e->digest, hex);
                add(ret, size, "%s %s %s %s %s %d%d%d %lld %lld %lld %d %u\n", hex, e->registry, e->helper, e->key,
                    e->source, e->listed, e->entered, e->answered, (long long) e->asked, (long long) e->due,
                    (long long) e->end, e->error, e->failures);
        }
        for (size_t i = 0; i < l->n_marks; i++)
                add(ret, size, "mark %s %lld\n", l->marks[i].path, (long long) l->marks[i].login);
}

static int parse(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};
        int r;

        assert_int_equal(credfile_parse(&c, "before.json", FILE_TEXT, strlen(FILE_TEXT), NULL, &problems), 0);
        failing_begin(n);
        r = credfile_parse(&c, "config.json", FILE_TEXT, strlen(FILE_TEXT), NULL, &problems);
        failing_end();
        if (r >= 0)
                describe(&c, &problems, ret, size);
        return r;
}

static void test_credential_file(void **state _unused_) {
        failing_each(parse);
}

static int parse_store(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        static const char text[] = "{\"credsStore\":\"store\"}";
        Problems problems = {0};
        int r;

        assert_int_equal(credentials_add_store(&c, "store", "before.json"), 0);
        assert_int_equal(credentials_add_store(&c, "other", "before.json"), 0);
        failing_begin(n);
        r = credfile_parse(&c, "config.json", text, strlen(text), NULL, &problems);
        failing_end();
        describe(&c, NULL, ret, size);
        return r;
}

static void test_store(void **state _unused_) {
        failing_each(parse_store);
}

static int parse_list(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        const CredentialStore store = {.helper = (char *) "store", .source = (char *) "config.json", .yields = true};
        Problems problems = {0};
        int r;

        failing_begin(n);
        r = credfile_parse_list(&c, &store, "{\"https://one.example\":\"user\",\"two.example\":\"user\"}", NULL,
                                &problems);
        failing_end();
        describe(&c, &problems, ret, size);
        return r;
}

static void test_list(void **state _unused_) {
        failing_each(parse_list);
}

static int copy(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0}, other = {0};
        Problems problems = {0};
        Digest digest;
        char hex[65];
        int r;

        assert_int_equal(credfile_parse(&c, "config.json", FILE_TEXT, strlen(FILE_TEXT), NULL, &problems), 0);
        failing_begin(n);
        r = credentials_copy(&c, &other);
        if (r >= 0)
                r = credential_copy_secrets(other.items[0], c.items[c.n_items - 1]);
        if (r >= 0)
                r = credentials_digest(&other, &key, &digest);
        failing_end();
        if (r < 0) /* nothing, or everything */
                assert_true(other.n_items == 0 || other.n_items == c.n_items);
        if (r < 0)
                return r;
        describe(&other, NULL, ret, size);
        digest_to_hex(&digest, hex);
        add(ret, size, "%s\n", hex);
        return 0;
}

static void test_copy(void **state _unused_) {
        failing_each(copy);
}

/* Who could not hand it over has it still, and all that was there before is there. */
static int put_one(unsigned n, char *ret, size_t size) {
        _cleanup_(credential_done) Credential one = {.registry = strdup("one.example"), .username = strdup("user")};
        _cleanup_(credentials_done) Credentials c = {0};
        int r;

        assert_int_equal(credentials_put(&c, &(Credential){.registry = strdup("other.example")}), 0);
        failing_begin(n);
        r = credentials_put(&c, &one);
        failing_end();
        if (r < 0) {
                assert_string_equal(one.registry, "one.example");
                assert_string_equal(one.username, "user");
                assert_null(credentials_find(&c, "one.example"));
        }
        assert_non_null(credentials_find(&c, "other.example"));
        describe(&c, NULL, ret, size);
        return r;
}

static void test_put(void **state _unused_) {
        failing_each(put_one);
}

static int failing_secrets(unsigned n, char *ret, size_t size) {
        const Credential other = {.username = (char *) "u", .password = (char *) "p", .identity_token = (char *) "t"};
        _cleanup_(credential_done) Credential c = {.username = strdup("a"), .password = strdup("b")};
        int r;

        failing_begin(n);
        r = credential_copy_secrets(&c, &other);
        failing_end();
        if (r < 0) /* never half of one */
                assert_true(!c.username && !c.password && !c.identity_token);
        else
                add(ret, size, "%s %s %s", c.username, c.password, c.identity_token);
        return r;
}

static void test_secrets(void **state _unused_) {
        failing_each(failing_secrets);
}

static int small_things(unsigned n, char *ret, size_t size) {
        char *words[] = {(char *) "A=1", (char *) "B=2", (char *) "A=3", NULL};
        _cleanup_(helper_environment_freep) char **environment = NULL;
        _cleanup_secret_ char *username = NULL, *secret = NULL;
        _cleanup_free_ char *name = NULL;
        int64_t end = 0;
        int r;

        failing_begin(n);
        environment = helper_environment_new("/root", words);
        r = environment ? registry_normalize("https://Registry.Example/v2/", &name) : -ENOMEM;
        if (r >= 0)
                r = jwt_expiry(JWT, &end);
        if (r >= 0)
                r = helper_parse_get("{\"Username\":\"user\",\"Secret\":\"secret\"}", &username, &secret);
        failing_end();
        if (r < 0)
                return r;
        for (char **e = environment; *e; e++)
                add(ret, size, "%s\n", *e);
        add(ret, size, "%s %lld %s %s\n", name, (long long) end, username, secret);
        return 0;
}

static void test_small_things(void **state _unused_) {
        failing_each(small_things);
}

static int run_two(unsigned n, char *ret, size_t size) {
        HelperCall calls[] = {{.helper = "unit-nowhere", .verb = "get", .input = ""},
                              {.helper = "unit-nowhere", .verb = "list", .input = ""}};

        failing_begin(n);
        helper_run(calls, ELEMENTSOF(calls), "/root", NULL, 20 * USEC_PER_SEC);
        failing_end();
        assert_int_equal(calls[0].error, calls[1].error);
        add(ret, size, "%d\n", calls[0].error);
        helper_calls_done(calls, ELEMENTSOF(calls));
        return calls[0].error == -ENOMEM ? -ENOMEM : 0;
}

static void test_helpers(void **state _unused_) {
        failing_each(run_two);
}

static int log_in(unsigned n, char *ret, size_t size) {
        static const char *const answers[] = {BEARER, ANSWER("200 OK"), NULL};
        char registry[64], why[128] = "";
        const Credential c = {.registry = registry, .identity_token = (char *) "token"};
        unsigned port = 0;
        pid_t pid = serve(answers, "/dev/null", &port);
        int r;

        (void) snprintf(registry, sizeof(registry), "127.0.0.1:%u", port);
        failing_begin(n);
        r = registry_login(&c, why, sizeof(why));
        failing_end();
        (void) kill(pid, SIGKILL);
        (void) waitpid(pid, NULL, 0);
        add(ret, size, "%d %s\n", r, why);
        return r < 0 ? r : 0;
}

static void test_login(void **state _unused_) {
        failing_each(log_in);
}

/* --- leases --- */

static void fill(Leases *l, bool fresh) {
        Lease *one = leases_add(l, "one.example", "helper"), *store;
        FileMark *mark;

        assert_non_null(one);
        assert_int_equal(lease_describe(one, &(LeaseTerms){.key = "https://one.example", .source = "config.json"}), 0);
        if (fresh)
                lease_begin(one);
        lease_failed(one, -EPROTO, fresh ? 2000 : 1000);
        one->due = 5000; /* without chance */

        store = leases_add(l, "", "store");
        assert_non_null(store);
        assert_int_equal(lease_describe(store, &(LeaseTerms){.key = "", .source = "config.json"}), 0);
        mark = leases_mark(l, "config.json");
        assert_non_null(mark);
        mark->login = 7;
}

static int load(unsigned n, char *ret, size_t size) {
        _cleanup_(leases_done) Leases l = {0}, loaded = {0};
        int r;

        fill(&l, false);
        assert_int_equal(leases_save(&l), 0);
        failing_begin(n);
        r = leases_load(&loaded);
        failing_end();
        describe_leases(&loaded, ret, size);
        return r;
}

static void test_leases_are_loaded(void **state _unused_) {
        failing_each(load);
}

static int save(unsigned n, char *ret, size_t size) {
        _cleanup_(leases_done) Leases l = {0}, newer = {0};
        _cleanup_free_ char *before = NULL, *after = NULL;
        int r;

        fill(&l, false);
        assert_int_equal(leases_save(&l), 0);
        assert_int_equal(state_file_read("leases", size, &before), 0);
        fill(&newer, true);
        failing_begin(n);
        r = leases_save(&newer);
        failing_end();
        assert_int_equal(state_file_read("leases", size, &after), 0);
        if (r < 0)
                assert_string_equal(after, before);
        add(ret, size, "%s", after);
        return r == -EIO ? -ENOMEM : r; /* its text was cut short */
}

static void test_leases_are_saved(void **state _unused_) {
        failing_each(save);
}

/* --- all of it --- */

static int gather_with(Asking asking, Leases *leases, unsigned n, char *ret, size_t size) {
        char *files[] = {(char *) "/tmp/ecs-authd-unit-memory.json", NULL},
             *exclude[] = {(char *) "*.amazonaws.com", NULL};
        const CredentialSettings settings = {.files = files,
                                             .exclude = exclude,
                                             .refresh_usec = 3600 * USEC_PER_SEC,
                                             .helper_timeout_usec = 10 * USEC_PER_SEC};
        _cleanup_(credentials_done) Credentials c = {0}, current = {0};
        HelperRound round = {.key = &key,
                             .current = &current,
                             .now = 1000 * (int64_t) USEC_PER_SEC,
                             .ask = asking,
                             .leases = leases};
        Problems problems = {0};
        int r;

        failing_begin(n);
        r = gather_credentials(&settings, &round, &c, &problems);
        failing_end();
        if (r >= 0) {
                assert_int_equal(c.n_items, asking == ASK_ALL ? 2 : 1);
                describe(&c, &problems, ret, size);
                describe_leases(leases, ret, size);
                add(ret, size, "%s\n", c.incomplete ? "incomplete" : "complete");
        }
        return r;
}

static int gather(unsigned n, char *ret, size_t size) {
        _cleanup_(leases_done) Leases leases = {0};

        return gather_with(ASK_ALL, &leases, n, ret, size);
}

/* With a store that is not asked now, and what it listed before. */
static int gather_from_store(unsigned n, char *ret, size_t size) {
        _cleanup_(leases_done) Leases leases = {0};
        Lease *listed = leases_add(&leases, "one.example", "store");

        assert_non_null(listed);
        listed->listed = true;
        return gather_with(ASK_NOBODY, &leases, n, ret, size);
}

static void test_gather_from_store(void **state _unused_) {
        unit_write_file("/tmp/ecs-authd-unit-memory.json", "{\"credsStore\":\"store\"}");
        failing_each(gather_from_store);
}

static void test_gather(void **state _unused_) {
        if (geteuid() != 0)
                skip(); /* cannot put a program on PATH */
        unit_write_file("/tmp/ecs-authd-unit-memory.json",
                        "{\"auths\":{\"one.example\":{\"auth\":\"dXNlcjpwYXNzd29yZA==\"}},"
                        "\"credHelpers\":{\"two.example\":\"unit-memory\"}}");
        unit_write_file(PROGRAM, "#!/bin/sh\necho '{\"Username\":\"user\",\"Secret\":\"" JWT "\"}'\n");
        assert_int_equal(chmod(PROGRAM, 0755), 0);
        failing_each(gather);
}

static int take_away(void **state _unused_) {
        (void) unlink("/tmp/ecs-authd-unit-memory.json");
        (void) unlink(PROGRAM);
        return 0;
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_credential_file),
                cmocka_unit_test(test_store),
                cmocka_unit_test(test_list),
                cmocka_unit_test(test_copy),
                cmocka_unit_test(test_put),
                cmocka_unit_test(test_secrets),
                cmocka_unit_test(test_small_things),
                cmocka_unit_test(test_helpers),
                cmocka_unit_test(test_login),
                cmocka_unit_test_setup_teardown(test_leases_are_loaded, unit_make_state_directory,
                                                unit_remove_state_directory),
                cmocka_unit_test_setup_teardown(test_leases_are_saved, unit_make_state_directory,
                                                unit_remove_state_directory),
                cmocka_unit_test_teardown(test_gather_from_store, take_away),
                cmocka_unit_test_teardown(test_gather, take_away),
        };

        return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}
