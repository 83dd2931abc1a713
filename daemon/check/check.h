/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* ecs-authd check: looks at everything on this host that matters, before the first start as well, and prints a line for
 * each: ok, warning or problem, and what to do; json: the same as one object. Changes nothing. login: ask each registry
 * whether it takes its credentials. Returns an exit status (1: there is a problem) or a negative errno. */
int check_host(const Settings *settings, bool login, bool json);
