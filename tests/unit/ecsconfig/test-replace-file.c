/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/clock.h"
#include "base/secret.h"
#include "ecsconfig/environment-file.h"

/* Other programs write the file at the very moment at which it is replaced. The moment is the system call itself: this
 * program has it in its own hands. */

typedef void (*Moment)(void);

static Moment after_readlink, before_lock, before_sync, before_rename, after_rename;
static unsigned n_locks; /* that come first */
static int refuse_flags; /* the errno of a file system that cannot exchange */
static int refuse_sync;  /* the errno of a disk that is full */
static int refuse_close; /* the same, of one that says so only at the end */
static int refuse_locks; /* the errno of a file system that has none */
static char *path, *other;

static void run_once(Moment *moment) {
        Moment now = *moment;

        *moment = NULL;
        if (now)
                now();
}

/* One that is started meanwhile has neither the file nor a lock on it. */
static void assert_no_program_inherits(int fd) {
        assert_true(syscall(SYS_fcntl, fd, F_GETFD) & FD_CLOEXEC);
}

int close(int fd) {
        bool refused = refuse_close != 0 && (syscall(SYS_fcntl, fd, F_GETFL) & O_ACCMODE) == O_WRONLY;
        int r = (int) syscall(SYS_close, fd);

        if (!refused)
                return r;
        errno = refuse_close;
        return -1;
}

ssize_t readlink(const char *link, char *target, size_t size) {
        ssize_t n = readlinkat(AT_FDCWD, link, target, size);
        int error = errno;

        run_once(&after_readlink);
        errno = error;
        return n;
}

/* By chance the name of the first temporary file is one that is there. */
static unsigned n_names;
static bool taken_first;

ssize_t getrandom(void *bytes, size_t size, unsigned flags) {
        if (!taken_first || n_names++ > 0)
                return (ssize_t) syscall(SYS_getrandom, bytes, size, flags);
        memset(bytes, 0, size);
        return (ssize_t) size;
}

/* What is done to a file, in that order, as far as there is room: m, its mode; o, its owner. */
static char changes[8];

static void add_change(char change) {
        size_t n = strlen(changes);

        if (n + 1 < sizeof(changes))
                changes[n] = change;
}

int fchmod(int fd, mode_t mode) {
        add_change('m');
        return (int) syscall(SYS_fchmod, fd, mode);
}

int fchown(int fd, uid_t uid, gid_t gid) {
        add_change('o');
        return (int) syscall(SYS_fchown, fd, uid, gid);
}

/* The disk is full after some bytes of what is appended. */
static bool append_in_part, full;

ssize_t write(int fd, const void *bytes, size_t size) {
        bool appends = (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) != 0;

        if (appends && full) {
                errno = ENOSPC;
                return -1;
        }
        full = full || (appends && append_in_part);
        return (ssize_t) syscall(SYS_write, fd, bytes, appends && append_in_part && size > 3 ? 3 : size);
}

static unsigned n_synced_after_appending;

int fsync(int fd) {
        assert_no_program_inherits(fd);
        n_synced_after_appending += (syscall(SYS_fcntl, fd, F_GETFL) & O_APPEND) != 0;
        run_once(&before_sync);
        if (refuse_sync != 0) {
                errno = refuse_sync;
                return -1;
        }
        return (int) syscall(SYS_fsync, fd);
}

int flock(int fd, int operation) {
        assert_no_program_inherits(fd);
        assert_true(operation & LOCK_NB);
        if (n_locks > 0)
                n_locks--;
        else
                run_once(&before_lock);
        if (refuse_locks != 0) {
                errno = refuse_locks;
                return -1;
        }
        return (int) syscall(SYS_flock, fd, operation);
}

/* The old file is read for the last time: it has no name any more. */
static Moment at_last_look;
static unsigned n_looks;
static int refuse_seeks; /* the errno of a file system that fails */

off_t lseek(int fd, off_t offset, int whence) {
        if (++n_looks == 3)
                run_once(&at_last_look);
        if (refuse_seeks != 0) {
                errno = refuse_seeks;
                return -1;
        }
        return (off_t) syscall(SYS_lseek, fd, offset, whence);
}

int renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags) {
        int r, error;

        if (flags != 0 && refuse_flags != 0) {
                errno = refuse_flags;
                return -1;
        }
        run_once(&before_rename);
        r = (int) syscall(SYS_renameat2, old_fd, old, new_fd, new, flags);
        error = errno;
        run_once(&after_rename);
        errno = error;
        return r;
}

int renameat(int old_fd, const char *old, int new_fd, const char *new) {
        return renameat2(old_fd, old, new_fd, new, 0);
}

static int refuse_leases; /* the errno of a file system that has none, or of another owner's file */

int fcntl(int fd, int command, ...) {
        va_list arguments;
        long argument;

        va_start(arguments, command);
        argument = va_arg(arguments, long);
        va_end(arguments);
        if (command == F_SETLEASE)
                assert_no_program_inherits(fd);
        if (command == F_SETLEASE && refuse_leases != 0) {
                errno = refuse_leases;
                return -1;
        }
        return (int) syscall(SYS_fcntl, fd, command, argument);
}

static long type_of_file_system; /* as statfs(2) has it; 0: that of the real one */

int fstatfs(int fd, struct statfs *ret) {
        int r = (int) syscall(SYS_fstatfs, fd, ret);

        if (type_of_file_system != 0)
                ret->f_type = type_of_file_system;
        return r;
}

