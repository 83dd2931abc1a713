/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <limits.h>

#include "base/state-file.h"
#include "credentials/lease.h"

#define SECONDS(n) ((int64_t) (n) * (int64_t) USEC_PER_SEC)
#define NOW SECONDS(1000000)

static const Digest digest = {{7}};
#define HEX "0700000000000000000000000000000000000000000000000000000000000000"

static const LeaseTerms usual = {.key = "https://registry.example", .source = "/root/.docker/config.json"};

static Lease *new_lease(Leases *l) {
        Lease *lease = leases_add(l, "registry.example", "vault");

        assert_non_null(lease);
        lease_describe(lease, &usual);
        return lease;
}

static void test_length(void **state _unused_) {
        static const struct {
                int64_t end, refresh; /* seconds from now */
                int64_t due;          /* -1: never */
        } table[] = {
                {3600, 600, 2400}, /* two thirds, whatever RefreshSec= says */
                {0, 3600, 2400},   /* nobody says */
                {0, 0, -1},        /* nor does RefreshSec= */
                {3600, 0, 2400},   /* which is nothing to an end */
                {9, 3600, 6},      /* both sides of 5 s */
                {7, 3600, 5},      {1, 3600, 5},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(leases_done) Leases l = {0};
                Lease *lease = new_lease(&l);
                int64_t end = table[i].end > 0 ? NOW + SECONDS(table[i].end) : 0, due = NOW + SECONDS(table[i].due);

                assert_true(lease_is_due(lease, NOW)); /* never asked */
                lease_answered(lease, &digest, end, SECONDS(table[i].refresh), NOW, NOW);
                assert_false(lease_is_due(lease, NOW));
                if (table[i].due < 0) {
                        assert_false(lease_is_due(lease, NOW + SECONDS(1000000000)));
                        continue;
                }
                assert_int_equal(lease->due, due);
                assert_false(lease_is_due(lease, due - 1));
                assert_true(lease_is_due(lease, due));
        }
}

/* An answer that ends at once is not asked for at once. */
static void test_shortest(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};
        Lease *lease = new_lease(&l);

        lease_answered(lease, &digest, NOW + 1, 0, NOW, NOW);
        assert_int_equal(lease->due, NOW + SECONDS(5));
}

/* The longest that a JWT can say is no overflow. */
static void test_end_of_time(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};
        Lease *lease = new_lease(&l);

        lease_answered(lease, &digest, SECONDS(1000000000000), SECONDS(3600), NOW, NOW);
        assert_true(lease->due > NOW && lease->due < lease->end);
}

static void test_backoff(void **state _unused_) {
        static const int64_t pauses[] = {5, 10, 20, 40, 80, 160, 300, 300, 300};
        bool varies = false;

        for (unsigned round = 0; round < 20; round++) {
                _cleanup_(leases_done) Leases l = {0};
                Lease *lease = new_lease(&l);

                for (size_t i = 0; i < ELEMENTSOF(pauses); i++) {
                        lease_failed(lease, -ETIMEDOUT, NOW);
                        unit_assert_in_range(lease->due, NOW + SECONDS(pauses[i]) * 3 / 4, NOW + SECONDS(pauses[i]));
                        varies |= lease->due != NOW + SECONDS(pauses[i]) &&
                                  lease->due != NOW + SECONDS(pauses[i]) * 3 / 4;
                        assert_false(lease_is_due(lease, NOW));
                        assert_false(lease_is_due(lease, lease->due - 1));
                        assert_true(lease_is_due(lease, lease->due));
                }

                /* An answer ends the failures. */
                lease_answered(lease, &digest, 0, SECONDS(3600), NOW, NOW);
                assert_int_equal(lease->failures, 0);
                assert_int_equal(lease->error, 0);
                lease_failed(lease, -ETIMEDOUT, NOW);
                unit_assert_in_range(lease->due, NOW + SECONDS(3), NOW + SECONDS(5));
        }
        assert_true(varies);
}

