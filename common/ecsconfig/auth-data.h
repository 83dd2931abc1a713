/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/problems.h"
#include "credentials/credentials.h"

/* ECS_ENGINE_AUTH_TYPE and ECS_ENGINE_AUTH_DATA, as the agent takes them (dockerauth.go of amazon-ecs-agent). */

#define AUTHDATA_TYPE_KEY "ECS_ENGINE_AUTH_TYPE"
#define AUTHDATA_DATA_KEY "ECS_ENGINE_AUTH_DATA"

typedef enum AuthType {
        AUTH_TYPE_AUTO, /* docker if an entry has an identity token, unless only dockercfg carries all entries */
        AUTH_TYPE_DOCKERCFG,
        AUTH_TYPE_DOCKER,
} AuthType;

const char *auth_type_to_string(AuthType t);
int auth_type_from_string(const char *s, AuthType *ret); /* -EINVAL */

/* The two values for these credentials; both NULL when the list has no usable entry. Entries without a secret are
 * passed over. The same credentials give the same bytes. An entry that the type cannot carry takes its former form
 * (former: what stands in the environment file, or NULL), or leaves the list; a problem names it. -EIO, -ENOMEM: what
 * was made did not give back the same credentials when it was read again (there was no memory). The caller frees
 * *ret_data with secret_free(). */
int authdata_format(Credentials *c, const Credentials *former, AuthType type, const char **ret_type, char **ret_data,
                    Problems *problems);

/* What the agent would make of the two values (NULL = not set): the entries it would use. -EBADMSG: it would drop them
 * all. */
int authdata_parse(const char *type, const char *data, Credentials *ret);

/* Values that give the agent the same credentials have the same digest, however they are written (order, blanks, the
 * scheme of a key, dockercfg or docker, keys that no image can use); so do all the ways to say "none". A key that the
 * agent looks up otherwise
 * ("docker.io" for Docker Hub) makes another digest: that is what a restart would mend. */
int authdata_digest(const char *type, const char *data, const DigestKey *key, Digest *ret);

/* Both of it with one look. What the agent would drop is no credentials. */
int authdata_look(const char *type, const char *data, const DigestKey *key, Credentials *ret, Digest *ret_digest);

/* The data with its secrets shown as "***", for people. The caller frees *ret. -EBADMSG: not JSON; others as
 * json_parse_strict(). */
int authdata_mask(const char *data, char **ret);
