/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "agent/container-swap.h"

/* What a real engine does with it is tested in tests/host/test_method_docker*.py. */

static void test_no_engine(void **state _unused_) {
        char socket[] = "/nonexistent/docker.sock", name[] = "ecs-agent";
        const AgentSettings settings = {.docker_socket = socket, .container = name};
        ContainerSwapReport report;

        container_swap_run(&settings, "/nonexistent", CONTAINER_SWAP_REPLACE, &report);
        assert_int_equal(report.error, -ENOENT);
        unit_assert_problem(&report.problems, "The Docker Engine at /nonexistent/docker.sock cannot be asked");
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_no_engine),
        };

        return cmocka_run_group_tests_name("container-swap", tests, NULL, NULL);
}