static void test_many_failures(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};
        Lease *lease = new_lease(&l);

        lease->failures = UINT_MAX;
        lease_failed(lease, -ETIMEDOUT, NOW);
        unit_assert_in_range(lease->due, NOW + SECONDS(3), NOW + SECONDS(300));
}

static void test_clock_that_goes_back(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};
        Lease *lease = new_lease(&l);

        lease_answered(lease, &digest, 0, SECONDS(3600), NOW, NOW);
        assert_true(lease_is_due(lease, NOW - 1));
        /* Once. */
        lease_answered(lease, &digest, 0, SECONDS(3600), NOW - SECONDS(86400), NOW - SECONDS(86400));
        assert_false(lease_is_due(lease, NOW - SECONDS(86400)));
        /* Also where nothing else would ever have it asked. */
        lease_answered(lease, &digest, 0, 0, NOW, NOW);
        assert_true(lease_is_due(lease, NOW - 1));
        /* And where it fails. */
        lease_failed(lease, -EIO, NOW);
        assert_true(lease_is_due(lease, NOW - 1));
}

static void test_described_anew(void **state _unused_) {
        const struct {
                LeaseTerms terms;
                bool due;
        } table[] = {
                {usual, false},
                {{.key = usual.key, .source = usual.source, .listed = true}, false},
                {{.key = "registry.example", .source = usual.source}, true},
                {{.key = usual.key, .source = "/other/config.json"}, true},
                /* docker login, and docker logout, of a registry that credHelpers names */
                {{.key = usual.key, .source = usual.source, .entered = true}, true},
                {{.key = usual.key, .source = usual.source, .settings = {{1}}}, true},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(leases_done) Leases l = {0};
                Lease *lease = new_lease(&l);

                lease_answered(lease, &digest, 0, SECONDS(3600), NOW, NOW);
                lease_describe(lease, &table[i].terms);
                assert_int_equal(lease_is_due(lease, NOW), table[i].due);
                lease_describe(lease, &table[i].terms);
                assert_int_equal(lease_is_due(lease, NOW), table[i].due);
        }
}

/* Another entry of the same registry is asked at once, also in the middle of a pause. */
static void test_described_anew_after_a_failure(void **state _unused_) {
        const LeaseTerms other = {.key = "other", .source = usual.source};
        _cleanup_(leases_done) Leases l = {0};
        Lease *lease = new_lease(&l);

        lease_failed(lease, -EIO, NOW);
        lease_describe(lease, &other);
        assert_true(lease_is_due(lease, NOW));
}

/* A helper that takes longer than its answer is good. */
static void test_slow_helper(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};
        Lease *lease = new_lease(&l);

        lease_answered(lease, &digest, NOW + SECONDS(5), SECONDS(3600), NOW, NOW + SECONDS(6));
        assert_int_equal(lease->due, NOW + SECONDS(11));
        assert_int_equal(lease->asked, NOW);
}

/* --- two rounds at once --- */

static void test_not_written(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};
        const Digest other = {{8}};
        Lease *lease = new_lease(&l);

        lease_answered(lease, &other, NOW + SECONDS(500), SECONDS(3600), NOW - SECONDS(100), NOW - SECONDS(100));
        lease_begin(lease);
        lease_answered(lease, &digest, NOW + SECONDS(900), SECONDS(3600), NOW, NOW);
        lease_not_written(lease, NOW + SECONDS(3));
        assert_true(digest_equal(&lease->digest, &other));
        assert_int_equal(lease->end, NOW + SECONDS(500));
        assert_int_equal(lease->given, NOW - SECONDS(100));
        assert_int_equal(lease->asked, NOW);
        unit_assert_in_range(lease->due, NOW + SECONDS(6), NOW + SECONDS(8));
        assert_int_equal(lease->failures, 1);
        assert_int_equal(lease->error, -ECANCELED);

        /* Time and again: the pauses grow, as after failures. */
        lease_begin(lease);
        lease_answered(lease, &digest, NOW + SECONDS(900), SECONDS(3600), NOW + SECONDS(8), NOW + SECONDS(8));
        lease_not_written(lease, NOW + SECONDS(8));
        assert_int_equal(lease->failures, 2);
        unit_assert_in_range(lease->due, NOW + SECONDS(15), NOW + SECONDS(18));
}

