/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/replace-file.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/statfs.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/memory.h"
#include "base/secret.h"
#include "base/state-file.h"

/* How it goes. The old file and the new one change their names in one step (RENAME_EXCHANGE). Until then another
 * program may have put a newer file there, or have written to the old one; so what came out is looked at:
 *
 * - It is what was read: done, it is removed.
 * - It is what was read and more behind it (echo >> file): the same is appended to the new file, as if that program had
 *   come a moment later.
 * - It is anything else: it is newer than what we know. It goes back in, and what comes out then is looked at in the
 * same way, ours being what is expected. The caller reads and merges again.
 *
 * A program that opened the old file before the exchange may still write to it after that. A lease tells: it is refused
 * while anybody has the file open for writing, and keeps whoever wants to waiting while we hold it. */

enum {
        FILE_SIZE_MAX = 1024 * 1024,
        ROUNDS_MAX = 100, /* of putting back what is newer: each takes somebody who writes just then */
        SETTLE_TRIES = 1000,
        SETTLE_WAIT_MSEC = 1,
        MODE_NEW = 0600,
        XATTR_NAMES_MAX = 4096,
        NAME_TRIES = 100,
        RANDOM_DIGITS = 8,
};

static const struct timespec settle_wait = {.tv_nsec = SETTLE_WAIT_MSEC * 1000000L};

/* What is being exchanged. */
typedef struct Exchange {
        int directory_fd;
        const char *name, *temporary;
        FileVersion in;  /* what we put under name */
        FileVersion out; /* what is expected under temporary */
        int synced;      /* negative: what stands in the file may not be on the disk */
} Exchange;

void file_version_done(FileVersion *v) {
        secret_free_sized(v->content, v->size);
        closep(&v->fd);
        *v = (FileVersion){.fd = -1};
}

static FileVersion steal_version(FileVersion *v) {
        FileVersion stolen = *v;

        *v = (FileVersion){.fd = -1};
        return stolen;
}

static int check_type(const struct stat *st) {
        return S_ISREG(st->st_mode) ? 0 : S_ISDIR(st->st_mode) ? -EISDIR : -ENOTSUP;
}

