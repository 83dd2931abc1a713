/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/directories.h"

int digest_key_generate(DigestKey *ret) {
        DigestKey key;

        if (getrandom(key.bytes, sizeof(key.bytes), 0) != (ssize_t) sizeof(key.bytes))
                return negative_errno();
        *ret = key;
        return 0;
}

/* Of another's making it is nobody's key. */
static int read_key(const char *path, DigestKey *ret) {
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        DigestKey key;
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 077) != 0 ||
            read(fd, key.bytes, sizeof(key.bytes)) != (ssize_t) sizeof(key.bytes))
                return -EBADMSG;
        *ret = key;
        return 0;
}

/* Whole or not at all; -EEXIST: somebody else was faster. */
static int write_key(const char *path, const DigestKey *key) {
        _cleanup_close_ int fd = -1;
        char temporary[PATH_MAX];
        int r = 0;

        (void) snprintf(temporary, sizeof(temporary), "%s/.digest.key.%d", state_directory(), getpid());
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return negative_errno();
        if (write(fd, key->bytes, sizeof(key->bytes)) != (ssize_t) sizeof(key->bytes) || fsync(fd) < 0 ||
            link(temporary, path) < 0)
                r = negative_errno();
        (void) unlink(temporary);
        return r;
}

int digest_key_load(DigestKey *ret) {
        char path[PATH_MAX];
        DigestKey key;
        int r;

        make_state_directory();
        if ((size_t) snprintf(path, sizeof(path), "%s/digest.key", state_directory()) >= sizeof(path))
                return -ENAMETOOLONG;
        if (read_key(path, ret) >= 0)
                return 0;

        r = digest_key_generate(&key);
        if (r < 0)
                return r;
        if (write_key(path, &key) == -EEXIST && read_key(path, &key) < 0) {
                (void) unlink(path);
                (void) write_key(path, &key);
        }
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
