/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "decision/when-to-write.h"

#define SECONDS(n) ((n) *USEC_PER_SEC)

typedef enum What { NOTHING, WRITE, ASK } What;

static void test_what_is_done(void **state _unused_) {
        static const struct {
                FileFacts facts;
                What what;
                unsigned look_again;
                bool settled;
        } table[] = {
                {{.known = false}, NOTHING, 0, false},
                {{.stale = true}, WRITE, 0, false},
                {{.stale = true, .writing = true}, NOTHING, 0, false},
                {{.writing = true, .known = true, .sync.outcome = SYNC_FAILED}, NOTHING, 0, false},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED}, NOTHING, 0, true},
                {{.known = true, .sync.outcome = SYNC_WRITTEN}, NOTHING, 0, true},
                {{.known = true, .sync.outcome = SYNC_REMOVED}, NOTHING, 0, true},
                /* What failed is tried again, also if nothing tells of the cure. */
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(971)}, NOTHING, 1001, true},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(970)}, WRITE, 0, false},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(971), .stale = true},
                 WRITE,
                 0,
                 false},
                /* Another program undoes each write. */
                {{.known = true,
                  .sync.outcome = SYNC_WRITTEN,
                  .n_restores = RESTORES_MAX - 1,
                  .stale = true,
                  .restored_usec = SECONDS(990)},
                 WRITE,
                 0,
                 false},
                {{.known = true,
                  .sync.outcome = SYNC_WRITTEN,
                  .n_restores = RESTORES_MAX,
                  .stale = true,
                  .restored_usec = SECONDS(995)},
                 NOTHING,
                 1005,
                 true},
                {{.known = true,
                  .sync.outcome = SYNC_WRITTEN,
                  .n_restores = RESTORES_MAX,
                  .stale = true,
                  .restored_usec = SECONDS(990)},
                 WRITE,
                 0,
                 false},
                {{.known = true,
                  .sync.outcome = SYNC_WRITTEN,
                  .n_restores = RESTORES_MAX,
                  .restored_usec = SECONDS(981)},
                 NOTHING,
                 1001,
                 true},
                {{.known = true,
                  .sync.outcome = SYNC_WRITTEN,
                  .n_restores = RESTORES_MAX,
                  .restored_usec = SECONDS(980)},
                 WRITE,
                 0,
                 false},
                /* A helper is due; and what is known is written first. */
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(1001)}, NOTHING, 1001, true},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(1000)}, ASK, 0, false},
                {{.known = true, .ask_usec = SECONDS(999), .writing = true}, NOTHING, 0, false},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(999), .stale = true},
                 WRITE,
                 0,
                 false},
                {{.ask_all = true, .stale = true}, WRITE, 0, false},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_all = true}, ASK, 0, false},
                /* One is asked, and what changes meanwhile is written all the same. */
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_all = true, .asking = true}, NOTHING, 0, false},
                {{.known = true, .ask_usec = SECONDS(999), .asking = true, .stale = true}, WRITE, 0, false},
                /* Files that change all the time do not put it off for ever. */
                {{.known = true, .ask_usec = SECONDS(999), .writing = true, .stale = true}, NOTHING, 0, false},
                {{.known = true, .ask_usec = SECONDS(998), .writing = true, .stale = true}, ASK, 0, false},
                /* What they said could not be kept. */
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(999), .pause_usec = SECONDS(1003)},
                 NOTHING,
                 1003,
                 true},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_usec = SECONDS(999), .pause_usec = SECONDS(1000)},
                 ASK,
                 0,
                 false},
                {{.known = true, .sync.outcome = SYNC_UNCHANGED, .pause_usec = SECONDS(1003)}, NOTHING, 0, true},
                /* Whatever comes first. */
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(975), .ask_usec = SECONDS(1002)},
                 NOTHING,
                 1002,
                 true},
                {{.known = true, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(975), .ask_usec = SECONDS(1009)},
                 NOTHING,
                 1005,
                 true},
                /* One that was forgotten since is asked for by whoever did that. */
                {{.known = false, .sync.outcome = SYNC_FAILED, .written_usec = SECONDS(1)}, NOTHING, 0, false},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                FileDecision d = decide_files(&table[i].facts, SECONDS(1000));

                assert_int_equal(d.write, table[i].what == WRITE);
                assert_int_equal(d.ask, table[i].what == ASK);
                assert_int_equal(d.look_again_usec, SECONDS(table[i].look_again));
                assert_int_equal(files_are_settled(&table[i].facts, SECONDS(1000)), table[i].settled);
        }
}

static void expect(const Facts *f, uint64_t now, What what) {
        FileDecision d = decide_files(&f->file, now);

        assert_int_equal(d.write, what == WRITE);
        assert_int_equal(d.ask, what == ASK);
}

/* Asked once: the job that begins takes the wish with it, and the report tells when the next is due. */
static void test_helpers_are_asked_once(void **state _unused_) {
        static const SyncReport due = {.outcome = SYNC_UNCHANGED, .digest_known = true, .ask_in_usec = SYNC_ASK_NOW},
                                good = {.outcome = SYNC_UNCHANGED,
                                        .digest_known = true,
                                        .asked = true,
                                        .ask_in_usec = SECONDS(60) + SYNC_ASK_NOW};
        static Facts f;

        facts_retry(&f);
        expect(&f, SECONDS(1000), WRITE);
        facts_begin_write(&f);
        expect(&f, SECONDS(1000), NOTHING);
        facts_end_write(&f, &due, SECONDS(1000));
        expect(&f, SECONDS(1001), ASK);
        assert_true(facts_begin_ask(&f));
        expect(&f, SECONDS(1001), NOTHING);
        /* What is written meanwhile asks nobody. */
        f.file.stale = true;
        facts_begin_write(&f);
        facts_end_write(&f, &due, SECONDS(1001));
        expect(&f, SECONDS(1002), NOTHING);
        facts_end_ask(&f, &good, SECONDS(1002));
        expect(&f, SECONDS(1061), NOTHING);
        expect(&f, SECONDS(1062), ASK);
        assert_false(facts_begin_ask(&f));
}

