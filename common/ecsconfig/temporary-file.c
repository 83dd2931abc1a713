/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/temporary-file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/state-file.h"

enum {
        MODE_NEW = 0600,
        XATTR_NAMES_MAX = 4096,
        NAME_TRIES = 100,
        RANDOM_LETTERS = 8,
};

static bool is_same_file(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* The name still belongs to the file that is open. */
static int check_name(int directory_fd, const char *name, int fd) {
        struct stat of_fd, of_name;

        if (fstat(fd, &of_fd) < 0 || fstatat(directory_fd, name, &of_name, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -EAGAIN : negative_errno();
        return is_same_file(&of_fd, &of_name) ? 0 : -EAGAIN;
}

int temporary_check(const TemporaryFile *t) {
        return check_name(t->directory_fd, t->name, t->fd);
}

/* NULL: no memory, or no random bytes. */
static char *make_name(const char *name) {
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
        unsigned char random[RANDOM_LETTERS];
        char suffix[RANDOM_LETTERS + 1] = "";
        char *made;

        if (getrandom(random, sizeof(random), 0) != (ssize_t) sizeof(random))
                return NULL;
        for (size_t i = 0; i < sizeof(random); i++)
                suffix[i] = letters[random[i] % (sizeof(letters) - 1)];
        return asprintf(&made, ".%s.ecs-authd.%s", name, suffix) < 0 ? NULL : made;
}

/* A new file that is locked for as long as we live; its name in t. -EEXIST: the name is taken, or an instance that
 * tidies up was faster. */
static int make_locked(TemporaryFile *t, int *ret_fd) {
        _cleanup_close_ int fd =
                openat(t->directory_fd, t->name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE_NEW);

        if (fd < 0)
                return negative_errno();
        if (flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return -EEXIST;
        if (check_name(t->directory_fd, t->name, fd) < 0)
                return -EEXIST;
        *ret_fd = steal_fd(&fd);
        return 0;
}

/* From here on only for reading: as long as a file is open for writing, the kernel gives no lease on it. */
static int reopen(TemporaryFile *t, int *writable) {
        _cleanup_close_ int fd = openat(t->directory_fd, t->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        struct stat ours, found;

        if (fd < 0)
                return negative_errno();
        if (fstat(*writable, &ours) < 0 || fstat(fd, &found) < 0 || !is_same_file(&ours, &found))
                return -EAGAIN;
        (void) flock(fd, LOCK_SH | LOCK_NB);
        if (close(steal_fd(writable)) < 0)
                return negative_errno();
        t->fd = steal_fd(&fd);
        return 0;
}

int temporary_make(int directory_fd, const char *name, const char *content, size_t size, TemporaryFile *ret) {
        _cleanup_(temporary_done) TemporaryFile t = {.directory_fd = directory_fd, .fd = -1};
        _cleanup_close_ int fd = -1;
        int r = -EEXIST;

        for (unsigned i = 0; r == -EEXIST && i < NAME_TRIES; i++) {
                free(t.name);
                t.name = make_name(name);
                r = t.name ? make_locked(&t, &fd) : -ENOMEM;
        }
        if (r < 0) {
                free(t.name);
                t.name = NULL;
                return r;
        }

        r = write_all(fd, content, size);
        if (r >= 0 && fsync(fd) < 0)
                r = negative_errno();
        if (r >= 0)
                r = reopen(&t, &fd);
        if (r < 0)
                return r;

        *ret = t;
        t = (TemporaryFile){.fd = -1};
        return 0;
}

void temporary_done(TemporaryFile *t) {
        if (t->name)
                (void) unlinkat(t->directory_fd, t->name, 0);
        free(t->name);
        closep(&t->fd);
        *t = (TemporaryFile){.fd = -1};
}

static int copy_xattrs(int from, int to) {
        char names[XATTR_NAMES_MAX];
        ssize_t length = flistxattr(from, names, sizeof(names));

        if (length < 0)
                return errno == ENOTSUP ? 0 : negative_errno();

        for (const char *name = names; name < names + length; name += strlen(name) + 1) {
                _cleanup_free_ char *value = NULL;
                ssize_t n = fgetxattr(from, name, NULL, 0);

                if (n < 0)
                        return negative_errno();
                value = malloc((size_t) n + 1);
                if (!value)
                        return -ENOMEM;
                n = fgetxattr(from, name, value, (size_t) n);
                if (n < 0)
                        return negative_errno();
                /* The kernel gave the new file a label of its own; where it is the same one, setting it may be refused
                 * without harm. */
                if (fsetxattr(to, name, value, (size_t) n, 0) < 0 && errno != ENOTSUP) {
                        char same[XATTR_NAMES_MAX];
                        int r = negative_errno();

                        if (fgetxattr(to, name, same, sizeof(same)) != n || memcmp(same, value, (size_t) n) != 0)
                                return r;
                }
        }
        return 0;
}

int temporary_copy_attributes(const TemporaryFile *t, int from) {
        struct stat old, new;
        int r;

        if (from < 0)
                return 0; /* it was made with the mode of a new one */

        /* In this order none but the last step needs a right over the files of others: attributes can be written as
         * long as the mode lets its owner write, and until it has another owner. An ACL brings a mode of its own. */
        r = copy_xattrs(from, t->fd);
        if (r < 0)
                return r;
        if (fstat(from, &old) < 0 || fstat(t->fd, &new) < 0)
                return negative_errno();
        if ((old.st_mode & 07777) != (new.st_mode & 07777) && fchmod(t->fd, old.st_mode & 07777) < 0)
                return negative_errno();
        if ((old.st_uid != new.st_uid || old.st_gid != new.st_gid) && fchown(t->fd, old.st_uid, old.st_gid) < 0)
                return negative_errno();
        return 0;
}

/* Whoever works on it holds a lock on it: where that can be had, nobody does. */
static void remove_leftover(int directory_fd, const char *name) {
        _cleanup_close_ int fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

        if (fd < 0) {
                if (errno == ELOOP) /* a link is no file that we made */
                        (void) unlinkat(directory_fd, name, 0);
                return;
        }
        if (flock(fd, LOCK_EX | LOCK_NB) >= 0 && check_name(directory_fd, name, fd) >= 0)
                (void) unlinkat(directory_fd, name, 0); /* not a directory: nor is that one of ours */
}

void temporary_remove_leftovers(int directory_fd, const char *name) {
        _cleanup_closedir_ DIR *d = NULL;
        _cleanup_free_ char *prefix = NULL;
        const struct dirent *e;
        int fd;

        if (asprintf(&prefix, ".%s.ecs-authd", name) < 0)
                return;
        fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d) {
                closep(&fd);
                return;
        }
        while ((e = readdir(d))) {
                const char *rest = startswith(e->d_name, prefix);

                /* Without anything behind it: what versions before had. */
                if (rest && (!*rest || (*rest == '.' && strlen(rest) == 1 + RANDOM_LETTERS)))
                        remove_leftover(directory_fd, e->d_name);
        }
}
