/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/clock.h"
#include "ecsconfig/gathered.h"

static const DigestKey key = {{7}};

static void add(Gathered *g, const char *registry, bool fresh, unsigned failures) {
        Lease *l = leases_add(&g->leases, registry, "helper");

        assert_non_null(l);
        l->fresh = fresh;
        l->failures = failures;
}

/* Of those that were asked just now. */
static void test_failures_are_counted(void **state _unused_) {
        _cleanup_(gathered_done) Gathered g = {0};

        assert_int_equal(gathered_count_failed(&g), 0);
        add(&g, "a.example", false, 2);
        assert_false(gathered_was_asked(&g));
        add(&g, "b.example", true, 1);
        add(&g, "c.example", true, 0);
        add(&g, "d.example", true, 3);
        assert_true(gathered_was_asked(&g));
        assert_int_equal(gathered_count_failed(&g), 2);
}

/* An answer that was not written is asked for again in a moment; what comes before that still does. */
static void test_next_after_an_answer_is_given_back(void **state _unused_) {
        const int64_t now = clock_usec(CLOCK_REALTIME), soon = now + 1, late = now + 3600 * (int64_t) USEC_PER_SEC;
        const int64_t before[] = {0, soon, late}; /* 0: nothing was due */

        for (size_t i = 0; i < ELEMENTSOF(before); i++) {
                _cleanup_(gathered_done) Gathered g = {.next = before[i]};

                add(&g, "a.example", true, 0);
                gathered_give_back(&g, NULL, &key);
                assert_int_equal(g.leases.items[0]->failures, 1);
                assert_true(g.leases.items[0]->due > now);
                assert_true(g.next == (before[i] == soon ? soon : g.leases.items[0]->due));
        }
}

/* What was no answer, or one that there are none, is not asked for again for that. */
static void test_no_answer_is_given_back(void **state _unused_) {
        static const Digest none;
        const int64_t now = clock_usec(CLOCK_REALTIME);
        _cleanup_(gathered_done) Gathered g = {0};
        Lease *failed, *without;

        add(&g, "a.example", true, 0);
        add(&g, "b.example", true, 0);
        failed = g.leases.items[0];
        without = g.leases.items[1];
        lease_failed(failed, -EPROTO, now);
        lease_answered(without, &none, 0, 0, now, now);
        without->error = -ENOKEY;
        gathered_give_back(&g, NULL, &key);
        assert_int_equal(failed->failures, 1);
        assert_int_equal(failed->error, -EPROTO);
        assert_int_equal(without->failures, 0);
        assert_true(g.next == 0);
}

/* What stands in the environment file was written. */
static void test_answers_that_were_not_written_are_given_back(void **state _unused_) {
        static const char *const passwords[] = {"written", "not written", "not there"};
        _cleanup_(credentials_done) Credentials current = {0};
        _cleanup_(gathered_done) Gathered g = {0};

        for (size_t i = 0; i < ELEMENTSOF(passwords); i++) {
                char registry[] = {(char) ('a' + i), 0};
                Credential c = {.registry = registry, .username = (char *) "user", .password = (char *) passwords[i]};

                add(&g, registry, true, 0);
                credential_digest(&c, &key, &g.leases.items[i]->digest);
                c.password = (char *) passwords[0];
                if (i < 2)
                        credentials_put_copy(&current, &c);
        }
        gathered_give_back(&g, &current, &key);
        for (size_t i = 0; i < ELEMENTSOF(passwords); i++)
                assert_int_equal(leases_find(&g.leases, (char[]){(char) ('a' + i), 0}, "helper")->failures, i > 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_failures_are_counted),
                cmocka_unit_test(test_next_after_an_answer_is_given_back),
                cmocka_unit_test(test_no_answer_is_given_back),
                cmocka_unit_test(test_answers_that_were_not_written_are_given_back),
        };

        return cmocka_run_group_tests_name("gathered", tests, NULL, NULL);
}
