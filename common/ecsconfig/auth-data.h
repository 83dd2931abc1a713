/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "base/json.h"
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

/* The auth entries of an environment file. A zeroed struct contains none. */
typedef struct AuthData {
        AuthType type;
        json_object *top;    /* all entries in their original spelling; NULL: none that the agent reads */
        Credentials entries; /* the entries that the agent uses; Credential.foreign: ecs-authd did not write it */
        Digest digest;       /* computed by authdata_digest() */
        char useless[160];   /* keys of entries that would be logins with the other type, separated by ", " */
        char ignored[160];   /* reason why the agent ignores the whole content; "": not ignored */
} AuthData;

/* Reads the two values (NULL: not set). Content that the agent ignores is no error. The caller calls authdata_done()
 * and sets Credential.foreign. */
void authdata_read(const char *type, const char *data, const DigestKey *key, AuthData *ret);
void authdata_done(AuthData *a);

/* Returns true if the values already give the agent the usable credentials of c, in a type that the setting allows, and
 * contain no other entry of ours. */
bool authdata_is_current(const Credentials *c, const AuthData *current, AuthType type);

/* Appends the foreign entries to c, unless c has a usable login for the same registry. If c lists the registry without
 * a secret, that item gets the secrets of the foreign entry and keeps its source. */
void authdata_add_foreign(Credentials *c, const AuthData *current);

/* Makes the two values for the credentials in c and for the foreign entries of current (NULL: none); both are NULL if
 * there is nothing to write. Entries without a secret are skipped. Equal credentials make equal bytes.
 * Foreign entries come first and stay as they are spelled, except that a login for the same registry replaces them and
 * that a change of the type changes their form. They are appended to c.
 * A login that the type cannot carry keeps its entry of current, or is removed from c; a problem names it.
 * -EOPNOTSUPP: the type cannot carry a foreign entry; a problem names it. -EIO: the values do not read back as the same
 * credentials. *ret: the new values as authdata_read() returns them, with Credential.foreign set; the caller calls
 * authdata_done(), also after an error. The caller frees *ret_data with secret_free(). */
int authdata_format(Credentials *c, const AuthData *current, AuthType type, const DigestKey *key, const char **ret_type,
                    char **ret_data, AuthData *ret, Problems *problems);

/* Values that give the agent the same credentials have the same digest, however they are written (order, blanks, the
 * scheme of a key, dockercfg or docker, keys that no image can use); so do all the ways to say "none". A key that the
 * agent looks up differently ("docker.io" for Docker Hub) has another digest, so that correcting it makes a restart
 * due. */
void authdata_digest(const char *type, const char *data, const DigestKey *key, Digest *ret);

/* The data with its secrets shown as "***", for people. The caller frees *ret. -EBADMSG: not JSON; others as
 * json_parse_strict(). */
int authdata_mask(const char *data, char **ret);
