/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* Forwards one connection of the agent to Docker: changes the head of its request if request-head.h says so, and then
 * forwards bytes in both directions until both ends are closed. Runs in a child process, because it may handle a
 * secret. Takes ownership of client. */
void connection_serve(const Settings *settings, int client);
