/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/environment-file.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/secret.h"

enum {
        FILE_SIZE_MAX = 1024 * 1024,
        SYMLINKS_MAX = 40,
        MODE_NEW = 0600,
        XATTR_NAMES_MAX = 4096,
        LOCK_TRIES = 60,
        LOCK_WAIT_MSEC = 50,
};

struct EnvFile {
        char *path; /* as it was given, for messages */
        int directory_fd;
        int fd; /* -1: the file does not exist */
        char *name;
        char *temporary_name;
        struct stat st;

        char *content;
        size_t size;
        bool changed;
};

/* Where the file is kept, symbolic links followed to their end: a link to a file that does not exist (yet) names
 * where it will be. */
static int resolve(const char *path, char **ret) {
        _cleanup_free_ char *current = strdup(path);
        char target[PATH_MAX];

        for (unsigned i = 0; current && i < SYMLINKS_MAX; i++) {
                _cleanup_free_ char *directory = NULL, *next = NULL;
                ssize_t n = readlink(current, target, sizeof(target) - 1);

                if (n < 0) {
                        /* EINVAL: not a link. What else is wrong with it shows when it is opened. */
                        *ret = STEAL_POINTER(current);
                        return 0;
                }
                target[n] = 0;

                directory = strdup(current);
                if (!directory)
                        return -ENOMEM;
                if (target[0] == '/')
                        next = strdup(target);
                else if (asprintf(&next, "%s/%s", dirname(directory), target) < 0)
                        next = NULL;
                free(current);
                current = STEAL_POINTER(next);
        }
        return current ? -ELOOP : -ENOMEM;
}

static int explain(const EnvFile *f, int r, const char *what, const char *advice, Problems *problems) {
        problems_add(problems, LOG_ERR, "%s: %s: %s; it stays as it is. %s", f->path, what, strerror(-r), advice);
        return r;
}

static const char *advise(int r) {
        switch (r) {
        case -ENOSPC:
        case -EDQUOT:
                return "Make room on its file system (df)";
        case -EROFS:
                /* The unit makes the directory writable that is there when it starts. */
                return "Its file system is read-only, or this service may not write there. If the directory was made "
                       "after the service started: systemctl restart ecs-authd; another one than /etc/ecs has to be in "
                       "ReadWritePaths= (systemctl edit ecs-authd)";
        case -EACCES:
        case -EPERM:
                return "Run this as root, or look for an immutable file (lsattr)";
        case -EBUSY:
                return "The file itself is a mount point: mount its directory instead";
        case -ENOENT:
        case -ENOTDIR:
                return "Its directory does not exist: install the ECS agent, or set [Agent] EnvironmentFile=";
        case -EISDIR:
        case -ENOTSUP:
                return "It has to be a regular file: set [Agent] EnvironmentFile=";
        case -EFBIG:
                return "No environment file is that long: set [Agent] EnvironmentFile=";
        default:
                return "See what the error says";
        }
}

/* Anybody who can open the directory can hold this lock. Whoever does so for longer than a write of ours takes is not
 * one of us, and does not keep us from writing. */
static int lock(int fd) {
        const struct timespec pause = {.tv_nsec = LOCK_WAIT_MSEC * 1000000L};

        for (unsigned i = 0; i < LOCK_TRIES; i++) {
                if (flock(fd, LOCK_EX | LOCK_NB) >= 0)
                        return 0;
                if (errno != EWOULDBLOCK && errno != EINTR)
                        return negative_errno();
                (void) nanosleep(&pause, NULL);
        }
        return 0;
}

