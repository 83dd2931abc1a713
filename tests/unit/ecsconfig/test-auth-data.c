/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json.h"
#include "base/secret.h"
#include "credentials/registry-name.h"
#include "ecsconfig/auth-data.h"

#define AUTH "dXNlcjpwYXNzd29yZA=="
#define ENTRY "{\"auth\":\"" AUTH "\"}"
#define FIELDS "\"username\":\"user\",\"password\":\"password\""

#define ACR_USER "00000000-0000-0000-0000-000000000000"
#define ACR_AUTH "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOnQ=" /* ACR_USER:t */

static const DigestKey key = {{9}};

static void add(Credentials *c, const char *registry, const char *username, const char *password, const char *token,
                const char *email) {
        Credential one = {
                .registry = strdup(registry),
                .key = strdup(registry),
                .source = strdup("/f"),
                .username = username ? strdup(username) : NULL,
                .password = password ? strdup(password) : NULL,
                .identity_token = token ? strdup(token) : NULL,
                .email = email ? strdup(email) : NULL,
        };

        credentials_put(c, &one);
}

/* Reads the entries that the agent uses. -EBADMSG: it drops all of them. */
static int parse(const char *type, const char *data, Credentials *ret) {
        _cleanup_(authdata_done) AuthData a = {0};

        authdata_read(type, data, &key, &a);
        if (*a.ignored && !str_empty(type) && !strstr(a.ignored, "outer"))
                return -EBADMSG;
        *ret = a.entries;
        a.entries = (Credentials){0};
        return 0;
}

static int format(Credentials *c, const AuthData *current, AuthType type, const char **ret_type, char **ret_data,
                  Problems *problems) {
        _cleanup_(authdata_done) AuthData made = {0};

        return authdata_format(c, current, type, &key, ret_type, ret_data, &made, problems);
}

static void expect_format(Credentials *c, AuthType type, const char *expected_type, const char *expected_data) {
        _cleanup_secret_ char *data = NULL;
        const char *written = "unset";
        Problems problems = {0};

        assert_int_equal(format(c, NULL, type, &written, &data, &problems), 0);
        assert_int_equal(problems.n_items, 0);
        if (!expected_type) {
                assert_null(written);
                assert_null(data);
                return;
        }
        assert_string_equal(written, expected_type);
        assert_string_equal(data, expected_data);
}

/* It leaves the list, and nothing else does. */
static void expect_refused(const Credentials *list, AuthType type, const char *part) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_secret_ char *data = NULL;
        const char *written = "unset";
        Problems problems = {0};

        credentials_copy(list, &c);
        assert_int_equal(format(&c, NULL, type, &written, &data, &problems), 0);
        assert_int_equal(c.n_items, list->n_items - 1);
        assert_null(credentials_find(&c, "r.example"));
        assert_int_equal(data != NULL, c.n_items > 0);
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(problems.items[0].level, LOG_ERR);
        unit_assert_problem(&problems, part);
        unit_assert_problem(&problems, "r.example");
        assert_null(strstr(problems.items[0].text, "hunter2"));
}

static void test_type_names(void **state _unused_) {
        AuthType t = AUTH_TYPE_DOCKER;

        assert_int_equal(auth_type_from_string("auto", &t), 0);
        assert_int_equal(t, AUTH_TYPE_AUTO);
        assert_int_equal(auth_type_from_string("dockercfg", &t), 0);
        assert_int_equal(t, AUTH_TYPE_DOCKERCFG);
        assert_int_equal(auth_type_from_string("docker", &t), 0);
        assert_int_equal(t, AUTH_TYPE_DOCKER);
        assert_int_equal(auth_type_from_string("", &t), -EINVAL);
        assert_int_equal(auth_type_from_string("Docker", &t), -EINVAL);
        assert_int_equal(t, AUTH_TYPE_DOCKER);
        assert_string_equal(auth_type_to_string(AUTH_TYPE_DOCKERCFG), "dockercfg");
}

static void test_format_nothing(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        expect_format(&c, AUTH_TYPE_AUTO, NULL, NULL);
        add(&c, "r.example", NULL, NULL, NULL, NULL);
        expect_format(&c, AUTH_TYPE_AUTO, NULL, NULL);
        expect_format(&c, AUTH_TYPE_DOCKER, NULL, NULL);
}

static void test_format_dockercfg(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "z.example", NULL, NULL, NULL, NULL);
        add(&c, "r.example/team", "user", "password", NULL, "me@example");
        add(&c, REGISTRY_DOCKER_HUB, "user", "p\"a\\:\n/?", NULL, NULL);
        expect_format(&c, AUTH_TYPE_AUTO, "dockercfg",
                      "{\"" REGISTRY_DOCKER_HUB "\":{\"auth\":\"dXNlcjpwImFcOgovPw==\"},"
                      "\"r.example/team\":{\"auth\":\"" AUTH "\",\"email\":\"me@example\"}}");
}