/* The extended attributes of the old file, and what the kernel gave the new one (a security module's label). */
static struct {
        const char *names, *value, *of_new; /* names NULL: as they are on this file system */
        size_t n_names;
        int error; /* of setting it */
        unsigned n_set;
} xattrs;

ssize_t flistxattr(int fd, char *list, size_t size) {
        if (!xattrs.names)
                return (ssize_t) syscall(SYS_flistxattr, fd, list, size);
        memcpy(list, xattrs.names, xattrs.n_names);
        return (ssize_t) xattrs.n_names;
}

ssize_t fgetxattr(int fd, const char *name, void *value, size_t size) {
        struct stat st;
        const char *text;

        if (!xattrs.names)
                return (ssize_t) syscall(SYS_fgetxattr, fd, name, value, size);
        assert_int_equal(fstat(fd, &st), 0);
        text = st.st_size == (off_t) strlen("A=1\n") ? xattrs.value : xattrs.of_new;
        if (size > 0)
                memcpy(value, text, strlen(text));
        return (ssize_t) strlen(text);
}

int fsetxattr(int fd, const char *name, const void *value, size_t size, int flags) {
        if (!xattrs.names)
                return (int) syscall(SYS_fsetxattr, fd, name, value, size, flags);
        assert_int_equal(size, strlen(xattrs.value));
        assert_memory_equal(value, xattrs.value, size);
        xattrs.n_set++;
        if ((flags & XATTR_CREATE) && *xattrs.of_new) {
                errno = EEXIST;
                return -1;
        }
        errno = xattrs.error;
        return xattrs.error != 0 ? -1 : 0;
}

static int set_up_in(void **state, const char *place) {
        char directory[64];

        (void) snprintf(directory, sizeof(directory), "%s/ecs-authd-unit-XXXXXX", place);
        if (!mkdtemp(directory))
                return -1;
        *state = strdup(directory);
        if (!*state)
                return -1;
        path = unit_path(*state, "f");
        other = unit_path(*state, "other");
        after_readlink = before_lock = before_sync = before_rename = after_rename = at_last_look = NULL;
        n_locks = n_names = 0;
        taken_first = false;
        memset(changes, 0, sizeof(changes));
        type_of_file_system = 0;
        refuse_flags = refuse_leases = refuse_sync = refuse_close = refuse_locks = refuse_seeks = 0;
        return 0;
}

static int set_up(void **state) {
        return set_up_in(state, "/tmp");
}

/* Where a sync takes no time, there are many more writes for others to get between. */
static int set_up_in_memory(void **state) {
        return set_up_in(state, access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
}

static int tear_down(void **state) {
        free(path);
        free(other);
        return unit_remove_directory(state);
}

static unsigned count_entries(const char *directory) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        return n - 2; /* . and .. */
}

/* One write of ours, as sync.c does it. */
static int set_and_save_with(const char *value, Problems *problems) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;

        assert_int_equal(envfile_open(path, &f, problems), 0);
        assert_int_equal(envfile_set(f, "KEY", value, ENVFILE_LINE_MAX_EXEC), 0);
        return envfile_save(f, problems);
}

static int set_and_save(const char *value) {
        Problems problems = {0};
        int r = set_and_save_with(value, &problems);

        for (unsigned i = 0; i < problems.n_items; i++)
                print_message("%s\n", problems.items[i].text);
        assert_int_equal(problems.n_items, 0);
        return r;
}

static void replace_it(void) {
        unit_write_file(other, "B=2\n");
        assert_int_equal(rename(other, path), 0);
}

static void replace_it_again(void) {
        unit_write_file(other, "C=3\n");
        assert_int_equal(rename(other, path), 0);
}

static void replace_it_by_the_same(void) {
        unit_write_file(other, "A=1\n");
        assert_int_equal(rename(other, path), 0);
}

static void replace_it_by_a_fifo(void) {
        assert_int_equal(mkfifo(other, 0600), 0);
        assert_int_equal(rename(other, path), 0);
}

static void move_it_behind_a_link(void) {
        assert_int_equal(rename(path, other), 0);
        assert_int_equal(symlink("other", path), 0);
}

/* From now on. */
static void refuse_exchanges(void) {
        refuse_flags = EIO;
}

static void change_its_mode(void) {
        assert_int_equal(chmod(path, 0640), 0);
}

static void delete_it(void) {
        assert_int_equal(unlink(path), 0);
}

static void make_it(void) {
        unit_write_file(path, "B=2\n");
}

static void append_to_it(void) {
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

        assert_true(fd >= 0);
        assert_int_equal(write(fd, "LATE=1\n", 7), 7);
        assert_int_equal(close(fd), 0);
}

static void test_replaced_before(void **state) {
        unit_write_file(path, "A=1\n");
        before_rename = replace_it;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        unit_assert_file(path, "B=2\n");
        assert_int_equal(count_entries(*state), 1);
        assert_int_equal(set_and_save("v"), 1);
        unit_assert_file(path, "B=2\nKEY=v\n");
}

/* What it says does not make it the one that was read. */
static void test_replaced_by_the_same_before(void **state) {
        unit_write_file(path, "A=1\n");
        before_rename = replace_it_by_the_same;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        unit_assert_file(path, "A=1\n");
        assert_int_equal(count_entries(*state), 1);
}

static void test_replaced_after(void **state) {
        unit_write_file(path, "A=1\n");
        after_rename = replace_it;
        assert_int_equal(set_and_save("v"), 1);
        unit_assert_file(path, "B=2\n"); /* whoever did that wakes us */
        assert_int_equal(count_entries(*state), 1);
}

