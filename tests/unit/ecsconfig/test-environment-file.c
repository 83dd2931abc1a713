/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>

#include "base/secret.h"
#include "ecsconfig/environment-file.h"

#define MAX ENVFILE_LINE_MAX_EXEC

static EnvFile *open_file(const char *path) {
        EnvFile *f = NULL;
        Problems problems = {0};

        assert_int_equal(envfile_open(path, &f, &problems), 0);
        assert_int_equal(problems.n_items, 0);
        return f;
}

/* As the job does it. */
static EnvFile *open_for_change(const char *path) {
        EnvFile *f = NULL;
        Problems problems = {0};

        assert_int_equal(envfile_open_for_change(path, &f, &problems), 0);
        assert_int_equal(problems.n_items, 0);
        return f;
}

static int set_and_save(const char *path, const char *value, Problems *problems) {
        _cleanup_(envfile_freep) EnvFile *f = open_file(path);

        assert_int_equal(envfile_set(f, "KEY", value, MAX), 0);
        return envfile_save(f, problems);
}

static void write_bytes(const char *path, const char *bytes, size_t n) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_int_equal(fwrite(bytes, 1, n, f), n);
        assert_int_equal(fclose(f), 0);
}

/* The state directory, beside the directory of the test. */
static char *state_path;

static int set_up(void **state) {
        if (unit_make_directory(state) < 0 || asprintf(&state_path, "%s.state", (const char *) *state) < 0)
                return -1;
        return setenv("STATE_DIRECTORY", state_path, 1);
}

static int tear_down(void **state) {
        void *directory = state_path;

        (void) unsetenv("STATE_DIRECTORY");
        if (access(state_path, F_OK) == 0)
                (void) unit_remove_directory(&directory);
        else
                free(state_path);
        return unit_remove_directory(state);
}

/* Whoever waits does not have to wait. */
static bool time_flies;

int nanosleep(const struct timespec *requested, struct timespec *remaining) {
        return time_flies ? 0 : (int) syscall(SYS_nanosleep, requested, remaining);
}

static unsigned count_entries(const char *directory) {
        _cleanup_closedir_ DIR *d = opendir(directory);
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        return n - 2; /* . and .. */
}