int file_version_read(int directory_fd, const char *name, FileVersion *ret) {
        _cleanup_(file_version_done) FileVersion v = {.fd = -1};
        int r;

        /* Not following a link: it was followed already, and whoever swaps it now wants something. Not blocking: it
         * may be a FIFO. */
        v.fd = openat(directory_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (v.fd < 0 && errno == ENOENT) {
                v.content = xmemory(secret_dup("", 0));
                r = 0;
        } else if (v.fd < 0 || fstat(v.fd, &v.st) < 0)
                r = negative_errno();
        else
                r = check_type(&v.st);
        if (r >= 0 && v.fd >= 0)
                r = secret_read_fd(v.fd, FILE_SIZE_MAX, &v.content, &v.size);
        if (r < 0)
                return r;

        *ret = steal_version(&v);
        return 0;
}

static bool same_time(const struct timespec *a, const struct timespec *b) {
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_file(const struct stat *a, const struct stat *b) {
        return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A new file beside the file that it replaces, ".NAME.ecs-authd.XXXXXXXX". No other program and no other instance uses
 * it. It contains secrets. */
typedef struct TemporaryFile {
        int directory_fd; /* borrowed */
        char *name;       /* NULL: no file exists */
        int fd;           /* for reading; locked (flock) as long as it is open */
} TemporaryFile;

/* The name still belongs to the file that is open. */
static int check_name(int directory_fd, const char *name, int fd) {
        struct stat of_fd, of_name;

        if (fstat(fd, &of_fd) < 0 || fstatat(directory_fd, name, &of_name, AT_SYMLINK_NOFOLLOW) < 0)
                return errno == ENOENT ? -EAGAIN : negative_errno();
        return same_file(&of_fd, &of_name) ? 0 : -EAGAIN;
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
        if (fstat(*writable, &ours) < 0 || fstat(fd, &found) < 0 || !same_file(&ours, &found))
                return -EAGAIN;
        (void) flock(fd, LOCK_SH | LOCK_NB);
        if (close(steal_fd(writable)) < 0)
                return negative_errno();
        t->fd = steal_fd(&fd);
        return 0;
}

static void temporary_done(TemporaryFile *t) {
        if (t->name)
                (void) unlinkat(t->directory_fd, t->name, 0);
        free(t->name);
        closep(&t->fd);
        *t = (TemporaryFile){.fd = -1};
}

/* Makes a locked file with an unused name. */
static int make_named(TemporaryFile *t, const char *name, int *ret_fd) {
        int r = -EEXIST;

        for (unsigned i = 0; r == -EEXIST && i < NAME_TRIES; i++) {
                uint32_t random;

                free(t->name);
                t->name = NULL;
                if (getrandom(&random, sizeof(random), 0) != (ssize_t) sizeof(random))
                        return -EIO;
                t->name = xasprintf(".%s.ecs-authd.%0*x", name, RANDOM_DIGITS, random);
                r = make_locked(t, ret_fd);
        }
        if (r < 0) { /* another file may have this name: temporary_done() must not remove it */
                free(t->name);
                t->name = NULL;
        }
        return r;
}

/* Makes, writes and syncs the file. */
static int temporary_make(int directory_fd, const char *name, const char *content, size_t size, TemporaryFile *t) {
        _cleanup_close_ int fd = -1;
        int r;

        t->directory_fd = directory_fd;
        r = make_named(t, name, &fd);
        if (r >= 0)
                r = write_all(fd, content, size);
        if (r >= 0 && fsync(fd) < 0)
                r = negative_errno();
        return r < 0 ? r : reopen(t, &fd);
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
                value = xcalloc(1, (size_t) n + 1);
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

/* Copies owner, mode and extended attributes that differ. from: -1: no file, and the mode stays MODE_NEW. */
static int copy_attributes(const TemporaryFile *t, int from) {
        struct stat old, new;
        int r;

        if (from < 0)
                return 0;

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

/* NFS and SMB give a lease only to a client with a delegation, and refuse it with EAGAIN, too. */
static bool gives_no_leases(int fd) {
        static const uint32_t types[] = {0x6969, 0xff534d42, 0xfe534d42}; /* NFS, CIFS, SMB2: statfs(2) */
        struct statfs fs;

        if (fstatfs(fd, &fs) < 0)
                return false;
        for (size_t i = 0; i < ELEMENTSOF(types); i++)
                if ((uint32_t) fs.f_type == types[i])
                        return true;
        return false;
}

/* Returns 1 with the lease, or 0 if there are none for this file (another owner, a network file system). -EAGAIN:
 * another program has the file open for writing. */
static int take_file_lease(int fd) {
        /* Who opens the file while the lease lasts has the kernel send us a signal, SIGIO unless told otherwise: that
         * one would end the process. */
        (void) fcntl(fd, F_SETSIG, SIGURG);
        if (fcntl(fd, F_SETLEASE, F_RDLCK) >= 0)
                return 1;
        return errno == EAGAIN && !gives_no_leases(fd) ? -EAGAIN : 0;
}

/* Whoever waits for it goes on. -EAGAIN: somebody does. */
static int give_file_lease_back(int fd) {
        int lease = fcntl(fd, F_GETLEASE);
        bool wanted = lease == F_UNLCK;

        if (fcntl(fd, F_SETLEASE, F_UNLCK) < 0)
                return 0; /* there was none: not every file system has them */
        return wanted ? -EAGAIN : 0;
}

/* The file is still the one that was read. */
static int check_undisturbed(int directory_fd, const char *name, const FileVersion *read) {
        struct stat now;

        if (fstatat(directory_fd, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
                return errno != ENOENT ? negative_errno() : read->fd < 0 ? 0 : -EAGAIN;
        if (read->fd < 0 || !same_file(&now, &read->st) || now.st_size != read->st.st_size ||
            !same_time(&now.st_mtim, &read->st.st_mtim) || !same_time(&now.st_ctim, &read->st.st_ctim))
                return -EAGAIN;
        return 0;
}

int file_version_check(int directory_fd, const char *name, const FileVersion *v) {
        int r = v->fd < 0 ? 0 : take_file_lease(v->fd);

        if (r < 0)
                return r;
        if (v->fd >= 0)
                (void) give_file_lease_back(v->fd);
        return check_undisturbed(directory_fd, name, v);
}

static int read_again(FileVersion *v) {
        char *content;
        size_t size;
        int r;

        if (lseek(v->fd, 0, SEEK_SET) < 0)
                return negative_errno();
        r = secret_read_fd(v->fd, FILE_SIZE_MAX, &content, &size);
        if (r < 0)
                return r;
        secret_free_sized(v->content, v->size);
        v->content = content;
        v->size = size;
        return 0;
}

/* Its content once nobody has it open for writing; -EAGAIN where that takes too long. */
static int read_settled(FileVersion *v) {
        int r = -EAGAIN;

        for (unsigned i = 0; r == -EAGAIN && i < SETTLE_TRIES; i++) {
                int wanted;

                if (i > 0)
                        (void) nanosleep(&settle_wait, NULL);
                r = take_file_lease(v->fd);
                if (r < 0)
                        continue;
                r = read_again(v);
                wanted = give_file_lease_back(v->fd);
                if (r >= 0)
                        r = wanted;
        }
        return r;
}

/* What has the temporary name now; -ENOENT: nothing. Anything else that is wrong with it only makes it unknown. */
static int look_at_out(const Exchange *x, FileVersion *ret, bool *ret_known) {
        FileVersion v = {.fd = -1};

        v.fd = openat(x->directory_fd, x->temporary, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (v.fd < 0 && errno == ENOENT)
                return -ENOENT;
        *ret_known = v.fd >= 0 && fstat(v.fd, &v.st) >= 0 && check_type(&v.st) >= 0;
        if (*ret_known) {
                /* Under that name it would be taken for a leftover. */
                (void) flock(v.fd, LOCK_SH | LOCK_NB);
                /* One that is not expected goes back at once; its content is only to be compared with, later. */
                *ret_known = (same_file(&v.st, &x->out.st) ? read_settled(&v) : read_again(&v)) >= 0;
        }
        *ret = v;
        return 0;
}

/* Once it stands there it is not written again, on the disk or not. */
static int append_to_file(Exchange *x, const char *text, size_t size) {
        _cleanup_close_ int fd =
                openat(x->directory_fd, x->name, O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct stat before;
        int r;

        if (fd < 0 || fstat(fd, &before) < 0)
                return negative_errno();
        r = write_all(fd, text, size);
        /* A piece of it would be taken for a line of somebody else's. */
        if (r < 0)
                (void) !ftruncate(fd, before.st_size);
        else if (fsync(fd) < 0)
                x->synced = negative_errno();
        return r;
}

static bool same_attributes(const struct stat *a, const struct stat *b) {
        return a->st_mode == b->st_mode && a->st_uid == b->st_uid && a->st_gid == b->st_gid;
}

/* What came out is what was expected; what more stands in it now stands in the file, too. */
static int accept(Exchange *x, FileVersion *now) {
        int r;

        if (!now->content || !x->out.content) /* what could not be read is not known */
                return -EAGAIN;
        if (!same_file(&now->st, &x->out.st) || !same_attributes(&now->st, &x->out.st) || now->size < x->out.size ||
            memcmp(now->content, x->out.content, x->out.size) != 0)
                return -EAGAIN;
        if (now->size > x->out.size) {
                r = append_to_file(x, now->content + x->out.size, now->size - x->out.size);
                if (r < 0)
                        return r;
        }
        file_version_done(&x->out);
        x->out = steal_version(now);
        return 0;
}

/* What came out and is newer goes back in. */
static int put_back(Exchange *x, FileVersion *now) {
        FileVersion in = x->in;

        if (renameat2(x->directory_fd, x->temporary, x->directory_fd, x->name, RENAME_EXCHANGE) < 0)
                return negative_errno();
        file_version_done(&x->out);
        x->out = in;
        x->in = steal_version(now);
        return 0;
}

/* What has the temporary name is what is expected there, as far as can be told without reading it. */
static bool is_expected(const Exchange *x) {
        struct stat st;

        return fstatat(x->directory_fd, x->temporary, &st, AT_SYMLINK_NOFOLLOW) >= 0 && same_file(&st, &x->out.st) &&
               st.st_size == x->out.st.st_size;
}

/* 0: what we put there is in the file. -EAGAIN: something newer is. Afterwards what has the temporary name is nobody's.
 */
static int settle(Exchange *x) {
        int r, result = 0;

        for (unsigned i = 0; i < ROUNDS_MAX; i++) {
                _cleanup_(file_version_done) FileVersion now = {.fd = -1};
                bool known = false;

                if (look_at_out(x, &now, &known) < 0)
                        return result;
                if (known && accept(x, &now) >= 0)
                        return result;
                /* Ours is out again, and cannot be read: there is no memory. It does not go back in for that. */
                if (!known && result < 0 && is_expected(x))
                        return result;

                result = -EAGAIN;
                r = put_back(x, &now);
                if (r == -ENOENT) /* the file was removed after all that: so it is gone */
                        return result;
                if (r < 0)
                        return r;
        }
        return result;
}

/* Somebody who had found the old file by its name, and then did not get the processor until it had lost that, appends
 * to it now. Nothing tells of such a program beforehand; that there was a sync of the disk in between leaves little of
 * it. */
static void look_once_more(Exchange *x) {
        _cleanup_(file_version_done) FileVersion now = {.fd = fcntl(x->out.fd, F_DUPFD_CLOEXEC, 0), .st = x->out.st};

        if (now.fd >= 0 && read_settled(&now) >= 0)
                (void) accept(x, &now);
}

static void sync_directory(Exchange *x, int file_fd) {
        /* The file again: its attributes came after its content. */
        if (fsync(file_fd) < 0 || fsync(x->directory_fd) < 0)
                x->synced = negative_errno();
}

/* For a file system that cannot exchange two files: after a last look under a lease, renames over the old file. A file
 * that another program puts there within these microseconds is lost; what is written to the old one is not. -ENOLCK:
 * without a lease, that would be lost, too (measured: nearly each of 1,487 updates). */
static int rename_over(const Exchange *x, bool leased) {
        if (!leased)
                return -ENOLCK;
        return renameat(x->directory_fd, x->temporary, x->directory_fd, x->name) < 0 ? negative_errno() : 0;
}

static bool cannot(int r) {
        return r == -EINVAL || r == -ENOSYS || r == -ENOTSUP;
}

/* A file where there was none. */
static int put_first(const Exchange *x) {
        int r = 0;

        if (renameat2(x->directory_fd, x->temporary, x->directory_fd, x->name, RENAME_NOREPLACE) < 0)
                r = negative_errno();
        /* The same, in two steps: the temporary name is removed by whoever made it. */
        if (cannot(r))
                r = linkat(x->directory_fd, x->temporary, x->directory_fd, x->name, 0) < 0 ? negative_errno() : 0;
        return r == -EEXIST ? -EAGAIN : r;
}

/* *ret_exchanged: the old file has the temporary name now. */
static int put_in_place(const Exchange *x, bool *ret_exchanged) {
        bool leased;
        int r;

        if (x->out.fd < 0)
                return put_first(x);

        r = take_file_lease(x->out.fd);
        if (r < 0)
                return r;
        leased = r > 0;
        r = check_undisturbed(x->directory_fd, x->name, &x->out);
        if (r >= 0 && renameat2(x->directory_fd, x->temporary, x->directory_fd, x->name, RENAME_EXCHANGE) < 0)
                r = negative_errno();
        *ret_exchanged = r >= 0;
        if (cannot(r))
                r = rename_over(x, leased);
        (void) give_file_lease_back(x->out.fd);
        return r == -ENOENT ? -EAGAIN : r;
}

static int exchange(Exchange *x, TemporaryFile *t) {
        bool exchanged = false;
        int r, file = x->in.fd;

        r = put_in_place(x, &exchanged);
        if (r < 0)
                return r;
        if (exchanged)
                r = settle(x);
        sync_directory(x, file);
        if (r < 0)
                return r;
        if (exchanged)
                r = settle(x);
        if (r < 0)
                return r;

        temporary_done(t);
        if (x->out.fd >= 0)
                look_once_more(x);
        return 0;
}

static int copy_version(int fd, const char *content, size_t size, FileVersion *ret) {
        _cleanup_(file_version_done) FileVersion v = {.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)};

        if (v.fd < 0 || fstat(v.fd, &v.st) < 0)
                return negative_errno();
        v.content = xmemory(secret_dup(content, size));
        v.size = size;
        *ret = steal_version(&v);
        return 0;
}

int replace_file(int directory_fd, const char *name, const FileVersion *old, const char *content, size_t size,
                 int *ret_synced) {
        _cleanup_(temporary_done) TemporaryFile t = {.fd = -1};
        Exchange x = {.directory_fd = directory_fd, .name = name, .in = {.fd = -1}, .out = {.fd = -1}};
        int r;

        r = check_undisturbed(directory_fd, name, old);
        if (r >= 0)
                r = temporary_make(directory_fd, name, content, size, &t);
        if (r < 0)
                return r;

        x.temporary = t.name;
        r = copy_attributes(&t, old->fd);
        if (r >= 0)
                r = copy_version(t.fd, content, size, &x.in);
        if (r >= 0 && old->fd >= 0) {
                r = copy_version(old->fd, old->content, old->size, &x.out);
                /* The state at which it was read is what counts. */
                x.out.st = old->st;
                /* It gets the temporary name, and is no leftover then. */
                (void) flock(old->fd, LOCK_SH | LOCK_NB);
        }
        if (r >= 0)
                r = check_name(directory_fd, t.name, t.fd);
        if (r >= 0)
                r = exchange(&x, &t);
        *ret_synced = x.synced;

        file_version_done(&x.in);
        file_version_done(&x.out);
        return r;
}

/* Removes the file unless an instance that works on it holds a lock on it. */
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

void remove_leftovers(int directory_fd, const char *name) {
        _cleanup_closedir_ DIR *d = NULL;
        _cleanup_free_ char *prefix = xasprintf(".%s.ecs-authd", name);
        const struct dirent *e;
        int fd;

        fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        d = fd >= 0 ? fdopendir(fd) : NULL;
        if (!d) {
                closep(&fd);
                return;
        }
        while ((e = readdir(d))) {
                const char *rest = startswith(e->d_name, prefix);

                /* Without anything behind it: what versions before had. */
                if (rest && (!*rest || (*rest == '.' && strlen(rest) == 1 + RANDOM_DIGITS)))
                        remove_leftover(directory_fd, e->d_name);
        }
}