static void test_replaced_before_and_after(void **state) {
        unit_write_file(path, "A=1\n");
        before_rename = replace_it;
        after_rename = replace_it_again;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        unit_assert_file(path, "C=3\n");
        assert_int_equal(count_entries(*state), 1);
}

/* What is put back takes a line with it that was appended to ours meanwhile. */
static void test_replaced_before_and_appended_after(void **state) {
        unit_write_file(path, "A=1\n");
        before_rename = replace_it;
        after_rename = append_to_it;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        unit_assert_file(path, "B=2\nLATE=1\n");
        assert_int_equal(count_entries(*state), 1);
}

/* The link is newer, also if it leads to what was read. */
static void test_moved_behind_a_link_before(void **state) {
        struct stat st;

        unit_write_file(path, "A=1\n");
        before_rename = move_it_behind_a_link;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        unit_assert_file(other, "A=1\n");
        assert_int_equal(count_entries(*state), 2);
}

/* The same while it is looked for: what it leads to may be any file, and none that is asked for. */
static void test_moved_behind_a_link_meanwhile(void **state _unused_) {
        EnvFile *f = NULL;
        Problems problems = {0};

        unit_write_file(path, "A=1\n");
        after_readlink = move_it_behind_a_link;
        assert_int_equal(envfile_open(path, &f, &problems), -ELOOP);
        assert_null(f);
        unit_assert_problem(&problems, "cannot read it");
}

/* A lock is no reason to wait: it says nothing of a change. */
static void test_locked_by_another_program(void **state) {
        _cleanup_close_ int fd = -1;

        unit_write_file(path, "A=1\n");
        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(syscall(SYS_flock, fd, LOCK_EX), 0);
        assert_int_equal(set_and_save("v"), 1);
        unit_assert_file(path, "A=1\nKEY=v\n");
        assert_int_equal(count_entries(*state), 1);
}

/* Nor does one that is started while the file is only looked at. */
static void test_no_program_inherits_it(void **state _unused_) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        Problems problems = {0};

        unit_write_file(path, "A=1\n");
        assert_int_equal(envfile_open(path, &f, &problems), 0);
        assert_true(envfile_is_whole(f));
}

static void test_mode_changed_before(void **state) {
        struct stat st;

        unit_write_file(path, "A=1\n");
        before_rename = change_its_mode;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(set_and_save("v"), 1);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(count_entries(*state), 1);
}

static void test_deleted_before(void **state) {
        unit_write_file(path, "A=1\n");
        before_rename = delete_it;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(count_entries(*state), 0);
}

static void test_deleted_after(void **state) {
        unit_write_file(path, "A=1\n");
        after_rename = delete_it;
        assert_int_equal(set_and_save("v"), 1);
        assert_int_equal(count_entries(*state), 0);
}

/* What is newer has no place to go back to. */
static void test_replaced_before_and_deleted_after(void **state) {
        unit_write_file(path, "A=1\n");
        before_rename = replace_it;
        after_rename = delete_it;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        assert_int_equal(count_entries(*state), 0);
}

/* with NULL: nothing has that name any more */
static void replace_temporary(const char *with) {
        _cleanup_free_ char *directory = strdup(path);
        _cleanup_closedir_ DIR *d = NULL;

        assert_non_null(directory);
        *strrchr(directory, '/') = 0;
        d = opendir(directory);
        assert_non_null(d);
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
                if (strstr(e->d_name, ".ecs-authd."))
                        assert_int_equal(with ? renameat(AT_FDCWD, with, dirfd(d), e->d_name)
                                              : unlinkat(dirfd(d), e->d_name, 0),
                                         0);
}

static void remove_temporary(void) {
        replace_temporary(NULL);
}

/* What other is has the name of what we were about to put in place. */
static void take_temporary_name(void) {
        replace_temporary(other);
}

/* While it is written, or when all that is left is to put it in place. */
static void test_temporary_name_taken(void **state) {
        Moment *const moments[] = {&before_sync, &before_lock};

        for (unsigned i = 0; i < 2 * ELEMENTSOF(moments); i++) {
                unit_write_file(path, "A=1\n");
                if (i % 2 == 0)
                        unit_write_file(other, "B=2\n");
                else
                        assert_int_equal(mkfifo(other, 0600), 0);
                *moments[i / 2] = take_temporary_name;
                n_locks = 2; /* of ours; the third is the one on the old file */
                assert_int_equal(set_and_save("v"), -EAGAIN);
                assert_null(*moments[i / 2]);
                unit_assert_file(path, "A=1\n");
                assert_int_equal(count_entries(*state), 1);
        }
}

/* Another instance works on it, or it is somebody else's: it stays as it is, and ours gets another name. */
static void test_temporary_name_of_another(void **state) {
        static const int locks[] = {LOCK_SH, LOCK_EX, LOCK_UN};
        _cleanup_free_ char *taken = unit_path(*state, ".f.ecs-authd.00000000");

        for (size_t i = 0; i < ELEMENTSOF(locks); i++) {
                _cleanup_close_ int fd = -1;

                unit_write_file(path, "A=1\n");
                unit_write_file(taken, "B=2\n");
                fd = open(taken, O_RDONLY | O_CLOEXEC);
                assert_true(fd >= 0);
                assert_int_equal(syscall(SYS_flock, fd, locks[i]), 0);
                taken_first = true;
                n_names = 0;
                assert_int_equal(set_and_save("v"), 1);
                assert_int_equal(n_names, 2);
                unit_assert_file(path, "A=1\nKEY=v\n");
                unit_assert_file(taken, "B=2\n");
                assert_int_equal(count_entries(*state), 2);
        }
}

