/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>

#include "base/state-file.h"

#define LOCK_WAIT_USEC (1 * USEC_PER_SEC)

enum {
        KEY_TEXT_MAX = 2 * sizeof(DigestKey) + 1,
};

int digest_key_generate(DigestKey *ret) {
        DigestKey key;

        if (getrandom(key.bytes, sizeof(key.bytes), 0) != (ssize_t) sizeof(key.bytes))
                return negative_errno();
        *ret = key;
        return 0;
}

static int read_key(DigestKey *ret) {
        _cleanup_free_ char *text = NULL;
        Digest bytes;
        int r;

        r = state_file_read("digest.key", KEY_TEXT_MAX, &text);
        if (r >= 0)
                r = digest_from_hex(text, &bytes);
        if (r < 0)
                return r;
        memcpy(ret->bytes, bytes.bytes, sizeof(ret->bytes));
        return 0;
}

int digest_key_look(DigestKey *ret) {
        return read_key(ret) >= 0 ? 0 : digest_key_generate(ret);
}

int digest_key_load(DigestKey *ret) {
        _cleanup_close_ int lock = -1;
        char text[KEY_TEXT_MAX];
        Digest bytes;
        int r;

        if (read_key(ret) >= 0)
                return 0;
        /* Another instance may be writing a key. If that instance hangs, this one uses a key of its own. */
        lock = state_file_lock("digest.lock", LOCK_WAIT_USEC);
        if (lock >= 0 && read_key(ret) >= 0)
                return 0;
        r = digest_key_generate(ret);
        if (r < 0 || lock == -EWOULDBLOCK)
                return r;
        memcpy(bytes.bytes, ret->bytes, sizeof(bytes.bytes));
        digest_to_hex(&bytes, text);
        (void) state_file_write("digest.key", text);
        return 0;
}

void digest_prepare(void) {
        const DigestKey key = {0};
        Digest digest;

        (void) digest_compute(&key, "", 0, &digest);
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

void digest_to_hex(const Digest *d, char *ret) {
        for (size_t i = 0; i < sizeof(d->bytes); i++)
                (void) snprintf(ret + 2 * i, 3, "%02x", d->bytes[i]);
}

int digest_from_hex(const char *hex, Digest *ret) {
        Digest digest;

        if (strlen(hex) != 2 * sizeof(digest.bytes) || strspn(hex, "0123456789abcdef") != 2 * sizeof(digest.bytes))
                return -EBADMSG;
        for (size_t i = 0; i < sizeof(digest.bytes); i++) {
                const char byte[3] = {hex[2 * i], hex[2 * i + 1], 0};

                digest.bytes[i] = (uint8_t) strtoul(byte, NULL, 16);
        }
        *ret = digest;
        return 0;
}
