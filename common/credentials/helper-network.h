/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* What to add to the message of a helper that failed with this error: that the unit keeps it from the network, where it
 * does (IPAddressDeny= of systemd.resource-control(5)). Such a helper sees connections that nobody answers, and looks
 * as if its server hung. Empty: there is nothing to add. */
const char *helper_network_hint(int error);