static void test_format_docker(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "a.example", "user", "a pass/word", NULL, "me@example");
        expect_format(&c, AUTH_TYPE_DOCKER, "docker",
                      "{\"a.example\":{\"username\":\"user\",\"password\":\"a pass/word\",\"email\":\"me@example\"}}");

        /* One identity token, and all go out so. */
        add(&c, "b.example", NULL, NULL, "tok", NULL);
        expect_format(&c, AUTH_TYPE_AUTO, "docker",
                      "{\"a.example\":{\"username\":\"user\",\"password\":\"a pass/word\",\"email\":\"me@example\"},"
                      "\"b.example\":{\"identitytoken\":\"tok\"}}");
}

static void test_format_colon_in_name(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "r.example", "us:er", "password", NULL, NULL);
        expect_format(&c, AUTH_TYPE_AUTO, "docker",
                      "{\"r.example\":{\"username\":\"us:er\",\"password\":\"password\"}}");
        expect_refused(&c, AUTH_TYPE_DOCKERCFG, "colon");
}

static void test_format_refuses(void **state _unused_) {
        static const char *const passwords[] = {"hunter2\"", "hunter2\\",   "hunter2\n",
                                                "\thunter2", "hunter2\x7f", "hunter2\xff"};
        _cleanup_(credentials_done) Credentials token = {0};

        add(&token, "r.example", "user", "hunter2", "hunter2", NULL);
        expect_refused(&token, AUTH_TYPE_DOCKERCFG, "identity token");

        for (size_t i = 0; i < ELEMENTSOF(passwords); i++) {
                _cleanup_(credentials_done) Credentials c = {0};

                add(&c, "r.example", "user", passwords[i], NULL, NULL);
                expect_refused(&c, AUTH_TYPE_DOCKER, "AuthType=docker");

                /* An entry beside it needs this type. */
                add(&c, "b.example", NULL, NULL, "tok", NULL);
                expect_refused(&c, AUTH_TYPE_AUTO, "AuthType=docker");
        }
}

/* dockercfg carries an identity token of Azure as a password, and docker no password that JSON would escape. */
static void test_format_azure(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "x.azurecr.io", ACR_USER, "", "t", NULL);
        expect_format(&c, AUTH_TYPE_AUTO, "docker",
                      "{\"x.azurecr.io\":{\"username\":\"" ACR_USER "\",\"password\":\"\",\"identitytoken\":\"t\"}}");
        add(&c, "gcr.io", "_json_key", "{\"a\":\n1}", NULL, NULL);
        expect_format(&c, AUTH_TYPE_AUTO, "dockercfg",
                      "{\"gcr.io\":{\"auth\":\"X2pzb25fa2V5OnsiYSI6CjF9\"},\"x.azurecr.io\":{\"auth\":\"" ACR_AUTH
                      "\"}}");
        /* The list has the form that is written. */
        expect_format(&c, AUTH_TYPE_AUTO, "dockercfg",
                      "{\"gcr.io\":{\"auth\":\"X2pzb25fa2V5OnsiYSI6CjF9\"},\"x.azurecr.io\":{\"auth\":\"" ACR_AUTH
                      "\"}}");
}

/* What no type carries beside the others is named, with a way out. */
static void expect_advice(AuthType type, const char *username, const char *password, const char *token,
                          const char *advice) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "r.example", username, password, token, NULL);
        add(&c, "gcr.io", "_json_key_2", type == AUTH_TYPE_DOCKERCFG ? "\"" : "p", NULL, NULL);
        add(&c, "t.example", NULL, NULL, type == AUTH_TYPE_DOCKERCFG ? NULL : "tok", NULL);
        expect_refused(&c, type, advice);
}

static void test_advice(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        expect_advice(AUTH_TYPE_AUTO, "_json_key", "hunter2\"", NULL,
                      "AuthType=docker, needed for t.example: they have a quote");
        expect_advice(AUTH_TYPE_AUTO, "_json_key", "hunter2\"", NULL,
                      "base64 -w0 KEY.json | docker login -u _json_key_base64 --password-stdin r.example");
        expect_advice(AUTH_TYPE_DOCKER, "user", "hunter2\"", NULL, "move this one to AWS Secrets Manager");
        expect_advice(AUTH_TYPE_DOCKERCFG, NULL, NULL, "hunter2", "with a user name and a password");
        expect_advice(AUTH_TYPE_DOCKERCFG, "us:er", "hunter2", NULL, "with a user name that has no colon");

        add(&c, "r.example", NULL, NULL, "hunter2", NULL);
        expect_refused(&c, AUTH_TYPE_DOCKERCFG, "Set [Agent] AuthType=auto, which carries all of these credentials");
}

