/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/environment-file.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <sys/file.h>
#include <time.h>

#include "base/directories.h"
#include "base/secret.h"
#include "base/state-file.h"
#include "ecsconfig/environment-lines.h"
#include "ecsconfig/replace-file.h"
#include "ecsconfig/temporary-file.h"

#define LOCK_NAME "environment.lock"

enum {
        SYMLINKS_MAX = 40,
        /* Within the time that a job has beside its helpers (sync_timeout_usec()), so that it can still say so. */
        LOCK_TRIES = 400,
        LOCK_WAIT_MSEC = 50,
};

struct EnvFile {
        char *path; /* as it was given, for messages */
        int lock_fd;
        int directory_fd;
        char *name;
        FileVersion read; /* what there was */
        EnvLines lines;   /* what there is to be */
};

/* NULL: no memory. */
static char *follow(const char *link, const char *target) {
        _cleanup_free_ char *directory = NULL;
        char *path;

        if (target[0] == '/')
                return strdup(target);
        directory = strdup(link);
        return !directory || asprintf(&path, "%s/%s", dirname(directory), target) < 0 ? NULL : path;
}

/* Where the file is kept, symbolic links followed to their end: a link to a file that does not exist (yet) names
 * where it will be. */
static int resolve(const char *path, char **ret) {
        _cleanup_free_ char *current = strdup(path);
        char target[PATH_MAX];

        for (unsigned i = 0; current && i < SYMLINKS_MAX; i++) {
                char *next;
                ssize_t n = readlink(current, target, sizeof(target) - 1);

                if (n < 0) {
                        /* EINVAL: not a link. What else is wrong with it shows when it is opened. */
                        *ret = STEAL_POINTER(current);
                        return 0;
                }
                target[n] = 0;

                next = follow(current, target);
                free(current);
                current = next;
        }
        return current ? -ELOOP : -ENOMEM;
}

static int explain(const EnvFile *f, int r, const char *what, const char *advice, Problems *problems) {
        problems_add(problems, LOG_ERR, "%s: %s: %s; it stays as it is. %s", f->path, what, strerror(-r), advice);
        return r;
}

/* Explains -EACCES and -EPERM. The service runs as root, but without the capabilities to access files of other users.
 */
static const char *advise_permission(const EnvFile *f) {
        struct stat file, directory;

        if (geteuid() != 0)
                return "Run this as root (sudo)";
        if (f->directory_fd < 0 || fstat(f->directory_fd, &directory) < 0)
                return "Look at the owners and modes of its directories (namei -l): each has to be open to root";
        if (fstatat(f->directory_fd, f->name, &file, AT_SYMLINK_NOFOLLOW) < 0)
                file = (struct stat){.st_uid = geteuid(), .st_gid = getegid(), .st_mode = S_IRUSR};

        if (file.st_uid != geteuid() || file.st_gid != getegid())
                return "It has another owner or group than this process, which may not write it for them: make it "
                       "root:root (chown), or give the service that right (ecs-authd(8), PRIVILEGES)";
        if (directory.st_uid != geteuid())
                return "Its directory has another owner than this process, which may not write there: make it "
                       "root:root (chown), or give the service that right (ecs-authd(8), PRIVILEGES)";
        if (!(file.st_mode & S_IRUSR))
                return "Its mode denies that to its owner: chmod u+rw";
        if ((directory.st_mode & S_IRWXU) != S_IRWXU)
                return "The mode of its directory denies that to its owner: chmod u+rwx";
        return "Look for an immutable file or directory (lsattr -d); chattr -i ends that";
}

