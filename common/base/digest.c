/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

int digest_key_generate(DigestKey *ret) {
        DigestKey key;

        if (getrandom(key.bytes, sizeof(key.bytes), 0) != (ssize_t) sizeof(key.bytes))
                return negative_errno();
        *ret = key;
        return 0;
}

int digest_compute(const DigestKey *key, const void *data, size_t size, Digest *ret) {
        Digest digest;
        unsigned length = 0;

        if (!HMAC(EVP_sha256(), key->bytes, sizeof(key->bytes), data, size, digest.bytes, &length) ||
            length != sizeof(digest.bytes))
                return -ENOMEM;
        *ret = digest;
        return 0;
}

bool digest_equal(const Digest *a, const Digest *b) {
        return CRYPTO_memcmp(a->bytes, b->bytes, sizeof(a->bytes)) == 0;
}
