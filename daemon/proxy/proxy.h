/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* Serves the agent's Docker socket: adds the current credentials to the agent's pull requests, so that new credentials
 * need no restart. Each connection has a process of its own, which outlives the listener: an upgrade or a restart cuts
 * off no request.
 *
 * Serves the listening socket that systemd hands over (sd_listen_fds(3)). Returns an exit status, or a negative errno.
 */
int proxy_serve(const Settings *settings);
