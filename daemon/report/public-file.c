/* SPDX-License-Identifier: Apache-2.0 */
#include "report/public-file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>

#include "base/write-all.h"

static int write_new(int fd, const char *text, size_t size, FileIdentity *ret) {
        struct stat st;
        int r;

        /* Everybody may read it, whatever the mask of the unit is. */
        if (fchmod(fd, 0644) < 0)
                return negative_errno();
        r = write_all(fd, text, size);
        if (r < 0)
                return r;
        if (fstat(fd, &st) < 0)
                return negative_errno();
        *ret = file_identity_of(&st);
        return 0;
}

int public_file_replace(const char *path, const char *text, size_t size, FileIdentity *ret) {
        _cleanup_close_ int fd = -1;
        char temporary[PATH_MAX];
        FileIdentity written;
        int r;

        if ((size_t) snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
                return -ENAMETOOLONG;
        /* What somebody has put there, or what we left behind when we were killed. */
        if (unlink(temporary) < 0 && errno != ENOENT)
                return negative_errno();
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0)
                return negative_errno();

        r = write_new(fd, text, size, &written);
        if (r >= 0 && rename(temporary, path) < 0)
                r = negative_errno();
        if (r < 0) {
                (void) unlink(temporary);
                return r;
        }
        *ret = written;
        return 0;
}