static void test_get(void **state) {
        static const struct {
                const char *content;
                const char *expected;
        } cases[] = {
                {"", NULL},
                {"\n\n", NULL},
                {"OTHER=x\n", NULL},
                {"KEYS=x\nAKEY=y\nKEY\n", NULL},
                {"#KEY=x\n", NULL},
                {"# KEY=x\n", NULL},
                {"export KEY=x\n", NULL},
                {"key=x\n", NULL},
                {"KEY=x", "x"},
                {"KEY=x\n", "x"},
                {"KEY=\n", ""},
                {"KEY=x\r\nOTHER=y\r\n", "x"},
                {"  \tKEY=x \t\n", "x"},
                {"KEY=a=b=c\n", "a=b=c"},
                {"KEY=\"x\"\n", "\"x\""},
                {"KEY=a\\b\n", "a\\b"},
                {"KEY=x # no comment\n", "x # no comment"},
                {"KEY=x\nKEY=y\n", "y"},
                {"KEY=x\nKEY=\n", ""},
                {"KEY =x\n", NULL},
                {"KEY=x\nKEY\t=y\n", "x"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *path = unit_path(*state, "f");
                _cleanup_(envfile_freep) EnvFile *f = NULL;
                _cleanup_secret_ char *value = NULL;

                unit_write_file(path, cases[i].content);
                f = open_file(path);
                value = envfile_get(f, "KEY");
                if (!cases[i].expected)
                        assert_null(value);
                else
                        assert_string_equal(value, cases[i].expected);
        }
}

typedef struct SetCase {
        const char *before;
        const char *value;
        const char *after; /* NULL: not written */
} SetCase;

static void test_set(void **state) {
        static const SetCase cases[] = {
                {"", "v", "KEY=v\n"},
                {"", "", "KEY=\n"},
                {"", NULL, NULL},
                {"A=1\n", "v", "A=1\nKEY=v\n"},
                {"A=1", "v", "A=1\nKEY=v\n"},
                {"A=1", NULL, NULL},
                {"A", "v", "A\nKEY=v\n"},
                {"A=1\n\n\n", "v", "A=1\n\n\nKEY=v\n"},
                /* In its place; the others as they are. */
                {"A=1\nKEY=old\nB=2\n", "v", "A=1\nKEY=v\nB=2\n"},
                {"# c\n\n  A = 1 \nKEY=old\n#KEY=x\nB=\"2\" \\\n", "v", "# c\n\n  A = 1 \nKEY=v\n#KEY=x\nB=\"2\" \\\n"},
                {"KEY=old", "v", "KEY=v\n"},
                {"KEY=old\nA=1", "v", "KEY=v\nA=1"},
                {"KEY=v\n", "v", NULL},
                {"A=1\nKEY=v\nB=2", "v", NULL},
                /* Whatever some reader would take for the key. */
                {"A=1\nKEY=1\nB=2\nKEY=2\n KEY =3\nC=3\n", "v", "A=1\nKEY=v\nB=2\nC=3\n"},
                {"\tKEY\t=old\n", "v", "KEY=v\n"},
                {"KEY=v\nKEY=v\n", "v", "KEY=v\n"},
                {" KEY=v\n", "v", "KEY=v\n"},
                {"KEYS=1\nXKEY=2\nKEY\n", "v", "KEYS=1\nXKEY=2\nKEY\nKEY=v\n"},
                /* Removed. */
                {"A=1\nKEY=old\nB=2\n", NULL, "A=1\nB=2\n"},
                {"KEY=1\nA=1\nKEY =2\n", NULL, "A=1\n"},
                {"A=1\nKEY=old", NULL, "A=1\n"},
                {"KEY=old", NULL, ""},
                /* CRLF: the others keep it, ours has none. */
                {"A=1\r\nKEY=old\r\nB=2\r\n", "v", "A=1\r\nKEY=v\nB=2\r\n"},
                {"A=1\r\n", "v", "A=1\r\nKEY=v\n"},
                {"KEY=v\r\n", "v", "KEY=v\n"},
        };

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *path = unit_path(*state, "f");
                Problems problems = {0};

                unit_write_file(path, cases[i].before);
                assert_int_equal(set_and_save(path, cases[i].value, &problems), cases[i].after ? 1 : 0);
                unit_assert_file(path, cases[i].after ? cases[i].after : cases[i].before);
                assert_int_equal(problems.n_items, 0);
                assert_int_equal(count_entries(*state), 1);
        }
}

static void test_other_bytes_are_kept(void **state) {
        static const char before[] = "A=\0\xff\x01\nKEY=old\n\0\0\nB=\x80",
                          after[] = "A=\0\xff\x01\nKEY=v\n\0\0\nB=\x80";
        _cleanup_free_ char *path = unit_path(*state, "f");
        char text[64];
        Problems problems = {0};
        FILE *file;

        write_bytes(path, before, sizeof(before) - 1);
        assert_int_equal(set_and_save(path, "v", &problems), 1);
        file = fopen(path, "re");
        assert_non_null(file);
        assert_int_equal(fread(text, 1, sizeof(text), file), sizeof(after) - 1);
        assert_memory_equal(text, after, sizeof(after) - 1);
        assert_int_equal(fclose(file), 0);
}

static void test_two_keys_at_once(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        _cleanup_secret_ char *value = NULL;
        Problems problems = {0};

        unit_write_file(path, "A=1\n");
        f = open_file(path);
        assert_int_equal(envfile_set(f, "ONE", "1", MAX), 0);
        assert_int_equal(envfile_set(f, "TWO", "2", MAX), 0);
        value = envfile_get(f, "ONE");
        assert_string_equal(value, "1");
        assert_int_equal(envfile_save(f, &problems), 1);
        assert_int_equal(envfile_save(f, &problems), 0);
        unit_assert_file(path, "A=1\nONE=1\nTWO=2\n");
}

