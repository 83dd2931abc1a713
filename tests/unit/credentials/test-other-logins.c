/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "credentials/other-logins.h"

/* "user:password" */
#define ENTRY "{\"auth\":\"dXNlcjpwYXNzd29yZA==\"}"
#define LOGIN "{\"auths\":{\"r.example\":" ENTRY "}}"

static char *ecr[] = {(char *) "*.amazonaws.com", NULL};
static const CredentialSettings settings = {.exclude = ecr};

static void test_login_or_none(void **state) {
        static const struct {
                const char *content;
                int result;
        } table[] = {
                {LOGIN, 1},
                {"{\"r.example\":" ENTRY "}", 1},
                {"{\"credHelpers\":{\"r.example\":\"pass\"}}", 1},
                {"{\"auths\":{\"r.example\":{}},\"credsStore\":\"pass\"}", 1},
                {"{\"auths\":{\"r.example\":{}}}", 0},
                {"{\"credsStore\":\"pass\"}", 0},
                {"{}", 0},
                {"{\"auths\":{\"1.ecr.amazonaws.com\":" ENTRY "}}", 0},
                {"{\"credHelpers\":{\"1.ecr.amazonaws.com\":\"ecr-login\"}}", 0},
                {"{\"auths\":{\"1.ecr.amazonaws.com\":" ENTRY ",\"r.example\":" ENTRY "}}", 1},
                {"[]", -EBADMSG},
                {"{", -EBADMSG},
        };
        _cleanup_free_ char *path = unit_path(*state, "login");

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                OtherLogins l = {.settings = &settings};

                unit_write_file(path, table[i].content);
                assert_int_equal(other_logins_try(&l, *state, "login"), table[i].result);
                assert_int_equal(l.n_items, table[i].result == 1);
        }
}

static void test_places_of_a_home(void **state) {
        static const char *const places[] = {".docker/config.json", "snap/docker/current/.docker/config.json",
                                             ".config/containers/auth.json", ".dockercfg"};
        static const char *const directories[] = {".docker",
                                                  "snap",
                                                  "snap/docker",
                                                  "snap/docker/7",
                                                  ".config",
                                                  ".config/containers",
                                                  "snap/docker/7/.docker"};
        _cleanup_free_ char *current = unit_path(*state, "snap/docker/current");
        OtherLogins l = {.settings = &settings};

        for (size_t i = 0; i < ELEMENTSOF(directories); i++) {
                _cleanup_free_ char *directory = unit_path(*state, directories[i]);

                assert_int_equal(mkdir(directory, 0700), 0);
        }
        assert_int_equal(symlink("7", current), 0);
        other_logins_try_home(&l, *state);
        assert_int_equal(l.n_items, 0);

        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *path = unit_path(*state, places[i]);

                unit_write_file(path, LOGIN);
        }
        other_logins_try_home(&l, *state);
        assert_int_equal(l.n_items, ELEMENTSOF(places));
        for (size_t i = 0; i < ELEMENTSOF(places); i++) {
                _cleanup_free_ char *path = unit_path(*state, places[i]);

                assert_string_equal(l.items[i].path, path);
                assert_int_equal(l.items[i].n_directory, strlen(*state));
        }
        /* Each once, and no more than fit. */
        other_logins_try_home(&l, *state);
        assert_int_equal(l.n_items, ELEMENTSOF(places));
        l.n_items = OTHER_LOGINS_MAX;
        assert_int_equal(other_logins_try(&l, *state, ".dockercfg"), 1);
        assert_int_equal(l.n_items, OTHER_LOGINS_MAX);
}

static void test_path_that_is_too_long(void **state _unused_) {
        OtherLogins l = {.settings = &settings};
        char directory[PATH_MAX];

        memset(directory, 'a', sizeof(directory) - 1);
        directory[sizeof(directory) - 1] = 0;
        assert_int_equal(other_logins_try(&l, directory, "login"), -ENAMETOOLONG);
}

static void test_own_home(void **state) {
        _cleanup_free_ char *path = unit_path(*state, ".dockercfg");
        OtherLogins l = {.settings = &settings};

        unit_write_file(path, LOGIN);
        assert_int_equal(setenv("HOME", *state, true), 0);
        other_logins_try_own(&l);
        assert_int_equal(unsetenv("HOME"), 0);
        assert_true(l.n_items >= 1);
        assert_string_equal(l.items[0].path, path);
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_login_or_none, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_places_of_a_home, unit_make_directory, unit_remove_directory),
                cmocka_unit_test(test_path_that_is_too_long),
                cmocka_unit_test_setup_teardown(test_own_home, unit_make_directory, unit_remove_directory),
        };

        return cmocka_run_group_tests_name("other logins", tests, NULL, NULL);
}