/* No type carries the first of these; that is no reason to drop the other one. */
static void test_type_for_the_others(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "r.example", "us:er", "hunter2\"", NULL, NULL);
        add(&c, "gcr.io", "_json_key", "\"", NULL, NULL);
        expect_refused(&c, AUTH_TYPE_AUTO, "AuthType=dockercfg: they have a user name with a colon");
}

/* What cannot be carried keeps its former form, where that can. */
static void test_format_keeps_the_former(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_(authdata_done) AuthData former = {0};
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        Problems problems = {0};

        add(&c, "a.example", "user", "fresh", NULL, NULL);
        add(&c, "b.example", "user", "hunter2\x7f", NULL, NULL);
        add(&c, "r.example", "user", "hunter2\"", NULL, NULL);
        add(&c, "s.example", "user", "hunter2\\", NULL, NULL);
        add(&former.entries, "a.example", "user", "stale", NULL, NULL);
        add(&former.entries, "b.example", "user", "former", NULL, NULL);
        add(&former.entries, "r.example", "user", "former", NULL, NULL);
        add(&former.entries, "s.example", "user", "hunter2\n", NULL, NULL);
        assert_int_equal(format(&c, &former, AUTH_TYPE_DOCKER, &type, &data, &problems), 0);
        assert_string_equal(data, "{\"a.example\":{\"username\":\"user\",\"password\":\"fresh\"},"
                                  "\"b.example\":{\"username\":\"user\",\"password\":\"former\"},"
                                  "\"r.example\":{\"username\":\"user\",\"password\":\"former\"}}");
        assert_int_equal(problems.n_items, 3);
        unit_assert_problem(&problems, "The entry that the environment file has for it stays");
        unit_assert_problem(&problems, "It is left out");
}

