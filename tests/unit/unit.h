/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* cmocka wants these four before itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <ftw.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macro.h"
#include "base/problems.h"

/* A directory of one's own, for setup and teardown of a test: *state is its path. */
static inline int unit_make_directory(void **state) {
        char template[] = "/tmp/ecs-authd-unit-XXXXXX";
        const char *directory = mkdtemp(template);

        if (!directory)
                return -1;
        *state = strdup(directory);
        return *state ? 0 : -1;
}

static inline int unit_remove_entry(const char *path, const struct stat *st _unused_, int type _unused_,
                                    struct FTW *ftw _unused_) {
        return remove(path);
}

static inline int unit_remove_directory(void **state) {
        int r = nftw(*state, unit_remove_entry, 16, FTW_DEPTH | FTW_PHYS);

        free(*state);
        return r;
}

/* The same, and it is the state directory. */
static inline int unit_make_state_directory(void **state) {
        return unit_make_directory(state) < 0 ? -1 : setenv("STATE_DIRECTORY", *state, true);
}

static inline int unit_remove_state_directory(void **state) {
        (void) unsetenv("STATE_DIRECTORY");
        return unit_remove_directory(state);
}

static inline char *unit_path(const char *directory, const char *name) {
        char *path = NULL;

        assert_true(asprintf(&path, "%s/%s", directory, name) > 0);
        return path;
}

static inline void unit_write_file(const char *path, const char *text) {
        FILE *f = fopen(path, "we");

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
        assert_int_equal(fclose(f), 0);
}

static inline void unit_assert_file(const char *path, const char *expected) {
        char text[8192] = "";
        FILE *f = fopen(path, "re");

        assert_non_null(f);
        text[fread(text, 1, sizeof(text) - 1, f)] = 0;
        (void) fclose(f);
        assert_string_equal(text, expected);
}

/* Gives this process an empty /usr/local/bin of its own, where ecs-authd searches for helpers. Returns false if that is
 * not permitted: skip each test that installs a program. */
static inline bool unit_may_install_programs(void) {
        static int result;

        if (result == 0)
                result = unshare(CLONE_NEWNS) >= 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) >= 0 &&
                                         mount("tmpfs", "/usr/local/bin", "tmpfs", 0, "mode=755") >= 0
                                 ? 1
                                 : -1;
        return result > 0;
}

/* Each time the same, where nothing was left open in between. */
static inline unsigned unit_count_open_files(void) {
        DIR *d = opendir("/proc/self/fd");
        unsigned n = 0;

        assert_non_null(d);
        while (readdir(d))
                n++;
        (void) closedir(d);
        return n;
}

/* Like assert_string_equal(), which crashes if the value is NULL. */
static inline void unit_assert_text(const char *value, const char *expected) {
        if (!value)
                fail_msg("NULL instead of: %s", expected);
        assert_string_equal(value, expected);
}

/* cmocka 2 has other names for its own. */
static inline void unit_assert_in_range(int64_t value, int64_t least, int64_t most) {
        if (value < least || value > most)
                fail_msg("%lld is not in the range of %lld to %lld", (long long) value, (long long) least,
                         (long long) most);
}

/* Some problem says this. */
static inline void unit_assert_problem(const Problems *problems, const char *part) {
        for (unsigned i = 0; i < problems->n_items; i++)
                if (strstr(problems->items[i].text, part))
                        return;
        for (unsigned i = 0; i < problems->n_items; i++)
                print_message("there is only: %s\n", problems->items[i].text);
        fail_msg("no problem says: %s", part);
}
