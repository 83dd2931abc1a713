/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/syscall.h>

#include "base/clock.h"
#include "credentials/credential-file.h"
#include "credentials/registry-name.h"

/* "user:password", "other:word", "other:pass:word" */
#define AUTH "dXNlcjpwYXNzd29yZA=="
#define ENTRY "{\"auth\":\"" AUTH "\"}"
#define OTHER "{\"auth\":\"b3RoZXI6d29yZA==\"}"

/* How long credfile_load() would have waited for the file. */
static uint64_t patience_usec;

int pthread_clockjoin_np(pthread_t thread, void **ret, clockid_t clock, const struct timespec *until) {
        assert_int_equal(clock, CLOCK_MONOTONIC);
        patience_usec =
                (uint64_t) until->tv_sec * USEC_PER_SEC + (uint64_t) until->tv_nsec / 1000 - clock_monotonic_usec();
        return pthread_join(thread, ret);
}

static int refuse_open; /* the errno of a file system that gives no file */

int openat(int directory, const char *name, int flags, ...) {
        if (refuse_open != 0) {
                errno = refuse_open;
                return -1;
        }
        return (int) syscall(SYS_openat, directory, name, flags, 0);
}

static int parse(Credentials *c, const char *text, Problems *problems) {
        return credfile_parse(c, "/f", text, strlen(text), NULL, problems);
}

static void assert_same(const char *a, const char *b) {
        if (!a || !b)
                assert_true(!a && !b);
        else
                assert_string_equal(a, b);
}

/* No problem shows what the files of these tests hold. */
static void assert_no_secret(const Problems *problems) {
        static const char *const secrets[] = {"hunter2", AUTH, "b3RoZXI6d29yZA"};

        for (unsigned i = 0; i < problems->n_items; i++)
                for (size_t k = 0; k < ELEMENTSOF(secrets); k++)
                        assert_null(strstr(problems->items[i].text, secrets[k]));
}

typedef struct EntryCase {
        const char *entry;
        const char *username, *password, *identity_token, *email;
        const char *problem; /* NULL: none */
        int level;
} EntryCase;

static void check_entries(const EntryCase *cases, size_t n) {
        for (size_t i = 0; i < n; i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                _cleanup_free_ char *text = NULL;
                Problems problems = {0};

                assert_true(asprintf(&text, "{\"auths\":{\"r.example\":%s}}", cases[i].entry) > 0);
                assert_int_equal(parse(&c, text, &problems), 0);
                assert_int_equal(c.n_items, 1);
                assert_same(c.items[0]->username, cases[i].username);
                assert_same(c.items[0]->password, cases[i].password);
                assert_same(c.items[0]->identity_token, cases[i].identity_token);
                assert_same(c.items[0]->email, cases[i].email);
                assert_string_equal(c.items[0]->registry, "r.example");
                assert_string_equal(c.items[0]->source, "/f");

                assert_int_equal(problems.n_items, cases[i].problem ? 1 : 0);
                assert_no_secret(&problems);
                if (!cases[i].problem)
                        continue;
                unit_assert_problem(&problems, cases[i].problem);
                unit_assert_problem(&problems, "r.example");
                unit_assert_problem(&problems, "/f");
                assert_int_equal(problems.items[0].level, cases[i].level);
        }
}

