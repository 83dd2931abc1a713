/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "credentials/credentials.h"

/* Reads one entry of a credential file, {"auth":"BASE64", ...}: sets the user name, password, identity token and e-mail
 * of c that the entry contains. An entry that cannot be used sets c->flaw. */
int credential_read_entry(json_object *entry, Credential *c);
