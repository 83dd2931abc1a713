/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/credentials.h"
#include "settings/config.h"

/* Every credential that the settings lead to: the files, later ones over earlier ones; what credential stores and
 * helpers keep for them; without the hosts that are left out.
 *
 * An entry whose secret cannot be had stands in the list without one, and the list is marked incomplete where not even
 * the registries are known (a file that cannot be read among others, a store that does not answer): the caller keeps
 * what it has for them. A negative errno, with problems added: no file could be read at all. */
int gather_credentials(const Config *config, Credentials *ret, Problems *problems);
