/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <sys/syscall.h>

#include "base/foreign-file.h"
#include "base/secret.h"

/* Below the directory of the test: home/.docker/config.json, and more as each case says. The user numbers are nobody's.
 */
enum {
        ALICE = 61234,
        MALLORY = 61235,
};

typedef struct Case {
        const char *name;
        void (*arrange)(void);
        const char *path;
        int r;
        const char *rejected; /* part of what is said */
} Case;

static void own(const char *path, uid_t uid) {
        assert_int_equal(lchown(path, uid, 0), 0);
}

static void allow(const char *path, mode_t mode) {
        assert_int_equal(chmod(path, mode), 0);
}

static void nothing(void) {
}

static void home_of_alice(void) {
        own("home", ALICE);
        own("home/.docker", ALICE);
        own("home/.docker/config.json", ALICE);
}

static void directory_of_root(void) {
        home_of_alice();
        own("home/.docker", 0);
}

static void file_of_mallory(void) {
        own("home/.docker/config.json", MALLORY);
}

static void directory_of_mallory(void) {
        own("home", ALICE);
        own("home/.docker", MALLORY);
}

static void file_for_all(void) {
        allow("home/.docker/config.json", 0666);
}

static void file_for_group(void) {
        allow("home/.docker/config.json", 0660);
        assert_int_equal(chown("home/.docker/config.json", 0, ALICE), 0);
}

static void file_for_group_of_root(void) {
        allow("home/.docker/config.json", 0660);
}

static void file_for_group_of_her_own(void) {
        home_of_alice();
        allow("home/.docker/config.json", 0660);
        assert_int_equal(chown("home/.docker/config.json", ALICE, ALICE), 0);
}

static void directory_of_mallory_in_sticky_directory(void) {
        allow("home", 01777);
        own("home/.docker", MALLORY);
        own("home/.docker/config.json", MALLORY);
}

static void closed_link(void) {
        assert_int_equal(mkdir("etc", 0700), 0);
        assert_int_equal(symlink("../home/.docker", "etc/docker"), 0);
}

static void directory_for_all(void) {
        allow("home", 0777);
}

static void sticky_directory(void) {
        allow("home", 01777);
}

static void file_of_mallory_in_sticky_directory(void) {
        allow("home/.docker", 01777);
        own("home/.docker/config.json", MALLORY);
}

static void link_of_root(void) {
        assert_int_equal(mkdir("etc", 0755), 0);
        assert_int_equal(symlink("../home/.docker/config.json", "etc/config.json"), 0);
        home_of_alice();
}

static void link_of_mallory(void) {
        assert_int_equal(mkdir("etc", 01777), 0);
        allow("etc", 01777);
        assert_int_equal(symlink("../home/.docker/config.json", "etc/config.json"), 0);
        own("etc/config.json", MALLORY);
}

static void link_through_mallory(void) {
        assert_int_equal(mkdir("mallory", 0755), 0);
        own("mallory", MALLORY);
        assert_int_equal(symlink("../home/.docker/config.json", "mallory/config.json"), 0);
        home_of_alice();
}

static void dangling(void) {
        assert_int_equal(symlink("nowhere", "home/link"), 0);
}

static void loop(void) {
        assert_int_equal(symlink("link", "home/link"), 0);
}

