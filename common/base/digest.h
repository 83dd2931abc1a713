/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/macro.h"

/* A keyed digest (HMAC-SHA256) stands for credentials wherever the credentials themselves must not be: two can be
 * compared, and nothing can be guessed from one without the key. */

typedef struct DigestKey {
        uint8_t bytes[32];
} DigestKey;

typedef struct Digest {
        uint8_t bytes[32];
} Digest;

int digest_key_generate(DigestKey *ret);

/* The one of this host, from the state directory, so that digests can be compared with those of a process before us. It
 * is made if it is not there; where it cannot be kept there, it lives as long as the process. */
int digest_key_load(DigestKey *ret);

/* The same, without keeping one that had to be made. */
int digest_key_look(DigestKey *ret);

/* libcrypto reads its configuration and sets up its algorithms for the first digest, which takes longer than all that a
 * job does: whoever forks for one does that before, once. Where it fails, so does the first digest. */
void digest_prepare(void);

int digest_compute(const DigestKey *key, const void *data, size_t size, Digest *ret);
bool digest_equal(const Digest *a, const Digest *b);

/* 64 hexadecimal digits and a NUL; -EBADMSG: something else. */
void digest_to_hex(const Digest *d, char *ret);
int digest_from_hex(const char *hex, Digest *ret);