/* Foreign entries: each line of the table is what stood in the file, the logins, and the line that carries both. */
static void test_format_foreign_entries(void **state _unused_) {
        static const struct {
                const char *type, *data; /* the current line; every entry in it is foreign */
                const char *password, *token;
                AuthType asked;
                int r;
                const char *new_type, *new_data;
                const char *problem; /* NULL: none */
        } table[] = {
                /* As they are spelled, and first. */
                {"dockercfg", "{\"https://Z.example\":" ENTRY ",\"auths\":{},\"n\":null}", "password", NULL,
                 AUTH_TYPE_AUTO, 0, "dockercfg",
                 "{\"https://Z.example\":" ENTRY ",\"auths\":{},\"n\":null,\"r.example\":" ENTRY "}", NULL},
                {"docker", "{\"z\":{\"username\":\"u\",\"registrytoken\":\"t\"}}", "password", NULL, AUTH_TYPE_AUTO, 0,
                 "docker", "{\"z\":{\"username\":\"u\",\"registrytoken\":\"t\"},\"r.example\":{" FIELDS "}}", NULL},
                /* In the other form, if the line needs it. */
                {"docker", "{\"z\":{" FIELDS "}}", "password", NULL, AUTH_TYPE_AUTO, 0, "docker",
                 "{\"z\":{" FIELDS "},\"r.example\":{" FIELDS "}}", NULL},
                {"dockercfg", "{\"z\":" ENTRY "}", NULL, "t", AUTH_TYPE_AUTO, 0, "docker",
                 "{\"z\":{" FIELDS "},\"r.example\":{\"identitytoken\":\"t\"}}", NULL},
                {"docker", "{\"z\":{\"username\":\"user\",\"password\":\"a\\\"b\"}}", "password", NULL, AUTH_TYPE_AUTO,
                 0, "dockercfg", "{\"z\":{\"auth\":\"dXNlcjphImI=\"},\"r.example\":" ENTRY "}", NULL},
                /* A login for the same registry replaces it, in whichever spelling. */
                {"dockercfg", "{\"https://r.example/v2/\":" ENTRY ",\"http://r.example\":{}}", "password", NULL,
                 AUTH_TYPE_AUTO, 0, "dockercfg", "{\"r.example\":" ENTRY "}", NULL},
                /* The login is left out, and the foreign entry stays. */
                {"docker", "{\"z\":{\"identitytoken\":\"t\"}}", "hunter2\"", NULL, AUTH_TYPE_AUTO, 0, "docker",
                 "{\"z\":{\"identitytoken\":\"t\"}}", "entry of z, which is in ecs.config by other means"},
                {"docker", "{\"r.example\":{\"username\":\"u\",\"password\":\"p\"}}", "hunter2\"", NULL,
                 AUTH_TYPE_DOCKER, 0, "docker", "{\"r.example\":{\"username\":\"u\",\"password\":\"p\"}}",
                 "It is left out"},
                {"dockercfg", "{\"z\":{\"auth\":\"dXNlcjphImI=\"}}", NULL, "t", AUTH_TYPE_AUTO, 0, "dockercfg",
                 "{\"z\":{\"auth\":\"dXNlcjphImI=\"}}", "entry of z, which is in ecs.config by other means"},
                /* No line carries it. */
                {"docker", "{\"z\":{\"identitytoken\":\"t\"}}", "password", NULL, AUTH_TYPE_DOCKERCFG, -EOPNOTSUPP,
                 NULL, NULL, "Set [Agent] AuthType=auto"},
                {"docker", "{\"z\":{\"registrytoken\":\"t\"}}", "password", NULL, AUTH_TYPE_DOCKERCFG, -EOPNOTSUPP,
                 NULL, NULL, "AuthType=dockercfg"},
                {"docker", "{\"z\":{\"identitytoken\":\"t\",\"username\":\"a\\\"b\"}}", "password", NULL,
                 AUTH_TYPE_AUTO, -EOPNOTSUPP, NULL, NULL, "Delete that entry"},
                {"docker", "{\"a\\\"b\":{\"identitytoken\":\"t\"}}", "password", NULL, AUTH_TYPE_AUTO, -EOPNOTSUPP,
                 NULL, NULL, "nothing was written"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(authdata_done) AuthData current = {0};
                _cleanup_(credentials_done) Credentials c = {0};
                _cleanup_secret_ char *data = NULL;
                Problems problems = {0};
                const char *type = NULL;

                add(&c, "r.example", table[i].password ? "user" : NULL, table[i].password, table[i].token, NULL);
                authdata_read(table[i].type, table[i].data, &key, &current);
                assert_string_equal(current.ignored, "");
                for (size_t k = 0; k < current.entries.n_items; k++)
                        current.entries.items[k]->foreign = true;
                assert_int_equal(format(&c, &current, table[i].asked, &type, &data, &problems), table[i].r);
                if (table[i].new_type) {
                        assert_string_equal(type, table[i].new_type);
                        assert_string_equal(data, table[i].new_data);
                }
                assert_int_equal(problems.n_items, table[i].problem != NULL);
                if (table[i].problem)
                        unit_assert_problem(&problems, table[i].problem);
        }
}

static void test_content_that_the_agent_ignores(void **state _unused_) {
        static const struct {
                const char *type, *data, *ignored;
        } table[] = {
                {NULL, NULL, ""},
                {NULL, "", ""},
                {"docker", "{}", ""},
                {NULL, "{}", "ECS_ENGINE_AUTH_TYPE is not set"},
                {"auto", "{}", "ECS_ENGINE_AUTH_TYPE is neither dockercfg nor docker"},
                {"Docker", "{}", "ECS_ENGINE_AUTH_TYPE is neither dockercfg nor docker"},
                {"docker", NULL, "ECS_ENGINE_AUTH_DATA is not valid JSON ("},
                {"docker", "{", "ECS_ENGINE_AUTH_DATA is not valid JSON ("},
                {"docker", "[]", "ECS_ENGINE_AUTH_DATA is not a JSON object"},
                {"docker", "{\"a\":{},\"credsStore\":\"x\"}",
                 "ECS_ENGINE_AUTH_DATA: 'credsStore' is not an auth entry"},
                {"dockercfg", "{\"auths\":{\"a\":" ENTRY "}}",
                 "ECS_ENGINE_AUTH_DATA has the outer \"auths\" of config.json, which the agent does not know"},
                {"docker", "{\"a\":{},\"b\":{\"registrytoken\":\"t\"}}", ""},
                {"dockercfg", "{\"a\":{\"auth\":1}}", "ECS_ENGINE_AUTH_DATA: 'a' is not an auth entry"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(authdata_done) AuthData current = {0};
                Digest digest;

                authdata_read(table[i].type, table[i].data, &key, &current);
                assert_int_equal(strncmp(current.ignored, table[i].ignored, strlen(table[i].ignored)), 0);
                assert_int_equal(*current.ignored != 0, *table[i].ignored != 0);
                authdata_digest(table[i].type, table[i].data, &key, &digest);
                assert_true(digest_equal(&digest, &current.digest));
        }
}

/* Without a name it is none to the agent, and costs nothing. */
static void test_format_without_a_name(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "a.example", "", "password", NULL, NULL);
        add(&c, "r.example", "user", "password", NULL, NULL);
        expect_format(&c, AUTH_TYPE_DOCKER, "docker",
                      "{\"a.example\":{\"username\":\"\",\"password\":\"password\"},\"r.example\":{" FIELDS "}}");
}

/* Nobody logs in with an email address: an odd one costs nothing. */
static void test_format_odd_email(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        add(&c, "r.example", "user", "password", NULL, "\"me\"@example");
        expect_format(&c, AUTH_TYPE_AUTO, "dockercfg", "{\"r.example\":" ENTRY "}");
        expect_format(&c, AUTH_TYPE_DOCKER, "docker", "{\"r.example\":{" FIELDS "}}");
}

static void test_what_is_written_is_read(void **state _unused_) {
        static const AuthType types[] = {AUTH_TYPE_DOCKERCFG, AUTH_TYPE_DOCKER};

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                _cleanup_(credentials_done) Credentials c = {0}, back = {0};
                _cleanup_secret_ char *data = NULL;
                const char *type = NULL;
                Problems problems = {0};

                add(&c, "a.example", "user", "a:b:c", NULL, NULL);
                add(&c, "b.example:5000/x", "\xc3\xa9", "z", NULL, NULL);
                assert_int_equal(format(&c, NULL, types[i], &type, &data, &problems), 0);
                assert_int_equal(parse(type, data, &back), 0);
                assert_int_equal(back.n_items, 2);
                assert_non_null(credentials_find(&back, "a.example"));
                assert_string_equal(credentials_find(&back, "a.example")->username, "user");
                assert_string_equal(credentials_find(&back, "a.example")->password, "a:b:c");
        }
}