static void test_brought_forward(void **state _unused_) {
        static const struct {
                int64_t due, to, expected;
        } table[] = {{100, 50, 50}, {100, 100, 100}, {100, 101, 100}, {0, 50, 50}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Lease lease = {.due = table[i].due};

                lease_bring_forward(&lease, table[i].to, NOW);
                assert_int_equal(lease.due, table[i].expected);
        }
}

/* Whatever comes of asking: a login before it is none to ask for any more. */
static void test_login_that_was_asked_for(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};
        Lease *lease = new_lease(&l);

        lease_bring_forward(lease, NOW, NOW);
        assert_int_equal(lease->login, NOW);
        lease_answered(lease, &digest, 0, SECONDS(3600), NOW, NOW);
        assert_int_equal(lease->login, 0);
        lease_bring_forward(lease, NOW, NOW);
        lease_failed(lease, -EIO, NOW);
        assert_int_equal(lease->login, 0);
}

static void test_marks_of_several_files(void **state _unused_) {
        static const char *const paths[] = {"/a", "/b", "/c"};
        _cleanup_(leases_done) Leases l = {0};

        for (unsigned round = 0; round < 2; round++)
                for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
                        assert_non_null(leases_mark(&l, paths[i]));
                        assert_ptr_equal(leases_mark(&l, paths[i]), &l.marks[i]);
                        assert_string_equal(l.marks[i].path, paths[i]);
                }
        assert_int_equal(l.n_marks, ELEMENTSOF(paths));
}

static void test_found_by_registry_and_helper(void **state _unused_) {
        _cleanup_(leases_done) Leases l = {0};

        assert_null(leases_find(&l, "a", "x"));
        (void) leases_add(&l, "a", "x");
        (void) leases_add(&l, "a", "y");
        (void) leases_add(&l, "b", "x");
        assert_int_equal(l.n_items, 3);
        assert_ptr_equal(leases_add(&l, "a", "y"), l.items[1]);
        assert_int_equal(l.n_items, 3);
        assert_null(leases_find(&l, "b", "y"));
}

static bool is_not_of(const Lease *lease, void *userdata) {
        return !streq(lease->registry, userdata);
}

static void test_pruned(void **state _unused_) {
        static char names[][2] = {"a", "b", "c"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                _cleanup_(leases_done) Leases l = {0};

                for (size_t j = 0; j < ELEMENTSOF(names); j++)
                        (void) leases_add(&l, names[j], "x");
                leases_prune(&l, is_not_of, names[i]);
                assert_int_equal(l.n_items, 2);
                for (size_t j = 0; j < ELEMENTSOF(names); j++)
                        assert_int_equal(leases_find(&l, names[j], "x") != NULL, i != j);
        }
}

