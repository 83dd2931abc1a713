/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <json.h>

#include "report/status-file.h"

/* A service of which every member of the status file tells something. */

static struct {
        char *files[3];
        Settings settings;
        Facts facts;
        Decision decision;
        StatusReport report;
        const char *directory;
        char *path; /* of the status file in it */
} status_host;

static void status_host_fill(void) {
        Facts *f = &status_host.facts;
        SyncReport *s = &f->file.sync;

        *s = (SyncReport){.outcome = SYNC_UNCHANGED, .digest_known = true, .n_registries = 2};
        s->entries[0] = (SyncEntry){
                .registry = "r.example", .source = "/root/.docker/config.json", .coverage = KEY_COVERS_HOST};
        s->entries[1] = (SyncEntry){.registry = "s.example",
                                    .source = "/etc/docker/config.json",
                                    .helper = "some",
                                    .token = true,
                                    .asked_usec = 1000000000000000,
                                    .end_usec = 1000000001000000,
                                    .due_usec = 1000000002000000,
                                    .failing = true,
                                    .coverage = KEY_COVERS_HOST};
        s->entries[2] =
                (SyncEntry){.registry = "t.example/x", .helper = "other", .missing = true, .coverage = KEY_COVERS_PATH};
        problems_add(&s->problems, LOG_ERR, "an error");
        problems_add(&s->problems, LOG_WARNING, "a warning");
        problems_add(&s->problems, LOG_INFO, "left out");
        problems_add(&s->problems, LOG_INFO, "left out, too");
        (void) snprintf(f->settings_problem, sizeof(f->settings_problem), "the settings");
        f->file.changed_usec = 1000000;
        f->record = (RestartRecord){.restart_usec = 2000000, .failures = 1};
        f->waiting_since_usec = 3000000;
        f->agent = (ObserveReport){.agent = AGENT_RUNNING,
                                   .container_id = "0123456789abcdef",
                                   .answers = true,
                                   .cluster = "cluster",
                                   .version = "Amazon ECS Agent",
                                   .n_tasks = 1,
                                   .n_containers = 2,
                                   .n_unknown = 3,
                                   .families = "web"};
}

static int status_host_set_up(void **state) {
        if (unit_make_directory(state) < 0)
                return -1;
        status_host_fill();
        status_host.files[0] = (char *) "/root/.docker/config.json";
        status_host.files[1] = (char *) "/etc/docker/config.json";
        status_host.settings.credentials.files = status_host.files;
        status_host.settings.ecsconfig.environment_file = (char *) "/etc/ecs/ecs.config";
        status_host.settings.agent.container = (char *) "ecs-agent";
        status_host.decision = (Decision){.action = ACTION_DONE, .reason = REASON_LIVE};
        status_host.report = (StatusReport){.settings = &status_host.settings,
                                            .facts = &status_host.facts,
                                            .decision = &status_host.decision,
                                            .sentence = "All is well.",
                                            .pid = getpid(),
                                            .clock_offset = 1000000000000000,
                                            .metrics_error = "no metrics"};
        status_host.directory = *state;
        status_host.path = unit_path(*state, "status.json");
        return setenv("RUNTIME_DIRECTORY", *state, true);
}

static int status_host_tear_down(void **state) {
        (void) unsetenv("RUNTIME_DIRECTORY");
        free(status_host.path);
        status_host.facts = (Facts){0};
        return unit_remove_directory(state);
}

static char *read_status(void) {
        char *text = calloc(1, 8192);
        FILE *f = fopen(status_host.path, "re");

        assert_true(text && f);
        text[fread(text, 1, 8191, f)] = 0;
        (void) fclose(f);
        return text;
}

/* Layouts of json-c's versions differ. */
static void remove_blanks(char *text) {
        char *to = text;

        for (; *text; text++)
                if (*text != ' ' && *text != '\n')
                        *to++ = *text;
        *to = 0;
}

static void expect_text_of_json_c(void) {
        _cleanup_free_ char *text = NULL, *printed = NULL;
        StatusFile file = {0};
        json_object *o;

        assert_int_equal(status_file_write(&file, &status_host.report), 0);
        text = read_status();
        o = json_tokener_parse(text);
        assert_non_null(o);
        printed = strdup(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
        (void) json_object_put(o);
        assert_non_null(printed);
        remove_blanks(text);
        remove_blanks(printed);
        assert_string_equal(text, printed);
        status_file_remove(&file);
}

static void test_text_is_the_one_of_json_c(void **state _unused_) {
        expect_text_of_json_c();
        status_host.facts = (Facts){0}; /* empty lists */
        status_host.report.sentence = "Of \"x\" \\ \001 \037 \177 / \xc3\xa4";
        expect_text_of_json_c();
}

/* The same text is written again only if the file was removed or replaced. */
static void test_file_that_stays(void **state _unused_) {
        StatusFile file = {0};
        FileIdentity first;

        assert_int_equal(status_file_write(&file, &status_host.report), 0);
        first = file_identity_at(status_host.path);
        assert_int_equal(status_file_write(&file, &status_host.report), 0);
        assert_memory_equal(&first, &file.identity, sizeof(first));
        assert_int_equal(unlink(status_host.path), 0);
        assert_int_equal(status_file_write(&file, &status_host.report), 0);
        assert_int_equal(access(status_host.path, F_OK), 0);
        status_host.report.sentence = "Another one.";
        assert_int_equal(status_file_write(&file, &status_host.report), 0);
        assert_non_null(strstr(file.text, "Another one."));
        status_file_remove(&file);
        assert_int_equal(access(status_host.path, F_OK), -1);
}

static void test_file_of_another_instance_stays(void **state _unused_) {
        StatusFile file = {0};

        assert_int_equal(status_file_write(&file, &status_host.report), 0);
        assert_int_equal(unlink(status_host.path), 0);
        unit_write_file(status_host.path, "another\n");
        status_file_remove(&file);
        unit_assert_file(status_host.path, "another\n");
}

static void test_write_that_fails(void **state) {
        StatusFile file = {0};

        assert_int_equal(mkdir(status_host.path, 0700), 0);
        assert_true(status_file_write(&file, &status_host.report) < 0);
        assert_null(file.text);
        assert_int_equal(rmdir(status_host.path), 0);
        assert_int_equal(rmdir(*state), 0);
        assert_int_equal(mkdir(*state, 0700), 0);
        assert_int_equal(status_file_write(&file, &status_host.report), 0);
        status_file_remove(&file);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_text_is_the_one_of_json_c, status_host_set_up,
                                                status_host_tear_down),
                cmocka_unit_test_setup_teardown(test_file_that_stays, status_host_set_up, status_host_tear_down),
                cmocka_unit_test_setup_teardown(test_file_of_another_instance_stays, status_host_set_up,
                                                status_host_tear_down),
                cmocka_unit_test_setup_teardown(test_write_that_fails, status_host_set_up, status_host_tear_down),
        };

        return cmocka_run_group_tests_name("status file", tests, NULL, NULL);
}