static mode_t mode_of_temporary;

static void look_at_temporary(void) {
        _cleanup_free_ char *directory = strdup(path);
        _cleanup_closedir_ DIR *d = NULL;
        struct stat st;

        assert_non_null(directory);
        *strrchr(directory, '/') = 0;
        d = opendir(directory);
        assert_non_null(d);
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
                if (strstr(e->d_name, ".ecs-authd.")) {
                        assert_int_equal(fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW), 0);
                        mode_of_temporary = st.st_mode;
                }
}

/* Also where the file that it replaces is for all: that one may have held no secret. */
static void test_temporary_file_is_for_nobody_else(void **state _unused_) {
        Moment *const moments[] = {&before_lock, &before_sync};
        mode_t mask = umask(0);

        for (size_t i = 0; i < ELEMENTSOF(moments); i++) {
                struct stat st;

                unit_write_file(path, "A=1\n");
                assert_int_equal(chmod(path, 0666), 0);
                mode_of_temporary = 0;
                *moments[i] = look_at_temporary;
                assert_int_equal(set_and_save("v"), 1);
                assert_int_equal(mode_of_temporary, S_IFREG | 0600);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode, S_IFREG | 0666);
        }
        (void) umask(mask);
}

/* Only what differs: without CAP_FOWNER and CAP_CHOWN there is a right to no more, and none to the mode of a file that
 * has another owner already. */
static void test_owner_and_mode(void **state _unused_) {
        static const struct {
                mode_t mode;
                uid_t uid;
                gid_t gid;
                const char *changes;
        } table[] = {{0600, 0, 0, ""},       {0644, 0, 0, "m"},      {0600, 12345, 0, "o"},     {0600, 0, 12345, "o"},
                     {0640, 12345, 0, "mo"}, {0640, 0, 12345, "mo"}, {0640, 12345, 12345, "mo"}};

        if (geteuid() != 0)
                skip(); /* only root can give files away */

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                struct stat st;

                unit_write_file(path, "A=1\n");
                assert_int_equal(chown(path, table[i].uid, table[i].gid), 0);
                assert_int_equal(chmod(path, table[i].mode), 0);
                memset(changes, 0, sizeof(changes));
                assert_int_equal(set_and_save("v"), 1);
                assert_string_equal(changes, table[i].changes);
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode, S_IFREG | table[i].mode);
                assert_int_equal(st.st_uid, table[i].uid);
                assert_int_equal(st.st_gid, table[i].gid);
                assert_int_equal(unlink(path), 0);
        }
}

static void remove_temporary_at_the_next_lock(void) {
        before_lock = remove_temporary;
}

/* It is complete, and has its lock; the file is tried again. */
static void test_temporary_name_removed_before(void **state) {
        unit_write_file(path, "A=1\n");
        before_lock = remove_temporary_at_the_next_lock;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        unit_assert_file(path, "A=1\n");
        assert_int_equal(count_entries(*state), 1);
}

/* Somebody has tidied up: what came out has no name any more, and ours is in its place. */
static void test_temporary_name_removed_after(void **state) {
        unit_write_file(path, "A=1\n");
        after_rename = remove_temporary;
        assert_int_equal(set_and_save("v"), 1);
        unit_assert_file(path, "A=1\nKEY=v\n");
        assert_int_equal(count_entries(*state), 1);
}

static void test_mode_changed_meanwhile(void **state) {
        struct stat st;

        unit_write_file(path, "A=1\n");
        before_sync = change_its_mode;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0640);
        assert_int_equal(count_entries(*state), 1);
}

/* It fails, and says why. */
static void expect_no_save(int error, int *where, const char *part) {
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        Problems problems = {0};

        unit_write_file(path, "A=1\n");
        assert_int_equal(envfile_open(path, &f, &problems), 0);
        assert_int_equal(envfile_set(f, "KEY", "v", ENVFILE_LINE_MAX_EXEC), 0);
        if (where)
                *where = error;
        assert_int_equal(envfile_save(f, &problems), -error);
        if (where)
                *where = 0;
        unit_assert_problem(&problems, part);
        assert_int_equal(problems.n_items, 1);
}

static void test_disk_that_takes_nothing(void **state) {
        const struct {
                int error, *where;
                const char *advice;
        } table[] = {{ENOSPC, &refuse_sync, "Make room on its file system"},
                     {EROFS, &refuse_sync, "Its file system is read-only"},
                     {EBUSY, &refuse_sync, "mount its directory instead"},
                     {EPERM, &refuse_sync, geteuid() == 0 ? "Look for an immutable file" : "Run this as root"},
                     {EDQUOT, &refuse_close, "Make room on its file system"}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                expect_no_save(table[i].error, table[i].where, table[i].advice);
                unit_assert_file(path, "A=1\n");
                assert_int_equal(count_entries(*state), 1);
        }
}