static const Case cases[] = {
        {"as it is", nothing, "home/.docker/config.json", 0, NULL},
        {"slashes and dots", nothing, "home//./.docker/../.docker/config.json", 0, NULL},
        {"a home", home_of_alice, "home/.docker/config.json", 0, NULL},
        {"a home with a directory of root's", directory_of_root, "home/.docker/config.json", 0, NULL},
        {"a file of mallory's", file_of_mallory, "home/.docker/config.json", -EKEYREJECTED,
         "/home/.docker/config.json belongs to user 61235; run 'chown root "},
        {"a directory of mallory's in a home", directory_of_mallory, "home/.docker/config.json", -EKEYREJECTED,
         "/home/.docker belongs to user 61235"},
        {"a file for all", file_for_all, "home/.docker/config.json", -EKEYREJECTED,
         "/home/.docker/config.json can be written by others; run 'chmod go-w /"},
        {"a file for a group", file_for_group, "home/.docker/config.json", -EKEYREJECTED, "can be written by others"},
        {"a file for root's group", file_for_group_of_root, "home/.docker/config.json", 0, NULL},
        {"a directory for all", directory_for_all, "home/.docker/config.json", -EKEYREJECTED,
         "/home can be written by others"},
        {"a sticky directory", sticky_directory, "home/.docker/config.json", 0, NULL},
        {"a file of mallory's in one", file_of_mallory_in_sticky_directory, "home/.docker/config.json", -EKEYREJECTED,
         "config.json belongs to user 61235"},
        {"a file for a group of her own", file_for_group_of_her_own, "home/.docker/config.json", 0, NULL},
        {"a directory of mallory's in a sticky one", directory_of_mallory_in_sticky_directory,
         "home/.docker/config.json", 0, NULL},
        {"a link to a directory", closed_link, "etc/docker/config.json", 0, NULL},
        {"a file with a slash behind it", nothing, "home/.docker/config.json/", -ENOTDIR, NULL},
        {"a link of root's into a home", link_of_root, "etc/config.json", 0, NULL},
        {"a link of mallory's in a sticky directory", link_of_mallory, "etc/config.json", -EKEYREJECTED,
         "/etc/config.json belongs to user 61235"},
        {"a link in a directory of mallory's", link_through_mallory, "mallory/config.json", -EKEYREJECTED,
         "/home belongs to user 61234"},
        {"a link to nowhere", dangling, "home/link", -ENOENT, NULL},
        {"a link to itself", loop, "home/link", -ELOOP, NULL},
        {"a directory", nothing, "home/.docker", -EISDIR, NULL},
        {"below a file", nothing, "home/.docker/config.json/x", -ENOTDIR, NULL},
};

static void make_home(const char *directory) {
        assert_int_equal(chdir(directory), 0);
        /* NOLINTNEXTLINE(cert-env33-c): a test may. */
        assert_int_equal(system("rm -rf home etc mallory && mkdir -p -m 755 home/.docker && "
                                "printf '{}' > home/.docker/config.json && chmod 600 home/.docker/config.json"),
                         0);
}

static void test_trust(void **state) {
        if (geteuid() != 0)
                skip(); /* only root can give files away */

        for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
                _cleanup_free_ char *path = unit_path(*state, cases[i].path);
                _cleanup_close_ int fd = -1, lenient = -1;
                char why[8192] = "";
                Distrust distrust;
                ForeignFile file = {.st.st_mode = 12345};
                int r;

                make_home(*state);
                cases[i].arrange();
                r = foreign_file_open(path, &fd, &file, &distrust);
                if (r != cases[i].r)
                        fail_msg("%s: %d", cases[i].name, r);
                assert_int_equal(r < 0, file.st.st_mode == 12345); /* untouched on failure */
                if (r == -EKEYREJECTED)
                        distrust_describe(&distrust, why, sizeof(why));
                if (cases[i].rejected && !strstr(why, cases[i].rejected))
                        fail_msg("%s: %s", cases[i].name, why);
                /* Who must can do without. */
                r = foreign_file_open(path, &lenient, &file, NULL);
                if (r != (cases[i].r == -EKEYREJECTED ? 0 : cases[i].r))
                        fail_msg("%s, not strict: %d", cases[i].name, r);
        }
}

/* --- a name that means something else from one call to the next --- */

enum {
        LOOK = 1, /* what it is */
        OPEN = 2,
};

typedef struct Swap {
        const char *what;
        void (*arrange)(void); /* and makes the other one */
        const char *path;
        const char *name, *one, *other; /* they are exchanged when this name is opened */
        int at;                         /* for the first or the second time */
        bool before, after;
        int r;
} Swap;

static const Swap *swap;
static int n_opened;

/* What statx() returns, and whether a thread has opened a name. */
static unsigned device_major;
static bool in_thread;

int statx(int directory _unused_, const char *restrict name _unused_, int flags _unused_, unsigned mask _unused_,
          struct statx *restrict ret) {
        *ret = (struct statx){.stx_dev_major = device_major};
        return 0;
}

static void exchange(void) {
        assert_int_equal(renameat2(AT_FDCWD, swap->one, AT_FDCWD, swap->other, RENAME_EXCHANGE), 0);
}

