/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "agent/observe.h"
#include "ecsconfig/auth-data.h"

static const DigestKey key = {{7}};

static int parse_container(const char *text, ObserveReport *report) {
        _cleanup_json_ json_object *o = json_tokener_parse(text);

        return observe_parse_container(o, &key, report);
}

static int parse_metadata(const char *text, ObserveReport *report) {
        _cleanup_json_ json_object *o = json_tokener_parse(text);

        return observe_parse_metadata(o, report);
}

static int parse_containers(const char *text, ObserveReport *report, json_object **ret_tasks) {
        _cleanup_json_ json_object *o = json_tokener_parse(text);

        return tasks_parse_containers(o, report, ret_tasks);
}

static int parse_tasks(const char *text, json_object *tasks, ObserveReport *report) {
        _cleanup_json_ json_object *o = json_tokener_parse(text);

        return tasks_parse(o, tasks, report);
}

#define AGENT(running, env, mounts)                                                                      \
        "{\"Id\":\"0123456789abcdef\",\"State\":{\"Running\":" running "},\"Config\":{\"Env\":" env "}," \
        "\"Mounts\":" mounts "}"

#define DATA_MOUNT "[{\"Type\":\"bind\",\"Source\":\"/var/lib/ecs/data\",\"Destination\":\"/data\"}]"

static void assert_digest(const ObserveReport *report, const char *type, const char *data) {
        Digest expected;

        authdata_digest(type, data, &key, &expected);
        assert_true(digest_equal(&report->digest, &expected));
}

static void test_agent_with_credentials(void **state _unused_) {
        static const char data[] = "{\"registry.example\":{\"auth\":\"dTpw\"}}";
        ObserveReport report = {0};
        const char json[] = AGENT("true",
                                  "[\"PATH=/bin\",\"ECS_DATADIR=/data\",\"ECS_ENGINE_AUTH_TYPE=dockercfg\","
                                  "\"ECS_ENGINE_AUTH_DATA={\\\"registry.example\\\":{\\\"auth\\\":\\\"dTpw\\\"}}\"]",
                                  DATA_MOUNT);

        assert_int_equal(parse_container(json, &report), 0);
        assert_int_equal(report.agent, AGENT_RUNNING);
        assert_string_equal(report.container_id, "0123456789abcdef");
        assert_int_equal(report.state_kept, STATE_KEPT);
        assert_digest(&report, "dockercfg", data);
}

static void test_agent_without_credentials(void **state _unused_) {
        ObserveReport report = {0};

        assert_int_equal(parse_container(AGENT("true", "null", "[]"), &report), 0);
        assert_int_equal(report.agent, AGENT_RUNNING);
        assert_int_equal(report.state_kept, STATE_NO_DATADIR);
        assert_digest(&report, NULL, NULL);

        assert_int_equal(parse_container(AGENT("false", "[\"A=b\"]", "null"), &report), 0);
        assert_int_equal(report.agent, AGENT_STOPPED);
        assert_digest(&report, NULL, NULL);
}

static void test_state_kept(void **state _unused_) {
        static const struct {
                const char *json;
                StateKept kept;
        } table[] = {
                {AGENT("true", "[\"ECS_DATADIR=/data\"]", DATA_MOUNT), STATE_KEPT},
                {AGENT("true", "[\"ECS_DATADIR=/data/\"]", DATA_MOUNT), STATE_KEPT},
                {AGENT("true", "[\"ECS_DATADIR=/data/deeper\"]", DATA_MOUNT), STATE_KEPT},
                {AGENT("true", "[\"ECS_DATADIR=/data\",\"ECS_CHECKPOINT=true\"]", DATA_MOUNT), STATE_KEPT},
                {AGENT("true", "[\"ECS_DATADIR=/data2\"]", DATA_MOUNT), STATE_NO_MOUNT},
                {AGENT("true", "[\"ECS_DATADIR=/data\",\"ECS_CHECKPOINT=0\"]", DATA_MOUNT), STATE_NO_CHECKPOINT},
                {AGENT("true", "[\"ECS_DATADIR=/data\",\"ECS_CHECKPOINT=F\"]", DATA_MOUNT), STATE_NO_CHECKPOINT},
                {AGENT("true", "[\"ECS_DATADIR=/data\",\"ECS_CHECKPOINT= false\\t\"]", DATA_MOUNT),
                 STATE_NO_CHECKPOINT},
                {AGENT("true", "[\"ECS_DATADIR=/data\",\"ECS_CHECKPOINT=falsey\"]", DATA_MOUNT), STATE_KEPT},
                {AGENT("true", "[\"ECS_DATADIR=/data\",\"ECS_CHECKPOINT=\"]", DATA_MOUNT), STATE_KEPT},
                {AGENT("true", "[\"ECS_DATADIR=/data\"]", "[{\"Type\":\"tmpfs\",\"Destination\":\"/data\"}]"),
                 STATE_NO_MOUNT},
                {AGENT("true", "[\"ECS_DATADIR=/data\"]",
                       "[{\"Type\":\"volume\",\"Name\":\"ecs-data\",\"Destination\":\"/data\"}]"),
                 STATE_KEPT},
                {AGENT("true", "[\"ECS_DATADIR=/data\"]",
                       "[{\"Type\":\"volume\",\"Name\":"
                       "\"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\",\"Destination\":\"/data\"}]"),
                 STATE_NO_MOUNT},
                {AGENT("true", "[\"ECS_DATADIR=/data\"]", "[]"), STATE_NO_MOUNT},
                {AGENT("true", "[\"ECS_DATADIR=/data\"]", "null"), STATE_NO_MOUNT},
                {AGENT("true", "[\"ECS_DATADIR=/data\",\"ECS_CHECKPOINT=false\"]", DATA_MOUNT), STATE_NO_CHECKPOINT},
                {AGENT("true", "[\"ECS_DATADIR=\"]", DATA_MOUNT), STATE_NO_DATADIR},
                {AGENT("true", "[\"ECS_DATADIR_X=/data\"]", DATA_MOUNT), STATE_NO_DATADIR},
                {AGENT("true", "[]", DATA_MOUNT), STATE_NO_DATADIR},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ObserveReport report = {0};

                assert_int_equal(parse_container(table[i].json, &report), 0);
                assert_int_equal(report.state_kept, table[i].kept);
        }
}

