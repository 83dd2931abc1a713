/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "credentials/lease.h"

/* Leases are kept in the state directory, without secrets, so that they outlive the daemon. */

/* What stands in the state directory; nothing where that cannot be read or is not ours. -ENOMEM. */
int leases_load(Leases *ret);

/* The same from memory. -EBADMSG: not such a text; -ENOMEM. */
int leases_parse(const char *text, Leases *ret);

/* Durable when it returns 0. What stands there already is not written again. */
int leases_save(const Leases *l);