int openat(int directory, const char *name, int flags, ...) {
        bool now = swap && streq(name, swap->name) && ++n_opened == swap->at;
        int fd, error;

        in_thread = in_thread || gettid() != getpid();
        if (now && swap->before)
                exchange();
        fd = (int) syscall(SYS_openat, directory, name, flags);
        error = errno;
        if (now && swap->after)
                exchange();
        errno = error;
        return fd;
}

static void link_beside_file(void) {
        assert_int_equal(symlink("/dev/null", "home/.docker/other"), 0);
}

static void fifo_beside_file(void) {
        assert_int_equal(mkfifo("home/.docker/other", 0600), 0);
}

static void file_of_mallory_beside_file(void) {
        unit_write_file("home/.docker/other", "{}");
        own("home/.docker/other", MALLORY);
}

static void directory_of_mallory_beside_directory(void) {
        home_of_alice();
        assert_int_equal(mkdir("home/other", 0755), 0);
        unit_write_file("home/other/config.json", "{}");
        own("home/other", MALLORY);
}

static void link_beside_directory(void) {
        assert_int_equal(mkdir("etc", 0755), 0);
        unit_write_file("etc/config.json", "{}");
        assert_int_equal(symlink("../etc", "home/other"), 0);
}

static void link_of_mallory_beside_link(void) {
        link_of_root();
        allow("etc", 01777);
        unit_write_file("etc/any", "{}");
        assert_int_equal(symlink("any", "etc/other"), 0);
        own("etc/other", MALLORY);
}

#define FILE_AND_OTHER "home/.docker/config.json", "config.json", "home/.docker/config.json", "home/.docker/other"
#define DIRECTORY_AND_OTHER "home/.docker/config.json", ".docker", "home/.docker", "home/other"
#define LINK_AND_OTHER "etc/config.json", "config.json", "etc/config.json", "etc/other"

static const Swap swaps[] = {
        {"a link for the file", link_beside_file, FILE_AND_OTHER, OPEN, true, false, -ELOOP},
        {"a FIFO for the file", fifo_beside_file, FILE_AND_OTHER, OPEN, true, false, -ENOTSUP},
        {"mallory's for the file", file_of_mallory_beside_file, FILE_AND_OTHER, OPEN, true, false, -EKEYREJECTED},
        {"mallory's, for a moment", file_of_mallory_beside_file, FILE_AND_OTHER, OPEN, true, true, -EKEYREJECTED},
        {"mallory's when it is open", file_of_mallory_beside_file, FILE_AND_OTHER, OPEN, false, true, 0},
        {"a link for the directory", link_beside_directory, DIRECTORY_AND_OTHER, OPEN, true, false, -ENOTDIR},
        {"mallory's for the directory, for a moment", directory_of_mallory_beside_directory, DIRECTORY_AND_OTHER, OPEN,
         true, true, -EKEYREJECTED},
        {"mallory's when the directory is open", directory_of_mallory_beside_directory, DIRECTORY_AND_OTHER, OPEN,
         false, true, 0},
        {"mallory's for the link, for a moment", link_of_mallory_beside_link, LINK_AND_OTHER, LOOK, true, true,
         -EKEYREJECTED},
        {"mallory's when the link is open", link_of_mallory_beside_link, LINK_AND_OTHER, LOOK, false, true, 0},
};

static int swap_none(void **state) {
        swap = NULL;
        return unit_remove_directory(state);
}

/* What was opened is judged and read, whatever its name means before and after. */
static void test_swapped(void **state) {
        if (geteuid() != 0)
                skip(); /* only root can give files away */

        for (size_t i = 0; i < ELEMENTSOF(swaps); i++) {
                _cleanup_free_ char *path = unit_path(*state, swaps[i].path);
                _cleanup_close_ int fd = -1;
                Distrust distrust;
                ForeignFile file;
                struct stat st;
                int r;

                make_home(*state);
                swaps[i].arrange();
                assert_int_equal(stat("home/.docker/config.json", &st), 0);
                n_opened = 0;
                swap = &swaps[i];
                r = foreign_file_open(path, &fd, &file, &distrust);
                swap = NULL;
                assert_true(n_opened >= swaps[i].at);
                if (r != swaps[i].r)
                        fail_msg("%s: %d", swaps[i].what, r);
                if (r == 0 && file.st.st_ino != st.st_ino)
                        fail_msg("%s: it is another file", swaps[i].what);
        }
}

