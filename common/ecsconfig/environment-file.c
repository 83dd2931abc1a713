/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/environment-file.h"

#include <fcntl.h>
#include <libgen.h>
#include <limits.h>

#include "base/directories.h"
#include "base/memory.h"
#include "base/secret.h"
#include "base/state-file.h"
#include "ecsconfig/replace-file.h"

#define LOCK_NAME "environment.lock"

enum {
        SYMLINKS_MAX = 40,
        /* Within the time that a job has beside its helpers (sync_timeout_usec()), so that it can still say so. */
        LOCK_WAIT_SEC = 20,
};

struct EnvFile {
        char *path; /* as it was given, for messages */
        int lock_fd;
        int directory_fd;
        char *name;
        FileVersion read; /* the file as it was read */
        char *bytes;      /* the new content */
        size_t size;
};

/* Returns the path of the file behind symbolic links, also if it does not exist (yet); NULL: too many links. Other
 * errors show when the file is opened. */
static char *resolve(const char *path) {
        char *current = xstrdup(path), target[PATH_MAX];

        for (unsigned i = 0; i < SYMLINKS_MAX; i++) {
                _cleanup_free_ char *name = current;
                ssize_t n = readlink(name, target, sizeof(target) - 1);

                if (n < 0)
                        return STEAL_POINTER(name);
                target[n] = 0;
                current = target[0] == '/' ? xstrdup(target) : xasprintf("%s/%s", dirname(name), target);
        }
        free(current);
        return NULL;
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
        case -ENOLCK:
                return "Its file system (NFS, SMB) could lose a change that another program makes at the same moment: keep "
                       "the file on a local disk, or set [Agent] EnvironmentFile= to a file there";
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
        f->lock_fd = state_file_lock(LOCK_NAME, LOCK_WAIT_SEC * USEC_PER_SEC);
        if (f->lock_fd != -EWOULDBLOCK)
                return 0;
        problems_add(
                problems, LOG_ERR,
                "%s: another ecs-authd has been writing it for %d s; it stays as it is. See who holds %s/" LOCK_NAME
                " (fuser -v)",
                f->path, LOCK_WAIT_SEC, state_directory());
        return -EBUSY;
}

static int open_directory(EnvFile *f) {
        _cleanup_free_ char *resolved = resolve(f->path), *for_name = NULL;

        if (!resolved)
                return -ELOOP;
        for_name = xstrdup(resolved);
        f->name = xstrdup(basename(for_name));
        f->directory_fd = open(dirname(resolved), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return f->directory_fd < 0 ? negative_errno() : 0;
}

EnvFile *envfile_new(const char *path) {
        EnvFile *f = xcalloc(1, sizeof(EnvFile));

        f->lock_fd = f->directory_fd = f->read.fd = -1;
        f->path = xstrdup(path);
        f->read.content = xmemory(secret_dup("", 0));
        f->bytes = xmemory(secret_dup("", 0));
        return f;
}

static int open_file(const char *path, bool for_change, EnvFile **ret, Problems *problems) {
        _cleanup_(envfile_freep) EnvFile *f = envfile_new(path);
        int r;

        r = for_change ? lock(f, problems) : 0;
        if (r < 0)
                return r;
        r = open_directory(f);
        if (r >= 0 && for_change)
                remove_leftovers(f->directory_fd, f->name);
        if (r >= 0) {
                file_version_done(&f->read);
                r = file_version_read(f->directory_fd, f->name, &f->read);
        }
        if (r < 0)
                return explain(f, r, "cannot read it", advise(f, r), problems);

        free(f->bytes);
        f->bytes = xmemory(secret_dup(f->read.content, f->read.size));
        f->size = f->read.size;
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

        secret_free_sized(f->bytes, f->size);
        file_version_done(&f->read);
        closep(&f->directory_fd);
        closep(&f->lock_fd); /* and with it the lock */
        free(f->path);
        free(f->name);
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

/* Returns the line at *position and advances *position; false: no line is left. */
static bool next_line(const EnvFile *f, size_t *position, Line *ret) {
        const char *start = f->bytes + *position;
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

/* Returns whether the line sets key for any of the readers: systemd allows blanks before the "=". */
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

/* All lines that set a key. */
typedef struct Found {
        unsigned n;
        bool has_blank; /* one has a blank before the "=": ecs-init reads another key there */
        Line last;      /* value of the last line without such a blank */
} Found;

static Found find(const EnvFile *f, const char *key) {
        size_t position = 0;
        Found found = {0};
        Line line, value;

        while (next_line(f, &position, &line)) {
                if (!sets_key(line, key, &value))
                        continue;
                found.n++;
                if (is_blank(value.text[-2]))
                        found.has_blank = true;
                else
                        found.last = value;
        }
        return found;
}

char *envfile_get(const EnvFile *f, const char *key) {
        const Line value = find(f, key).last;

        return value.text ? xmemory(secret_dup(value.text, value.length)) : NULL;
}

unsigned envfile_count(const EnvFile *f, const char *key) {
        return find(f, key).n;
}

bool envfile_has_blank(const EnvFile *f, const char *key) {
        return find(f, key).has_blank;
}

/* New content. text is large enough. */
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

static int check_line(const char *key, const char *value, size_t line_max) {
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
                r = check_line(key, value, line_max);
                if (r < 0)
                        return r;
        }

        b = (Builder){.text = xcalloc(1, largest)};

        for (; next_line(f, &position, &line); before = position) {
                if (!sets_key(line, key, &ignored)) {
                        append(&b, f->bytes + before, position - before);
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

        secret_free_sized(f->bytes, f->size);
        f->bytes = b.text;
        f->size = b.size;
        return 0;
}

bool envfile_is_changed(const EnvFile *f) {
        return f->size != f->read.size || memcmp(f->bytes, f->read.content, f->size) != 0;
}

int envfile_save(EnvFile *f, Problems *problems) {
        int r, synced = 0;

        if (!envfile_is_changed(f))
                return 0;
        r = replace_file(f->directory_fd, f->name, &f->read, f->bytes, f->size, &synced);
        if (r < 0)
                return r == -EAGAIN ? r : explain(f, r, "cannot replace it", advise(f, r), problems);

        secret_free_sized(f->read.content, f->read.size);
        f->read.content = xmemory(secret_dup(f->bytes, f->size));
        f->read.size = f->size;
        if (synced < 0)
                problems_add(problems, LOG_WARNING, "%s: written, but a crash now may bring back the old file: %s",
                             f->path, strerror(-synced));
        return 1;
}

bool envfile_is_whole(const EnvFile *f) {
        return file_version_check(f->directory_fd, f->name, &f->read) >= 0;
}
