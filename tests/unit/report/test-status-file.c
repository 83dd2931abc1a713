/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <json.h>

#include "report/status-host.h"

/* json-c does not tell when it had no memory for a part of the text, and goes on without it; this stands for it. */
static struct { size_t from, to; /* what is left out; to 0: nothing */ } left_out;
static char rest[8192];

const char *json_object_to_json_string_ext(json_object *o, int flags) {
        const char *text = json_object_to_json_string_length(o, flags, NULL);

        if (left_out.to == 0)
                return text;
        assert_true(strlen(text) < sizeof(rest));
        (void) snprintf(rest, sizeof(rest), "%.*s%s", (int) left_out.from, text, text + left_out.to);
        return rest;
}

static int leave_out_nothing(void **state) {
        left_out.to = 0;
        return status_host_tear_down(state);
}

static char *read_status(void) {
        char *text = calloc(1, 8192);
        FILE *f = fopen(status_host.path, "re");

        assert_true(text && f);
        text[fread(text, 1, 8191, f)] = 0;
        (void) fclose(f);
        return text;
}

static void expect_none(void) {
        FileIdentity written = {0};

        if (status_file_write(&status_host.report, &written) != -ENOMEM)
                fail_msg("taken: %s", rest);
        assert_int_equal(written.inode, 0);
        assert_int_equal(access(status_host.path, F_OK), -1);
}

/* A member that is missing would say that something is not so: there is all of it, or no file. What is left out is its
 * end, a line, or a comma and what follows up to the next one: what stands around a member that was dropped is JSON. */
static void test_text_without_a_part(void **state _unused_) {
        _cleanup_free_ char *whole = NULL;
        FileIdentity written = {0};
        size_t n;

        assert_int_equal(status_file_write(&status_host.report, &written), 0);
        whole = read_status();
        assert_int_equal(unlink(status_host.path), 0);
        n = strlen(whole) - 1; /* json-c's has no end of line */
        for (size_t i = 0; i < n; i++) {
                left_out.from = i;
                left_out.to = n;
                expect_none();
                if (whole[i] != '\n' && whole[i] != ',')
                        continue;
                left_out.to = i + 1 + strcspn(whole + i + 1, whole[i] == '\n' ? "\n" : ",");
                if (left_out.to < n)
                        expect_none();
        }

        left_out.to = 0;
        assert_int_equal(status_file_write(&status_host.report, &written), 0);
        unit_assert_file(status_host.path, whole);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_text_without_a_part, status_host_set_up, leave_out_nothing),
        };

        return cmocka_run_group_tests_name("status file", tests, NULL, NULL);
}
