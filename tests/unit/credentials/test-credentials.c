/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "base/secret.h"
#include "credentials/credentials.h"

static void put(Credentials *c, const char *registry, const char *username) {
        Credential one = {.registry = strdup(registry), .username = strdup(username), .password = strdup("password")};

        credentials_put(c, &one);
        assert_null(one.registry); /* handed over */
}

static void expect(const Credentials *c, const char *registries) {
        char text[256] = "";

        for (size_t i = 0; i < c->n_items; i++) {
                (void) strncat(text, c->items[i]->registry, sizeof(text) - strlen(text) - 1);
                (void) strncat(text, " ", sizeof(text) - strlen(text) - 1);
        }
        assert_string_equal(text, registries);
}

static void test_order_does_not_depend_on_arrival(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        put(&c, "m", "1");
        put(&c, "a", "2");
        put(&c, "z", "3");
        put(&c, "b", "4");
        credentials_sort(&c);
        expect(&c, "a b m z ");
}

static void test_replace_and_remove(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        put(&c, "a", "old");
        put(&c, "b", "b");
        put(&c, "a", "new");
        expect(&c, "a b ");
        assert_string_equal(credentials_find(&c, "a")->username, "new");
        assert_null(credentials_find(&c, "c"));

        put(&c, "c", "c");
        credentials_remove(&c, 0);
        assert_null(credentials_find(&c, "a"));
        expect(&c, "c b "); /* the last one took its place */
        credentials_remove(&c, 0);
        expect(&c, "b ");
        credentials_remove(&c, 0);
        expect(&c, "");
        put(&c, "a", "again");
        expect(&c, "a ");
}

/* However many there are and however they come, each is found, and the order is the same. */
static void test_many(void **state _unused_) {
        enum { MANY = 20011 }; /* a prime: each step below leads to another one */
        _cleanup_(credentials_done) Credentials c = {0};
        char name[32];

        for (unsigned i = 0; i < MANY; i++) {
                (void) snprintf(name, sizeof(name), "%05u.example", i * 7919 % MANY);
                put(&c, name, name);
        }
        assert_int_equal(c.n_items, MANY);
        credentials_sort(&c);
        for (unsigned i = 0; i < MANY; i++) {
                (void) snprintf(name, sizeof(name), "%05u.example", i);
                assert_string_equal(c.items[i]->registry, name);
                assert_ptr_equal(credentials_find(&c, name), c.items[i]);
        }
        for (unsigned i = 0; i < MANY; i++)
                credentials_remove(&c, 0);
        assert_null(credentials_find(&c, name));
}

/* It can be used again, or done once more. */
static void test_done(void **state _unused_) {
        Credential one = {.registry = strdup("a"), .username = strdup("user"), .password = strdup("password")};

        credential_done(&one);
        credential_done(&one);
        assert_null(one.registry);
        assert_false(credential_is_usable(&one));
}

/* Nothing of what it had before stays beside what it has then. */
static void test_other_secrets(void **state _unused_) {
        Credential one = {.registry = strdup("a"), .identity_token = strdup("token")};
        const Credential other = {.username = (char *) "user", .password = (char *) "password"};

        credential_copy_secrets(&one, &other);
        assert_string_equal(one.username, "user");
        assert_string_equal(one.password, "password");
        assert_null(one.identity_token);
        credential_forget_secrets(&one);
        assert_true(!one.username && !one.password && !one.identity_token);
        assert_string_equal(one.registry, "a");
        credential_done(&one);
}

static void test_copy(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {.incomplete = true}, copy = {0};
        const Credential *item;

        for (unsigned i = 0; i < 3; i++) {
                put(&c, i == 0 ? "a" : i == 1 ? "b" : "c", "user");
                c.items[i]->listed = i == 0;
                c.items[i]->entered = i == 1;
                c.items[i]->yields = i == 2;
        }
        credentials_copy(&c, &copy);
        assert_true(copy.incomplete);
        expect(&copy, "a b c ");
        for (unsigned i = 0; i < copy.n_items; i++) {
                item = copy.items[i];
                assert_int_equal(item->listed, i == 0);
                assert_int_equal(item->entered, i == 1);
                assert_int_equal(item->yields, i == 2);
                assert_string_equal(item->username, "user");
                assert_string_equal(item->password, "password");
                assert_null(item->identity_token);
        }
}

/* Whatever an agent logs in with, and nothing else, makes it another. */
static void test_digest(void **state _unused_) {
        static const DigestKey key = {{1}};
        const Credential usual = {.registry = (char *) "a",
                                  .username = (char *) "user",
                                  .password = (char *) "password",
                                  .identity_token = (char *) "token"};
        Credential others[] = {usual, usual, usual, usual, usual, usual}, same = usual;
        Digest digests[ELEMENTSOF(others)], again;

        others[1].registry = (char *) "b";
        others[2].username = (char *) "other";
        others[3].password = (char *) "other";
        others[4].identity_token = (char *) "other";
        others[5].username = (char *) "userp"; /* the same bytes, cut in another place */
        others[5].password = (char *) "assword";
        for (size_t i = 0; i < ELEMENTSOF(others); i++) {
                credential_digest(&others[i], &key, &digests[i]);
                for (size_t j = 0; j < i; j++)
                        assert_false(digest_equal(&digests[i], &digests[j]));
        }

        same.key = same.source = same.helper = same.email = (char *) "x";
        credential_digest(&same, &key, &again);
        assert_true(digest_equal(&again, &digests[0]));
}

static void test_usable(void **state _unused_) {
        char word[] = "x";

        assert_false(credential_is_usable(&(Credential){.registry = word}));
        assert_false(credential_is_usable(&(Credential){.username = word}));
        assert_false(credential_is_usable(&(Credential){.password = word}));
        assert_false(credential_is_usable(&(Credential){.helper = word}));
        assert_true(credential_is_usable(&(Credential){.username = word, .password = word}));
        assert_true(credential_is_usable(&(Credential){.identity_token = word}));
}

static void test_stores(void **state _unused_) {
        _cleanup_(credentials_done) Credentials c = {0};

        credentials_add_store(&c, "pass", "/a");
        credentials_add_store(&c, "other", "/b");
        assert_int_equal(c.n_stores, 2);
        assert_string_equal(c.stores[1].helper, "other");
        assert_string_equal(c.stores[1].source, "/b");
        /* Of two files that name the same one, the later counts. */
        credentials_add_store(&c, "pass", "/c");
        assert_int_equal(c.n_stores, 2);
        assert_string_equal(c.stores[0].helper, "pass");
        assert_string_equal(c.stores[0].source, "/c");
        credentials_done(&c);
        assert_int_equal(c.n_stores, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_order_does_not_depend_on_arrival),
                cmocka_unit_test(test_replace_and_remove),
                cmocka_unit_test(test_many),
                cmocka_unit_test(test_done),
                cmocka_unit_test(test_other_secrets),
                cmocka_unit_test(test_copy),
                cmocka_unit_test(test_digest),
                cmocka_unit_test(test_usable),
                cmocka_unit_test(test_stores),
        };

        return cmocka_run_group_tests_name("credentials", tests, NULL, NULL);
}