/* Of the file or of its directory: the service is root without a right over the files of others. */
static void test_owner_and_mode_explain_a_refusal(void **state) {
        static const struct {
                uid_t file_uid, directory_uid;
                mode_t file_mode, directory_mode;
                const char *advice;
        } table[] = {
                {1234, 0, 0600, 0700, "make it root:root (chown)"},
                {0, 1234, 0600, 0700, "Its directory has another owner"},
                {0, 0, 0200, 0700, "chmod u+rw"},
                {0, 0, 0600, 0500, "chmod u+rwx"},
        };

        if (geteuid() != 0)
                skip(); /* only root can give files away */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                unit_write_file(path, "A=1\n");
                assert_int_equal(chown(path, table[i].file_uid, 0), 0);
                assert_int_equal(chmod(path, table[i].file_mode), 0);
                assert_int_equal(chown(*state, table[i].directory_uid, 0), 0);
                assert_int_equal(chmod(*state, table[i].directory_mode), 0);
                expect_no_save(EPERM, &refuse_sync, table[i].advice);
                assert_int_equal(unlink(path), 0);
        }
        assert_int_equal(chown(*state, 0, 0), 0);
        assert_int_equal(chmod(*state, 0700), 0);
}

/* What is newer came out, and does not go back in: that is never passed over. */
static void test_newer_file_that_cannot_be_put_back(void **state _unused_) {
        before_rename = replace_it;
        after_rename = refuse_exchanges;
        expect_no_save(EIO, NULL, "cannot replace it");
}

static rlim_t descriptors;

static void leave_no_descriptors(void) {
        struct rlimit limit;

        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        descriptors = limit.rlim_cur;
        limit.rlim_cur = 0;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_no_descriptors_left(void **state) {
        struct rlimit limit;

        before_sync = leave_no_descriptors;
        expect_no_save(EMFILE, NULL, strerror(EMFILE));
        assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
        limit.rlim_cur = descriptors;
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
        unit_assert_file(path, "A=1\n");
        assert_int_equal(count_entries(*state), 1);
}

static void test_extended_attributes(void **state) {
        static const struct {
                const char *value, *of_new;
                int error;
                bool written;
        } table[] = {
                {"label", "", 0, true},           {"", "", 0, true},
                {"label", "other", 0, true},                                       /* the old file's counts */
                {"label", "", ENOTSUP, true},     {"label", "label", EPERM, true}, /* it is the same one without us */
                {"label", "other", EPERM, false}, {"label", "label of another", EPERM, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(envfile_freep) EnvFile *f = NULL;
                Problems problems = {0};

                unit_write_file(path, "A=1\n");
                xattrs.names = "security.a\0security.b";
                xattrs.n_names = strlen("security.a") + 1 + strlen("security.b") + 1;
                xattrs.value = table[i].value;
                xattrs.of_new = table[i].of_new;
                xattrs.error = table[i].error;
                xattrs.n_set = 0;
                assert_int_equal(envfile_open(path, &f, &problems), 0);
                assert_int_equal(envfile_set(f, "KEY", "v", ENVFILE_LINE_MAX_EXEC), 0);
                assert_int_equal(envfile_save(f, &problems), table[i].written ? 1 : -table[i].error);
                xattrs.names = NULL;
                assert_int_equal(xattrs.n_set, table[i].written ? 2 : 1);
                unit_assert_file(path, table[i].written ? "A=1\nKEY=v\n" : "A=1\n");
                assert_int_equal(count_entries(*state), 1);
        }
}

static void test_made_before(void **state) {
        static const int errors[] = {0, EINVAL};

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                refuse_flags = errors[i];
                before_rename = refuse_flags ? NULL : make_it;
                assert_int_equal(set_and_save("v"), refuse_flags ? 1 : -EAGAIN);
                unit_assert_file(path, refuse_flags ? "KEY=v\n" : "B=2\n");
                assert_int_equal(count_entries(*state), 1);
                assert_int_equal(unlink(path), 0);
        }
}

static void test_file_system_that_cannot_exchange(void **state) {
        static const int errors[] = {EINVAL, ENOSYS, ENOTSUP};

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                refuse_flags = errors[i];
                unit_write_file(path, "A=1\n");
                assert_int_equal(set_and_save("v"), 1);
                unit_assert_file(path, "A=1\nKEY=v\n");
                assert_int_equal(count_entries(*state), 1);
        }
}

/* The exchange takes care of others all the same. */
static void test_file_system_without_locks(void **state) {
        refuse_locks = ENOLCK;
        unit_write_file(path, "A=1\n");
        assert_int_equal(set_and_save("v"), 1);
        unit_assert_file(path, "A=1\nKEY=v\n");
        assert_int_equal(count_entries(*state), 1);
}

/* Another ecs-authd takes the temporary file for a leftover, as long as it has no lock. */
static void test_tidied_away_before_it_is_locked(void **state) {
        unit_write_file(path, "A=1\n");
        before_lock = remove_temporary;
        assert_int_equal(set_and_save("v"), 1);
        unit_assert_file(path, "A=1\nKEY=v\n");
        assert_int_equal(count_entries(*state), 1);
}

static void test_no_file_stays_open(void **state _unused_) {
        const unsigned before = count_entries("/proc/self/fd");

        unit_write_file(path, "A=1\n");
        assert_int_equal(set_and_save("v"), 1);
        assert_int_equal(count_entries("/proc/self/fd"), before);
        before_rename = replace_it;
        assert_int_equal(set_and_save("w"), -EAGAIN);
        assert_int_equal(count_entries("/proc/self/fd"), before);
}

/* What came out is not known, and goes back in. */
static void test_file_that_cannot_be_read_again(void **state) {
        unit_write_file(path, "A=1\n");
        refuse_seeks = EIO;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        unit_assert_file(path, "A=1\n");
        assert_int_equal(count_entries(*state), 1);
}

