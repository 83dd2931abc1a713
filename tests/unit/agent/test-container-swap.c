/* SPDX-License-Identifier: Apache-2.0 */
#include "http-server.h"

#include "agent/container-swap.h"
#include "base/state-file.h"

/* What a real engine does with it is tested in tests/host/test_method_docker*.py. */

static void test_no_engine(void **state _unused_) {
        char socket[] = "/nonexistent/docker.sock", name[] = "ecs-agent";
        const AgentSettings settings = {.docker_socket = socket, .container = name};
        ContainerSwapReport report;

        container_swap_run(&settings, "/nonexistent", CONTAINER_SWAP_REPLACE, &report);
        assert_int_equal(report.error, -ENOENT);
        unit_assert_problem(&report.problems, "The Docker Engine at /nonexistent/docker.sock cannot be asked");
}

#define CONTAINER(id, status, running, label)                                              \
        "200 {\"Id\":\"" id "\",\"State\":{\"Status\":\"" status "\",\"Running\":" running \
        "},\"Config\":{\"Labels\":{" label "}}}"
#define NONE "404 {}"
#define RUNS(id) CONTAINER(id, "running", "true", "")
#define ENDED(id) CONTAINER(id, "exited", "false", "")
#define CREATED(id, label) CONTAINER(id, "created", "false", label)
#define REPLACES(id) "\"ecs-authd.replaces\":\"" id "\""

/* Derives the state from the names, in the order of the steps. */
static void test_state(void **state) {
        static const struct {
                const char *named, *fresh, *previous, *agent;
                SwapState swap;
        } table[] = {
                {RUNS("old"), NONE, NONE, "old", SWAP_NONE},
                {NONE, NONE, NONE, NULL, SWAP_NONE},
                {RUNS("old"), CREATED("new", ""), NONE, "old", SWAP_HALF_DONE},
                /* A stop by the operator before the swap has touched the agent. */
                {ENDED("old"), CREATED("new", ""), NONE, "old", SWAP_NONE},
                {NONE, CREATED("new", ""), NONE, NULL, SWAP_NONE},
                {NONE, CREATED("new", ""), RUNS("old"), "old", SWAP_HALF_DONE},
                {NONE, CREATED("new", ""), ENDED("old"), NULL, SWAP_HALF_DONE},
                {NONE, NONE, ENDED("old"), NULL, SWAP_HALF_DONE},
                {CREATED("new", REPLACES("old")), NONE, ENDED("old"), "new", SWAP_HALF_DONE},
                {RUNS("new"), NONE, ENDED("old"), "new", SWAP_LEFTOVER},
                /* A stop by the operator before the old container has been removed. */
                {ENDED("new"), NONE, ENDED("old"), "new", SWAP_NONE},
                /* Another container that the operator has created under the name. */
                {CREATED("other", ""), NONE, ENDED("old"), "other", SWAP_NONE},
                {CREATED("other", REPLACES("x")), NONE, ENDED("old"), "other", SWAP_NONE},
                {CREATED("other", ""), CREATED("new", ""), ENDED("old"), "other", SWAP_NONE},
                {RUNS("other"), CREATED("new", ""), ENDED("old"), "other", SWAP_HALF_DONE},
        };
        _cleanup_free_ char *path = unit_path(*state, "socket");

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const Exchange script[] = {
                        {"GET /containers/agent/json HTTP", NULL, table[i].named},
                        {"GET /containers/agent.ecs-authd-new/json HTTP", NULL, table[i].fresh},
                        {"GET /containers/agent.ecs-authd-previous/json HTTP", NULL, table[i].previous},
                        {NULL, NULL, NULL},
                };
                const Engine engine = {.socket = path, .timeout_usec = 10 * USEC_PER_SEC};
                _cleanup_json_ json_object *agent = NULL;
                pid_t server = server_start(path, script);
                SwapState swap;

                assert_int_equal(container_swap_observe(&engine, "agent", &agent, &swap), table[i].agent ? 1 : 0);
                assert_int_equal(swap, table[i].swap);
                assert_true(table[i].agent ? streq(container_id(agent), table[i].agent) : !agent);
                server_assert_done(server);
                assert_int_equal(unlink(path), 0);
        }
}

/* A swap of ecs-authd 0.3.0, whose container has no label. */
static void test_state_of_an_older_version(void **state) {
        static const Exchange script[] = {
                {"GET /containers/agent/json HTTP", NULL, CREATED("new", "")},
                {"GET /containers/agent.ecs-authd-new/json HTTP", NULL, NONE},
                {"GET /containers/agent.ecs-authd-previous/json HTTP", NULL, ENDED("old")},
                {NULL, NULL, NULL},
        };
        _cleanup_free_ char *path = unit_path(*state, "socket");
        const Engine engine = {.socket = path, .timeout_usec = 10 * USEC_PER_SEC};
        _cleanup_json_ json_object *agent = NULL;
        pid_t server = server_start(path, script);
        SwapState swap;

        assert_int_equal(setenv("STATE_DIRECTORY", *state, 1), 0);
        assert_int_equal(state_file_write("swap", "{\"stage\":\"starting\"}"), 0);
        assert_int_equal(container_swap_observe(&engine, "agent", &agent, &swap), 1);
        assert_int_equal(swap, SWAP_HALF_DONE);
        assert_int_equal(unsetenv("STATE_DIRECTORY"), 0);
        server_assert_done(server);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_engine),
                cmocka_unit_test_setup_teardown(test_state, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_state_of_an_older_version, unit_make_directory,
                                                unit_remove_directory),
        };

        return cmocka_run_group_tests_name("container-swap", tests, NULL, NULL);
}