static void test_lines_no_reader_could_take(void **state) {
        static const char *const values[] = {" x",   "x ",   "\"x\"", "'x'",   "a\\b",
                                             "a\nb", "a\rb", "a\tb",  "a\x7f", "a\x1b"};
        _cleanup_free_ char *path = unit_path(*state, "f"), *longest = malloc(MAX);
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        Problems problems = {0};

        unit_write_file(path, "KEY=old\n");
        f = open_file(path);
        for (size_t i = 0; i < ELEMENTSOF(values); i++)
                assert_int_equal(envfile_set(f, "KEY", values[i], MAX), -EINVAL);

        assert_non_null(longest);
        memset(longest, 'x', MAX);
        longest[MAX - 4 + 1] = 0;
        assert_int_equal(envfile_set(f, "KEY", longest, MAX), -E2BIG);
        assert_int_equal(envfile_save(f, &problems), 0);

        /* 131,071 bytes with the key and the "=" are the last that fit. */
        longest[MAX - 4] = 0;
        assert_int_equal(envfile_set(f, "KEY", longest, MAX), 0);
        assert_int_equal(envfile_set(f, "KEY", longest, ENVFILE_LINE_MAX_DOCKER), -E2BIG);
        longest[ENVFILE_LINE_MAX_DOCKER - 4] = 0;
        assert_int_equal(envfile_set(f, "KEY", longest, ENVFILE_LINE_MAX_DOCKER), 0);
        unit_assert_file(path, "KEY=old\n");
}

static void test_new_file(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");
        mode_t mask = umask(0);
        Problems problems = {0};
        struct stat st;

        assert_int_equal(set_and_save(path, NULL, &problems), 0);
        assert_int_equal(access(path, F_OK), -1);
        assert_int_equal(set_and_save(path, "v", &problems), 1);
        (void) umask(mask);
        unit_assert_file(path, "KEY=v\n");
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_attributes_are_kept(void **state) {
        static const mode_t modes[] = {0600, 0640, 0644, 0660, 0400};
        _cleanup_free_ char *path = unit_path(*state, "f");

        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                uid_t uid = geteuid() == 0 ? 12345 : geteuid();
                gid_t gid = geteuid() == 0 ? 54321 : getegid();
                bool has_xattr;
                char value[8] = "";
                Problems problems = {0};
                struct stat st;

                (void) unlink(path);
                unit_write_file(path, "A=1\n");
                has_xattr = setxattr(path, "user.note", "kept", 4, 0) == 0;
                assert_int_equal(chmod(path, modes[i]), 0);
                assert_int_equal(chown(path, uid, gid), 0);
                assert_int_equal(set_and_save(path, "v", &problems), 1);

                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, modes[i]);
                assert_int_equal(st.st_uid, uid);
                assert_int_equal(st.st_gid, gid);
                if (has_xattr) {
                        assert_int_equal(getxattr(path, "user.note", value, sizeof(value)), 4);
                        assert_memory_equal(value, "kept", 4);
                }
        }
}

/* An ACL is an extended attribute, in the kernel's own form: version 2, then tag, permissions and id for each entry. */
static void test_acl_is_kept(void **state) {
        static const unsigned char acl[] = {
                2, 0,    0,    0,    1,    0,    6,    0, 0xff, 0xff, 0xff, 0xff, 2,    0,    4,
                0, 0x39, 0x30, 0,    0,    4,    0,    4, 0,    0xff, 0xff, 0xff, 0xff, 0x10, 0,
                4, 0,    0xff, 0xff, 0xff, 0xff, 0x20, 0, 0,    0,    0xff, 0xff, 0xff, 0xff,
        };
        _cleanup_free_ char *path = unit_path(*state, "f");
        unsigned char back[128];
        Problems problems = {0};

        unit_write_file(path, "A=1\n");
        if (setxattr(path, "system.posix_acl_access", acl, sizeof(acl), 0) < 0)
                skip(); /* a file system without ACLs */
        assert_int_equal(set_and_save(path, "v", &problems), 1);
        assert_int_equal(getxattr(path, "system.posix_acl_access", back, sizeof(back)), sizeof(acl));
        assert_memory_equal(back, acl, sizeof(acl));
}

/* Root as the unit has it, without a right over the files of others; and back. */
static void set_rights(bool with) {
        struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

        assert_int_equal(syscall(SYS_capget, &header, data), 0);
        for (size_t i = 0; i < ELEMENTSOF(data); i++)
                data[i].effective = with ? data[i].permitted : 0;
        assert_int_equal(syscall(SYS_capset, &header, data), 0);
}

