/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap.h"

#include "agent/container-swap-recovery.h"
#include "agent/container-swap-steps.h"

static int finish(Swap *x, const char *container) {
        int r = swap_recover(x, container);

        return r == 0 ? swap_start_agent(x, container) : r;
}

static int replace(Swap *x, const char *container, const char *environment_file) {
        _cleanup_json_ json_object *old = NULL;
        bool cut_off;
        int r;

        r = swap_recover(x, container);
        cut_off = r > 0;
        if (r >= 0)
                r = container_inspect(&x->engine, container, &old);
        if (r >= 0)
                r = cut_off ? swap_begin_again(x) : swap_begin(x, container, old);
        if (r < 0)
                return r;
        r = swap_prepare(x, old, environment_file);
        if (r < 0) {
                (void) swap_undo(x);
                return r;
        }
        return swap_carry_on_or_undo(x);
}

static int run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal goal,
               Problems *problems) {
        Swap x = {.problems = problems};
        int r;

        r = container_engine_open(settings->docker_socket, problems, &x.engine);
        if (r < 0)
                return r;

        switch (goal) {
        case CONTAINER_SWAP_FINISH:
                return finish(&x, settings->container);
        case CONTAINER_SWAP_REPLACE:
                return replace(&x, settings->container, environment_file);
        case CONTAINER_SWAP_CONFIRM:
                return swap_confirm(&x, settings->container);
        }
        return -EINVAL;
}

void container_swap_run(const AgentSettings *settings, const char *environment_file, ContainerSwapGoal goal,
                        ContainerSwapReport *ret) {
        Problems problems = {0};
        int r;

        r = run(settings, environment_file, goal, &problems);
        *ret = (ContainerSwapReport){.error = r < 0 ? r : 0, .problems = problems};
}

bool container_swap_is_pending(void) {
        return swap_record_is_pending();
}