static const char *advise(const EnvFile *f, int r) {
        switch (r) {
        case -ENOSPC:
        case -EDQUOT:
                return "Make room on its file system (df)";
        case -EROFS:
                /* The unit makes the directory writable that is there when it starts. */
                return "Its file system is read-only, or this service may not write there. A directory other than "
                       "/etc/ecs has to be in ReadWritePaths= (systemctl edit ecs-authd); after that, or if the "
                       "directory was made after the service started: systemctl restart ecs-authd";
        case -EACCES:
        case -EPERM:
                return advise_permission(f);
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

/* The lock is in a directory of root's own: no other user can hold it. A process that cannot have it there (not root, a
 * full disk, a directory that others may write) continues without: replacing the file handles writes of two programs.
 * The lock only avoids them. */
static int lock(EnvFile *f, Problems *problems) {
        const struct timespec pause = {.tv_nsec = LOCK_WAIT_MSEC * 1000000L};

        f->lock_fd = state_file_open_lock(LOCK_NAME);
        if (f->lock_fd < 0)
                return 0;

        for (unsigned i = 0; i < LOCK_TRIES; i++) {
                if (flock(f->lock_fd, LOCK_EX | LOCK_NB) >= 0)
                        return 0;
                if (errno == ENOLCK || errno == ENOSYS)
                        return 0;
                if (errno != EWOULDBLOCK && errno != EINTR)
                        break;
                (void) nanosleep(&pause, NULL);
        }
        problems_add(
                problems, LOG_ERR,
                "%s: another ecs-authd has been writing it for %d s; it stays as it is. See who holds %s/" LOCK_NAME
                " (fuser -v)",
                f->path, LOCK_TRIES * LOCK_WAIT_MSEC / 1000, state_directory());
        return -EBUSY;
}

static int open_directory(EnvFile *f, const char *resolved) {
        _cleanup_free_ char *for_directory = strdup(resolved), *for_name = strdup(resolved);

        if (!for_directory || !for_name)
                return -ENOMEM;

        f->name = strdup(basename(for_name));
        if (!f->name)
                return -ENOMEM;

        f->directory_fd = open(dirname(for_directory), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return f->directory_fd < 0 ? negative_errno() : 0;
}

static int read_content(EnvFile *f) {
        int r;

        r = file_version_read(f->directory_fd, f->name, &f->read);
        if (r < 0)
                return r;
        f->lines = (EnvLines){.bytes = secret_dup(f->read.content, f->read.size), .size = f->read.size};
        return f->lines.bytes ? 0 : -ENOMEM;
}

static int open_file(const char *path, bool for_change, EnvFile **ret, Problems *problems) {
        _cleanup_(envfile_freep) EnvFile *f = calloc(1, sizeof(EnvFile));
        _cleanup_free_ char *resolved = NULL;
        int r;

        if (!f)
                return -ENOMEM;
        f->lock_fd = f->directory_fd = f->read.fd = -1;
        f->path = strdup(path);
        if (!f->path)
                return -ENOMEM;

        r = for_change ? lock(f, problems) : 0;
        if (r < 0)
                return r;
        r = resolve(path, &resolved);
        if (r >= 0)
                r = open_directory(f, resolved);
        if (r >= 0 && for_change)
                temporary_remove_leftovers(f->directory_fd, f->name);
        if (r >= 0)
                r = read_content(f);
        if (r < 0)
                return explain(f, r, "cannot read it", advise(f, r), problems);

        *ret = STEAL_POINTER(f);
        return 0;
}

int envfile_open(const char *path, EnvFile **ret, Problems *problems) {
        return open_file(path, false, ret, problems);
}

int envfile_open_for_change(const char *path, EnvFile **ret, Problems *problems) {
        return open_file(path, true, ret, problems);
}

EnvFile *envfile_free(EnvFile *f) {
        if (!f)
                return NULL;

        secret_free_sized(f->lines.bytes, f->lines.size);
        file_version_done(&f->read);
        closep(&f->directory_fd);
        closep(&f->lock_fd); /* and with it the lock */
        free(f->path);
        free(f->name);
        free(f);
        return NULL;
}

int envfile_get(const EnvFile *f, const char *key, char **ret) {
        return env_lines_get(&f->lines, key, ret);
}

unsigned envfile_count(const EnvFile *f, const char *key) {
        return env_lines_count(&f->lines, key);
}

bool envfile_has_blank(const EnvFile *f, const char *key) {
        return env_lines_has_blank(&f->lines, key);
}

int envfile_check_line(const char *key, const char *value, size_t line_max) {
        return env_lines_check(key, value, line_max);
}

int envfile_set(EnvFile *f, const char *key, const char *value, size_t line_max) {
        return env_lines_set(&f->lines, key, value, line_max);
}

bool envfile_is_changed(const EnvFile *f) {
        return f->lines.size != f->read.size || memcmp(f->lines.bytes, f->read.content, f->lines.size) != 0;
}

int envfile_save(EnvFile *f, Problems *problems) {
        char *copy;
        int r, synced = 0;

        if (!envfile_is_changed(f))
                return 0;
        copy = secret_dup(f->lines.bytes, f->lines.size);
        if (!copy)
                return -ENOMEM;

        r = replace_file(f->directory_fd, f->name, &f->read, f->lines.bytes, f->lines.size, &synced);
        if (r < 0) {
                secret_free_sized(copy, f->lines.size);
                return r == -EAGAIN ? r : explain(f, r, "cannot replace it", advise(f, r), problems);
        }

        secret_free_sized(f->read.content, f->read.size);
        f->read.content = copy;
        f->read.size = f->lines.size;
        if (synced < 0)
                problems_add(problems, LOG_WARNING, "%s: written, but a crash now may bring back the old file: %s",
                             f->path, strerror(-synced));
        return 1;
}

bool envfile_is_whole(const EnvFile *f) {
        return file_version_check(f->directory_fd, f->name, &f->read) >= 0;
}
