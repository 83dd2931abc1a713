/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/json.h"
#include "ecsconfig/docker-endpoint.h"

#define SET "{\n  \"DockerEndpoint\":\"" DOCKER_ENDPOINT "\"\n}\n"

/* A content of ecs.config.json, and what docker_endpoint_set() makes of it. after NULL: it stays. */
typedef struct Case {
        const char *before;
        bool set;
        int result;
        const char *after;
        const char *problem;
} Case;

static void check_case(const char *directory, const Case *c) {
        _cleanup_free_ char *environment = unit_path(directory, "ecs.config"),
                            *path = unit_path(directory, "ecs.config.json");
        Problems problems = {0};

        if (c->before)
                unit_write_file(path, c->before);
        assert_int_equal(docker_endpoint_set(environment, c->set, &problems), c->result);
        if (c->after || c->before)
                unit_assert_file(path, c->after ? c->after : c->before);
        else
                assert_int_equal(access(path, F_OK), -1);
        if (c->problem) {
                assert_int_equal(problems.n_items, 1);
                assert_non_null(strstr(problems.items[0].text, c->problem));
        } else {
                assert_int_equal(problems.n_items, 0);
        }
}

static void test_cases(void **state) {
        static const Case cases[] = {
                {NULL, true, 1, SET, NULL},
                {NULL, false, 0, NULL, NULL},
                {" \n", true, 1, SET, NULL},
                {SET, true, 0, NULL, NULL},
                {SET, false, 1, "{\n}\n", NULL},
                {"{\"Cluster\":\"web\",\"X\":{\"y\":1.50}}", true, 1,
                 "{\n  \"Cluster\":\"web\",\n  \"X\":{\n    \"y\":1.50\n  },\n  \"DockerEndpoint\":\"" DOCKER_ENDPOINT
                 "\"\n}\n",
                 NULL},
                {"{\"dockerendpoint\":\"" DOCKER_ENDPOINT "\",\"A\":1}", false, 1, "{\n  \"A\":1\n}\n", NULL},
                {"{\"dockerEndpoint\":\"" DOCKER_ENDPOINT "\"}", true, 0, NULL, NULL},
                {"{\"DockerEndpoint\":\"unix:///other.sock\"}", true, -EEXIST, NULL, "another socket"},
                {"{\"DockerEndpoint\":\"unix:///other.sock\"}", false, 0, NULL, NULL},
                {"{\"Cluster\":", true, -EBADMSG, NULL, "ecs.config.json: the agent cannot read this file (byte 11: "},
                {"[1]", true, -EBADMSG, NULL, "not a JSON object"},
                {"{\"Cluster\":", false, 0, NULL, NULL},
                {"{\"DockerEndpoint\":", false, -EBADMSG, NULL, "cannot read this file"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                char name[16];
                _cleanup_free_ char *directory = NULL;

                (void) snprintf(name, sizeof(name), "%zu", i);
                directory = unit_path(*state, name);
                assert_int_equal(mkdir(directory, 0700), 0);
                check_case(directory, &cases[i]);
        }
}

int main(void) {
        static const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_cases, unit_make_state_directory, unit_remove_state_directory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
