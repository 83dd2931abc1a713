/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/gather.h"

/* Asks the credential stores and helpers that a list of credentials names, and only those whose lease is due. */

/* The registries that the stores keep something for, as they say or last said. -ENOMEM. */
int ask_stores(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems);

/* The secrets of the entries that name a helper. One that was not asked, or did not answer, stands in the list without
 * a secret: what the environment file has for it stays. -ENOMEM. */
int ask_helpers(const CredentialSettings *settings, HelperRound *round, Credentials *c, Problems *problems);
