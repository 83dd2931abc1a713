/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/problems.h"
#include "credentials/credentials.h"

/* Which images the agent pulls with the entry of a key: GetAuthconfig() in dockerauth.go of amazon-ecs-agent, and
 * Docker's grammar of image names (reference.go of distribution/reference; measured: the engine refuses to pull the
 * rest). */

typedef enum KeyCoverage {
        KEY_COVERS_NOTHING, /* no image name can match the key */
        KEY_COVERS_HOST,    /* all images of the host, except those below a longer key */
        KEY_COVERS_PATH,    /* the images whose names begin with the key, except those below a longer key */
        KEY_COVERS_AS_ONLY, /* all images of the host: a key with a path, but the only key of the host */
        KEY_COVERS_CHANCE,  /* any image of the host: several keys have a path, none is the host alone, and the agent
                             * takes them in random order */
        KEY_COVERS_PATH_OR_CHANCE, /* like KEY_COVERS_CHANCE, but the images below the longest key always get it */
} KeyCoverage;

/* Returns which images a key covers. key: in the spelling of the environment file. written: all entries of that file;
 * entries without a secret do not count. */
KeyCoverage key_coverage(const char *key, const Credentials *written);

/* Returns whether key_coverage() is KEY_COVERS_NOTHING, without reading the whole list. */
bool key_covers_nothing(const char *key, const Credentials *written);

/* Returns the value of "covers" in status.json. */
const char *key_coverage_to_string(KeyCoverage coverage);

/* Describes for people which images the key covers. */
void key_coverage_describe(const char *key, KeyCoverage coverage, char *ret, size_t size);

/* Removes the entries that no image can use, and adds copies to *ret_removed (may be NULL). A problem explains each:
 * why, and what to do. */
void key_coverage_remove_useless(Credentials *c, Credentials *ret_removed, Problems *problems);

/* Adds a warning for each host whose entries the agent chooses by chance, for each host that looks like Docker Hub to
 * people, but not to the agent, and for each login of a host with capital letters. c: sorted. */
void key_coverage_warn(const Credentials *c, Problems *problems);
