/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "decision/when-to-write.h"

#define SECONDS(n) ((n) *USEC_PER_SEC)

static void test_when_it_is_written(void **state _unused_) {
        static const struct {
                FileFacts facts;
                bool write;
                unsigned look_again;
        } table[] = {
                {{.known = false}, false, 0},
                {{.stale = true}, true, 0},
                {{.stale = true, .writing = true}, false, 0},
                {{.writing = true, .known = true, .sync.outcome = SYNC_FAILED}, false, 0},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED}, false, 0},
                {{.known = true, .sync.outcome = SYNC_WRITTEN}, false, 0},
                {{.known = true, .sync.outcome = SYNC_REMOVED}, false, 0},
                /* What failed is tried again, also if nothing tells of the cure. */
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(971)}, false, 1001},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(970)}, true, 0},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(971), .stale = true}, true, 0},
                /* A helper is due. */
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(1001)}, false, 1001},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(1000)}, true, 0},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(999)}, true, 0},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(999), .writing = true}, false, 0},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(1001), .stale = true}, true, 0},
                /* Whatever comes first. */
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(975), .ask_usec = SECONDS(1002)},
                 false,
                 1002},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(975), .ask_usec = SECONDS(1009)},
                 false,
                 1005},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(970), .ask_usec = SECONDS(1009)},
                 true,
                 0},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(975), .ask_usec = SECONDS(1000)},
                 true,
                 0},
                /* One that was forgotten since is asked for by whoever did that. */
                {{.known = false, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(1)}, false, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                FileDecision d = decide_files(&table[i].facts, SECONDS(1000));

                assert_int_equal(d.write, table[i].write);
                assert_int_equal(d.look_again_usec, SECONDS(table[i].look_again));
        }
}

/* Asked once: the job that begins takes the wish with it, and the report tells when the next is due. */
static void test_helpers_are_asked_once(void **state _unused_) {
        static const SyncReport with_helper = {.outcome = SYNC_UNCHANGED,
                                               .digest_known = true,
                                               .ask_in_usec = SECONDS(60)},
                                without = {.outcome = SYNC_UNCHANGED, .digest_known = true};
        static Facts f;

        assert_false(facts_begin_write(&f));
        facts_retry(&f);
        assert_true(decide_files(&f.file, SECONDS(1000)).write == false); /* the first is still at it */
        facts_end_write(&f, &with_helper, SECONDS(1000));
        assert_true(decide_files(&f.file, SECONDS(1000)).write);
        assert_true(facts_begin_write(&f));
        facts_end_write(&f, &with_helper, SECONDS(1001));
        assert_false(decide_files(&f.file, SECONDS(1001)).write);
        assert_int_equal(decide_files(&f.file, SECONDS(1001)).look_again_usec, SECONDS(1061));

        facts_wake_file(&f);
        assert_false(facts_begin_write(&f)); /* an event asks nobody */
        facts_end_write(&f, &without, SECONDS(1002));
        assert_int_equal(decide_files(&f.file, SECONDS(2000)).look_again_usec, 0);
        assert_false(decide_files(&f.file, SECONDS(2000)).write);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_when_it_is_written),
                cmocka_unit_test(test_helpers_are_asked_once),
        };

        return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
