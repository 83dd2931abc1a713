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
                /* One that was forgotten since is asked for by whoever did that. */
                {{.known = false, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(1)}, false, 0},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                FileDecision d = decide_files(&table[i].facts, SECONDS(1000));

                assert_int_equal(d.write, table[i].write);
                assert_int_equal(d.look_again_usec, SECONDS(table[i].look_again));
        }
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_when_it_is_written),
        };

        return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
