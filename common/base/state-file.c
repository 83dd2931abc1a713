/* SPDX-License-Identifier: Apache-2.0 */
#include "base/state-file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>

#include "base/directories.h"
#include "base/secret.h"
#include "base/write-all.h"

enum {
        RANDOM_DIGITS = 2 * sizeof(uint64_t),
};

/* Where somebody else may put files, nothing is believed. */
static int open_directory(void) {
        _cleanup_close_ int fd = open(state_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return -EPERM;
        return steal_fd(&fd);
}

/* What somebody else has put there is not believed. */
static bool is_ours(const struct stat *st) {
        return S_ISREG(st->st_mode) && st->st_uid == geteuid() && (st->st_mode & 077) == 0;
}

int state_file_read(const char *name, size_t max, char **ret) {
        _cleanup_close_ int directory = open_directory(), fd = -1;
        _cleanup_free_ char *text = NULL;
        struct stat st;
        size_t size;
        int r;

        if (directory < 0)
                return directory;
        fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (!is_ours(&st) || (uint64_t) st.st_size > max)
                return -EBADMSG;

        r = secret_read_fd(fd, max, &text, &size);
        if (r < 0)
                return r == -EFBIG ? -EBADMSG : r;
        if (strlen(text) != size)
                return -EILSEQ;
        *ret = STEAL_POINTER(text);
        return 0;
}

int state_file_write(const char *name, const char *text) {
        _cleanup_close_ int directory = -1, fd = -1;
        char temporary[NAME_MAX];
        uint64_t random;
        int r;

        make_state_directory();
        directory = open_directory();
        if (directory < 0)
                return directory;
        /* Two instances never share one. */
        if (getrandom(&random, sizeof(random), 0) != (ssize_t) sizeof(random))
                return negative_errno();
        (void) snprintf(temporary, sizeof(temporary), ".%s.%0*llx", name, RANDOM_DIGITS, (unsigned long long) random);
        fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return negative_errno();

        r = write_all(fd, text, strlen(text));
        if (r >= 0 && fsync(fd) < 0)
                r = negative_errno();
        if (r >= 0 && renameat(directory, temporary, directory, name) < 0)
                r = negative_errno();
        if (r < 0)
                (void) unlinkat(directory, temporary, 0);
        return r < 0 ? r : fsync(directory) < 0 ? negative_errno() : 0;
}

int state_file_open_lock(const char *name) {
        _cleanup_close_ int directory = -1, fd = -1;
        struct stat st;

        make_state_directory();
        directory = open_directory();
        if (directory < 0)
                return directory;
        fd = openat(directory, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        /* A restored backup may have changed the mode. No instance may go without the lock for that. */
        if (S_ISREG(st.st_mode) && st.st_uid == geteuid() && (fchmod(fd, 0600) < 0 || fstat(fd, &st) < 0))
                return negative_errno();
        return is_ours(&st) ? steal_fd(&fd) : -EBADMSG;
}

int state_file_remove(const char *name) {
        _cleanup_close_ int directory = open_directory();

        if (directory == -ENOENT)
                return 0;
        if (directory < 0)
                return directory;
        if (unlinkat(directory, name, 0) < 0)
                return errno == ENOENT ? 0 : negative_errno();
        return fsync(directory) < 0 ? negative_errno() : 0;
}

/* No write takes as long. */
#define LEFT_SEC 60

/* .NAME.RANDOM, as state_file_write() makes it. */
static bool is_temporary(const char *name) {
        const char *random = strrchr(name, '.');

        return name[0] == '.' && random > name + 1 && strlen(random + 1) == RANDOM_DIGITS &&
               strspn(random + 1, "0123456789abcdef") == RANDOM_DIGITS;
}

void state_files_clean(void) {
        _cleanup_close_ int fd = open_directory();
        _cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
        const time_t now = time(NULL);
        const struct dirent *entry;
        struct stat st;

        if (dir)
                (void) steal_fd(&fd); /* it is closed with dir */
        while (dir && (entry = readdir(dir)))
                if (is_temporary(entry->d_name) && fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) >= 0 &&
                    S_ISREG(st.st_mode) && st.st_mtim.tv_sec + LEFT_SEC < now)
                        (void) unlinkat(dirfd(dir), entry->d_name, 0);
}