static const struct {
        const char *type;
        const char *data;
        int r;
        size_t n_items;
} parse_cases[] = {
        {NULL, NULL, 0, 0},
        {"", "", 0, 0},
        {NULL, "", 0, 0},
        {NULL, "{\"r\":" ENTRY "}", 0, 0},
        {"", "x", 0, 0},
        {"dockercfg", "{\"r\":" ENTRY ",\"s\":null}", 0, 1},
        {"dockercfg", "{\"r\":{\"auth\":\"dXNlcjpw\\nYXNzd29yZA==\"}}", 0, 1},
        {"dockercfg", "{\"r\":{\"auth\":\" dXNlcjpw\"}}", 0, 0},
        {"dockercfg", "{\"r\":{\"auth\":\"dXNlcjpw----\"}}", 0, 0},
        {"dockercfg", "{\"r\":{\"auth\":\"dX==cjpw\"}}", 0, 0},
        {"dockercfg", "{\"r\":{\"auth\":\"dXNlOj=w\"}}", 0, 0},
        {"dockercfg", "{\"r'\\\"'\":" ENTRY "}", 0, 1},
        {"dockercfg", "{\"r\":" ENTRY "} \t", 0, 1},
        {"dockercfg", "{}", 0, 0},
        {"dockercfg", "{\"r\":" ENTRY "}", 0, 1},
        {"dockercfg", "{\"r\":" ENTRY ",\"s\":" ENTRY "}", 0, 2},
        {"dockercfg", " { \"r\" : " ENTRY " } ", 0, 1},
        {"dockercfg", "{\"r\":" ENTRY ",\"s\":{\"auth\":\"!\"}}", 0, 1},
        {"dockercfg", "{\"r\":" ENTRY ",\"s\":{\"auth\":\"dXNlcg==\"}}", 0, 1},
        {"dockercfg", "{\"r\":" ENTRY ",\"s\":{\"auth\":\"dXNlcjpwYXNzd29yZ===\"}}", 0, 1},
        {"dockercfg", "{\"r\":{\"auth\":\"dXNlcjpwYXNzd29yZA\"}}", 0, 0}, /* no padding */
        {"dockercfg", "{\"r\":{\"identitytoken\":\"t\"}}", 0, 0},
        {"dockercfg", "{\"r\":{" FIELDS "}}", 0, 0},
        {"dockercfg", "{\"r\":{\"auth\":null}}", 0, 0},
        {"docker", "{\"r\":{" FIELDS "}}", 0, 1},
        {"docker", "{\"r\":{\"identitytoken\":\"t\"}}", 0, 1},
        {"docker", "{\"r\":{\"identitytoken\":\"\"}}", 0, 0},
        /* The agent's decoder takes the names of fields in any case. */
        {"docker", "{\"r\":{\"UserName\":\"u\",\"PASSWORD\":\"p\"}}", 0, 1},
        {"docker", "{\"r\":{\"username\":\"u\",\"Username\":1}}", -EBADMSG, 0},
        {"dockercfg", "{\"r\":{\"Auth\":\"" AUTH "\"}}", 0, 1},
        {"dockercfg", "{\"r\":{\"auth\":\"" AUTH "\",\"Auth\":null}}", 0, 1},
        {"docker", "{\"r\":{\"email\":\"t\"}}", 0, 0},
        /* All are dropped. */
        {"Docker", "{\"r\":{" FIELDS "}}", -EBADMSG, 0},
        {"auto", "{\"r\":{" FIELDS "}}", -EBADMSG, 0},
        {"'docker'", "{\"r\":{" FIELDS "}}", -EBADMSG, 0},
        {"dockercfg", NULL, -EBADMSG, 0},
        {"dockercfg", "", -EBADMSG, 0},
        {"dockercfg", "{", -EBADMSG, 0},
        {"dockercfg", "[]", -EBADMSG, 0},
        {"dockercfg", "{\"r\":" ENTRY "} x", -EBADMSG, 0},
        {"dockercfg", "{\"r\":" ENTRY ",}", -EBADMSG, 0},
        {"dockercfg", "/**/{\"r\":" ENTRY "}", -EBADMSG, 0},
        {"dockercfg", "{'r':" ENTRY "}", -EBADMSG, 0},
        {"dockercfg", "{\"r\":{'auth':'" AUTH "'}}", -EBADMSG, 0},
        {"dockercfg", "x", -EBADMSG, 0},
        {"dockercfg", "'{\"r\":" ENTRY "}'", -EBADMSG, 0},
        {"dockercfg", "{\"r\":" ENTRY ",\"credsStore\":\"x\"}", -EBADMSG, 0},
        {"dockercfg", "{\"r\":" ENTRY ",\"s\":{\"auth\":1}}", -EBADMSG, 0},
        {"docker", "{\"r\":{\"username\":1}}", -EBADMSG, 0},
        {"docker", "{\"r\":{" FIELDS "},\"s\":[]}", -EBADMSG, 0},
};

