/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"

/* What is sent to the Docker Engine for a container like another one. Pure. container: the answer of "GET
 * /containers/NAME/json" for the old one, which stays as it is. -EBADMSG: it is not such an answer. */

/* The body of "POST /containers/create". environment: the file, read as docker run --env-file does; its two auth
 * entries go where it does not have them, everything else that the container has stays. image: what to make it from.
 * all_networks: the engine takes more than one (API 1.44). */
int container_body(json_object *container, const char *environment, const char *image, bool all_networks,
                   json_object **ret);

/* The body of "POST /networks/NETWORK/connect" that gives new_id the same place in a network in which the old one is.
 * Gives 0 and no body where it has that from its creation. */
int container_connection(json_object *container, const char *network, const char *new_id, bool all_networks,
                         json_object **ret);