static int tear_down_with_rights(void **state) {
        set_rights(true);
        return tear_down(state);
}

static void test_attributes_without_rights(void **state) {
        static const mode_t modes[] = {0600, 0640, 0644, 0660, 0400};
        _cleanup_free_ char *path = unit_path(*state, "f");

        set_rights(false);
        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                char value[8] = "";
                Problems problems = {0};
                struct stat st;
                bool has_xattr;

                (void) unlink(path);
                unit_write_file(path, "A=1\n");
                has_xattr = setxattr(path, "user.note", "kept", 4, 0) == 0;
                assert_int_equal(chmod(path, modes[i]), 0);
                assert_int_equal(set_and_save(path, "v", &problems), 1);
                unit_assert_file(path, "A=1\nKEY=v\n");
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_mode & 07777, modes[i]);
                if (has_xattr)
                        assert_int_equal(getxattr(path, "user.note", value, sizeof(value)), 4);
        }
}

/* It would change hands: so it stays, and what cures that is said. */
static void test_another_owner_without_rights(void **state) {
        static const struct {
                uid_t uid;
                gid_t gid;
                mode_t mode;
        } cases[] = {{12345, 54321, 0644}, {0, 54321, 0640}, {12345, 0, 0644}, {12345, 54321, 0600}};
        _cleanup_free_ char *path = unit_path(*state, "f");

        if (geteuid() != 0)
                skip();
        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                EnvFile *f = NULL;
                Problems problems = {0};
                struct stat st;
                int r;

                (void) unlink(path);
                unit_write_file(path, "A=1\n");
                assert_int_equal(chmod(path, cases[i].mode), 0);
                assert_int_equal(chown(path, cases[i].uid, cases[i].gid), 0);
                set_rights(false);
                r = envfile_open_for_change(path, &f, &problems);
                if (r >= 0) {
                        assert_int_equal(envfile_set(f, "KEY", "v", MAX), 0);
                        r = envfile_save(f, &problems);
                }
                envfile_free(f);
                set_rights(true);

                assert_int_equal(r, cases[i].mode == 0600 ? -EACCES : -EPERM);
                unit_assert_problem(&problems, "make it root:root");
                unit_assert_problem(&problems, "ecs-authd(8), PRIVILEGES");
                unit_assert_file(path, "A=1\n");
                assert_int_equal(stat(path, &st), 0);
                assert_int_equal(st.st_uid, cases[i].uid);
                assert_int_equal(st.st_gid, cases[i].gid);
                assert_int_equal(count_entries(*state), 1);
        }
}