static void test_parse_fields(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        const Credential *e;

        assert_int_equal(parse("docker",
                               "{\"https://r.example/v2/\":{" FIELDS ",\"email\":\"a@b\","
                               "\"identitytoken\":\"token\"}}",
                               &c),
                         0);
        e = credentials_find(&c, "r.example");
        assert_non_null(e);
        assert_string_equal(e->key, "https://r.example/v2/");
        assert_string_equal(e->username, "user");
        assert_string_equal(e->password, "password");
        assert_string_equal(e->email, "a@b");
        assert_string_equal(e->identity_token, "token");
}

/* It is nothing to the agent, but what is kept stands there as it stood. */
static void test_empty_password_beside_a_token(void **state _unused_) {
        static const char data[] = "{\"r\":{\"password\":\"\",\"identitytoken\":\"t\"}}";
        _cleanup_(credentials_done) Credentials c = {0};

        assert_int_equal(parse("docker", data, &c), 0);
        expect_format(&c, AUTH_TYPE_AUTO, "docker", data);
}

static void test_parse(void **state _unused_) {
        for (size_t i = 0; i < ELEMENTSOF(parse_cases); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                int r = parse(parse_cases[i].type, parse_cases[i].data, &c);

                if (r != parse_cases[i].r || c.n_items != parse_cases[i].n_items)
                        fail_msg("%s %s: %d, %zu entries", parse_cases[i].type, parse_cases[i].data, r, c.n_items);
        }
}

/* The outer "auths" of today's config.json is an entry without credentials to the agent. */
static void test_parse_wrapped(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        assert_int_equal(parse("dockercfg", "{\"auths\":{\"r\":" ENTRY "}}", &c), 0);
        assert_int_equal(c.n_items, 0);
}

typedef struct Values {
        const char *type, *data;
} Values;

/* In each group all are the same, and different from every other group. */
static void check_groups(const Values (*groups)[6], size_t n_groups) {
        for (size_t i = 0; i < n_groups * 6; i++)
                for (size_t k = 0; k < n_groups * 6; k++) {
                        const Values *a = &groups[i / 6][i % 6], *b = &groups[k / 6][k % 6];
                        Digest x, y;

                        if (!a->data || !b->data)
                                continue;
                        authdata_digest(a->type, a->data, &key, &x);
                        authdata_digest(b->type, b->data, &key, &y);
                        if (digest_equal(&x, &y) != (i / 6 == k / 6))
                                fail_msg("%s %s and %s %s", a->type, a->data, b->type, b->data);
                }
}