/* The directory, locked against other instances of ourselves. */
static int open_directory(EnvFile *f, const char *resolved) {
        _cleanup_free_ char *for_directory = strdup(resolved), *for_name = strdup(resolved);

        if (!for_directory || !for_name)
                return -ENOMEM;

        f->name = strdup(basename(for_name));
        if (!f->name || asprintf(&f->temporary_name, ".%s.ecs-authd", f->name) < 0)
                return -ENOMEM;

        f->directory_fd = open(dirname(for_directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f->directory_fd < 0)
                return negative_errno();
        return lock(f->directory_fd);
}

static int read_content(EnvFile *f) {
        /* Not following a link: it was followed already, and whoever swaps it now wants something. Not blocking: it
         * may be a FIFO. */
        f->fd = openat(f->directory_fd, f->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (f->fd < 0 && errno == ENOENT) {
                f->content = secret_dup("", 0);
                return f->content ? 0 : -ENOMEM;
        }
        if (f->fd < 0 || fstat(f->fd, &f->st) < 0)
                return negative_errno();
        if (S_ISDIR(f->st.st_mode))
                return -EISDIR;
        if (!S_ISREG(f->st.st_mode))
                return -ENOTSUP;
        return secret_read_fd(f->fd, FILE_SIZE_MAX, &f->content, &f->size);
}

int envfile_open(const char *path, EnvFile **ret, Problems *problems) {
        _cleanup_(envfile_freep) EnvFile *f = calloc(1, sizeof(EnvFile));
        _cleanup_free_ char *resolved = NULL;
        int r;

        if (!f)
                return -ENOMEM;
        f->directory_fd = f->fd = -1;
        f->path = strdup(path);
        if (!f->path)
                return -ENOMEM;

        r = resolve(path, &resolved);
        if (r >= 0)
                r = open_directory(f, resolved);
        if (r >= 0)
                r = read_content(f);
        if (r < 0)
                return explain(f, r, "cannot read it", advise(r), problems);

        *ret = STEAL_POINTER(f);
        return 0;
}

EnvFile *envfile_free(EnvFile *f) {
        if (!f)
                return NULL;

        secret_free_sized(f->content, f->size);
        closep(&f->fd);
        closep(&f->directory_fd); /* and with it the lock */
        free(f->path);
        free(f->name);
        free(f->temporary_name);
        free(f);
        return NULL;
}

static bool is_blank(char c) {
        return strchr(" \t\r\v\f", c) && c;
}

/* A line of the content, without its newline. */
typedef struct Line {
        const char *text;
        size_t length;
} Line;

/* The next line at *position, which moves on; false at the end. */
static bool next_line(const EnvFile *f, size_t *position, Line *ret) {
        const char *start = f->content + *position;
        size_t left = f->size - *position;
        const char *newline;

        if (left == 0)
                return false;
        newline = memchr(start, '\n', left);
        *ret = (Line){start, newline ? (size_t) (newline - start) : left};
        *position += ret->length + (newline ? 1 : 0);
        return true;
}

static Line trim(Line l) {
        while (l.length > 0 && is_blank(l.text[0])) {
                l.text++;
                l.length--;
        }
        while (l.length > 0 && is_blank(l.text[l.length - 1]))
                l.length--;
        return l;
}

/* The line sets key for any of the readers: systemd allows blanks before the "=". *ret_value is what follows. */
static bool sets_key(Line line, const char *key, Line *ret_value) {
        size_t n = strlen(key), i = n;
        Line l = trim(line);

        if (l.length <= n || memcmp(l.text, key, n) != 0)
                return false;
        while (i < l.length && is_blank(l.text[i]))
                i++;
        if (i >= l.length || l.text[i] != '=')
                return false;

        *ret_value = (Line){l.text + i + 1, l.length - i - 1};
        return true;
}

int envfile_get(const EnvFile *f, const char *key, char **ret) {
        Line line, value, last = {0};
        size_t position = 0;
        char *copy;

        while (next_line(f, &position, &line))
                /* With a blank before the "=" it is another key to ecs-init. */
                if (sets_key(line, key, &value) && !is_blank(value.text[-2]))
                        last = value;

        if (!last.text) {
                *ret = NULL;
                return 0;
        }
        copy = secret_dup(last.text, last.length);
        if (!copy)
                return -ENOMEM;
        *ret = copy;
        return 0;
}

/* A content in the making, large enough from the start. */
typedef struct Builder {
        char *text;
        size_t size;
} Builder;

static void append(Builder *b, const char *text, size_t n) {
        memcpy(b->text + b->size, text, n);
        b->size += n;
}

static void append_assignment(Builder *b, const char *key, const char *value) {
        append(b, key, strlen(key));
        append(b, "=", 1);
        append(b, value, strlen(value));
        append(b, "\n", 1);
}

int envfile_check_line(const char *key, const char *value, size_t line_max) {
        size_t n = strlen(value);

        for (const char *c = value; *c; c++)
                if ((unsigned char) *c < ' ' || *c == 0x7f || *c == '\\')
                        return -EINVAL;
        if (n > 0 && (value[0] == ' ' || value[n - 1] == ' ' || value[0] == '"' || value[0] == '\''))
                return -EINVAL;
        return strlen(key) + 1 + n > line_max ? -E2BIG : 0;
}

int envfile_set(EnvFile *f, const char *key, const char *value, size_t line_max) {
        /* The old content, a newline that it may lack, and our line. */
        size_t largest = f->size + 1 + strlen(key) + 1 + (value ? strlen(value) : 0) + 1;
        size_t position = 0, before = 0;
        bool placed = false;
        Line line, ignored;
        Builder b;
        int r;

        if (value) {
                r = envfile_check_line(key, value, line_max);
                if (r < 0)
                        return r;
        }

        b = (Builder){.text = malloc(largest + 1)};
        if (!b.text)
                return -ENOMEM;

        for (; next_line(f, &position, &line); before = position) {
                if (!sets_key(line, key, &ignored)) {
                        append(&b, f->content + before, position - before);
                        continue;
                }
                if (value && !placed)
                        append_assignment(&b, key, value);
                placed = true;
        }

        if (value && !placed) {
                if (b.size > 0 && b.text[b.size - 1] != '\n')
                        append(&b, "\n", 1);
                append_assignment(&b, key, value);
        }
        b.text[b.size] = 0;

        if (b.size != f->size || memcmp(b.text, f->content, b.size) != 0)
                f->changed = true;
        secret_free_sized(f->content, f->size);
        f->content = b.text;
        f->size = b.size;
        return 0;
}

int envfile_begin(EnvFile *f, const char *text) {
        char *copy;

        if (f->size > 0)
                return 0;
        copy = secret_dup(text, strlen(text));
        if (!copy)
                return -ENOMEM;
        free(f->content);
        f->content = copy;
        f->size = strlen(text);
        f->changed = true;
        return 0;
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

/* The new file looks like the old one before it gets its content. */
static int copy_attributes(const EnvFile *f, int fd) {
        if (f->fd < 0)
                return fchmod(fd, MODE_NEW) < 0 ? negative_errno() : 0;

        if (fchown(fd, f->st.st_uid, f->st.st_gid) < 0)
                return negative_errno();
        if (fchmod(fd, f->st.st_mode & 07777) < 0)
                return negative_errno();
        return copy_xattrs(f->fd, fd);
}

static int write_all(int fd, const char *text, size_t n) {
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

static bool same_time(const struct timespec *a, const struct timespec *b) {
        return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* The file is still the one that was read, and nobody is about to change it. */
static int check_undisturbed(const EnvFile *f) {
        struct stat now;

        if (fstatat(f->directory_fd, f->name, &now, AT_SYMLINK_NOFOLLOW) < 0)
                return errno != ENOENT ? negative_errno() : f->fd < 0 ? 0 : -EAGAIN;
        if (f->fd < 0 || now.st_dev != f->st.st_dev || now.st_ino != f->st.st_ino || now.st_size != f->st.st_size ||
            !same_time(&now.st_mtim, &f->st.st_mtim) || !same_time(&now.st_ctim, &f->st.st_ctim))
                return -EAGAIN;

        /* Who opens the file while the lease lasts has the kernel send us a signal, SIGIO unless told otherwise: that
         * one would end the process. */
        (void) fcntl(f->fd, F_SETSIG, SIGURG);

        /* fcntl(2): a read lease is refused with EAGAIN while the file is open for writing. Where leases are not to
         * be had (another owner, a network file system) there is nothing more to learn. */
        if (fcntl(f->fd, F_SETLEASE, F_RDLCK) < 0)
                return errno == EAGAIN ? -EAGAIN : 0;
        (void) fcntl(f->fd, F_SETLEASE, F_UNLCK);
        return 0;
}

static int write_temporary(const EnvFile *f, int fd) {
        int r;

        r = copy_attributes(f, fd);
        if (r >= 0)
                r = write_all(fd, f->content, f->size);
        if (r >= 0 && fsync(fd) < 0)
                r = negative_errno();
        return r;
}

static int replace(const EnvFile *f) {
        _cleanup_close_ int fd = -1;
        int r;

        r = check_undisturbed(f);
        if (r < 0)
                return r;

        /* One that was left behind by a kill holds secrets; under the lock it is nobody's. */
        if (unlinkat(f->directory_fd, f->temporary_name, 0) < 0 && errno != ENOENT)
                return negative_errno();
        fd = openat(f->directory_fd, f->temporary_name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, MODE_NEW);
        if (fd < 0)
                return negative_errno();

        r = write_temporary(f, fd);
        if (r >= 0)
                r = check_undisturbed(f);
        if (r >= 0 && renameat(f->directory_fd, f->temporary_name, f->directory_fd, f->name) < 0)
                r = negative_errno();
        if (r < 0)
                (void) unlinkat(f->directory_fd, f->temporary_name, 0);
        return r;
}

int envfile_save(EnvFile *f, Problems *problems) {
        int r;

        if (!f->changed)
                return 0;

        r = replace(f);
        if (r == -EAGAIN)
                return r;
        if (r < 0)
                return explain(f, r, "cannot replace it", advise(r), problems);

        f->changed = false;
        if (fsync(f->directory_fd) < 0) {
                r = negative_errno();
                problems_add(problems, LOG_WARNING, "%s: written, but a crash now may bring back the old file: %s",
                             f->path, strerror(-r));
        }
        return 1;
}