static void test_exposed(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "home/.docker/config.json");
        const struct {
                mode_t directory, file;
                bool exposed;
        } modes[] = {{0755, 0644, true}, {0755, 0640, false}, {0700, 0644, false}, {0711, 0604, true}};

        make_home(*state);
        allow(*state, 0755); /* else nobody gets in at all */
        for (size_t i = 0; i < ELEMENTSOF(modes); i++) {
                _cleanup_close_ int fd = -1;
                ForeignFile file;

                allow("home", modes[i].directory);
                allow("home/.docker/config.json", modes[i].file);
                assert_int_equal(foreign_file_open(path, &fd, &file, NULL), 0);
                assert_int_equal(file.is_exposed, modes[i].exposed);
        }
}

static void test_read(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "home/.docker/config.json"),
                            *fifo = unit_path(*state, "home/fifo");
        ForeignFile file;
        char *text = NULL;
        size_t size = 0;

        make_home(*state);
        assert_int_equal(foreign_file_read(path, 100, 10 * USEC_PER_SEC, &text, &size, &file, NULL), 0);
        assert_int_equal(size, 2);
        assert_string_equal(text, "{}");
        secret_free_sized(text, size);

        assert_int_equal(foreign_file_read(path, 1, 10 * USEC_PER_SEC, &text, &size, &file, NULL), -EFBIG);
        assert_int_equal(mkfifo(fifo, 0600), 0);
        assert_int_equal(foreign_file_read(fifo, 100, 10 * USEC_PER_SEC, &text, &size, &file, NULL), -ENOTSUP);
        assert_int_equal(foreign_file_read("/dev/zero", 100, 10 * USEC_PER_SEC, &text, &size, &file, NULL), -ENOTSUP);
        assert_int_equal(foreign_file_read("/dev/null", 100, 10 * USEC_PER_SEC, &text, &size, &file, NULL), 0);
        assert_int_equal(size, 0);
        secret_free_sized(text, size);
}

/* A thread reads a file if the file system may hang. */
static void test_thread(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "home/.docker/config.json");

        make_home(*state);
        for (device_major = 0; device_major < 2; device_major++) {
                ForeignFile file;
                char *text = NULL;
                size_t size = 0;

                in_thread = false;
                assert_int_equal(foreign_file_read(path, 100, 10 * USEC_PER_SEC, &text, &size, &file, NULL), 0);
                assert_string_equal(text, "{}");
                assert_int_equal(in_thread, device_major == 0);
                secret_free_sized(text, size);
        }
}

typedef struct Steps {
        const char *top; /* steps above it are left out */
        char text[PATH_MAX];
} Steps;

static int note_step(void *userdata, const char *directory, const char *name, bool is_last) {
        Steps *steps = userdata;
        size_t n = strlen(steps->text);
        const char *below = startswith(directory, steps->top);

        if (below)
                (void) snprintf(steps->text + n, sizeof(steps->text) - n, "%s %s%s\n", below, name, is_last ? "!" : "");
        return streq(name, "stop") ? -ESHUTDOWN : 0;
}

/* Every name on the way is visited before it is looked up, those behind a symbolic link in their own directory. */
static void test_walk(void **state) {
        static const struct {
                const char *path;
                const char *steps;
                int r;
        } table[] = {
                {"home/./.docker/../.docker/config.json",
                 "/ home\n/home/ .docker\n/home/ .docker\n/home/.docker/ config.json!\n", 0},
                {"home/none/config.json", "/ home\n/home/ none\n", -ENOENT},
                {"home/link", "/ home\n/home/ link!\n/home/ .docker\n/home/.docker/ config.json!\n", 0},
                {"home/stop/x", "/ home\n/home/ stop\n", -ESHUTDOWN},
                {"home/fifo", "/ home\n/home/ fifo!\n", 0},
        };

        make_home(*state);
        assert_int_equal(symlink(".docker/config.json", "home/link"), 0);
        assert_int_equal(mkfifo("home/fifo", 0600), 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *path = unit_path(*state, table[i].path);
                Steps steps = {.top = *state};

                assert_int_equal(foreign_file_walk(path, note_step, &steps), table[i].r);
                assert_string_equal(steps.text, table[i].steps);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_trust, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_swapped, unit_make_directory, swap_none),
                cmocka_unit_test_setup_teardown(test_exposed, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_read, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_thread, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_walk, unit_make_directory, unit_remove_directory),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
