/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/nearest.h"

static const char *nearest(const char *typed, const char *const *words) {
        Nearest n = {.typed = typed};

        for (const char *const *w = words; *w; w++)
                nearest_consider(&n, *w);
        return n.word;
}

static void test_nearest(void **state _unused_) {
        static const char *const words[] = {"run", "apply", "render", "status", "check", "MinIntervalSec", NULL};
        static const struct {
                const char *typed, *word;
        } table[] = {
                {"status", "status"},
                {"stauts", "status"}, /* changed places: one mistake */
                {"sattus", "status"},
                {"sattsu", "status"}, /* two of them */
                {"stats", "status"},
                {"stat", "status"},
                {"sta", NULL},
                {"statusses", NULL},
                {"STATUS", "status"},
                {"chek", "check"},
                {"chk", "check"},
                {"ck", NULL},
                {"rn", "run"},
                {"urn", "run"},
                {"r", NULL}, /* of three letters not two */
                {"up", NULL},
                {"", NULL},
                {"rendre", "render"},
                {"mininterval", "MinIntervalSec"},
                {"minintvlsec", "MinIntervalSec"},
                {"mintvalsec", "MinIntervalSec"}, /* a third of a long word */
                {"mintvlsec", NULL},
                {"frobnicate", NULL},
                {"a word that is longer than every one of ours, by far", NULL},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *word = nearest(table[i].typed, words);

                if (!table[i].word)
                        assert_null(word);
                else {
                        assert_non_null(word);
                        assert_string_equal(word, table[i].word);
                }
        }
}

static void test_the_nearer_one_counts_and_of_two_the_first(void **state _unused_) {
        assert_string_equal(nearest("Fule", (const char *const[]){"Rule", "File", NULL}), "Rule");
        assert_string_equal(nearest("Fil", (const char *const[]){"Fall", "File", NULL}), "File");
}

static void test_the_longest_word(void **state _unused_) {
        static const char longest[] = "abcdefghijklmnopqrstuvwxyz012345";

        assert_int_equal(strlen(longest), 32);
        assert_string_equal(nearest("bacdefghijklmnopqrstuvwxyz012354", (const char *const[]){longest, NULL}), longest);
        assert_null(nearest("abcdefghijklmnopqrstuvwxyz0123456", (const char *const[]){longest, NULL}));
        assert_null(nearest(longest, (const char *const[]){"abcdefghijklmnopqrstuvwxyz0123456", NULL}));
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_nearest),
                cmocka_unit_test(test_the_nearer_one_counts_and_of_two_the_first),
                cmocka_unit_test(test_the_longest_word),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