static void test_not_a_container(void **state _unused_) {
        static const char *const table[] = {
                "",
                "nonsense",
                "[]",
                "{}",
                "{\"Id\":\"x\"}",
                "{\"Id\":7,\"State\":{\"Running\":true}}",
                "{\"Id\":\"\",\"State\":{\"Running\":true}}",
                "{\"Id\":\"x\",\"State\":{\"Running\":\"true\"}}",
                "{\"Id\":\"x\",\"State\":[]}",
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ObserveReport report = {0};

                assert_int_equal(parse_container(table[i], &report), -EBADMSG);
                assert_int_equal(report.agent, AGENT_UNKNOWN);
        }
}

static void test_metadata(void **state _unused_) {
        ObserveReport report = {0};

        assert_int_equal(parse_metadata("{\"Cluster\":\"default\",\"ContainerInstanceArn\":\"arn:x\","
                                        "\"Version\":\"Amazon ECS Agent - v1.2.3\"}",
                                        &report),
                         0);
        assert_true(report.answers);
        assert_string_equal(report.cluster, "default");
        assert_string_equal(report.version, "Amazon ECS Agent - v1.2.3");
}

static void test_metadata_of_an_agent_that_has_not_registered(void **state _unused_) {
        static const char *const table[] = {
                "", "<html>", "[]", "{}", "{\"Cluster\":\"default\"}", "{\"ContainerInstanceArn\":null}",
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ObserveReport report = {0};

                assert_int_equal(parse_metadata(table[i], &report), -EBADMSG);
                assert_false(report.answers);
        }
}

static void test_foreign_text_cannot_forge_a_line(void **state _unused_) {
        ObserveReport report = {0};

        assert_int_equal(parse_metadata("{\"Cluster\":\"a\\nSTATUS=b\",\"ContainerInstanceArn\":\"arn:x\"}", &report),
                         0);
        assert_string_equal(report.cluster, "a?STATUS=b");
        assert_string_equal(report.version, "");
}

#define ARN(n) "\"arn:aws:ecs:eu-west-1:1:task/" n "\""
#define CONTAINER(arn, family)                                                                                       \
        "{\"Labels\":{\"com.amazonaws.ecs.task-arn\":" arn ",\"com.amazonaws.ecs.task-definition-family\":\"" family \
        "\"}}"

/* What Docker says of their containers, and the agent of the tasks. */
static void look_at_tasks(const char *containers, const char *tasks, ObserveReport *ret) {
        _cleanup_json_ json_object *arns = NULL;

        *ret = (ObserveReport){0};
        assert_int_equal(parse_containers(containers, ret, &arns), 0);
        assert_int_equal(json_object_array_length(arns), ret->n_containers);
        assert_int_equal(parse_tasks(tasks, arns, ret), 0);
}

