/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"
#include "credentials/credentials.h"

/* What one entry of a credential file holds, {"auth":"BASE64", ...}: user name, password, identity token and e-mail go
 * to c, as far as they are there. -EBADMSG: its "auth" cannot be used. */
int credential_read_entry(json_object *entry, Credential *c);