static void test_digest(void **state _unused_) {
        static const Values groups[][6] = {
                {{"", ""},
                 {NULL, ""},
                 {"dockercfg", "{}"},
                 {"docker", "{}"},
                 {"docker", "{\"r.e\":{}}"},
                 {"dockercfg",
                  "{\"docker.io\":" ENTRY ",\"r\":" ENTRY ",\"*.r.e\":" ENTRY "}"}}, /* no image uses these */
                {{"dockercfg", "{\"r.e\":" ENTRY "}"},
                 {"dockercfg", " {\"r.e\" :\t" ENTRY "}"},
                 {"dockercfg", "{\"https://r.e\":" ENTRY "}"},
                 {"dockercfg", "{\"r.e\":{\"auth\":\"" AUTH "\",\"email\":\"x\"}}"},
                 {"dockercfg", "{\"r.e\":" ENTRY ",\"s.e\":{\"auth\":\"!\"}}"},
                 {"docker", "{\"r.e\":{" FIELDS "}}"}},
                {{"dockercfg", "{\"r.e\":" ENTRY ",\"s.e\":" ENTRY "}"},
                 {"dockercfg", "{\"s.e\":" ENTRY ",\"r.e\":" ENTRY "}"}},
                {{"dockercfg", "{\"s.e\":" ENTRY "}"}},
                /* The agent finds only one of these for an image of Docker Hub. */
                {{"dockercfg", "{\"" REGISTRY_DOCKER_HUB "\":" ENTRY "}"},
                 {"dockercfg", "{\"index.docker.io/v1/\":" ENTRY "}"}},
                {{"dockercfg", "{\"https://r.e/v2/\":" ENTRY "}"}},
                {{"dockercfg", "{\"r.e\":{\"auth\":\"dXNlcjpwYXNzd29yZAo=\"}}"}},
                /* The same bytes, cut in another place. */
                {{"docker", "{\"r.e\":{\"username\":\"ab\",\"password\":\"c\"}}"}},
                {{"docker", "{\"r.e\":{\"username\":\"a\",\"password\":\"bc\"}}"}},
                {{"docker", "{\"r.ea\":{\"username\":\"b\",\"password\":\"c\"}}"}},
                {{"docker", "{\"r.e\":{" FIELDS ",\"identitytoken\":\"t\"}}"}},
                /* Azure takes an identity token as a password, too. */
                {{"docker", "{\"r.azurecr.io\":{\"identitytoken\":\"t\"}}"},
                 {"docker", "{\"r.azurecr.io\":{\"username\":\"" ACR_USER "\",\"identitytoken\":\"t\"}}"},
                 {"docker", "{\"r.azurecr.io\":{\"username\":\"" ACR_USER "\",\"password\":\"t\"}}"},
                 {"dockercfg", "{\"r.azurecr.io\":{\"auth\":\"" ACR_AUTH "\"}}"}},
                {{"docker", "{\"r.azurecr.io\":{\"username\":\"user\",\"password\":\"t\"}}"}},
                /* All are dropped: that is neither "none" nor anything good. */
                {{"nonsense", "{}"},
                 {"dockercfg", "{"},
                 {"docker", ""},
                 {"dockercfg", "{\"r.e\":" ENTRY ",\"s.e\":1}"}},
        };

        check_groups(groups, ELEMENTSOF(groups));
}

static void test_digest_of_nothing(void **state _unused_) {
        static const DigestKey other = {{8}};
        Digest a, b, c;

        authdata_digest(NULL, NULL, &key, &a);
        authdata_digest("dockercfg", "{}", &key, &b);
        authdata_digest(NULL, NULL, &other, &c);
        assert_true(digest_equal(&a, &b));
        assert_false(digest_equal(&a, &c));
}

static void test_mask(void **state _unused_) {
        _cleanup_free_ char *dockercfg = NULL, *docker = NULL;
        _cleanup_free_ char *odd = NULL;
        char *none = NULL;

        assert_int_equal(authdata_mask("{\"r\":1,\"s\":null}", &odd), 0);
        assert_string_equal(odd, "{\"r\":1,\"s\":null}");
        assert_int_equal(authdata_mask("{\"https://r/\":" ENTRY "}", &dockercfg), 0);
        assert_string_equal(dockercfg, "{\"https://r/\":{\"auth\":\"***\"}}");
        assert_int_equal(authdata_mask("{\"r\":{" FIELDS ",\"identitytoken\":\"t\",\"registrytoken\":\"t\"}}", &docker),
                         0);
        assert_string_equal(docker, "{\"r\":{\"username\":\"user\",\"password\":\"***\",\"identitytoken\":\"***\","
                                    "\"registrytoken\":\"***\"}}");
        assert_int_equal(authdata_mask("{", &none), -EBADMSG);
        assert_int_equal(authdata_mask("[1]", &none), -EBADMSG);
        assert_int_equal(authdata_mask("", &none), -EBADMSG);
        assert_null(none);
}