static void test_entries(void **state _unused_) {
        static const EntryCase cases[] = {
                {ENTRY, "user", "password", NULL, NULL, NULL, 0},
                {"{\"username\":\"user\",\"password\":\"p\"}", "user", "p", NULL, NULL, NULL, 0},
                {"{\"auth\":\"" AUTH "\",\"username\":\"x\",\"password\":\"y\"}", "user", "password", NULL, NULL, NULL,
                 0},
                {"{\"auth\":\"\",\"username\":\"x\",\"password\":\"y\"}", "x", "y", NULL, NULL, NULL, 0},
                {"{\"auth\":\"" AUTH "\",\"email\":\"me@example\"}", "user", "password", NULL, "me@example", NULL, 0},
                {"{\"auth\":\"" AUTH "\",\"email\":null,\"x\":[1]}", "user", "password", NULL, NULL, NULL, 0},
                {"{\"identitytoken\":\"tok\"}", NULL, NULL, "tok", NULL, NULL, 0},
                {"{\"auth\":\"" AUTH "\",\"identitytoken\":\"tok\"}", "user", "password", "tok", NULL, NULL, 0},
                {"{\"auth\":\"AAAA\",\"identitytoken\":\"tok\"}", NULL, NULL, "tok", NULL, NULL, 0},
                /* Go takes the names of fields in any case, and of several the last one; null changes nothing. */
                {"{\"Auth\":\"" AUTH "\",\"EMAIL\":\"me@example\"}", "user", "password", NULL, "me@example", NULL, 0},
                {"{\"UserName\":\"u\",\"Password\":\"p\",\"IdentityToken\":\"tok\"}", "u", "p", "tok", NULL, NULL, 0},
                {"{\"auth\":\"YTo=\",\"AUTH\":\"" AUTH "\",\"Auth\":null}", "user", "password", NULL, NULL, NULL, 0},
                {"{\"auth\":\"YTo=\",\"Auth\":\"\",\"username\":\"u\",\"password\":\"p\"}", "u", "p", NULL, NULL, NULL,
                 0},
                /* Beyond ASCII, as it is. */
                {"{\"username\":\"p\xc3\xa4ul\",\"password\":\"\xe2\x82\xac\xf0\x9f\x94\x91\"}", "p\xc3\xa4ul",
                 "\xe2\x82\xac\xf0\x9f\x94\x91", NULL, NULL, NULL, 0},
                /* a:b:c - the password has the further colons; an empty password is one. */
                {"{\"auth\":\"YTpiOmM=\"}", "a", "b:c", NULL, NULL, NULL, 0},
                {"{\"auth\":\"YTo=\"}", "a", "", NULL, NULL, NULL, 0},
                /* NULs at the end: a:b\0\0 */
                {"{\"auth\":\"YTpiAAA=\"}", "a", "b", NULL, NULL, NULL, 0},
                /* Base64 as it is found: a:b>?> and more, unpadded, URL alphabet, line breaks. */
                {"{\"auth\":\"YTpi\"}", "a", "b", NULL, NULL, NULL, 0},
                {"{\"auth\":\"YTpiYw\"}", "a", "bc", NULL, NULL, NULL, 0},
                {"{\"auth\":\"dXNlcjpwYXNzd29yZA\"}", "user", "password", NULL, NULL, NULL, 0},
                {"{\"auth\":\"dXNlcjpw\\nYXNzd29y\\r\\nZA==\\n\"}", "user", "password", NULL, NULL, NULL, 0},
                {"{\"auth\":\" dXNlcjpw YXNzd29yZA== \"}", "user", "password", NULL, NULL, NULL, 0},
                {"{\"auth\":\"YTo+Pj8/\"}", "a",
                 ">>?"
                 "?",
                 NULL, NULL, NULL, 0},
                {"{\"auth\":\"YTo-Pj8_\"}", "a",
                 ">>?"
                 "?",
                 NULL, NULL, NULL, 0},
        };

        check_entries(cases, ELEMENTSOF(cases));
}

