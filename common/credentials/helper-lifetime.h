/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/gather.h"

/* How long the secret that a helper gives for this registry (a name as of registry_normalize()) is good, as
 * HelperLifetime= says; 0: it says nothing. A pattern is matched with the host and with the whole name. Of several that
 * match, the one with the most characters that stand for themselves counts, then the one with fewer that do not, then
 * the later one; without any, the span that stands without a pattern. */
uint64_t helper_lifetime_usec(const CredentialSettings *settings, const char *registry);