/* There is less to know, and nothing to wait for. */
static void test_file_without_leases(void **state) {
        static const int errors[] = {EACCES, EINVAL};

        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                refuse_leases = errors[i];
                unit_write_file(path, "A=1\n");
                assert_int_equal(set_and_save("v"), 1);
                unit_assert_file(path, "A=1\nKEY=v\n");
                assert_int_equal(count_entries(*state), 1);
                after_rename = append_to_it;
                assert_int_equal(set_and_save("w"), 1);
                unit_assert_file(path, "A=1\nKEY=w\nLATE=1\n");
        }
}

/* NFS without a delegation refuses a lease as if somebody had the file open for writing. */
static void test_network_file_system(void **state) {
        static const long types[] = {0x6969, (long) 0xfe534d42};
        Problems problems = {0};

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                refuse_leases = EAGAIN;
                refuse_flags = 0;
                unit_write_file(path, "A=1\n");
                type_of_file_system = types[i];
                assert_int_equal(set_and_save("v"), 1);
                unit_assert_file(path, "A=1\nKEY=v\n");
                /* Nor can it exchange: nothing could tell of a change of another program. */
                refuse_flags = EINVAL;
                assert_int_equal(set_and_save_with("w", &problems), -ENOLCK);
                unit_assert_problem(&problems, "could lose a change that another program makes at the same moment");
                unit_assert_file(path, "A=1\nKEY=v\n");
                assert_int_equal(count_entries(*state), 1);
                problems = (Problems){0};
                type_of_file_system = 0;
                assert_int_equal(set_and_save("x"), -EAGAIN);
        }
}

/* Another program that opens the file before it is replaced, and writes after that: the kernel keeps it waiting while
 * we hold a lease, and tells us of it. */
static struct {
        pid_t pid;
        int opened[2], write_now[2];
} writer;

static void start_writer(int flags, bool at_once) {
        char byte = 0;
        int fd;

        assert_int_equal(pipe2(writer.opened, O_CLOEXEC), 0);
        assert_int_equal(pipe2(writer.write_now, O_CLOEXEC), 0);
        writer.pid = fork();
        assert_true(writer.pid >= 0);
        if (writer.pid > 0)
                return;

        (void) close(writer.write_now[1]); /* a test that fails ends it, too */
        fd = open(path, flags | O_CLOEXEC);
        if (fd < 0 || write(writer.opened[1], "", 1) != 1 || (!at_once && read(writer.write_now[0], &byte, 1) != 1) ||
            write(fd, "LATE=1\n", 7) != 7)
                _exit(1);
        _exit(0);
}

/* It has the file open, or the kernel has it wait for our lease. */
static void await_writer(void) {
        const struct timespec moment = {.tv_nsec = 1000000};
        sigset_t signals;

        assert_int_equal(sigemptyset(&signals), 0);
        assert_int_equal(sigaddset(&signals, SIGURG), 0);
        for (;;) {
                struct pollfd p = {.fd = writer.opened[0], .events = POLLIN};

                if (poll(&p, 1, 0) == 1 || sigtimedwait(&signals, NULL, &moment) == SIGURG)
                        return;
        }
}

static void appender(void) {
        start_writer(O_WRONLY | O_APPEND, true);
        await_writer();
}

static void rewriter(void) {
        start_writer(O_WRONLY | O_TRUNC, true);
        await_writer();
}

static void slow_appender(void) {
        start_writer(O_WRONLY | O_APPEND, false);
        await_writer();
}

static void end_writer(void) {
        int status;

        assert_int_equal(write(writer.write_now[1], "", 1), 1);
        assert_int_equal(waitpid(writer.pid, &status, 0), writer.pid);
        assert_int_equal(status, 0);
        for (int i = 0; i < 2; i++) {
                assert_int_equal(close(writer.opened[i]), 0);
                assert_int_equal(close(writer.write_now[i]), 0);
        }
}

static void block_signal(int how) {
        sigset_t signals;

        assert_int_equal(sigemptyset(&signals), 0);
        assert_int_equal(sigaddset(&signals, SIGURG), 0);
        assert_int_equal(sigprocmask(how, &signals, NULL), 0);
}

static void test_appended_by_one_who_was_early(void **state) {
        static const int errors[] = {0, EINVAL};

        block_signal(SIG_BLOCK);
        for (size_t i = 0; i < ELEMENTSOF(errors); i++) {
                refuse_flags = errors[i];
                unit_write_file(path, "A=1\n");
                before_rename = appender;
                assert_int_equal(set_and_save("v"), 1);
                end_writer();
                unit_assert_file(path, "A=1\nKEY=v\nLATE=1\n");
                assert_int_equal(count_entries(*state), 1);
        }
        block_signal(SIG_UNBLOCK);
}

/* There is no file to append that line to: what somebody else has put there stays. */
static void test_appended_before_and_replaced_by_a_fifo_after(void **state) {
        struct stat st;

        block_signal(SIG_BLOCK);
        unit_write_file(path, "A=1\n");
        before_rename = appender;
        after_rename = replace_it_by_a_fifo;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        end_writer();
        assert_int_equal(lstat(path, &st), 0);
        assert_true(S_ISFIFO(st.st_mode));
        assert_int_equal(count_entries(*state), 1);
        block_signal(SIG_UNBLOCK);
}

/* Also if the power fails then. */
static void test_appended_line_is_on_the_disk(void **state) {
        block_signal(SIG_BLOCK);
        unit_write_file(path, "A=1\n");
        before_rename = appender;
        n_synced_after_appending = 0;
        assert_int_equal(set_and_save("v"), 1);
        end_writer();
        assert_int_equal(n_synced_after_appending, 1);
        unit_assert_file(path, "A=1\nKEY=v\nLATE=1\n");
        assert_int_equal(count_entries(*state), 1);
        block_signal(SIG_UNBLOCK);
}