/* A job that died has asked nobody: the wish stands, and not at once. */
static void test_ask_that_died(void **state _unused_) {
        static const SyncReport died = {.outcome = SYNC_FAILED};
        static Facts f = {.file = {.known = true, .ask_all = true}};

        assert_true(facts_begin_ask(&f));
        facts_end_ask(&f, &died, SECONDS(1000));
        expect(&f, SECONDS(1029), NOTHING);
        expect(&f, SECONDS(1030), WRITE); /* what failed is written first */
        facts_begin_write(&f);
        facts_end_write(&f, &(SyncReport){.outcome = SYNC_UNCHANGED, .digest_known = true}, SECONDS(1030));
        expect(&f, SECONDS(1030), ASK);
        assert_true(facts_begin_ask(&f));
}

static void test_answers_that_cannot_be_kept(void **state _unused_) {
        static const SyncReport report = {.outcome = SYNC_WRITTEN,
                                          .digest_known = true,
                                          .asked = true,
                                          .forgotten = true,
                                          .ask_in_usec = SYNC_ASK_NOW};
        static Facts f = {.file = {.known = true}};

        (void) facts_begin_ask(&f);
        facts_end_ask(&f, &report, SECONDS(1000));
        expect(&f, SECONDS(1029), NOTHING);
        expect(&f, SECONDS(1030), ASK);
        facts_end_ask(&f, &report, SECONDS(1000));
        facts_retry(&f); /* but if somebody asks */
        facts_begin_write(&f);
        facts_end_write(&f, &report, SECONDS(1001));
        expect(&f, SECONDS(1001), ASK);
}

/* What is due right after it was asked would be asked for all the time. */
static void test_due_right_after_it_was_asked(void **state _unused_) {
        static const SyncReport report = {
                .outcome = SYNC_UNCHANGED, .digest_known = true, .asked = true, .ask_in_usec = SYNC_ASK_NOW};
        static Facts f = {.file = {.known = true}};

        (void) facts_begin_ask(&f);
        facts_end_ask(&f, &report, SECONDS(1000));
        expect(&f, SECONDS(1004), NOTHING);
        expect(&f, SECONDS(1005), ASK);
}

/* A job that was killed, as by a reload: what it was to do is to be done. */
static void test_lost_jobs(void **state _unused_) {
        static Facts f = {.file = {.known = true, .sync.outcome = SYNC_UNCHANGED, .ask_all = true}};

        assert_true(facts_begin_ask(&f));
        facts_begin_write(&f);
        (void) facts_end_ask(&f, NULL, 0);
        assert_true(f.file.ask_all && f.file.writing && !f.file.asking && !f.file.asking_all);
        (void) facts_end_write(&f, NULL, 0);
        assert_true(f.file.stale && !f.file.writing);
        f.file.ask_all = false;
        (void) facts_begin_ask(&f);
        (void) facts_end_ask(&f, NULL, 0);
        assert_false(f.file.ask_all);
        /* And one that ended well has done it. */
        f.file.ask_all = true;
        (void) facts_begin_ask(&f);
        (void) facts_end_ask(&f, &(SyncReport){.asked = true, .digest_known = true}, SECONDS(1000));
        assert_false(f.file.ask_all || f.file.asking_all);
}

/* Of two jobs that ran at once the one that saw the file last tells what stands in it. */
static void test_report_that_was_overtaken(void **state _unused_) {
        static const SyncReport
                first = {.outcome = SYNC_UNCHANGED, .digest_known = true, .digest = {{1}}, .seen_usec = 5},
                second = {
                        .outcome = SYNC_WRITTEN, .digest_known = true, .digest = {{2}}, .asked = true, .seen_usec = 6};
        static Facts f;

        facts_begin_write(&f);
        (void) facts_begin_ask(&f);
        facts_end_ask(&f, &second, SECONDS(1000));
        facts_end_write(&f, &first, SECONDS(1001));
        assert_false(f.file.writing || f.file.asking);
        assert_true(digest_equal(&f.file.sync.digest, &second.digest));
        assert_int_equal(f.file.changed_usec, SECONDS(1000));

        /* The same moment is none before; and one that did not get to see it tells why. */
        assert_true(facts_end_write(&f, &second, SECONDS(1002)));
        assert_true(facts_end_write(&f, &(SyncReport){.outcome = SYNC_FAILED}, SECONDS(1003)));
        assert_int_equal(f.file.sync.outcome, SYNC_FAILED);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_what_is_done),
                cmocka_unit_test(test_helpers_are_asked_once),
                cmocka_unit_test(test_ask_that_died),
                cmocka_unit_test(test_answers_that_cannot_be_kept),
                cmocka_unit_test(test_due_right_after_it_was_asked),
                cmocka_unit_test(test_lost_jobs),
                cmocka_unit_test(test_report_that_was_overtaken),
        };

        return cmocka_run_group_tests_name("files", tests, NULL, NULL);
}
