/* SPDX-License-Identifier: Apache-2.0 */
#include "sync-host.h"

#include "base/secret.h"

/* What would be written: for render, and for apply --dry-run. */

static void test_render(void **state) {
        const Host *h = *state;
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_secret_ char *type = NULL, *data = NULL;
        Problems problems = {0};

        unit_write_file(h->credentials, LOGGED_IN);
        assert_int_equal(sync_render(&h->sources, &h->settings, &key, &credentials, &type, &data, &problems), 0);
        assert_string_equal(type, "dockercfg");
        assert_string_equal(data, "{\"registry.example\":{\"auth\":\"" AUTH "\"}}");
        assert_int_equal(access(h->environment, F_OK), -1);
}

/* As sync_run() then does it, and nothing is there that was not there before. */
static void test_forecast(void **state) {
        static const struct {
                const char *credentials, *before; /* NULL: no file */
                SyncOutcome outcome;
                unsigned n_before, n_after;
        } table[] = {
                {LOGGED_IN, NULL, SYNC_WRITTEN, 0, 1},
                {LOGGED_IN, LINES, SYNC_UNCHANGED, 1, 1},
                {LOGGED_IN, "ECS_CLUSTER=x\n" LINES LINES, SYNC_WRITTEN, 1, 1}, /* twice */
                {"{}", LINES, SYNC_REMOVED, 1, 0},
                {"{}", NULL, SYNC_UNCHANGED, 0, 0},
                {"{", LINES, SYNC_FAILED, 1, 0},
                {NULL, LINES, SYNC_FAILED, 1, 0},
        };
        const Host *h = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(sync_forecast_done) SyncForecast f = {0};
                SyncReport done;

                (void) unlink(h->environment);
                (void) unlink(h->credentials);
                if (table[i].before)
                        write_own(h, table[i].before);
                if (table[i].credentials)
                        unit_write_file(h->credentials, table[i].credentials);

                sync_forecast(&h->sources, &h->settings, &key, &f);
                assert_int_equal(f.report.outcome, table[i].outcome);
                assert_int_equal(f.before.n_items, table[i].n_before);
                assert_int_equal(f.after.n_items, table[i].n_after);
                if (table[i].before)
                        unit_assert_file(h->environment, table[i].before);
                else
                        assert_int_equal(access(h->environment, F_OK), -1);
                assert_int_equal(access(h->state, F_OK), i == 0 ? -1 : 0);
                if (f.after.n_items > 0)
                        assert_string_equal(credentials_find(&f.sources, "registry.example")->source, h->credentials);

                sync_run(&h->sources, &h->settings, &key, ASK_ALL, &done);
                assert_int_equal(f.report.outcome, done.outcome);
                assert_int_equal(f.report.behind, done.behind);
                assert_int_equal(f.report.n_registries, done.n_registries);
                assert_true(f.report.digest_known && digest_equal(&f.report.digest, &done.digest));
                assert_string_equal(f.report.registries, done.registries);
                assert_true(problems_equal(&f.report.problems, &done.problems));
        }
}

static void test_forecast_for_a_file_that_all_can_read(void **state) {
        _cleanup_(sync_forecast_done) SyncForecast f = {0}, none = {0};
        const Host *h = *state;

        unit_write_file(h->environment, "ECS_CLUSTER=x\n");
        assert_int_equal(chmod(h->environment, 0644), 0);
        assert_int_equal(chmod(h->directory, 0755), 0);
        unit_write_file(h->credentials, LOGGED_IN);
        assert_int_equal(chmod(h->credentials, 0600), 0);
        sync_forecast(&h->sources, &h->settings, &key, &f);
        assert_int_equal(f.report.n_registries, 1);
        assert_int_equal(f.report.problems.n_items, 1);
        unit_assert_problem(&f.report.problems, "everybody on this host can read the passwords in it");

        /* There are none in it. */
        unit_write_file(h->credentials, "{}");
        sync_forecast(&h->sources, &h->settings, &key, &none);
        assert_int_equal(none.report.problems.n_items, 0);
}

static void test_forecast_of_what_cannot_be_read(void **state) {
        _cleanup_(sync_forecast_done) SyncForecast f = {0};
        const Host *h = *state;

        unit_write_file(h->credentials, LOGGED_IN);
        assert_int_equal(mkdir(h->environment, 0700), 0);
        sync_forecast(&h->sources, &h->settings, &key, &f);
        assert_int_equal(f.report.outcome, SYNC_FAILED);
        assert_false(f.report.digest_known);
        assert_int_equal(f.report.problems.n_items, 1);
        assert_int_equal(rmdir(h->environment), 0);
}

/* As it would be written: with what is kept, in the type that is set, and with what is wrong. */
static void test_render_of_what_is_kept(void **state) {
        Host *h = *state;
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_secret_ char *type = NULL, *data = NULL;
        Problems problems = {0};

        write_own(h, LINES);
        unit_write_file(h->credentials, "{\"auths\":{\"registry.example\":{}}}");
        h->settings.auth_type = AUTH_TYPE_DOCKER;
        assert_int_equal(sync_render(&h->sources, &h->settings, &key, &credentials, &type, &data, &problems), 0);
        assert_string_equal(type, "docker");
        assert_string_equal(data, "{\"registry.example\":{\"username\":\"user\",\"password\":\"password\"}}");
        assert_int_equal(credentials.n_items, 1);
        unit_assert_problem(&problems, "holds no credentials");

        h->settings.line_max = 40;
        assert_int_equal(sync_render(&h->sources, &h->settings, &key, &(Credentials){0}, &(char *){NULL},
                                     &(char *){NULL}, &problems),
                         -E2BIG);
        unit_assert_problem(&problems, "more than the 40 that its reader takes");
        unit_assert_file(h->environment, LINES);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_render, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_forecast, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_forecast_for_a_file_that_all_can_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_forecast_of_what_cannot_be_read, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_render_of_what_is_kept, set_up, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
