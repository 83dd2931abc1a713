/* SPDX-License-Identifier: Apache-2.0 */
#include "failing-allocation.h"

#include "printed.h"
#include "report/show-status.h"
#include "report/status-host.h"

/* The file that is there stays, whole; nothing else is left beside it. */
static int write_status(unsigned n, char *ret, size_t size) {
        static char text[8192];
        FileIdentity written = {0};
        FILE *f;
        int r;

        unit_write_file(status_host.path, "before\n");
        failing_begin(n);
        r = status_file_write(&status_host.report, &written);
        failing_end();

        f = fopen(status_host.path, "re");
        assert_non_null(f);
        text[fread(text, 1, sizeof(text) - 1, f)] = 0;
        (void) fclose(f);
        assert_int_equal(unlink(status_host.path), 0);
        assert_int_equal(rmdir(status_host.directory), 0);
        assert_int_equal(mkdir(status_host.directory, 0700), 0);
        if (r < 0) {
                assert_string_equal(text, "before\n");
                assert_int_equal(written.inode, 0);
        } else
                (void) snprintf(ret, size, "%s", text);
        return r;
}

static void test_status_is_written(void **state _unused_) {
        failing_each(write_status);
}

/* The same text is there. */
static int write_status_again(unsigned n, char *ret, size_t size) {
        FileIdentity written = {0};
        FILE *f;
        int r;

        failing_begin(n);
        r = status_file_write(&status_host.report, &written);
        failing_end();
        f = fopen(status_host.path, "re");
        assert_non_null(f);
        ret[fread(ret, 1, size - 1, f)] = 0;
        (void) fclose(f);
        return r;
}

static void test_status_is_written_again(void **state _unused_) {
        assert_int_equal(status_file_write(&status_host.report, &(FileIdentity){0}), 0);
        failing_each(write_status_again);
}

static bool for_scripts;

/* All of it, or a failure that is told. */
static int show(unsigned n, char *ret, size_t size) {
        static Printed printed;
        int status;

        printed_begin();
        failing_begin(n);
        status = show_status(for_scripts, false);
        failing_end();
        printed_end(&printed);
        if (status == EXIT_FAILURE) {
                assert_string_equal(printed.out, "");
                assert_non_null(strstr(printed.why, strerror(ENOMEM)));
                return -ENOMEM;
        }
        assert_int_equal(status, 3); /* somebody should look */
        (void) snprintf(ret, size, "%s", printed.out);
        return 0;
}

static void test_status_is_shown(void **state _unused_) {
        assert_int_equal(status_file_write(&status_host.report, &(FileIdentity){0}), 0);
        for (unsigned i = 0; i < 2; i++) {
                for_scripts = i == 1;
                failing_each(show);
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_status_is_written, status_host_set_up, status_host_tear_down),
                cmocka_unit_test_setup_teardown(test_status_is_written_again, status_host_set_up,
                                                status_host_tear_down),
                cmocka_unit_test_setup_teardown(test_status_is_shown, status_host_set_up, status_host_tear_down),
        };

        return cmocka_run_group_tests_name("status without memory", tests, NULL, NULL);
}
