/* SPDX-License-Identifier: Apache-2.0 */
#include "base/secret.h"

#include <openssl/crypto.h>
#include <sys/prctl.h>
#include <sys/resource.h>

enum {
        SIZE_FIRST = 4096,
};

char *secret_free(char *s) {
        return s ? secret_free_sized(s, strlen(s)) : NULL;
}

char *secret_free_sized(char *s, size_t size) {
        if (s)
                OPENSSL_cleanse(s, size);
        free(s);
        return NULL;
}

char *secret_dup(const char *s, size_t n) {
        char *copy = malloc(n + 1);

        if (!copy)
                return NULL;
        memcpy(copy, s, n);
        copy[n] = 0;
        return copy;
}

/* realloc(3) would leave the old bytes behind. */
int secret_make_room(char **buffer, size_t used, size_t needed, size_t *allocated) {
        size_t size = *allocated > 0 ? *allocated : SIZE_FIRST;
        char *larger;

        if (needed <= *allocated)
                return 0;
        while (size < needed)
                size *= 2;
        larger = malloc(size);
        if (!larger)
                return -ENOMEM;
        if (used > 0)
                memcpy(larger, *buffer, used);
        secret_free_sized(*buffer, used);
        *buffer = larger;
        *allocated = size;
        return 0;
}

int secret_read_fd(int fd, size_t max, char **ret, size_t *ret_size) {
        size_t allocated = 0, used = 0;
        char *buffer = NULL;
        ssize_t n = 1;
        int r = 0;

        while (n > 0) {
                /* One byte is left for the NUL. */
                r = secret_make_room(&buffer, used, used + 2, &allocated);
                if (r < 0)
                        break;

                n = read(fd, buffer + used, allocated - used - 1);
                if (n < 0 && errno == EINTR) {
                        n = 1;
                        continue;
                }
                if (n < 0)
                        r = negative_errno();
                else if ((used += (size_t) n) > max)
                        r = -EFBIG;
                if (r < 0)
                        break;
        }
        if (r < 0) {
                secret_free_sized(buffer, used);
                return r;
        }

        buffer[used] = 0;
        *ret = buffer;
        *ret_size = used;
        return 0;
}

int secret_protect_process(void) {
        const struct rlimit none = {0, 0};

        if (setrlimit(RLIMIT_CORE, &none) < 0)
                return negative_errno();
        if (prctl(PR_SET_DUMPABLE, 0) < 0)
                return negative_errno();
        return 0;
}
