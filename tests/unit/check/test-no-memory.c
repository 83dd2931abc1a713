/* SPDX-License-Identifier: Apache-2.0 */
#include "failing-allocation.h"

#include "check/check-json.h"
#include "printed.h"

/* A finding that is missing would say that all is well. */
static int print_findings(unsigned n, char *ret, size_t size) {
        static const unsigned counts[] = {1, 1, 1};
        static Printed printed;
        CheckJson j;
        int r;

        printed_begin();
        failing_begin(n);
        j = check_json_new();
        check_json_add(&j, "one", "/etc/ecs/ecs.config", OK, "all is well", NULL);
        check_json_add(&j, "two", NULL, WARNING, "it is odd", "look at it");
        check_json_add(&j, "three", "r.example", PROBLEM, "it is broken", "mend it");
        r = check_json_print(&j, counts);
        check_json_done(&j);
        failing_end();
        printed_end(&printed);
        if (r < 0)
                assert_string_equal(printed.out, "");
        else
                (void) snprintf(ret, size, "%s", printed.out);
        return r;
}

static void test_findings_are_printed(void **state _unused_) {
        failing_each(print_findings);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_findings_are_printed),
        };

        return cmocka_run_group_tests_name("findings without memory", tests, NULL, NULL);
}
