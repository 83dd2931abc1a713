/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/http.h"

/* Who answers in the agent's name. Its port, 51678, needs no privilege: any user of the host can take it while the
 * agent is down, and say "live". TCP has no SO_PEERCRED, so the kernel's table of sockets (/proc/self/net/tcp and tcp6;
 * there also with ProcSubset=pid) tells: an answer from this host counts if it comes from where only root, or we
 * ourselves, listen. What decides, and why (Linux 6.18, measured):
 *
 * - The sockets that listen, and not the connection's own entry: that shows uid 0 once its owner has closed it.
 * - Looked at after the answer: before it, another one may still have listened.
 * - Nobody listens there (any more): not believed. One that accepts, closes what it listened on and then answers would
 *   leave no trace.
 * - Only those that listen where the answer came from: its address, or all. With 127.0.0.1 held by root a user may take
 *   [::1] or 127.0.0.2; beside the agent, which listens on all of both families (":51678" in Go), nobody can, whatever
 *   SO_REUSEADDR and SO_REUSEPORT say. docker-proxy, for an agent with a network of its own, is root's, too.
 * - The uid and not the process: only CAP_SYS_PTRACE and more could tell that, and the agent runs as root. So a
 *   container that has the host's network, and runs as root, is believed.
 *
 * An answer from another host is none of this: who names one in IntrospectionURL= trusts it. */

enum {
        LISTENER_MAX = 80,
};

/* 0: believed. -EPERM: another user listens, ret_other says which, "user NAME (uid N)"; -ENOTCONN: nobody does any
 * more, which an agent on its way down looks like, too. */
int listener_check(const HttpResponse *response, char ret_other[static LISTENER_MAX]);

/* The same for one table: lines of /proc/net/tcp or tcp6, of which those that listen at this address (as text) and port
 * are added up. True: *ret_uid is another user's. */
bool listener_scan(FILE *table, const char *address, unsigned port, unsigned *n_listeners, uid_t *ret_uid);
