/* SPDX-License-Identifier: Apache-2.0 */
#include "base/foreign-file.h"

#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sys/sysmacros.h>

#include "base/clock.h"
#include "base/secret.h"

enum {
        SYMLINKS_MAX = 40, /* as the kernel follows: path_resolution(7) */
        THREAD_STACK_SIZE = 256 * 1024,
};

/* --- the way to a file --- */

typedef struct Walk {
        int directory;          /* where it stands */
        char path[PATH_MAX];    /* its name, for messages; ends in a slash */
        char rest[PATH_MAX];    /* still to go */
        uid_t keeper;           /* the one user beside root; 0: none yet */
        uid_t owner;            /* owner of the current directory */
        uid_t linked_by;        /* the user who may change a link on the way; 0: none */
        bool everybody_gets_in; /* into every directory so far */
        unsigned n_symlinks;
        Distrust *distrust; /* NULL: anything goes */
        bool local_only;    /* stop before a file system that may hang: -EAGAIN */

        walk_step_t visit; /* NULL: the walk ends with the open file */
        void *userdata;
} Walk;

/* A file system without a block device (NFS, FUSE, autofs) may hang. This call does not: it asks no server. */
static bool is_local(int fd) {
        struct statx st;

        return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, 0, &st) >= 0 && st.stx_dev_major != 0;
}

static bool may_be_owner(const Walk *w, uid_t uid) {
        return uid == 0 || uid == geteuid() || uid == w->keeper;
}

static bool others_may_write(const struct stat *st) {
        return (st->st_mode & S_IWOTH) || ((st->st_mode & S_IWGRP) && st->st_gid != 0 && st->st_gid != st->st_uid);
}

static int reject(Walk *w, const char *name, bool is_owner, uid_t uid) {
        size_t n = strlen(w->path);

        /* Of a directory it says the name without the slash at its end. */
        (void) snprintf(w->distrust->path, sizeof(w->distrust->path), "%.*s%s",
                        str_empty(name) && n > 1 ? (int) n - 1 : (int) n, w->path, name);
        w->distrust->is_owner = is_owner;
        w->distrust->is_link = false;
        w->distrust->uid = uid;
        w->distrust->linked_by = 0;
        return -EKEYREJECTED;
}

static int judge_directory(Walk *w) {
        struct stat st;

        if (fstat(w->directory, &st) < 0)
                return negative_errno();
        w->owner = st.st_uid;
        if (!(st.st_mode & S_IXOTH))
                w->everybody_gets_in = false;
        if (!w->distrust)
                return 0;
        if (w->keeper == 0 && !may_be_owner(w, st.st_uid))
                w->keeper = st.st_uid;
        if (!may_be_owner(w, st.st_uid))
                return reject(w, "", true, st.st_uid);
        return others_may_write(&st) && !(st.st_mode & S_ISVTX) ? reject(w, "", false, 0) : 0;
}

/* A file, or a link. */
static int judge_entry(Walk *w, const char *name, const struct stat *st) {
        if (!w->distrust)
                return 0;
        if (!may_be_owner(w, st->st_uid)) {
                int r = reject(w, name, true, st->st_uid);

                w->distrust->is_link = S_ISLNK(st->st_mode);
                return r;
        }
        return !S_ISLNK(st->st_mode) && others_may_write(st) ? reject(w, name, false, 0) : 0;
}

/* Judges the file at the end of the way. */
static int judge_file(Walk *w, const char *name, const struct stat *st) {
        int r = judge_entry(w, name, st);

        if (r < 0 || !w->distrust || w->linked_by == 0 || w->linked_by == st->st_uid)
                return r;
        r = reject(w, name, true, st->st_uid);
        w->distrust->linked_by = w->linked_by;
        return r;
}

static int enter(Walk *w, int fd) {
        closep(&w->directory);
        w->directory = fd;
        return judge_directory(w);
}

static int enter_root(Walk *w) {
        int fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

        (void) snprintf(w->path, sizeof(w->path), "/");
        w->everybody_gets_in = true;
        return fd < 0 ? negative_errno() : enter(w, fd);
}

