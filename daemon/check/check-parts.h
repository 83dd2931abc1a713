/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "check/check-output.h"

/* What ecs-authd check looks at, part by part. */

void check_credential_files(Check *c);
void check_registries(Check *c, const Credentials *credentials, bool login);

/* Where nobody has logged in as the service's user: who else has. */
void check_other_logins(Check *c, const Credentials *credentials);

/* type and data: what should stand there; known: false where that cannot be told. */
void check_environment_file(Check *c, bool known, const char *type, const char *data);
void check_other_places(Check *c);

/* *ret_unit: as the service sees it. */
void check_units(Check *c, UnitReport *ret_unit);
void check_agent(Check *c, const UnitReport *unit);
void check_inotify(Check *c);
