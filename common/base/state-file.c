/* SPDX-License-Identifier: Apache-2.0 */
#include "base/state-file.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <time.h>

#include "base/clock.h"
#include "base/directories.h"
#include "base/secret.h"

#define LOCK_POLL_NSEC (20 * 1000000L)

/* --- any file --- */

FileIdentity file_identity_of(const struct stat *st) {
        return (FileIdentity){.inode = st->st_ino,
                              .mtime_nsec = (int64_t) st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec};
}

FileIdentity file_identity_at(const char *path) {
        struct stat st;

        if (stat(path, &st) < 0)
                return (FileIdentity){0};
        return file_identity_of(&st);
}

bool file_identity_equal(const FileIdentity *a, const FileIdentity *b) {
        return a->inode > 0 && a->inode == b->inode && a->mtime_nsec == b->mtime_nsec;
}

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

static int write_new(int fd, const char *text, mode_t mode, bool durable, FileIdentity *ret) {
        struct stat st;
        int r;

        /* Sets the mode whatever the umask of the unit is. */
        if (fchmod(fd, mode) < 0)
                return negative_errno();
        r = write_all(fd, text, strlen(text));
        if (r < 0)
                return r;
        if ((durable && fsync(fd) < 0) || fstat(fd, &st) < 0)
                return negative_errno();
        *ret = file_identity_of(&st);
        return 0;
}

int file_replace(int directory_fd, const char *path, const char *text, mode_t mode, bool durable, FileIdentity *ret) {
        _cleanup_close_ int fd = -1;
        char temporary[PATH_MAX];
        FileIdentity written;
        int r;

        if ((size_t) snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
                return -ENAMETOOLONG;
        /* Removes a file that another user has put there, or that a killed process has left. */
        if (unlinkat(directory_fd, temporary, 0) < 0 && errno != ENOENT)
                return negative_errno();
        fd = openat(directory_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return negative_errno();

        r = write_new(fd, text, mode, durable, &written);
        if (r >= 0 && renameat(directory_fd, temporary, directory_fd, path) < 0)
                r = negative_errno();
        if (r < 0)
                (void) unlinkat(directory_fd, temporary, 0);
        else if (ret)
                *ret = written;
        return r;
}

/* --- files in the state directory --- */

/* Refuses a directory that other users may write. */
static int open_directory(void) {
        _cleanup_close_ int fd = open(state_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        struct stat st;

        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
                return -EPERM;
        return steal_fd(&fd);
}

/* Creates the directory if it is missing. Opening it reports an error of that. */
static int make_directory(void) {
        (void) mkdir(state_directory(), 0700);
        return open_directory();
}

static int open_file(int directory, const char *name, int flags, struct stat *ret) {
        _cleanup_close_ int fd = -1;

        if (directory < 0)
                return directory;
        fd = openat(directory, name, flags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
        if (fd < 0 || fstat(fd, ret) < 0)
                return negative_errno();
        return steal_fd(&fd);
}

static bool is_own(const struct stat *st) {
        return S_ISREG(st->st_mode) && st->st_uid == geteuid();
}

/* Only root can read and write the file, so that its content is believed. */
static bool is_private(const struct stat *st) {
        return is_own(st) && (st->st_mode & 077) == 0;
}

int state_file_read(const char *name, size_t max, char **ret) {
        _cleanup_close_ int directory = open_directory(), fd = -1;
        _cleanup_free_ char *text = NULL;
        struct stat st = {0};
        size_t size;
        int r;

        fd = open_file(directory, name, O_RDONLY, &st);
        if (fd < 0)
                return fd;
        if (!is_private(&st) || (uint64_t) st.st_size > max)
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
        _cleanup_close_ int directory = make_directory();
        int r;

        if (directory < 0)
                return directory;
        r = file_replace(directory, name, text, 0600, true, NULL);
        if (r >= 0 && fsync(directory) < 0)
                r = negative_errno();
        return r;
}

int state_file_open_lock(const char *name) {
        _cleanup_close_ int directory = make_directory(), fd = -1;
        struct stat st = {0};

        fd = open_file(directory, name, O_RDWR | O_CREAT, &st);
        if (fd < 0)
                return fd;
        if (!is_own(&st))
                return -EBADMSG;
        /* A restored backup may have changed the mode. No instance may run without the lock because of that. */
        return fchmod(fd, 0600) < 0 ? negative_errno() : steal_fd(&fd);
}

int state_file_lock(const char *name, uint64_t wait_usec) {
        const uint64_t deadline = clock_monotonic_usec() + wait_usec;
        const struct timespec pause = {.tv_nsec = LOCK_POLL_NSEC};
        _cleanup_close_ int fd = state_file_open_lock(name);

        if (fd < 0)
                return fd;
        while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
                if ((errno != EWOULDBLOCK && errno != EINTR) || clock_monotonic_usec() >= deadline)
                        return negative_errno();
                (void) nanosleep(&pause, NULL);
        }
        return steal_fd(&fd);
}

int state_file_remove(const char *name) {
        _cleanup_close_ int directory = open_directory();

        if (directory < 0)
                return directory == -ENOENT ? 0 : directory;
        if (unlinkat(directory, name, 0) < 0)
                return errno == ENOENT ? 0 : negative_errno();
        return fsync(directory) < 0 ? negative_errno() : 0;
}
