/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* ecs-authd status: the status file for people, or as it is; watch: again whenever it changes, until a signal. An exit
 * status: 1 where there is no service to tell, 3 where somebody should look at what it tells. */
int show_status(bool json, bool watch);
