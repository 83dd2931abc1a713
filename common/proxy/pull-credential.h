/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/problems.h"
#include "credentials/gather.h"

/* The credential for one pull, read from the credential files, stores and helpers at the moment of the pull. Blocks,
 * and handles secrets: call it only in a child process. */

/* Finds the credential whose key is the longest prefix of the image name that ends at a "/" (containers-auth.json(5));
 * host and port must be equal. image: without tag and digest. Returns 1 and the value of X-Registry-Auth (the caller
 * frees it with secret_free()); 0: no source has credentials for the image. Negative errno after adding a problem: a
 * source that may have them cannot be read, or the helper failed. */
int pull_credential_find(const CredentialSettings *settings, const char *image, char **ret_auth, Problems *problems);
