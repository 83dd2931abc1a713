/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/helper-stderr.h"

#define JWT "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl"

static void check(const char *text, const char *expected) {
        _cleanup_free_ char *complaint = helper_complaint(text, strlen(text), true);

        if (expected)
                assert_string_equal(complaint, expected);
        else
                assert_null(complaint);
}

static void test_what_people_can_use(void **state _unused_) {
        static const char *const same[] = {
                "no keyring",
                "ask admin@example.com",
                "no key in D:/ me@example.com may read",
                "UnrecognizedClientException: The security token included in the request is invalid.",
                "Get \"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com/v2/\": dial tcp: lookup failed",
                "error: open /root/.config/gcloud/application_default_credentials.json: permission denied",
                "NoCredentialProviders: no valid providers in chain. Deprecated.",
                "dial unix /run/user/1000/gnupg/S.gpg-agent.extra: connect: no such file or directory",
                "docker-credential-acr-env: AZURE_CLIENT_ID is not set in the environment",
                "registry.example.com/team/some-application-of-ours:1 is not known",
                "github.com/aws/aws-sdk-go/service/ecr failed",
                "f\xc3\xbcr die L\xc3\xa4ufer",
                "oauth2: \"invalid_grant\" \"reauth related error (invalid_rapt)\"",
                /* At each limit: how long a token is, a word, a number, and a part of a path. */
                "q1w2e3r4t5y6u7i8o9p",
                "abcdefghijklmnop_abcd",
                "errorcode_123456_abcd",
                "/x1y2z/x1y2z/x1y2z/x1",
                "registry.example-x.eu",
                "r2d2c3.example-xyzw.eu",
                "abcdefghijklmnopqrs.example",
        };

        for (size_t i = 0; i < ELEMENTSOF(same); i++)
                check(same[i], same[i]);
}

static void test_what_is_taken_out(void **state _unused_) {
        static const char *const table[][2] = {
                {"token " JWT " has expired", "token *** has expired"},
                {"bad " JWT, "bad ***"},
                {"key wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "key ***"},
                {"id AKIAIOSFODNN7EXAMPLE is not active", "id *** is not active"},
                {"got ya29.a0AfH6SMBx-longer_than_that", "got ***"},
                {"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "***"},
                {"d41d8cd98f00b204e9800998ecf8427e", "***"},
                {"ABcdef_ABcdef_abcdefg", "***"},
                {"abcdefghijklmnopqrstuvwxyz", "***"},
                {"/wJalrXUtnFEMIbK7MDENGzbPxRfiCYEXAMPLEKEY", "***"},
                {"Get \"https://user:hunter2@registry.example.com/v2/\": refused",
                 "Get \"https://***@registry.example.com/v2/\": refused"},
                {"https://hunter2@r.example", "https://***@r.example"},
                {"https://u:a@b@r.example/x", "https://***@r.example/x"},
                {"https://r.example/?token=abc&x=1", "https://r.example/?token=***&x=1"},
                {"Authorization: Bearer abc", "Authorization: Bearer ***"},
                {"Authorization: Basic dTpw, x", "Authorization: Basic ***, x"},
                {"://u:p@r.example", "://***@r.example"},
                {"password=x", "password=***"},
                {"password=hunter2 is wrong", "password=*** is wrong"},
                {"{\"Password\":\"hunter2\"}", "{\"Password\":\"***\"}"},
                {"{\"Username\": \"u\", \"Secret\": \"Winter-Summer7\"}", "{\"Username\": \"u\", \"Secret\": \"***\"}"},
                {"Password: hunter2", "Password: ***"},
                {"Authorization: Basic\tdTpw", "Authorization: Basic ***"},
                {"run login -u alice:hunter2 -p hunter2 again", "run login -u *** -p *** again"},
                {"AWS_SECRET_ACCESS_KEY: Winter.Summer", "AWS_SECRET_ACCESS_KEY: ***"},
                {"q1w2e3r4t5y6u7i8o9pa", "***"},
                {"abcdefghijklmnopq_abc", "***"},
                {"errorcode_1234567_abc", "***"},
                {"/x1y2z/x1y2z3/x1y2z/x", "***"},
                {"/x1y2z/x1y2z/x1y2z3/", "***"},
                {"r2d2c3.example-xyzw.e", "***"},
                {"r2d2c3.example-xyzw.e7", "***"},
                {"abcdefghijklmnopqrst.example", "***"},
                {"a\x1b[31mred\x7f\xff", "a?[31mred??"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++)
                check(table[i][0], table[i][1]);
}

static void test_which_line(void **state _unused_) {
        check("one\ntwo\nthree\n\n \t\n", "three");
        check("  indented", "indented");
        check("one\r\n", "one");
        check("", NULL);
        check("\n \n", NULL);
        assert_null(helper_complaint(NULL, 0, true));
}

/* The beginning of what there was has been lost. */
static void test_the_rest_of_a_line(void **state _unused_) {
        static const char rest[] = "hunter2 was wrong", more[] = "hunter2\nand more", nothing[] = "hunter2";
        _cleanup_free_ char *a = helper_complaint(rest, strlen(rest), false);
        _cleanup_free_ char *b = helper_complaint(more, strlen(more), false);

        assert_string_equal(a, "was wrong");
        assert_string_equal(b, "and more");
        assert_null(helper_complaint(nothing, strlen(nothing), false));
}

static void test_long(void **state _unused_) {
        char text[1000];
        size_t n = 0;

        while (n + 8 < sizeof(text))
                n += (size_t) snprintf(text + n, sizeof(text) - n, "%s", n % 3 == 0 ? "\xc3\xa4 " : "\xe2\x82\xac ");
        _cleanup_free_ char *complaint = helper_complaint(text, n, true);
        assert_true(strlen(complaint) <= HELPER_COMPLAINT_MAX && strlen(complaint) > HELPER_COMPLAINT_MAX - 4);
        assert_int_equal(strncmp(complaint, text, strlen(complaint)), 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_people_can_use),
                cmocka_unit_test(test_what_is_taken_out),
                cmocka_unit_test(test_which_line),
                cmocka_unit_test(test_the_rest_of_a_line),
                cmocka_unit_test(test_long),
        };

        return cmocka_run_group_tests_name("helper-complaint", tests, NULL, NULL);
}