static int enter_directory(Walk *w, const char *name) {
        size_t n = strlen(w->path);
        int fd;

        if (n + strlen(name) + 2 > sizeof(w->path))
                return -ENAMETOOLONG;
        /* O_DIRECTORY: so that what is mounted when somebody comes (autofs) is mounted. */
        fd = openat(w->directory, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return negative_errno();
        (void) snprintf(w->path + n, sizeof(w->path) - n, "%s/", name);
        return enter(w, fd);
}

static int enter_parent(Walk *w) {
        int fd = openat(w->directory, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
        size_t n = strlen(w->path);

        if (fd < 0)
                return negative_errno();
        for (n = n > 1 ? n - 1 : 1; n > 1 && w->path[n - 1] != '/'; n--)
                ;
        w->path[n] = 0;
        return enter(w, fd);
}

static int follow_symlink(Walk *w, int link_fd) {
        char target[PATH_MAX], rest[PATH_MAX];
        ssize_t n = readlinkat(link_fd, "", target, sizeof(target) - 1);

        if (n < 0)
                return negative_errno();
        target[n] = 0;
        if (++w->n_symlinks > SYMLINKS_MAX)
                return -ELOOP;
        if ((size_t) snprintf(rest, sizeof(rest), "%s%s", target, w->rest) >= sizeof(rest))
                return -ENAMETOOLONG;
        memcpy(w->rest, rest, strlen(rest) + 1);
        return target[0] == '/' ? enter_root(w) : 0;
}

/* Cuts the next name off the rest. -EISDIR: at the end of the path there is none. */
static int next_name(Walk *w, char name[static NAME_MAX + 1]) {
        const char *start = w->rest + strspn(w->rest, "/");
        size_t n = strcspn(start, "/");

        if (n == 0 || n > NAME_MAX)
                return n == 0 ? -EISDIR : -ENAMETOOLONG;
        memcpy(name, start, n);
        name[n] = 0;
        memmove(w->rest, start + n, strlen(start + n) + 1);
        return 0;
}

/* --- the file itself --- */

static int check_kind(const struct stat *st) {
        if (S_ISREG(st->st_mode) || (S_ISCHR(st->st_mode) && st->st_rdev == makedev(1, 3)))
                return 0;
        return S_ISDIR(st->st_mode) ? -EISDIR : -ENOTSUP;
}

/* Judged by the descriptor that is read: the name may mean another file by then. */
static int open_entry(Walk *w, const char *name, int *ret_fd, ForeignFile *ret) {
        _cleanup_close_ int fd = openat(w->directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        struct stat st;
        int r;

        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        r = check_kind(&st);
        if (r >= 0 && S_ISREG(st.st_mode))
                r = judge_file(w, name, &st);
        if (r < 0)
                return r;
        *ret = (ForeignFile){.st = st, .is_exposed = w->everybody_gets_in && (st.st_mode & S_IROTH)};
        *ret_fd = steal_fd(&fd);
        return 0;
}

/* 0: one step further; 1: *ret_fd is the file. */
static int walk_step(Walk *w, const char *name, int *ret_fd, ForeignFile *ret) {
        _cleanup_close_ int fd = -1;
        struct stat st;
        int r;

        if (streq(name, "."))
                return 0;
        if (streq(name, ".."))
                return enter_parent(w);

        r = w->visit ? w->visit(w->userdata, w->path, name, !w->rest[strspn(w->rest, "/")]) : 0;
        if (r < 0)
                return r;
        fd = openat(w->directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && w->local_only && !is_local(fd))
                return -EAGAIN;
        if (fd < 0 || fstat(fd, &st) < 0)
                return negative_errno();
        if (S_ISLNK(st.st_mode)) {
                const uid_t user = st.st_uid != 0 ? st.st_uid : w->owner;

                if (user != geteuid())
                        w->linked_by = user;
                r = judge_entry(w, name, &st);
                return r < 0 ? r : follow_symlink(w, fd);
        }
        if (S_ISDIR(st.st_mode))
                return enter_directory(w, name);
        if (*w->rest)
                return -ENOTDIR;
        if (w->visit)
                return 1;
        r = open_entry(w, name, ret_fd, ret);
        return r < 0 ? r : 1;
}

static int walk(Walk *w, const char *path, int *ret_fd, ForeignFile *ret) {
        char name[NAME_MAX + 1], here[PATH_MAX] = "";
        int r;

        w->directory = -1;
        if (path[0] != '/' && !getcwd(here, sizeof(here)))
                return negative_errno();
        if ((size_t) snprintf(w->rest, sizeof(w->rest), "%s/%s", here, path) >= sizeof(w->rest))
                return -ENAMETOOLONG;
        r = enter_root(w);
        while (r == 0) {
                r = next_name(w, name);
                if (r == 0)
                        r = walk_step(w, name, ret_fd, ret);
        }
        closep(&w->directory);
        return r < 0 ? r : 0;
}

int foreign_file_open(const char *path, int *ret_fd, ForeignFile *ret, Distrust *ret_distrust) {
        Walk w = {.distrust = ret_distrust};

        return walk(&w, path, ret_fd, ret);
}

int foreign_file_walk(const char *path, walk_step_t visit, void *userdata) {
        Walk w = {.visit = visit, .userdata = userdata};

        return walk(&w, path, NULL, NULL);
}

void distrust_describe(const Distrust *d, char *ret, size_t size) {
        /* The number alone: who knows the names may hang (LDAP). */
        if (d->linked_by != 0)
                (void) snprintf(
                        ret, size,
                        "a symbolic link that user %u may change leads to %s, which belongs to user %u; name that "
                        "file itself, without the link",
                        (unsigned) d->linked_by, d->path, (unsigned) d->uid);
        else if (d->is_owner)
                (void) snprintf(ret, size, "%s belongs to user %u; run 'chown %sroot %s'", d->path, (unsigned) d->uid,
                                d->is_link ? "-h " : "", d->path);
        else
                (void) snprintf(ret, size, "%s can be written by others; run 'chmod go-w %s'", d->path, d->path);
}

/* --- in time --- */

typedef struct Reading {
        char path[PATH_MAX];
        size_t max;
        bool strict;

        int r;
        char *text;
        size_t size;
        ForeignFile file;
        Distrust distrust;
} Reading;

static Reading *reading_free(Reading *reading) {
        if (reading)
                secret_free_sized(reading->text, reading->size);
        free(reading);
        return NULL;
}
DEFINE_CLEANUP_FUNC(Reading *, reading_free)

static int read_from(Reading *reading, bool local_only) {
        Walk w = {.distrust = reading->strict ? &reading->distrust : NULL, .local_only = local_only};
        _cleanup_close_ int fd = -1;
        int r;

        r = walk(&w, reading->path, &fd, &reading->file);
        if (r < 0)
                return r;
        return secret_read_fd(fd, S_ISREG(reading->file.st.st_mode) ? reading->max : 0, &reading->text, &reading->size);
}

static void *read_in_thread(void *context) {
        Reading *reading = context;

        reading->r = read_from(reading, false);
        return NULL;
}

/* The call that hangs cannot be taken back, and a thread is the least that can be left to it. */
int run_in_time(void *(*function)(void *), void *context, uint64_t timeout_usec) {
        const uint64_t end = clock_monotonic_usec() + timeout_usec;
        const struct timespec until = {.tv_sec = (time_t) (end / USEC_PER_SEC),
                                       .tv_nsec = (long) (end % USEC_PER_SEC) * 1000};
        pthread_attr_t attributes;
        pthread_t thread;
        int r;

        /* One heap: another would reserve much of the address space. */
        (void) mallopt(M_ARENA_MAX, 1);
        r = pthread_attr_init(&attributes);
        if (r != 0)
                return -r;
        r = pthread_attr_setstacksize(&attributes, THREAD_STACK_SIZE);
        if (r == 0)
                r = pthread_create(&thread, &attributes, function, context);
        (void) pthread_attr_destroy(&attributes);
        if (r == 0)
                r = pthread_clockjoin_np(thread, NULL, CLOCK_MONOTONIC, &until);
        return -r;
}

int foreign_file_read(const char *path, size_t max, uint64_t timeout_usec, char **ret, size_t *ret_size,
                      ForeignFile *ret_file, Distrust *ret_distrust) {
        _cleanup_(reading_freep) Reading *reading = calloc(1, sizeof(Reading));
        int r = 0;

        if (!reading)
                return -ENOMEM;
        if ((size_t) snprintf(reading->path, sizeof(reading->path), "%s", path) >= sizeof(reading->path))
                return -ENAMETOOLONG;
        reading->max = max;
        reading->strict = ret_distrust != NULL;

        /* Without a thread if possible: starting one and waiting for it takes a tenth of the time of a write. */
        reading->r = read_from(reading, true);
        if (reading->r == -EAGAIN)
                r = run_in_time(read_in_thread, reading, timeout_usec);
        if (r < 0) {
                if (r == -ETIMEDOUT)
                        (void) STEAL_POINTER(reading); /* the thread still uses it */
                return r;
        }
        if (reading->r == -EKEYREJECTED && ret_distrust)
                *ret_distrust = reading->distrust;
        if (reading->r < 0)
                return reading->r;

        *ret = STEAL_POINTER(reading->text);
        *ret_size = reading->size;
        *ret_file = reading->file;
        return 0;
}
