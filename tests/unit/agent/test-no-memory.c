/* SPDX-License-Identifier: Apache-2.0 */
#include "failing-allocation.h"

#include "agent/observe-tasks.h"

#define CONTAINER(arn) "{\"Labels\":{\"com.amazonaws.ecs.task-arn\":\"" arn "\"}}"

static const DigestKey key = {{1}};

static int observe(const char *json, unsigned n, char *ret, size_t size) {
        ObserveReport report = {0};
        char hex[65];
        int r;

        failing_begin(n);
        r = observe_parse_container(json, &key, &report);
        failing_end();
        digest_to_hex(&report.digest, hex);
        (void) snprintf(ret, size, "%s %s %d %d %d", report.container_id, hex, report.agent, report.state_kept,
                        report.exit_status);
        return r;
}

static int observe_variables(unsigned n, char *ret, size_t size) {
        return observe("{\"Id\":\"0f\",\"State\":{\"Running\":false,\"ExitCode\":5},\"Config\":{\"Env\":["
                       "\"ECS_DATADIR=/data\",\"ECS_ENGINE_AUTH_TYPE=docker\",\"ECS_ENGINE_AUTH_DATA="
                       "{\\\"a.example\\\":{\\\"username\\\":\\\"u\\\"}}\"]},"
                       "\"Mounts\":[{\"Type\":\"bind\",\"Destination\":\"/data\"}]}",
                       n, ret, size);
}

static int observe_no_variables(unsigned n, char *ret, size_t size) {
        return observe("{\"Id\":\"0f\",\"State\":{\"Running\":true},\"Config\":{\"Env\":null}}", n, ret, size);
}

static void test_container(void **state _unused_) {
        failing_each(observe_variables);
        failing_each(observe_no_variables);
}

/* A container is never taken for one whose task the agent does not know: people are told of those. */
static int observe_tasks(unsigned n, char *ret, size_t size) {
        _cleanup_json_ json_object *arns = NULL;
        ObserveReport report = {0};
        int r;

        failing_begin(n);
        r = tasks_parse_containers("[" CONTAINER("arn:1") "," CONTAINER("arn:2") "]", &report, &arns);
        if (r >= 0)
                r = tasks_parse("{\"Tasks\":[{\"Arn\":\"arn:1\"},{\"Arn\":\"arn:3\",\"Family\":\"web\"}]}", arns,
                                &report);
        failing_end();
        (void) snprintf(ret, size, "%u %u %u %s", report.n_containers, report.n_tasks, report.n_unknown,
                        report.families);
        return r;
}

static void test_tasks(void **state _unused_) {
        failing_each(observe_tasks);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_container),
                cmocka_unit_test(test_tasks),
        };

        return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}