static void test_entries_that_cannot_be_used(void **state _unused_) {
        static const EntryCase cases[] = {
                {"{}", NULL, NULL, NULL, NULL, "holds no credentials", LOG_WARNING},
                {"{\"auth\":\"\"}", NULL, NULL, NULL, NULL, "holds no credentials", LOG_WARNING},
                {"null", NULL, NULL, NULL, NULL, "holds no credentials", LOG_WARNING},
                {"{\"auth\":null}", NULL, NULL, NULL, NULL, "holds no credentials", LOG_WARNING},
                {"{\"auth\":1}", NULL, NULL, NULL, NULL, "has an \"auth\" that is not a string", LOG_ERR},
                {"{\"username\":\"x\",\"password\":12345}", NULL, NULL, NULL, NULL,
                 "has a \"password\" that is not a string", LOG_ERR},
                {"{\"username\":7,\"Password\":\"x\"}", NULL, NULL, NULL, NULL,
                 "has a \"username\" that is not a string", LOG_ERR},
                {"{\"IdentityToken\":{}}", NULL, NULL, NULL, NULL, "has an \"identitytoken\" that is not a string",
                 LOG_ERR},
                {"\"x\"", NULL, NULL, NULL, NULL, "is not an object", LOG_ERR},
                {"[]", NULL, NULL, NULL, NULL, "is not an object", LOG_ERR},
                {"{\"username\":\"x\"}", NULL, NULL, NULL, NULL, "holds no credentials", LOG_WARNING},
                {"{\"password\":\"x\"}", NULL, NULL, NULL, NULL, "holds no credentials", LOG_WARNING},
                {"{\"auth\":\"!\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR},
                /* Breaks off after much that was decoded: nothing is read beyond it (AddressSanitizer). */
                {"{\"auth\":\"QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB!!!!\"}", NULL, NULL, NULL, NULL,
                 "base64 of user:password", LOG_ERR},
                {"{\"auth\":\" \"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR}, /* of nothing */
                {"{\"auth\":\"=\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR},
                {"{\"auth\":\"====\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR},
                {"{\"auth\":\"dXNl\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR}, /* use */
                {"{\"auth\":\"OnB3\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR}, /* :pw */
                {"{\"auth\":\"A\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR},
                {"{\"auth\":\"YTpi=YTpi\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR},
                {"{\"auth\":\"YTpi===\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR},
                {"{\"auth\":\"YToAYg==\"}", NULL, NULL, NULL, NULL, "base64 of user:password", LOG_ERR}, /* a:\0b */
        };

        check_entries(cases, ELEMENTSOF(cases));
}

/* Only a newline at the end of an ordinary password is suspect. */
static void test_control_characters_are_carried(void **state _unused_) {
        static const EntryCase cases[] = {
                {"{\"auth\":\"dXNlcjpwCg==\"}", "user", "p\n", NULL, NULL, "ends with a newline", LOG_WARNING},
                {"{\"username\":\"u\",\"password\":\"p\\r\\n\"}", "u", "p\r\n", NULL, NULL, "ends with a newline",
                 LOG_WARNING},
                {"{\"username\":\"u\\t\",\"password\":\"p\"}", "u\t", "p", NULL, NULL, NULL, 0},
                {"{\"username\":\"u\",\"password\":\"p\\nq\"}", "u", "p\nq", NULL, NULL, NULL, 0},
                {"{\"username\":\"_json_key\",\"password\":\"{\\n}\\n\"}", "_json_key", "{\n}\n", NULL, NULL, NULL, 0},
                {"{\"username\":\"_json_key_base64\",\"password\":\"e30=\\n\"}", "_json_key_base64", "e30=\n", NULL,
                 NULL, NULL, 0},
                {"{\"username\":\"u\",\"password\":\" {\\n}\\n\"}", "u", " {\n}\n", NULL, NULL, NULL, 0},
                {"{\"identitytoken\":\"tok\\n\"}", NULL, NULL, "tok\n", NULL, NULL, 0},
        };

        check_entries(cases, ELEMENTSOF(cases));
}

static void test_two_fields(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(parse(&c, "{\"auths\":{\"z\":" ENTRY ",\"a\":" OTHER ",\"m/x\":" ENTRY "},\"HttpHeaders\":{}}",
                               &problems),
                         0);
        assert_int_equal(c.n_items, 3);
        assert_string_equal(c.items[0]->registry, "a");
        assert_string_equal(c.items[1]->registry, "m/x");
        assert_string_equal(c.items[2]->registry, "z");
        assert_ptr_equal(credentials_find(&c, "z"), c.items[2]);
        assert_null(credentials_find(&c, "b"));
        assert_int_equal(problems.n_items, 0);
}

static void test_forms(void **state _unused_) {
        static const struct {
                const char *text;
                size_t n_items;
        } cases[] = {
                {"{}", 0},
                {" \n{ }\n ", 0},
                {"{\"auths\":{}}", 0},
                {"{\"auths\":null}", 0},
                {"{\"HttpHeaders\":{\"User-Agent\":\"x\"},\"psFormat\":\"y\"}", 0},
                {"{\"proxies\":{\"default\":{\"httpProxy\":\"x\"}}}", 0},
                /* ~/.dockercfg */
                {"{\"r.example\":" ENTRY "}", 1},
                {"{\"https://index.docker.io/v1/\":" ENTRY ",\"b\":{\"username\":\"u\",\"password\":\"p\"}}", 2},
                {"{\"r.example\":" ENTRY ",\"b\":{}}", 2},
                /* The names of members in any case. */
                {"{\"Auths\":{\"a\":" ENTRY "}}", 1},
                {"{\"HTTPHEADERS\":{},\"DetachKeys\":\"x\"}", 0},
                {"{\"r.example\":{\"Auth\":\"" AUTH "\"}}", 1},
                {"{\"k\xc3\xbcrzel\":\"\xc3\xa4\",\"auths\":{\"a\":" ENTRY "}}", 1},
                /* Values that are no entries: their registries are known, and keep the entries they have. */
                {"{\"auths\":{\"a\":" ENTRY ",\"b\":\"x\",\"c\":null}}", 3},
                /* Members of other programs beside "auths". */
                {"{\"auths\":{\"a\":" ENTRY
                 "},\"x\":1,\"author\":\"me\",\"oauth\":{},\"credentials\":{},\"kind\":\"x\"}",
                 1},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                Problems problems = {0};

                assert_int_equal(parse(&c, cases[i].text, &problems), 0);
                assert_int_equal(c.n_items, cases[i].n_items);
        }
}

static void test_not_a_credential_file(void **state _unused_) {
        static const struct {
                const char *text;
                const char *problem;
        } cases[] = {
                {"", "/f:1:1: not valid JSON (it is empty)"},
                {"\n \n", "/f:1:1: not valid JSON (it is empty)"},
                {"{", "/f:1:2: not valid JSON"},
                {"{\"auths\":\n  {\"a\": {", "/f:2:10: not valid JSON (it ends too early)"},
                {"{\n  \"auths\": x\n}", "/f:2:12: not valid JSON (not a value)"},
                {"{\"a\":1,}", "/f:1:8: not valid JSON"},
                {"{\"a\":\"\xff\"}", "not valid JSON (invalid utf-8 string)"},
                {"{} x", "/f:1:4: not valid JSON (something follows its end)"},
                {"{}\n{}", "/f:2:1: not valid JSON (something follows its end)"},
                {"[]", "/f:1:1: not a Docker credential file"},
                {" \n \"x\"", "/f:2:2: not a Docker credential file"},
                {"{\"auths\":[]}", "\"auths\" is not an object"},
                {"{\"auths\":\"x\"}", "\"auths\" is not an object"},
                {"/* */{}", "/f:1:1: not valid JSON"},
                {"{\"credHelpers\":[]}", "/f:1:2: \"credHelpers\" is not an object"},
                {"{\"credsStore\":7}", "/f:1:2: \"credsStore\" is not a string"},
                /* Twice, in any spelling that Go takes for one. */
                {"{\"auths\":{\"x\":" ENTRY "},\n\"auths\":{}}", "/f:2:1: \"auths\" occurs a second time"},
                {"{\"auths\":{\"x\":" ENTRY "},\"Auths\":null}", ": \"auths\" occurs a second time"},
                {"{\"auths\":{},\"a\\u0075ths\":{}}", "/f:1:13: \"auths\" occurs a second time"},
                {"{\"credHelpers\":{},\"credHelpers\":{}}", "/f:1:19: \"credHelpers\" occurs a second time"},
                {"{\"credsStore\":\"a\",\"credsStore\":\"a\"}", ": \"credsStore\" occurs a second time"},
                /* A misspelled member, beside others or alone. */
                {"{\"auths\":{},\"credStore\":\"x\"}", "/f:1:13: the member \"credStore\" is not known to Docker; "
                                                       "\"credsStore\" is"},
                {"{\"credsStores\":\"x\"}", "\"credsStore\" is"},
                {"{\"credentialsStore\":\"x\"}", "\"credsStore\" is"},
                {"{\"credHelper\":{}}", "\"credHelpers\" is"},
                {"{\"credential-helpers\":{}}", "\"credHelpers\" is"},
                {"{\"auth\":{\"r.example\":" ENTRY "}}", "\"auths\" is"},
                {"{\"authConfigs\":{}}", "\"auths\" is"},
                {"{\"Auhts\":{}}", "\"auths\" is"},
                /* Other files. */
                {"{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"data\":{\".dockerconfigjson\":\"e30=\"}}",
                 "/f:1:20: not a Docker credential file but a Kubernetes Secret"},
                {"{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[]}", "a Kubernetes manifest"},
                {"{\".dockerconfigjson\":\"e30=\"}", "the data of a Kubernetes Secret"},
                {"{\"type\":\"service_account\",\"private_key\":\"hunter2\"}", "a key file of Google Cloud"},
                {"{\"ServerURL\":\"r\",\"Username\":\"u\",\"Secret\":\"hunter2\"}",
                 "the answer of a credential helper"},
                {"{\"auth\":\"" AUTH "\"}", "one entry without its registry"},
                {"{\"username\":\"u\",\"password\":\"hunter2\"}", "one entry without its registry"},
                {"{\"registry-mirrors\":[]}", "Docker's daemon.json"},
                {"{\"x\":1}", "/f:1:2: not a Docker credential file: it has neither \"auths\""},
                {"{\"r.example\":{}}", "it has neither \"auths\""},
                {"{\"detachKeys\":\"x\",\"r\\u00e4\":{\"a\":1}}", "/f:1:1: not a Docker credential file"},
                {"{\"me:hunter2@r.example\":{}}", "'r.example' is not a setting"},
                /* ~/.dockercfg with a member that is no entry. */
                {"{\"r.example\":" ENTRY ",\n\"HttpHeaders\":{\"auth\":\"x\"}}",
                 "/f:2:1: not a Docker credential file: a list of entries without \"auths\", in which 'HttpHeaders'"},
                {"{\"r.example\":" ENTRY ",\"detachKeys\":\"x\"}", "'detachKeys' is not an entry"},
                {"{\"r.example\":" ENTRY ",\"x\":null}", "'x' is not an entry"},
                {"{\"r.example\":" ENTRY ",\"x\":{\"y\":1}}", "'x' is not an entry"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                Problems problems = {0}, before = {0};

                assert_int_equal(parse(&c, "{\"auths\":{\"a\":" ENTRY "}}", &before), 0);
                assert_int_equal(parse(&c, cases[i].text, &problems), -EBADMSG);
                assert_int_equal(problems.n_items, 1);
                assert_int_equal(problems.items[0].level, LOG_ERR);
                unit_assert_problem(&problems, cases[i].problem);
                assert_no_secret(&problems);
                assert_int_equal(c.n_items, 1);
        }
}

static void test_nul_and_depth(void **state _unused_) {
        static const char inside[] = "{\"a\":\0 1}", after[] = "{}\0";
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};
        char deep[200];

        assert_int_equal(credfile_parse(&c, "/f", inside, sizeof(inside) - 1, NULL, &problems), -EBADMSG);
        assert_int_equal(credfile_parse(&c, "/f", after, sizeof(after) - 1, NULL, &problems), -EBADMSG);
        memset(deep, '[', sizeof(deep) - 1);
        deep[sizeof(deep) - 1] = 0;
        assert_int_equal(parse(&c, deep, &problems), -EBADMSG);
        unit_assert_problem(&problems, "nesting too deep");
}

/* It is JSON, and refused all the same. */
static void test_more_values_than_any_file_has(void **state _unused_) {
        static char many[6 * 1024 * 1024];
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        for (size_t i = 0; i < sizeof(many) - 1; i++)
                many[i] = i == 0 ? '[' : "[],"[(i - 1) % 3];
        assert_int_equal(parse(&c, many, &problems), -EBADMSG);
        unit_assert_problem(&problems, ": more values than its size allows for. Correct it");
}

static void test_refused_key(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(parse(&c, "{\"auths\":{\"x\\nECS_CLUSTER=y\":" ENTRY ",\"a\":" ENTRY "}}", &problems), 0);
        assert_int_equal(c.n_items, 1);
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(problems.items[0].level, LOG_ERR);
        unit_assert_problem(&problems, "x?ECS_CLUSTER=y");
        assert_no_secret(&problems);
}

/* Which helper keeps the secret of registry "a", and which store has to be asked what it has. */
static void test_credential_stores(void **state _unused_) {
        static const struct {
                const char *text;
                const char *helper, *store;
                bool usable;
        } cases[] = {
                {"{\"credsStore\":\"pass\"}", NULL, "pass", false},
                {"{\"auths\":{},\"credsStore\":\"pass\"}", NULL, "pass", false},
                {"{\"auths\":null,\"credsStore\":\"pass\"}", NULL, "pass", false},
                {"{\"auths\":{\"a\":{}},\"credsStore\":\"pass\"}", "pass", NULL, false},
                {"{\"auths\":{\"a\":" ENTRY "},\"credsStore\":\"pass\"}", "pass", NULL, true},
                {"{\"auths\":{\"a\":{}},\"credsStore\":\"pass\",\"credHelpers\":{\"a\":\"gcr\"}}", "gcr", NULL, false},
                {"{\"auths\":{\"a\":{}},\"credHelpers\":{\"a\":\"gcr\"}}", "gcr", NULL, false},
                {"{\"auths\":{\"a\":{}},\"CredHelpers\":{\"a\":\"gcr\"}}", "gcr", NULL, false},
                {"{\"auths\":{\"a\":{}},\"credsstore\":\"pass\"}", "pass", NULL, false},
                {"{\"credHelpers\":{\"a\":\"gcr\"}}", "gcr", NULL, false},
                {"{\"credsStore\":\"pass\",\"credHelpers\":{\"a\":\"gcr\"}}", "gcr", "pass", false},
                {"{\"auths\":{\"a\":" ENTRY "},\"credsStore\":\"\"}", NULL, NULL, true},
                {"{\"auths\":{\"a\":" ENTRY "},\"credsStore\":null,\"credHelpers\":null}", NULL, NULL, true},
                {"{\"auths\":{\"a\":" ENTRY "},\"credHelpers\":{\"a\":7}}", NULL, NULL, true},
                /* An empty value in credHelpers is the file, not the store. */
                {"{\"auths\":{\"a\":" ENTRY "},\"credsStore\":\"pass\",\"credHelpers\":{\"a\":\"\"}}", NULL, NULL,
                 true},
                {"{\"auths\":{\"a\":" ENTRY "},\"credsStore\":\"pass\",\"credHelpers\":{\"a\":null}}", NULL, NULL,
                 true},
                {"{\"auths\":{\"https://a\":" ENTRY "},\"credsStore\":\"pass\",\"credHelpers\":{\"a\":\"\"}}", NULL,
                 NULL, true},
                /* Docker looks up the name of the registry, not the spelling of the entry. */
                {"{\"auths\":{\"https://a\":{}},\"credsStore\":\"pass\",\"credHelpers\":{\"a\":\"gcr\"}}", "gcr", NULL,
                 false},
                {"{\"auths\":{\"https://a\":" ENTRY "},\"credHelpers\":{\"https://a\":\"gcr\"}}", NULL, NULL, true},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                Problems problems = {0};

                assert_int_equal(parse(&c, cases[i].text, &problems), 0);
                assert_int_equal(problems.n_items, 0);
                assert_int_equal(c.n_items, cases[i].helper || cases[i].usable ? 1 : 0);
                assert_int_equal(c.n_stores, cases[i].store ? 1 : 0);
                if (c.n_items > 0) {
                        assert_same(c.items[0]->helper, cases[i].helper);
                        assert_int_equal(credential_is_usable(c.items[0]), cases[i].usable);
                }
                if (c.n_stores > 0) {
                        assert_string_equal(c.stores[0].helper, cases[i].store);
                        assert_string_equal(c.stores[0].source, "/f");
                }
        }
}

static void test_list_of_a_store(void **state _unused_) {
        static const CredentialStore store = {.helper = (char *) "pass", .source = (char *) "/f"};
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(parse(&c, "{\"auths\":{\"a\":" ENTRY "}}", &problems), 0);
        assert_int_equal(credfile_parse_list(&c, &store,
                                             "{\"a\":\"user\",\"https://b/v2/\":\"user\",\"x y\":\"user\","
                                             "\"https://index.docker.io/v1/\":\"user\","
                                             "\"https://index.docker.io/v1/access-token\":\"user\"}",
                                             NULL, &problems),
                         0);
        assert_int_equal(c.n_items, 3);
        assert_null(credentials_find(&c, "a")->helper); /* a file says more than a list */
        assert_string_equal(credentials_find(&c, "b")->helper, "pass");
        assert_string_equal(credentials_find(&c, "b")->key, "https://b/v2/"); /* as the store wants to be asked */
        assert_string_equal(credentials_find(&c, REGISTRY_DOCKER_HUB)->helper, "pass");
        assert_int_equal(problems.n_items, 1);
        unit_assert_problem(&problems, "x y");

        assert_int_equal(credfile_parse_list(&c, &store, "[]", NULL, &problems), -EBADMSG);
        assert_int_equal(credfile_parse_list(&c, &store, "garbage", NULL, &problems), -EBADMSG);
        assert_int_equal(credfile_parse_list(&c, &store, NULL, NULL, &problems), -EBADMSG);
        assert_int_equal(c.n_items, 3);
}

/* Whichever stands first in the file. */
static void check_two_keys(const char *taken, const char *other) {
        for (int order = 0; order < 2; order++) {
                _cleanup_(credentials_done) Credentials c = {0};
                _cleanup_free_ char *text = NULL;
                Problems problems = {0};

                assert_true(asprintf(&text, "{\"auths\":{\"%s\":%s,\"%s\":%s}}", order ? taken : other,
                                     order ? ENTRY : OTHER, order ? other : taken, order ? OTHER : ENTRY) > 0);
                assert_int_equal(parse(&c, text, &problems), 0);
                assert_int_equal(c.n_items, 1);
                assert_string_equal(c.items[0]->key, taken);
                assert_string_equal(c.items[0]->username, "user");
                assert_int_equal(problems.n_items, 1);
                assert_int_equal(problems.items[0].level, LOG_WARNING);
                unit_assert_problem(&problems, taken);
                unit_assert_problem(&problems, other);
                assert_no_secret(&problems);
        }
}

static void test_two_keys_for_one_registry(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        check_two_keys(REGISTRY_DOCKER_HUB, "docker.io");
        check_two_keys(REGISTRY_DOCKER_HUB, "https://index.docker.io/v1");
        check_two_keys("r.example", "https://r.example");
        check_two_keys("http://r.example", "https://r.example");

        /* The same credentials: nothing to say. */
        problems = (Problems){0};
        assert_int_equal(
                parse(&c, "{\"auths\":{\"https://r.example/v2/\":" ENTRY ",\"r.example\":" ENTRY "}}", &problems), 0);
        assert_int_equal(c.n_items, 1);
        assert_int_equal(problems.n_items, 0);
}

static void test_later_file_wins(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(parse(&c, "{\"auths\":{\"a\":" ENTRY ",\"b\":" ENTRY "}}", &problems), 0);
        assert_int_equal(parse(&c, "{\"auths\":{\"https://b\":" OTHER ",\"c\":" OTHER "}}", &problems), 0);
        assert_int_equal(c.n_items, 3);
        assert_string_equal(credentials_find(&c, "a")->username, "user");
        assert_string_equal(credentials_find(&c, "b")->username, "other");
        assert_int_equal(problems.n_items, 0);
}

/* Neither a later file nor another key of the same file. */
static void test_empty_entry_takes_no_place(void **state _unused_) {
        static const char *const files[] = {
                "{\"auths\":{\"docker.io\":" ENTRY ",\"" REGISTRY_DOCKER_HUB "\":{}}}",
                "{\"auths\":{\"" REGISTRY_DOCKER_HUB "\":{},\"docker.io\":" ENTRY "}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                Problems problems = {0};

                assert_int_equal(parse(&c, files[i], &problems), 0);
                assert_int_equal(c.n_items, 1);
                assert_string_equal(c.items[0]->username, "user");
                assert_int_equal(problems.n_items, 0);

                assert_int_equal(parse(&c, "{\"auths\":{\"docker.io\":{}}}", &problems), 0);
                assert_int_equal(c.n_items, 1);
                assert_string_equal(c.items[0]->username, "user");
        }
}

/* A broken entry beside a good one of the same registry, whichever comes first. */
static void test_broken_twin(void **state _unused_) {
        static const char *const files[] = {
                "{\"auths\":{\"https://a\":{\"auth\":\"%%%\"},\"a\":" ENTRY "}}",
                "{\"auths\":{\"a\":" ENTRY ",\"https://a\":{\"auth\":\"%%%\"}}}",
                "{\"auths\":{\"https://a\":" ENTRY ",\"a\":{\"auth\":7}}}",
        };

        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                Problems problems = {0};

                assert_int_equal(parse(&c, files[i], &problems), 0);
                assert_int_equal(c.n_items, 1);
                assert_string_equal(c.items[0]->username, "user");
                assert_int_equal(problems.n_items, 1);
                assert_int_equal(problems.items[0].level, LOG_NOTICE);
                unit_assert_problem(&problems, "of /f is used. Correct or remove it in an editor first");
        }
}

static void test_key_with_a_password(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(
                parse(&c, "{\"auths\":{\"https://me:hunter2@r.example\":" ENTRY ",\"x:hunter2@r\":1}}", &problems), 0);
        assert_int_equal(c.n_items, 0);
        assert_int_equal(problems.n_items, 2);
        unit_assert_problem(&problems, "'r.example'");
        assert_no_secret(&problems);
}

static void expect_load(const char *path, int r, const char *part) {
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        assert_int_equal(credfile_load(&c, path, true, NULL, NULL, NULL, &problems), r);
        assert_int_equal(c.n_items, 0);
        assert_int_equal(problems.n_items, 1);
        unit_assert_problem(&problems, path);
        unit_assert_problem(&problems, part);
}

static void test_load(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "config.json"), *link = unit_path(*state, "link");
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        unit_write_file(path, "{\"auths\":{\"a\":" ENTRY "}}");
        assert_int_equal(symlink("config.json", link), 0);
        assert_int_equal(credfile_load(&c, link, true, NULL, NULL, NULL, &problems), 0);
        assert_int_equal(c.n_items, 1);
        assert_string_equal(c.items[0]->source, link);
        assert_int_equal(problems.n_items, 0);
}

/* Which file it was, and when it was written. */
static void test_stamp(void **state) {
        const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1764000000, .tv_nsec = 123456789}};
        _cleanup_free_ char *path = unit_path(*state, "config.json");
        _cleanup_(credentials_done) Credentials c = {0};
        const DigestKey key = {{1}};
        CredFileStamp stamp = {0};
        Problems problems = {0};
        Digest digest;
        struct stat st;

        unit_write_file(path, "{}");
        assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(digest_compute(&key, "{}", 2, &digest), 0);
        assert_int_equal(credfile_load(&c, path, true, NULL, &key, &stamp, &problems), 0);
        assert_true(stamp.inode == st.st_ino);
        assert_true(stamp.mtime_nsec == 1764000000123456789);
        assert_true(digest_equal(&stamp.digest, &digest));
}

/* A file system that does not answer holds nobody up for longer than two seconds. */
static void test_patience(void **state _unused_) {
        char directory[] = "/dev/shm/ecs-authd-unit-XXXXXX"; /* not on a block device: a thread reads the file */
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_free_ char *path = NULL;
        Problems problems = {0};

        if (!mkdtemp(directory))
                skip();
        path = unit_path(directory, "config.json");
        unit_write_file(path, "{}");
        assert_int_equal(credfile_load(&c, path, true, NULL, NULL, NULL, &problems), 0);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(rmdir(directory), 0);
        unit_assert_in_range(patience_usec, USEC_PER_SEC, 2 * USEC_PER_SEC);
}

/* None of these may block. */
static void test_load_what_is_not_a_file(void **state) {
        const bool as_root = geteuid() == 0;
        _cleanup_free_ char *fifo = unit_path(*state, "fifo"), *loop = unit_path(*state, "loop"),
                            *none = unit_path(*state, "none"), *below = unit_path(*state, "file/config.json"),
                            *file = unit_path(*state, "file"), *big = unit_path(*state, "big"),
                            *closed = unit_path(*state, "closed");

        expect_load(none, -ENOENT, "Run 'docker login', or set [Credentials] File=");
        expect_load("/home/ecs-authd-nobody/config.json", -ENOENT, "no home directory but root's without a drop-in");
        expect_load("/run/user/4294967294/config.json", -ENOENT, "no home directory but root's without a drop-in");
        expect_load(*state, -EISDIR, "regular file");
        expect_load("/dev/zero", -ENOTSUP, "regular file");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        expect_load(fifo, -ENOTSUP, "regular file");
        assert_int_equal(symlink("loop", loop), 0);
        expect_load(loop, -ELOOP, "symbolic links");
        unit_write_file(file, "{}");
        expect_load(below, -ENOTDIR, "docker login");

        unit_write_file(big, "");
        assert_int_equal(truncate(big, 4 * 1024 * 1024 + 1), 0);
        expect_load(big, -EFBIG, "No credential file is that long");

        unit_write_file(closed, "{}");
        assert_int_equal(chmod(closed, 0), 0);
        if (as_root)
                assert_int_equal(seteuid(65534), 0);
        expect_load(closed, -EACCES, "Run this as root");
        if (as_root)
                assert_int_equal(seteuid(0), 0);
}

static void test_load_what_others_can_change(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "config.json");

        unit_write_file(path, "{}");
        assert_int_equal(chmod(path, 0666), 0);
        expect_load(path, -EKEYREJECTED, "since others can change it");
}

static void test_load_from_a_file_system_that_fails(void **state) {
        static const struct {
                int error;
                const char *part;
        } table[] = {{ETIMEDOUT, "The file system that it lies on does not answer"}, {EIO, "See what the error says"}};
        _cleanup_free_ char *path = unit_path(*state, "config.json");

        unit_write_file(path, "{}");
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                refuse_open = table[i].error;
                expect_load(path, -table[i].error, table[i].part);
                refuse_open = 0;
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_entries),
                cmocka_unit_test(test_entries_that_cannot_be_used),
                cmocka_unit_test(test_control_characters_are_carried),
                cmocka_unit_test(test_two_fields),
                cmocka_unit_test(test_forms),
                cmocka_unit_test(test_not_a_credential_file),
                cmocka_unit_test(test_nul_and_depth),
                cmocka_unit_test(test_more_values_than_any_file_has),
                cmocka_unit_test(test_refused_key),
                cmocka_unit_test(test_credential_stores),
                cmocka_unit_test(test_list_of_a_store),
                cmocka_unit_test(test_two_keys_for_one_registry),
                cmocka_unit_test(test_later_file_wins),
                cmocka_unit_test(test_empty_entry_takes_no_place),
                cmocka_unit_test(test_broken_twin),
                cmocka_unit_test(test_key_with_a_password),
                cmocka_unit_test_setup_teardown(test_load, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_stamp, unit_make_directory, unit_remove_directory),
                cmocka_unit_test(test_patience),
                cmocka_unit_test_setup_teardown(test_load_what_is_not_a_file, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_load_what_others_can_change, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_load_from_a_file_system_that_fails, unit_make_directory,
                                                unit_remove_directory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
