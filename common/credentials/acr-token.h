/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/credentials.h"

/* Azure Container Registry takes an identity token also as the password of the user
 * 00000000-0000-0000-0000-000000000000 (Microsoft, "az acr login --expose-token"). In this form dockercfg can carry
 * it. */

/* Returns the identity token of an entry of Azure Container Registry, in either form; NULL: the entry has no token, or
 * belongs to another registry. */
const char *acr_token(const Credential *c);

/* Returns the entry with its identity token as a password. Its strings still belong to c. */
Credential acr_token_as_password(const Credential *c);

/* Returns whether both entries log in with the same names and secrets; the two forms of a token are the same. */
bool acr_same_login(const Credential *a, const Credential *b);
