/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/engine-connection.h"

/* Builds the requests for a container like another one. Pure. container: the answer of container_inspect() for the old
 * container, which does not change. For a child: see base/memory.h. */

/* Returns the body of "POST /containers/create", or NULL if container has not the members of Docker's answers.
 * environment: the content of the file, parsed like docker run --env-file does. The two variables of the credentials
 * are removed if the file does not have them; all other variables of the container stay. image: its name or ID.
 * all_networks: the engine accepts more than one network (API 1.44). */
json_object *container_body(json_object *container, const char *environment, const char *image, bool all_networks);

/* Returns the body of "POST /networks/NAME/connect" that gives new_id the same place in a network of the old container,
 * or NULL if new_id has been created in this network. */
json_object *container_connection(json_object *container, const char *name, json_object *network, const char *new_id,
                                  bool all_networks);

/* Returns the networks of the container by name; NULL: none. Removes the second entry that Engine 26 makes for a
 * network given by the beginning of its ID (measured, 26.1). */
json_object *container_networks(json_object *container);