static void test_tasks(void **state _unused_) {
        static const struct {
                const char *containers, *tasks;
                unsigned n_containers, n_tasks, n_unknown;
                const char *families;
        } table[] = {
                {"[]", "{\"Tasks\":[]}", 0, 0, 0, ""},
                {"[]", "{\"Tasks\":null}", 0, 0, 0, ""},
                {"[]", "{}", 0, 0, 0, ""},
                /* It is being pulled. */
                {"[]", "{\"Tasks\":[{\"Arn\":" ARN("1") ",\"KnownStatus\":\"PENDING\",\"Family\":\"web\"}]}", 0, 1, 0,
                 "web"},
                {"[" CONTAINER(ARN("1"), "web") "]",
                 "{\"Tasks\":[{\"Arn\":" ARN("1") ",\"KnownStatus\":\"RUNNING\",\"Family\":\"web\"}]}", 1, 1, 0, "web"},
                /* It has ended, and a container of it has not yet. */
                {"[" CONTAINER(ARN("1"), "web") "]",
                 "{\"Tasks\":[{\"Arn\":" ARN("1") ",\"KnownStatus\":\"STOPPED\",\"Family\":\"web\"}]}", 1, 0, 0, "web"},
                /* An agent that lost its state left it behind. */
                {"[" CONTAINER(ARN("1"), "web") "," CONTAINER(ARN("2"), "db") "]",
                 "{\"Tasks\":[{\"Arn\":" ARN("2") ",\"KnownStatus\":\"RUNNING\",\"Family\":\"db\"}]}", 2, 1, 1,
                 "web, db"},
                /* The agent's own are no tasks. */
                {"[" CONTAINER("\"arn:::::/service-connect-relay-1\"", "") "]", "{\"Tasks\":[]}", 0, 0, 0, ""},
                {"[" CONTAINER("\"arn:::::/relay-1\"", "") "," CONTAINER(ARN("1"), "web") "]", "{\"Tasks\":[]}", 1, 0,
                 1, "web"},
                /* What is not understood counts: nothing may be lost. */
                {"[" CONTAINER("7", "web") ",{\"Labels\":{}},{}]",
                 "{\"Tasks\":[{},null,{\"KnownStatus\":7},{\"Arn\":" ARN("1") ",\"KnownStatus\":\"stopped\"}]}", 3, 4,
                 3, "web"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                ObserveReport report;

                look_at_tasks(table[i].containers, table[i].tasks, &report);
                assert_int_equal(report.n_containers, table[i].n_containers);
                assert_int_equal(report.n_tasks, table[i].n_tasks);
                assert_int_equal(report.n_unknown, table[i].n_unknown);
                assert_string_equal(report.families, table[i].families);
        }
}

static void test_not_tasks(void **state _unused_) {
        _cleanup_json_ json_object *arns = json_object_new_array();
        static const char *const table[] = {"", "nonsense", "7", "null"};
        ObserveReport report = {0};
        json_object *none = NULL;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                assert_int_equal(parse_containers(table[i], &report, &none), -EBADMSG);
                assert_null(none);
                assert_int_equal(parse_tasks(table[i], arns, &report), -EBADMSG);
        }
        assert_int_equal(parse_containers("{}", &report, &none), -EBADMSG);
        assert_int_equal(parse_tasks("[]", arns, &report), -EBADMSG);
}

static void test_families(void **state _unused_) {
        char text[4096] = "[", entry[128];
        ObserveReport report;

        look_at_tasks(
                "[" CONTAINER(ARN("1"), "web") "," CONTAINER(ARN("2"), "web-2") "," CONTAINER(ARN("1"), "web") "]",
                "{\"Tasks\":[]}", &report);
        assert_string_equal(report.families, "web, web-2");

        for (unsigned i = 0; i < 40; i++) {
                (void) snprintf(entry, sizeof(entry),
                                "%s{\"Labels\":{\"com.amazonaws.ecs.task-definition-family\":\"family-%u\"}}",
                                i > 0 ? "," : "", i);
                (void) strncat(text, entry, sizeof(text) - strlen(text) - 1);
        }
        (void) strncat(text, "]", sizeof(text) - strlen(text) - 1);
        look_at_tasks(text, "{\"Tasks\":[{\"Family\":\"one-more\"}]}", &report);
        assert_int_equal(report.n_containers, 40);
        assert_true(strlen(report.families) < sizeof(report.families));
        assert_string_equal(report.families + strlen(report.families) - 3, "...");
}

static void test_exit_status(void **state _unused_) {
        static const char stopped[] = "{\"Id\":\"1\",\"State\":{\"Running\":false,\"ExitCode\":5},\"Config\":{}}";
        ObserveReport report = {0};

        assert_int_equal(parse_container(stopped, &report), 0);
        assert_int_equal(report.agent, AGENT_STOPPED);
        assert_int_equal(report.exit_status, 5);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_agent_with_credentials),
                cmocka_unit_test(test_agent_without_credentials),
                cmocka_unit_test(test_state_kept),
                cmocka_unit_test(test_not_a_container),
                cmocka_unit_test(test_metadata),
                cmocka_unit_test(test_metadata_of_an_agent_that_has_not_registered),
                cmocka_unit_test(test_foreign_text_cannot_forge_a_line),
                cmocka_unit_test(test_tasks),
                cmocka_unit_test(test_not_tasks),
                cmocka_unit_test(test_families),
                cmocka_unit_test(test_exit_status),
        };

        return cmocka_run_group_tests_name("observe", tests, NULL, NULL);
}
