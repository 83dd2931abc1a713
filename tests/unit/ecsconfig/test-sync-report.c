/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "ecsconfig/sync-report.h"

static void put(Credentials *c, const char *registry, const char *username, const char *password, const char *token) {
        Credential one = {.registry = strdup(registry),
                          .username = username ? strdup(username) : NULL,
                          .password = password ? strdup(password) : NULL,
                          .identity_token = token ? strdup(token) : NULL};

        credentials_put(c, &one);
}

/* Cut short after the last whole name, so that "..." has room. */
static void test_names(void **state _unused_) {
        static const struct {
                size_t size;
                const char *expected;
        } table[] = {
                {100, "aaaa.example, bbbb.example, c:1"},
                {35, "aaaa.example, bbbb.example, c:1"},
                {34, "aaaa.example, bbbb.example..."},
                {30, "aaaa.example, bbbb.example..."},
                {29, "aaaa.example..."},
                {18, "aaaa.example..."},
                {17, "..."},
                {4, "..."},
        };
        _cleanup_(credentials_done) Credentials c = {0};
        char none[] = "as before";

        assert_int_equal(sync_list_registries(&c, false, none, sizeof(none)), 0);
        assert_string_equal(none, "");
        put(&c, "aaaa.example", "user", "password", NULL);
        put(&c, "bbbb.example", NULL, NULL, "token");
        put(&c, "bbbb.without", NULL, NULL, NULL);
        put(&c, "c:1", "user", "password", NULL);
        put(&c, "d", "user", "password", NULL); /* no image uses this key */
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                char names[100];

                assert_int_equal(sync_list_registries(&c, false, names, table[i].size), 3);
                if (!streq(names, table[i].expected))
                        fail_msg("%zu: %s", table[i].size, names);
        }
}

static void test_coverages(void **state _unused_) {
        static const char all[] = "a.example/x: only images whose names begin with a.example/x, even a.example/x-x; "
                                  "nohost: no image";
        _cleanup_(credentials_done) Credentials c = {0};
        char text[sizeof(all)];

        put(&c, "a.example", "user", "password", NULL);
        sync_describe_coverages(&c, text, sizeof(text));
        assert_string_equal(text, "");
        put(&c, "a.example/x", "user", "password", NULL);
        put(&c, "nohost", "user", "password", NULL);
        put(&c, "other", NULL, NULL, NULL);
        sync_describe_coverages(&c, text, sizeof(text));
        assert_string_equal(text, all);
        sync_describe_coverages(&c, text, sizeof(text) - 1);
        assert_string_equal(text + strlen(text) - strlen("i..."), "i...");
}

static void test_heaviest_first(void **state _unused_) {
        const EcsConfigSettings settings = {.environment_file = (char *) "/etc/ecs/ecs.config", .line_max = 30};
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};

        put(&c, "a.example", "u", "p", NULL);
        put(&c, "b.example", "user", "p", NULL);
        put(&c, "c.example", NULL, NULL, "tokens"); /* by a byte more than b */
        put(&c, "d.example", "u", "password", NULL);
        put(&c, "longer.registry.example", "u", "p", NULL);
        sync_explain_refused_line(&settings, -E2BIG, &c, "0123456789", &problems);
        unit_assert_problem(&problems,
                            "/etc/ecs/ecs.config: the line for 5 registries would have 31 bytes, 1 more than "
                            "the 30 that its reader takes");
        unit_assert_problem(&problems, "the heaviest come first: longer.registry.example, d.example, c.example, "
                                       "b.example, a.example");
        assert_int_equal(problems.n_items, 1);
        assert_int_equal(problems.items[0].level, LOG_ERR);

        sync_explain_refused_line(&settings, -EINVAL, &c, "0123456789", &problems);
        unit_assert_problem(&problems, "the line for longer.registry.example, d.example, c.example, b.example, "
                                       "a.example has a byte that");
        sync_explain_refused_line(&settings, -ENOMEM, &c, "0123456789", &problems);
        assert_int_equal(problems.n_items, 2);
}

/* --- the entries --- */

#define WORD(text) ((char *) (text))

static Lease leases[] = {
        {.registry = WORD("kept.example"),
         .helper = WORD("helper"),
         .source = WORD("/before.json"),
         .answered = true,
         .given = 7},
        {.registry = WORD("one.example"),
         .helper = WORD("other"),
         .source = WORD("/other.json"),
         .named = true,
         .answered = true,
         .given = 1},
        {.registry = WORD("one.example"),
         .helper = WORD("helper"),
         .source = WORD("/config.json"),
         .named = true,
         .answered = true,
         .given = 10,
         .end = 30,
         .due = 20},
        {.registry = WORD("two.example"),
         .helper = WORD("helper"),
         .source = WORD("/config.json"),
         .named = true,
         .given = 10,
         .due = 20,
         .failures = 1},
};

