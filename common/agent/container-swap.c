/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-swap.h"

#include "agent/container-swap-recovery.h"
#include "agent/container-swap-steps.h"

static int begin(Swap *x, const char *container, json_object *old, bool again) {
        if (again && !streq(x->record.container, container))
                return container_complain(&x->engine, -EBUSY, "replace", container,
                                          "another one is half replaced, and may be ending");
        return again ? swap_begin_again(x) : swap_begin(x, container, old);
}

static int replace(Swap *x, const char *container, const char *environment_file) {
        _cleanup_json_ json_object *old = NULL;
        bool again;
        int r;

        r = swap_recover(x, container);
        if (r == SWAP_ENDED)
                return container_complain(&x->engine, -EALREADY, "replace", container,
                                          "one that was cut off before was brought to its end first");
        again = r == SWAP_MAY_BE_ENDING;
        if (r >= 0)
                r = container_inspect(&x->engine, container, &old);
        if (r >= 0 && !old)
                r = -ESTALE;
        if (r >= 0)
                r = begin(x, container, old, again);
        if (r < 0)
                return r;

        r = swap_prepare(x, old, environment_file);
        if (r >= 0)
                return swap_carry_on_or_undo(x);
        /* One that may be ending is not to be stopped for it. */
        if (!again)
                (void) swap_undo(x);
        return r;
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
                return swap_recover(&x, settings->container);
        case CONTAINER_SWAP_START:
                return swap_start_agent(&x, settings->container);
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

bool container_swap_is_on_record(void) {
        return swap_record_exists();
}