/* json-c does not tell when it had no memory for a part of the text, and goes on without it; this stands for it. */
static struct {
        size_t from, to;     /* what is left out; to 0: nothing */
        const char *instead; /* or what it comes to */
} printed;

const char *json_object_to_json_string_ext(json_object *o, int flags) {
        static char rest[256];
        const char *text = json_object_to_json_string_length(o, flags, NULL);

        if (printed.instead)
                return printed.instead;
        if (printed.to == 0)
                return text;
        assert_true(strlen(text) < sizeof(rest));
        (void) snprintf(rest, sizeof(rest), "%.*s%s", (int) printed.from, text, text + printed.to);
        return rest;
}

static int print_all_again(void **state _unused_) {
        printed.to = 0;
        printed.instead = NULL;
        return 0;
}

static void expect_no_text(Credentials *list) {
        const char *type = NULL;
        char *data = NULL;
        Problems problems = {0};
        int r = format(list, NULL, AUTH_TYPE_AUTO, &type, &data, &problems);

        if (r != -EIO)
                fail_msg("%d, taken: %s", r, data ? data : "");
        assert_null(data);
        assert_null(type);
}

/* Whatever part it is, also where that makes it other JSON than it was: another name or password, or none. */
static void expect_no_text_without_a_part(const char *token) {
        _cleanup_(credentials_done) Credentials list = {0};
        _cleanup_secret_ char *whole = NULL;
        const char *type = NULL;
        Problems problems = {0};

        add(&list, "a", "us", "pw", NULL, NULL);
        add(&list, "b", "us", "pw", token, NULL);
        assert_int_equal(format(&list, NULL, AUTH_TYPE_AUTO, &type, &whole, &problems), 0);
        assert_string_equal(type, token ? "docker" : "dockercfg");
        for (printed.to = 1; printed.to <= strlen(whole); printed.to++)
                for (printed.from = 0; printed.from < printed.to; printed.from++)
                        expect_no_text(&list);
        printed.to = 0;
}

static void test_text_without_a_part(void **state _unused_) {
        expect_no_text_without_a_part(NULL);
        expect_no_text_without_a_part("to");
}

/* Without two parts, what was no entry to the agent is one of another name. */
static void test_text_with_an_entry_more(void **state _unused_) {
        _cleanup_(credentials_done) Credentials list = {0};

        add(&list, "ab", "", "pw", NULL, NULL);
        add(&list, "r", "user", "password", "to", NULL);
        expect_format(&list, AUTH_TYPE_AUTO, "docker",
                      "{\"ab\":{\"username\":\"\",\"password\":\"pw\"},"
                      "\"r\":{" FIELDS ",\"identitytoken\":\"to\"}}");
        printed.instead = "{\"a\":{\"username\":\"pw\"},\"r\":{" FIELDS ",\"identitytoken\":\"to\"}}";
        expect_no_text(&list);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_type_names),
                cmocka_unit_test(test_format_nothing),
                cmocka_unit_test(test_format_dockercfg),
                cmocka_unit_test(test_format_docker),
                cmocka_unit_test(test_format_colon_in_name),
                cmocka_unit_test(test_format_refuses),
                cmocka_unit_test(test_format_azure),
                cmocka_unit_test(test_advice),
                cmocka_unit_test(test_type_for_the_others),
                cmocka_unit_test(test_format_keeps_the_former),
                cmocka_unit_test(test_format_foreign_entries),
                cmocka_unit_test(test_content_that_the_agent_ignores),
                cmocka_unit_test(test_format_without_a_name),
                cmocka_unit_test(test_format_odd_email),
                cmocka_unit_test(test_what_is_written_is_read),
                cmocka_unit_test(test_empty_password_beside_a_token),
                cmocka_unit_test(test_parse),
                cmocka_unit_test(test_parse_fields),
                cmocka_unit_test(test_parse_wrapped),
                cmocka_unit_test(test_digest),
                cmocka_unit_test(test_digest_of_nothing),
                cmocka_unit_test(test_mask),
                cmocka_unit_test_teardown(test_text_without_a_part, print_all_again),
                cmocka_unit_test_teardown(test_text_with_an_entry_more, print_all_again),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
