/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/credentials.h"

/* Azure Container Registry takes an identity token also as the password of the user
 * 00000000-0000-0000-0000-000000000000 (Microsoft, "az acr login --expose-token"). In this form dockercfg can carry
 * it. */

/* Returns the identity token of an entry of Azure Container Registry, in whichever form the entry has it; NULL: the
 * entry has none, or is of another registry. */
const char *acr_token(const Credential *c);

/* Changes the entry's identity token, which acr_token() has found, into a user name and a password. */
int acr_token_to_password(Credential *c);
