/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* ecs-authd apply --dry-run: says on stdout what would change in the environment file, registry by registry, and what
 * would be done about the agent, and does none of it. no_restart: nothing of the agent. Returns an exit status, or a
 * negative errno. */
int apply_dry_run(const Settings *settings, bool no_restart);