static void fail_to_sync(void) {
        refuse_sync = EIO;
}

/* It stands in the file all the same, once. */
static void test_appended_line_that_cannot_be_synced(void **state) {
        Problems problems = {0};

        block_signal(SIG_BLOCK);
        unit_write_file(path, "A=1\n");
        before_rename = appender;
        after_rename = fail_to_sync;
        assert_int_equal(set_and_save_with("v", &problems), 1);
        refuse_sync = 0;
        assert_non_null(strstr(problems.items[0].text, "a crash now may bring back the old file"));
        end_writer();
        unit_assert_file(path, "A=1\nKEY=v\nLATE=1\n");
        assert_int_equal(count_entries(*state), 1);
        block_signal(SIG_UNBLOCK);
}

static void fill_the_disk(void) {
        append_in_part = true;
}

/* What somebody else has appended goes back in, whole. */
static void test_appended_in_part(void **state) {
        block_signal(SIG_BLOCK);
        unit_write_file(path, "A=1\n");
        before_rename = appender;
        after_rename = fill_the_disk;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        append_in_part = full = false;
        end_writer();
        unit_assert_file(path, "A=1\nLATE=1\n");
        assert_int_equal(count_entries(*state), 1);
        block_signal(SIG_UNBLOCK);
}

/* One that had found the old file by its name, and opens it when it has none any more. */
static int found = -1;

static void append_to_what_was_found(void) {
        char *by_name = path, by_number[64];

        (void) snprintf(by_number, sizeof(by_number), "/proc/self/fd/%d", found);
        path = by_number;
        appender();
        path = by_name;
}

static void test_appended_when_it_had_no_name(void **state) {
        block_signal(SIG_BLOCK);
        unit_write_file(path, "A=1\n");
        found = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(found >= 0);
        n_looks = 0;
        at_last_look = append_to_what_was_found;
        assert_int_equal(set_and_save("v"), 1);
        assert_null(at_last_look);
        end_writer();
        assert_int_equal(close(found), 0);
        unit_assert_file(path, "A=1\nKEY=v\nLATE=1\n");
        assert_int_equal(count_entries(*state), 1);
        block_signal(SIG_UNBLOCK);
}

static void test_rewritten_by_one_who_was_early(void **state) {
        block_signal(SIG_BLOCK);
        unit_write_file(path, "A=1\n");
        before_rename = rewriter;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        end_writer();
        unit_assert_file(path, "LATE=1\n");
        assert_int_equal(count_entries(*state), 1);
        block_signal(SIG_UNBLOCK);
}

/* One that does not come to an end within a second has the file that it opened put back. */
static void test_held_open_by_one_who_was_early(void **state) {
        int64_t before = clock_usec(CLOCK_MONOTONIC);

        block_signal(SIG_BLOCK);
        unit_write_file(path, "A=1\n");
        before_rename = slow_appender;
        assert_int_equal(set_and_save("v"), -EAGAIN);
        assert_true(clock_usec(CLOCK_MONOTONIC) - before > (int64_t) (900 * USEC_PER_MSEC));
        unit_assert_file(path, "A=1\n");
        end_writer();
        unit_assert_file(path, "A=1\nLATE=1\n");
        assert_int_equal(count_entries(*state), 1);
        block_signal(SIG_UNBLOCK);
}

/* --- as fast as they can; CONTENTION_SECONDS=60 CONTENTION_WRITES=1000000 for longer --- */

enum {
        DONE_MIN = 300,
};

static unsigned from_environment(const char *name, unsigned otherwise) {
        const char *s = getenv(name);

        return s ? (unsigned) strtoul(s, NULL, 10) : otherwise;
}

/* The other one goes on until enough of our writes came to their end for it to get between them, and counts what it
 * did. */
static struct { unsigned written, done; } * shared;

static void share(void) {
        shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        assert_ptr_not_equal(shared, MAP_FAILED);
}

static bool goes_on(time_t start) {
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return shared->done < DONE_MIN ||
               (__atomic_load_n(&shared->written, __ATOMIC_RELAXED) < from_environment("CONTENTION_WRITES", 200) &&
                now.tv_sec - start < from_environment("CONTENTION_SECONDS", 3));
}

static time_t seconds_now(void) {
        struct timespec now;

        (void) clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec;
}

/* Our lines, in alternation, until the other one has ended. */
static void write_against(pid_t pid, unsigned *ret_written, unsigned *ret_refused, int *ret_status) {
        unsigned written = 0, refused = 0;

        for (unsigned i = 0; waitpid(pid, ret_status, WNOHANG) == 0; i++) {
                int r = set_and_save(i % 2 == 0 ? "even" : "odd");

                assert_true(r == 1 || r == 0 || r == -EAGAIN);
                written += r == 1;
                __atomic_store_n(&shared->written, written, __ATOMIC_RELAXED);
                refused += r == -EAGAIN;
        }
        *ret_written = written;
        *ret_refused = refused;
}

/* So that what the other one does falls to every moment of a write of ours, some of which come to their end. */
static void pass_time(unsigned i) {
        for (volatile unsigned time = 0; time < (i * 7919U) % 500000U; time++)
                ;
}

static void append_lines(void) {
        time_t start = seconds_now();

        for (; goes_on(start); shared->done++) {
                int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
                char line[32];
                int length = snprintf(line, sizeof(line), "LINE%u=x\n", shared->done);

                if (fd < 0 || write(fd, line, (size_t) length) != length || close(fd) < 0)
                        _exit(1);
                pass_time(shared->done);
        }
        _exit(0);
}

