/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "macro.h"

/* Of several ecs-authd on a host (the service, an apply by hand or in user data) one restarts the agent. All write the
 * environment file: they write the same. */

typedef struct Instance Instance;

int instance_new(Instance **ret);
Instance *instance_free(Instance *i);
DEFINE_CLEANUP_FUNC(Instance *, instance_free)

/* This is the one, from now on until it ends. False: another one is; ask again later. */
bool instance_claim(Instance *i);