static void test_kept_over_a_restart(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "leases");
        _cleanup_(leases_done) Leases l = {0}, again = {0};
        _cleanup_free_ char *text = NULL;
        Lease *lease = new_lease(&l);
        FileMark *mark;
        struct stat st, after;

        lease_answered(lease, &digest, NOW + SECONDS(60), SECONDS(3600), NOW, NOW);
        lease_failed(lease, -EKEYEXPIRED, NOW + 1);
        lease->restored = 3;
        lease->listed = lease->entered = true;
        lease->login = NOW + 3;
        lease->settings = (Digest){{5}};
        mark = leases_mark(&l, "/root/.docker/config.json");
        assert_non_null(mark);
        mark->stamp = (CredFileStamp){.inode = UINT64_MAX, .mtime_nsec = INT64_MAX, .digest = {{9}}};
        mark->login = NOW + 2;

        assert_int_equal(leases_save(&l), 0);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_mode, S_IFREG | 0600);
        leases_load(&again);
        assert_int_equal(again.n_items, 1);
        assert_string_equal(again.items[0]->registry, "registry.example");
        assert_string_equal(again.items[0]->key, "https://registry.example");
        assert_string_equal(again.items[0]->helper, "vault");
        assert_string_equal(again.items[0]->source, "/root/.docker/config.json");
        assert_true(again.items[0]->answered && again.items[0]->listed && again.items[0]->entered);
        assert_int_equal(again.items[0]->login, NOW + 3);
        assert_int_equal(again.items[0]->restored, 3);
        assert_int_equal(again.items[0]->given, NOW);
        assert_int_equal(again.items[0]->settings.bytes[0], 5);
        assert_int_equal(again.items[0]->asked, NOW + 1);
        assert_int_equal(again.items[0]->due, lease->due);
        assert_int_equal(again.items[0]->end, NOW + SECONDS(60));
        assert_int_equal(again.items[0]->error, -EKEYEXPIRED);
        assert_int_equal(again.items[0]->failures, 1);
        assert_true(digest_equal(&again.items[0]->digest, &digest));
        assert_int_equal(again.n_marks, 1);
        assert_string_equal(again.marks[0].path, "/root/.docker/config.json");
        assert_true(again.marks[0].stamp.inode == UINT64_MAX && again.marks[0].stamp.mtime_nsec == INT64_MAX);
        assert_int_equal(again.marks[0].stamp.digest.bytes[0], 9);
        assert_int_equal(again.marks[0].login, NOW + 2);

        /* For people, paths are as they write them. */
        assert_int_equal(state_file_read("leases", 8192, &text), 0);
        assert_non_null(strstr(text, "\"/root/.docker/config.json\""));

        /* The same is not written again. */
        assert_int_equal(leases_save(&again), 0);
        assert_int_equal(stat(path, &after), 0);
        assert_int_equal(after.st_ino, st.st_ino);
        again.items[0]->due++;
        assert_int_equal(leases_save(&again), 0);
        assert_int_equal(stat(path, &after), 0);
        assert_int_not_equal(after.st_ino, st.st_ino);
}

/* Up to a quarter of what there are: any sum and difference of them is one. */
static void test_latest_time(void **state _unused_) {
        static const struct {
                const char *due;
                int64_t expected;
        } table[] = {{"2305843009213693951", INT64_MAX / 4}, {"2305843009213693952", 0}};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(leases_done) Leases l = {0};
                char text[256];

                (void) snprintf(text, sizeof(text),
                                "{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX "\",\"due\":%s}]}", table[i].due);
                assert_int_equal(leases_parse(text, &l), 0);
                assert_int_equal(l.n_items, 1);
                assert_true(l.items[0]->due == table[i].expected);
        }
}

static void test_nothing_that_is_ours(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "leases");
        _cleanup_(leases_done) Leases l = {0};

        leases_load(&l);
        assert_int_equal(l.n_items, 0);
        unit_write_file(path, "{\"leases\":[{\"registry\":\"r\",\"helper\":\"h\"");
        assert_int_equal(chmod(path, 0600), 0);
        leases_load(&l);
        assert_int_equal(l.n_items, 0);
}