static void test_no_appended_line_is_lost(void **state _unused_) {
        unsigned written, refused, lost = 0;
        _cleanup_free_ char *text = NULL;
        _cleanup_close_ int fd = -1;
        size_t size;
        int status;
        pid_t pid;

        unit_write_file(path, "A=1\n");
        share();
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                append_lines();
        write_against(pid, &written, &refused, &status);
        assert_int_equal(status, 0);

        fd = open(path, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0 && secret_read_fd(fd, 1 << 22, &text, &size) >= 0);
        for (unsigned i = 0; text && i < shared->done; i++) {
                char line[32];

                (void) snprintf(line, sizeof(line), "\nLINE%u=x\n", i);
                lost += !strstr(text, line);
        }
        print_message("%u of %u lines lost; written %u, refused %u\n", lost, shared->done, written, refused);
        assert_int_equal(lost, 0);
        assert_int_equal(set_and_save("at last"), 1);
}

/* The replacement is there, and stays: for a moment there may be what we put there, until we see what came out. */
static bool comes_back(unsigned i) {
        struct timespec start, now;
        char expected[32], text[64];

        (void) snprintf(expected, sizeof(expected), "NUMBER=%u\n", i);
        (void) clock_gettime(CLOCK_MONOTONIC, &start);
        do {
                int fd = open(path, O_RDONLY | O_CLOEXEC);
                ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;

                if (fd >= 0)
                        (void) close(fd);
                text[n > 0 ? n : 0] = 0;
                if (startswith(text, expected))
                        return true;
                (void) clock_gettime(CLOCK_MONOTONIC, &now);
        } while (now.tv_sec - start.tv_sec < 3);
        return false;
}

/* Each looks for the one before: whatever was to happen to it has happened. */
static void replace_often(void) {
        unsigned lost = 0;
        time_t start = seconds_now();

        while (goes_on(start)) {
                char line[32];
                int length = snprintf(line, sizeof(line), "NUMBER=%u\n", ++shared->done);
                int fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

                if (fd < 0 || write(fd, line, (size_t) length) != length || close(fd) < 0 || rename(other, path) < 0)
                        _exit(255);
                pass_time(shared->done);
                lost += !comes_back(shared->done);
        }
        _exit(lost < 254 ? (int) lost : 254);
}

static void test_no_replacement_is_lost(void **state _unused_) {
        unsigned written, refused;
        int status;
        pid_t pid;

        unit_write_file(path, "NUMBER=0\n");
        share();
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                replace_often();
        write_against(pid, &written, &refused, &status);
        assert_true(WIFEXITED(status));
        print_message("%d of %u replacements lost; written %u, refused %u\n", WEXITSTATUS(status), shared->done,
                      written, refused);
        assert_int_equal(WEXITSTATUS(status), 0);
}

#define WITH_FILE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_FILE(test_replaced_before),
                WITH_FILE(test_replaced_by_the_same_before),
                WITH_FILE(test_replaced_after),
                WITH_FILE(test_replaced_before_and_after),
                WITH_FILE(test_replaced_before_and_appended_after),
                WITH_FILE(test_moved_behind_a_link_before),
                WITH_FILE(test_moved_behind_a_link_meanwhile),
                WITH_FILE(test_locked_by_another_program),
                WITH_FILE(test_no_program_inherits_it),
                WITH_FILE(test_mode_changed_before),
                WITH_FILE(test_deleted_before),
                WITH_FILE(test_deleted_after),
                WITH_FILE(test_replaced_before_and_deleted_after),
                WITH_FILE(test_temporary_name_taken),
                WITH_FILE(test_temporary_name_of_another),
                WITH_FILE(test_temporary_file_is_for_nobody_else),
                WITH_FILE(test_owner_and_mode),
                WITH_FILE(test_temporary_name_removed_before),
                WITH_FILE(test_temporary_name_removed_after),
                WITH_FILE(test_mode_changed_meanwhile),
                WITH_FILE(test_disk_that_takes_nothing),
                WITH_FILE(test_owner_and_mode_explain_a_refusal),
                WITH_FILE(test_newer_file_that_cannot_be_put_back),
                WITH_FILE(test_no_descriptors_left),
                WITH_FILE(test_extended_attributes),
                WITH_FILE(test_made_before),
                WITH_FILE(test_file_system_that_cannot_exchange),
                WITH_FILE(test_network_file_system),
                WITH_FILE(test_file_system_without_locks),
                WITH_FILE(test_tidied_away_before_it_is_locked),
                WITH_FILE(test_no_file_stays_open),
                WITH_FILE(test_file_without_leases),
                WITH_FILE(test_file_that_cannot_be_read_again),
                WITH_FILE(test_appended_by_one_who_was_early),
                WITH_FILE(test_appended_before_and_replaced_by_a_fifo_after),
                WITH_FILE(test_appended_line_is_on_the_disk),
                WITH_FILE(test_appended_line_that_cannot_be_synced),
                WITH_FILE(test_appended_in_part),
                WITH_FILE(test_appended_when_it_had_no_name),
                WITH_FILE(test_rewritten_by_one_who_was_early),
                WITH_FILE(test_held_open_by_one_who_was_early),
                cmocka_unit_test_setup_teardown(test_no_appended_line_is_lost, set_up_in_memory, tear_down),
                cmocka_unit_test_setup_teardown(test_no_replacement_is_lost, set_up_in_memory, tear_down),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
