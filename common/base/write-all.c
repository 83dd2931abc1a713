/* SPDX-License-Identifier: Apache-2.0 */
#include "base/write-all.h"

int write_all(int fd, const char *text, size_t n) {
        while (n > 0) {
                ssize_t written = write(fd, text, n);

                if (written < 0 && errno == EINTR)
                        continue;
                if (written < 0)
                        return negative_errno();
                text += written;
                n -= (size_t) written;
        }
        return 0;
}