/* However it was damaged: what is left of it is sound. */
static void test_damaged(void **state _unused_) {
        static const struct {
                const char *text;
                int expected;
                size_t n_items, n_marks;
        } table[] = {
                {"", -EBADMSG, 0, 0},
                {"{", -EBADMSG, 0, 0},
                {"{}", 0, 0, 0},
                {"[]", 0, 0, 0},
                {"{\"leases\":{},\"files\":7}", 0, 0, 0},
                {"{\"leases\":[null,7,\"x\",{}],\"files\":[null,{}]}", 0, 0, 0},
                {"{\"leases\":[{\"helper\":\"h\"}]}", 0, 0, 0},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"07\"}]}", 0, 0, 0},
                {"{\"leases\":[{\"digest\":\"" HEX "\"}]}", 0, 0, 0},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX "\"}]}", 0, 1, 0},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX "\"},{\"helper\":\"h\",\"digest\":\"" HEX "\"}]}",
                 0, 1, 0},
                {"{\"files\":[{\"path\":\"/x\",\"digest\":\"" HEX "\"}]}", 0, 0, 1},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX
                 "\",\"answered\":true,\"asked\":-9223372036854775808,\"due\":9223372036854775807,"
                 "\"end\":9223372036854775807,\"failures\":-1}]}",
                 0, 1, 0},
                {"{\"leases\":[{\"registry\":\"Registry.example/v2\",\"helper\":\"h\",\"digest\":\"" HEX "\"}]}", 0, 0,
                 0},
                {"{\"leases\":[{\"registry\":\"a b\",\"helper\":\"h\",\"digest\":\"" HEX "\"}]}", 0, 0, 0},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX "\",\"error\":110}]}", 0, 1, 0},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX "\",\"error\":1}]}", 0, 1, 0},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX "\",\"error\":-4096}]}", 0, 1, 0},
                {"{\"leases\":[{\"helper\":\"h\",\"digest\":\"" HEX "\",\"error\":-2147483648}]}", 0, 1, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_(leases_done) Leases l = {0};
                int r = leases_parse(table[i].text, &l);

                if (r != table[i].expected || l.n_items != table[i].n_items || l.n_marks != table[i].n_marks)
                        fail_msg("%s: %d, %zu, %zu", table[i].text, r, l.n_items, l.n_marks);
                /* Every sum and difference of these is a number. */
                for (size_t j = 0; j < l.n_items; j++) {
                        unit_assert_in_range(l.items[j]->asked, 0, INT64_MAX / 4);
                        unit_assert_in_range(l.items[j]->due, 0, INT64_MAX / 4);
                        unit_assert_in_range(l.items[j]->end, 0, INT64_MAX / 4);
                        assert_true(l.items[j]->error <= 0 && l.items[j]->error >= -4095);
                }
        }
}

/* ecs-authd 0.2 kept the last line of a helper's standard error. Reading the file drops that line. */
static void test_file_with_a_complaint(void **state _unused_) {
        static const char text[] = "{\"leases\":[{\"registry\":\"registry.example\",\"helper\":\"h\",\"digest\":\"" HEX
                                   "\",\"error\":-71,\"complaint\":\"denied for hunter2\",\"failures\":3}]}";
        _cleanup_(leases_done) Leases l = {0};
        _cleanup_free_ char *saved = NULL;

        assert_int_equal(state_file_write("leases", text), 0);
        leases_load(&l);
        assert_int_equal(l.n_items, 1);
        assert_int_equal(l.items[0]->failures, 3);
        assert_int_equal(leases_save(&l), 0);
        assert_int_equal(state_file_read("leases", 8192, &saved), 0);
        assert_null(strstr(saved, "hunter2"));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, unit_make_state_directory, unit_remove_state_directory)
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_length),
                cmocka_unit_test(test_shortest),
                cmocka_unit_test(test_end_of_time),
                cmocka_unit_test(test_backoff),
                cmocka_unit_test(test_many_failures),
                cmocka_unit_test(test_clock_that_goes_back),
                cmocka_unit_test(test_described_anew),
                cmocka_unit_test(test_described_anew_after_a_failure),
                cmocka_unit_test(test_slow_helper),
                cmocka_unit_test(test_not_written),
                cmocka_unit_test(test_brought_forward),
                cmocka_unit_test(test_login_that_was_asked_for),
                cmocka_unit_test(test_marks_of_several_files),
                cmocka_unit_test(test_found_by_registry_and_helper),
                cmocka_unit_test(test_pruned),
                TEST(test_kept_over_a_restart),
                cmocka_unit_test(test_latest_time),
                TEST(test_nothing_that_is_ours),
                cmocka_unit_test(test_damaged),
                TEST(test_file_with_a_complaint),
        };

        return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