static void test_symbolic_links(void **state) {
        _cleanup_free_ char *directory = unit_path(*state, "d"), *target = unit_path(*state, "d/target"),
                            *first = unit_path(*state, "first"), *second = unit_path(*state, "d/second"),
                            *dangling = unit_path(*state, "dangling"), *made = unit_path(*state, "d/made");
        Problems problems = {0};
        struct stat st;

        assert_int_equal(mkdir(directory, 0700), 0);
        unit_write_file(target, "A=1\n");
        assert_int_equal(symlink("target", second), 0);
        assert_int_equal(symlink(second, first), 0);
        assert_int_equal(set_and_save(first, "v", &problems), 1);
        unit_assert_file(target, "A=1\nKEY=v\n");
        assert_int_equal(lstat(first, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(lstat(second, &st), 0);
        assert_true(S_ISLNK(st.st_mode));

        assert_int_equal(symlink("d/made", dangling), 0);
        assert_int_equal(set_and_save(dangling, "v", &problems), 1);
        unit_assert_file(made, "KEY=v\n");
        assert_int_equal(lstat(dangling, &st), 0);
        assert_true(S_ISLNK(st.st_mode));
        assert_int_equal(count_entries(directory), 3);
}

/* Fewer than 40 are followed. */
static void test_many_symbolic_links(void **state) {
        _cleanup_free_ char *target = unit_path(*state, "0");
        Problems problems = {0};

        unit_write_file(target, "");
        for (unsigned i = 1; i <= 40; i++) {
                _cleanup_free_ char *link = NULL;
                char name[8], to[8];

                (void) snprintf(name, sizeof(name), "%u", i);
                (void) snprintf(to, sizeof(to), "%u", i - 1);
                link = unit_path(*state, name);
                assert_int_equal(symlink(to, link), 0);
                if (i == 39)
                        assert_int_equal(set_and_save(link, "v", &problems), 1);
                if (i == 40)
                        assert_int_equal(envfile_open(link, &(EnvFile *){NULL}, &problems), -ELOOP);
        }
        unit_assert_file(target, "KEY=v\n");
}

/* Whatever the kernel takes for one. */
static void test_longest_symbolic_link(void **state) {
        _cleanup_free_ char *target = unit_path(*state, "target"), *link = unit_path(*state, "link");
        char longest[PATH_MAX];
        Problems problems = {0};

        memset(longest, '/', sizeof(longest));
        memcpy(longest, *state, strlen(*state));
        (void) snprintf(longest + sizeof(longest) - sizeof("target"), sizeof("target"), "target");
        assert_int_equal(strlen(longest), PATH_MAX - 1);
        assert_int_equal(symlink(longest, link), 0);
        assert_int_equal(set_and_save(link, "v", &problems), 1);
        unit_assert_file(target, "KEY=v\n");
}

static void expect_no_open(const char *path, int r, const char *part) {
        EnvFile *f = NULL;
        Problems problems = {0};

        assert_int_equal(envfile_open(path, &f, &problems), r);
        assert_null(f);
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(problems.items[0].level, LOG_ERR);
        unit_assert_problem(&problems, path);
        unit_assert_problem(&problems, part);
}

static void test_what_cannot_be_opened(void **state) {
        _cleanup_free_ char *no_directory = unit_path(*state, "none/f"), *below = unit_path(*state, "f/f"),
                            *path = unit_path(*state, "f"), *fifo = unit_path(*state, "fifo"),
                            *loop = unit_path(*state, "loop"), *big = unit_path(*state, "big");

        unit_write_file(path, "");
        expect_no_open(no_directory, -ENOENT, "install the ECS agent");
        expect_no_open(below, -ENOTDIR, "install the ECS agent");
        expect_no_open(*state, -EISDIR, "regular file");
        assert_int_equal(mkfifo(fifo, 0600), 0);
        expect_no_open(fifo, -ENOTSUP, "regular file");
        expect_no_open("/dev/null", -ENOTSUP, "regular file");
        assert_int_equal(symlink("loop", loop), 0);
        expect_no_open(loop, -ELOOP, "symbolic links");
        expect_no_open(loop, -ELOOP, "See what the error says");
        unit_write_file(big, "");
        assert_int_equal(truncate(big, 1024 * 1024 + 1), 0);
        expect_no_open(big, -EFBIG, "No environment file is that long");
        assert_int_equal(truncate(big, 1024 * 1024), 0);
        assert_null(envfile_free(open_file(big)));

        if (geteuid() == 0) {
                assert_int_equal(seteuid(65534), 0);
                expect_no_open(path, -EACCES, "Run this as root");
                expect_no_open("/dev/null", -ENOTSUP, "regular file");
                assert_int_equal(seteuid(0), 0);
        }
}

/* Somebody changes, replaces, removes or makes the file between our look and our save. */
static void test_changed_in_between(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f"), *other = unit_path(*state, "other");

        for (int how = 0; how < 4; how++) {
                _cleanup_(envfile_freep) EnvFile *f = NULL;
                Problems problems = {0};

                if (how == 3)
                        (void) unlink(path);
                else
                        unit_write_file(path, "A=1\n");
                f = open_file(path);
                assert_int_equal(envfile_set(f, "KEY", "v", MAX), 0);

                unit_write_file(other, "B=2\n");
                if (how == 0)
                        unit_write_file(path, "B=2\n");
                else if (how == 2)
                        assert_int_equal(unlink(path), 0);
                else
                        assert_int_equal(rename(other, path), 0);

                assert_int_equal(envfile_save(f, &problems), -EAGAIN);
                assert_int_equal(problems.n_items, 0);
                if (how == 2)
                        assert_int_equal(access(path, F_OK), -1);
                else
                        unit_assert_file(path, "B=2\n");
                (void) unlink(other);
        }
        assert_int_equal(count_entries(*state), 1);
}

static void test_open_for_writing(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        Problems problems = {0};
        int fd;

        unit_write_file(path, "A=1\n");
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        f = open_file(path);
        assert_int_equal(envfile_set(f, "KEY", "v", MAX), 0);
        assert_int_equal(envfile_save(f, &problems), -EAGAIN);
        assert_int_equal(problems.n_items, 0);
        unit_assert_file(path, "A=1\n");
        assert_int_equal(count_entries(*state), 1);

        assert_int_equal(close(fd), 0);
        assert_int_equal(envfile_save(f, &problems), 1);
        unit_assert_file(path, "A=1\nKEY=v\n");
}

static void expect_whole(const char *path, bool before, bool after, void (*change)(const char *path)) {
        _cleanup_(envfile_freep) EnvFile *f = open_file(path);

        assert_int_equal(envfile_is_whole(f), before);
        change(path);
        assert_int_equal(envfile_is_whole(f), after);
}

static void leave_it(const char *path _unused_) {
}

static void write_it(const char *path) {
        unit_write_file(path, "B=2\n");
}

static void remove_it(const char *path) {
        assert_int_equal(unlink(path), 0);
}

static void test_whole(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");
        _cleanup_close_ int fd = -1;

        expect_whole(path, true, true, leave_it);
        expect_whole(path, true, false, write_it); /* there was none */
        expect_whole(path, true, true, leave_it);
        expect_whole(path, true, false, write_it);
        fd = open(path, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        expect_whole(path, false, false, leave_it);
        assert_int_equal(close(steal_fd(&fd)), 0);
        expect_whole(path, true, false, remove_it);
}

/* The lease that tells of such a program must not turn its signal on us. */
static void test_opened_during_save(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");
        int status;
        pid_t pid;

        unit_write_file(path, "A=1\n");
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
                for (;;) {
                        int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

                        if (fd >= 0)
                                (void) close(fd);
                }

        for (int i = 0; i < 2000; i++) {
                char value[] = {(char) ('a' + i % 2), 0};
                Problems problems = {0};
                int r = set_and_save(path, value, &problems);

                assert_true(r == 1 || r == 0 || r == -EAGAIN);
        }
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
}

/* What a killed instance left behind, even as a link to somewhere else, and even if nothing is to be written. */
static void test_leftovers(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f"), *older = unit_path(*state, ".f.ecs-authd"),
                            *left = unit_path(*state, ".f.ecs-authd.abcdefgh"),
                            *in_use = unit_path(*state, ".f.ecs-authd.hgfedcba"),
                            *foreign = unit_path(*state, ".f.ecs-authd.backup-of-mine"),
                            *victim = unit_path(*state, "victim");
        _cleanup_close_ int fd = -1;

        unit_write_file(path, "A=1\n");
        unit_write_file(victim, "untouched");
        assert_int_equal(symlink("victim", older), 0);
        unit_write_file(left, "secret");
        unit_write_file(in_use, "secret");
        unit_write_file(foreign, "mine");
        fd = open(in_use, O_RDONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        assert_int_equal(flock(fd, LOCK_SH), 0);

        assert_null(envfile_free(open_file(path))); /* looking removes nothing */
        assert_int_equal(count_entries(*state), 6);
        assert_null(envfile_free(open_for_change(path)));
        assert_int_equal(count_entries(*state), 4);
        unit_assert_file(in_use, "secret");
        unit_assert_file(foreign, "mine");
        unit_assert_file(victim, "untouched");
}

/* No memory to list a directory with. */
static bool no_lists;

DIR *fdopendir(int fd) {
        DIR *(*next)(int) = (DIR * (*) (int) ) dlsym(RTLD_NEXT, "fdopendir");

        if (!no_lists)
                return next(fd);
        errno = ENOMEM;
        return NULL;
}

/* They stay, and nothing else comes of it. */
static void test_leftovers_that_cannot_be_listed(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f"), *left = unit_path(*state, ".f.ecs-authd.abcdefgh");
        const unsigned before = unit_count_open_files();

        unit_write_file(path, "A=1\n");
        unit_write_file(left, "secret");
        no_lists = true;
        assert_null(envfile_free(open_for_change(path)));
        no_lists = false;
        assert_int_equal(unit_count_open_files(), before);
        unit_assert_file(left, "secret");
        assert_null(envfile_free(open_for_change(path)));
        assert_int_equal(access(left, F_OK), -1);
}

static void test_temporary_file_cannot_be_made(void **state) {
        char name[] = "a-name-of-250-bytes-leaves-no-room-for-that-of-the-temporary-file-"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx";
        _cleanup_free_ char *path = unit_path(*state, name);
        Problems problems = {0};

        unit_write_file(path, "A=1\n");
        assert_int_equal(set_and_save(path, "v", &problems), -ENAMETOOLONG);
        assert_int_equal(problems.n_items, 1);
        unit_assert_problem(&problems, path);
        unit_assert_problem(&problems, "stays as it is");
        unit_assert_file(path, "A=1\n");
}

/* A limit on the size of files is the nearest thing to a full disk that needs no mount. */
static int save_with_limit(const char *path) {
        struct rlimit before, limit;
        Problems problems = {0};
        int r;

        assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
        limit = (struct rlimit){4, before.rlim_max};
        (void) signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        r = set_and_save(path, "value", &problems);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        (void) signal(SIGXFSZ, SIG_DFL);

        assert_int_equal(problems.n_items, 1);
        unit_assert_problem(&problems, path);
        return r;
}

static void test_write_fails_half_way(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");

        unit_write_file(path, "A=1\nKEY=old\n");
        assert_int_equal(save_with_limit(path), -EFBIG);
        unit_assert_file(path, "A=1\nKEY=old\n");
        assert_int_equal(count_entries(*state), 1);
}

static void test_directory_without_permission(void **state) {
        _cleanup_free_ char *directory = unit_path(*state, "d"), *path = unit_path(*state, "d/f");
        Problems problems = {0};
        bool root = geteuid() == 0;
        int r;

        assert_int_equal(chmod(*state, 0755), 0);
        assert_int_equal(mkdir(directory, 0755), 0);
        unit_write_file(path, "A=1\n");
        assert_int_equal(chmod(path, 0644), 0);
        assert_int_equal(chmod(directory, 0555), 0);
        if (root)
                assert_int_equal(seteuid(65534), 0);
        r = set_and_save(path, "v", &problems);
        if (root)
                assert_int_equal(seteuid(0), 0);
        assert_int_equal(r, -EACCES);
        assert_int_equal(chmod(directory, 0755), 0);
        unit_assert_problem(&problems, "root");
        unit_assert_file(path, "A=1\n");
        assert_int_equal(count_entries(directory), 1);
}

/* Two instances: the second waits for the first, and sees what it wrote. */
static void test_lock(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f"), *lock_path = unit_path(state_path, "environment.lock");
        _cleanup_close_ int lock = -1, directory = open(*state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        Problems problems = {0};
        EnvFile *f = NULL, *looking;
        struct stat st;

        /* This one may be anybody's. */
        assert_true(directory >= 0);
        assert_int_equal(flock(directory, LOCK_EX | LOCK_NB), 0);

        unit_write_file(path, "A=1\n");
        f = open_for_change(path);
        assert_int_equal(stat(state_path, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0700);
        lock = open(lock_path, O_RDWR | O_CLOEXEC);
        assert_true(lock >= 0 && fstat(lock, &st) == 0);
        assert_int_equal(st.st_mode & 07777, 0600);
        assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), -1);
        assert_int_equal(errno, EWOULDBLOCK);
        looking = envfile_free(open_file(path));
        assert_null(looking);
        f = envfile_free(f);
        assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);

        /* It is never passed over. */
        time_flies = true;
        assert_int_equal(envfile_open_for_change(path, &f, &problems), -EBUSY);
        time_flies = false;
        assert_null(f);
        assert_int_equal(problems.n_items, 1);
        unit_assert_problem(&problems, lock_path);
}

/* One who is not root shares the file with no other instance. */
static void test_no_lock_to_be_had(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");

        unit_write_file(path, "A=1\n");
        assert_int_equal(setenv("STATE_DIRECTORY", path, 1), 0);
        assert_null(envfile_free(open_for_change(path)));
}

/* A link in its place leads nowhere. */
static void test_lock_that_is_a_link(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f"), *lock = unit_path(state_path, "environment.lock");
        _cleanup_free_ char *target = unit_path(*state, "target");

        unit_write_file(path, "A=1\n");
        assert_true(mkdir(state_path, 0700) == 0 || errno == EEXIST);
        assert_int_equal(symlink(target, lock), 0);
        assert_null(envfile_free(open_for_change(path)));
        assert_int_equal(access(target, F_OK), -1);
}

/* A lock that another user may have put there does not keep us from writing. */
static void test_lock_of_others(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f"), *lock_path = unit_path(state_path, "environment.lock");
        _cleanup_close_ int lock = -1;

        unit_write_file(path, "A=1\n");
        assert_null(envfile_free(open_for_change(path)));
        lock = open(lock_path, O_RDWR | O_CLOEXEC);
        assert_int_equal(flock(lock, LOCK_EX | LOCK_NB), 0);
        time_flies = true;
        assert_int_equal(chmod(state_path, 0777), 0);
        assert_null(envfile_free(open_for_change(path)));
        time_flies = false;
        assert_int_equal(chmod(state_path, 0700), 0);
}

static void test_many_writers(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "f");
        char expected[256] = "A=1\n";
        int status;

        unit_write_file(path, expected);
        for (int i = 0; i < 8; i++) {
                pid_t pid = fork();

                assert_true(pid >= 0);
                if (pid == 0) {
                        _cleanup_(envfile_freep) EnvFile *f = open_for_change(path);
                        char key[] = {'K', (char) ('0' + i), 0};
                        Problems problems = {0};

                        _exit(envfile_set(f, key, "v", MAX) == 0 && envfile_save(f, &problems) == 1 ? 0 : 1);
                }
        }
        while (wait(&status) > 0)
                assert_int_equal(status, 0);

        /* In any order, but all of them. */
        for (int i = 0; i < 8; i++) {
                _cleanup_(envfile_freep) EnvFile *f = open_file(path);
                _cleanup_secret_ char *value = NULL;
                char key[] = {'K', (char) ('0' + i), 0};

                value = envfile_get(f, key);
                assert_non_null(value);
        }
        assert_int_equal(count_entries(*state), 1);
}

#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
        const struct CMUnitTest tests[] = {
                WITH_DIRECTORY(test_get),
                WITH_DIRECTORY(test_set),
                WITH_DIRECTORY(test_other_bytes_are_kept),
                WITH_DIRECTORY(test_two_keys_at_once),
                WITH_DIRECTORY(test_lines_no_reader_could_take),
                WITH_DIRECTORY(test_new_file),
                WITH_DIRECTORY(test_attributes_are_kept),
                WITH_DIRECTORY(test_acl_is_kept),
                cmocka_unit_test_setup_teardown(test_attributes_without_rights, set_up, tear_down_with_rights),
                cmocka_unit_test_setup_teardown(test_another_owner_without_rights, set_up, tear_down_with_rights),
                WITH_DIRECTORY(test_symbolic_links),
                WITH_DIRECTORY(test_many_symbolic_links),
                WITH_DIRECTORY(test_longest_symbolic_link),
                WITH_DIRECTORY(test_what_cannot_be_opened),
                WITH_DIRECTORY(test_changed_in_between),
                WITH_DIRECTORY(test_open_for_writing),
                WITH_DIRECTORY(test_whole),
                WITH_DIRECTORY(test_opened_during_save),
                WITH_DIRECTORY(test_leftovers),
                WITH_DIRECTORY(test_leftovers_that_cannot_be_listed),
                WITH_DIRECTORY(test_temporary_file_cannot_be_made),
                WITH_DIRECTORY(test_write_fails_half_way),
                WITH_DIRECTORY(test_directory_without_permission),
                WITH_DIRECTORY(test_lock),
                WITH_DIRECTORY(test_no_lock_to_be_had),
                WITH_DIRECTORY(test_lock_that_is_a_link),
                WITH_DIRECTORY(test_lock_of_others),
                WITH_DIRECTORY(test_many_writers),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