static void list_leases(Leases *ret) {
        for (size_t i = 0; i < ELEMENTSOF(leases); i++) {
                Lease *lease = leases_add(ret, leases[i].registry, leases[i].helper), copy = leases[i];

                assert_non_null(lease);
                free(lease->source);
                copy.registry = lease->registry;
                copy.helper = lease->helper;
                copy.key = lease->key;
                copy.source = strdup(leases[i].source);
                *lease = copy;
        }
}

static void test_entries(void **state _unused_) {
        static Credential items[] = {
                /* As a file has it; whatever its leases say. */
                {.registry = WORD("file.example"),
                 .source = WORD("/config.json"),
                 .username = WORD("u"),
                 .password = WORD("p")},
                /* It stood in the environment file, and was kept. */
                {.registry = WORD("kept.example"), .identity_token = WORD("t")},
                {.registry = WORD("nothing.example"), .source = WORD("/config.json")},
                {.registry = WORD("one.example"),
                 .source = WORD("/config.json"),
                 .helper = WORD("helper"),
                 .username = WORD("u"),
                 .password = WORD("p")},
                {.registry = WORD("silent.example"), .source = WORD("/config.json"), .helper = WORD("helper")},
                {.registry = WORD("two.example"), .source = WORD("/config.json"), .helper = WORD("helper")},
        };
        static const SyncEntry expected[] = {
                {.registry = "file.example", .source = "/config.json"},
                {.registry = "kept.example",
                 .source = "/before.json",
                 .helper = "helper",
                 .token = true,
                 .asked_usec = 7},
                {.registry = "one.example",
                 .source = "/config.json",
                 .helper = "helper",
                 .asked_usec = 10,
                 .end_usec = 30,
                 .due_usec = 20},
                {.registry = "two.example",
                 .source = "/config.json",
                 .helper = "helper",
                 .due_usec = 20,
                 .failing = true,
                 .missing = true},
                {.registry = ""},
        };
        Credential *pointers[ELEMENTSOF(items)];
        const Credentials c = {.items = pointers, .n_items = ELEMENTSOF(items)};
        _cleanup_(leases_done) Leases l = {0};
        SyncReport report;

        for (size_t i = 0; i < ELEMENTSOF(items); i++)
                pointers[i] = &items[i];
        list_leases(&l);
        memset(&report, 0xff, sizeof(report));
        sync_describe_entries(&c, &l, &report);
        for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
                const SyncEntry *a = &report.entries[i], *b = &expected[i];

                assert_string_equal(a->registry, b->registry);
                assert_string_equal(a->source, b->source);
                assert_string_equal(a->helper, b->helper);
                assert_int_equal(a->token, b->token);
                assert_int_equal(a->asked_usec, b->asked_usec);
                assert_int_equal(a->end_usec, b->end_usec);
                assert_int_equal(a->due_usec, b->due_usec);
                assert_int_equal(a->failing, b->failing);
                assert_int_equal(a->missing, b->missing);
                assert_int_equal(a->coverage, *a->registry ? KEY_COVERS_HOST : KEY_COVERS_NOTHING);
        }

        sync_describe_entries(&c, NULL, &report);
        assert_string_equal(report.entries[1].source, "");
        assert_string_equal(report.entries[2].helper, "helper");
        assert_int_equal(report.entries[2].asked_usec, 0);
        assert_string_equal(report.entries[3].registry, "");
}

/* A lease that nobody names any more is of a helper that an entry of a file had before. */
static void test_lease_of_before(void **state _unused_) {
        static Credential items[] = {{.registry = WORD("kept.example"),
                                      .source = WORD("/config.json"),
                                      .helper = WORD("helper"),
                                      .username = WORD("u"),
                                      .password = WORD("p")}};
        Credential *pointers[ELEMENTSOF(items)];
        const Credentials c = {.items = pointers, .n_items = ELEMENTSOF(items)};
        _cleanup_(leases_done) Leases l = {0};
        SyncReport report = {0};

        for (size_t i = 0; i < ELEMENTSOF(items); i++)
                pointers[i] = &items[i];
        list_leases(&l);
        sync_describe_entries(&c, &l, &report);
        assert_string_equal(report.entries[0].source, "/config.json");
        assert_int_equal(report.entries[0].asked_usec, 0);
}

static void test_the_first_of_many(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};
        SyncReport report = {0};

        for (unsigned i = 0; i < SYNC_ENTRIES_MAX + 2; i++) {
                char registry[16];

                (void) snprintf(registry, sizeof(registry), "%02u.example", i);
                put(&c, registry, "u", "p", NULL);
        }
        report.seen_usec = 17;
        sync_describe_entries(&c, NULL, &report);
        assert_string_equal(report.entries[SYNC_ENTRIES_MAX - 1].registry, "47.example");
        assert_int_equal(report.seen_usec, 17);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_names),           cmocka_unit_test(test_coverages),
                cmocka_unit_test(test_heaviest_first),  cmocka_unit_test(test_entries),
                cmocka_unit_test(test_lease_of_before), cmocka_unit_test(test_the_first_of_many),
        };

        return cmocka_run_group_tests_name("sync-report", tests, NULL, NULL);
}
