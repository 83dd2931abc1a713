/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "credentials/credential-file.h"
#include "ecsconfig/auth-data.h"
#include "ecsconfig/environment-file.h"

/* systemd refuses a whole environment file for a byte that is not UTF-8. Decoded here, not as registry.c does it. */
static bool is_utf8(const char *s) {
        static const unsigned least[] = {0, 0x80, 0x800, 0x10000};
        const unsigned char *p = (const unsigned char *) s;

        while (*p) {
                unsigned extra = *p < 0x80 ? 0 : *p >= 0xf0 ? 3 : *p >= 0xe0 ? 2 : 1;
                unsigned c = extra == 0 ? *p : *p & (0x3fU >> extra);

                if ((*p >= 0x80 && *p < 0xc0) || *p > 0xf7)
                        return false;
                p++;
                for (unsigned i = 0; i < extra; i++, p++) {
                        if ((*p & 0xc0) != 0x80)
                                return false;
                        c = c << 6 | (*p & 0x3fU);
                }
                if (c < least[extra] || (c >= 0xd800 && c <= 0xdfff) || c > 0x10ffff)
                        return false;
        }
        return true;
}

static int format(Credentials *c, const AuthData *current, AuthType type, const char **ret_type, char **ret_data,
                  Problems *problems) {
        static const DigestKey key = {{1}};
        _cleanup_(authdata_done) AuthData made = {0};

        return authdata_format(c, current, type, &key, ret_type, ret_data, &made, problems);
}

/* Whatever a credential file holds: what is written of it is one line that every reader takes as it is, and that says
 * to the agent what the file says. */
static void check_format(const Credentials *list, AuthType asked) {
        static const DigestKey key = {{1}};
        _cleanup_(credentials_done) Credentials copy = {0};
        _cleanup_(authdata_done) AuthData read = {0};
        Credentials *c = &copy;
        _cleanup_secret_ char *data = NULL;
        Problems problems = {0};
        const char *type = NULL;
        size_t n_usable = 0;

        credentials_copy(list, c);
        check(format(c, NULL, asked, &type, &data, &problems) == 0);
        check(c->n_items == list->n_items || problems.n_items > 0); /* never without a reason */
        for (size_t i = 0; i < c->n_items; i++)
                n_usable += credential_is_usable(c->items[i]);
        if (!data) {
                check(n_usable == 0);
                return;
        }

        for (const char *p = data; *p; p++)
                check((unsigned char) *p >= ' ' && *p != 0x7f && *p != '\\');
        check(is_utf8(data));
        check(data[0] == '{' && data[strlen(data) - 1] == '}');

        authdata_read(type, data, &key, &read);
        check(read.entries.n_items == n_usable);
        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *item = c->items[i], *other = credentials_find(&read.entries, item->registry);

                if (!credential_is_usable(item))
                        continue;
                check(other);
                check(acr_same_login(item, other));
        }
}

/* Values that give the agent the same credentials have the same digest, whichever type they are written as. */
static void check_digests(const Credentials *c) {
        static const DigestKey key = {{1}};
        Digest digests[AUTH_TYPE_DOCKER + 1];
        size_t n = 0;

        for (AuthType t = AUTH_TYPE_AUTO; t <= AUTH_TYPE_DOCKER; t++) {
                _cleanup_(credentials_done) Credentials copy = {0};
                _cleanup_secret_ char *data = NULL;
                Problems problems = {0};
                const char *type = NULL;

                credentials_copy(c, &copy);
                check(format(&copy, NULL, t, &type, &data, &problems) == 0);
                if (copy.n_items == c->n_items)
                        authdata_digest(type, data, &key, &digests[n++]);
        }
        for (size_t i = 1; i < n; i++)
                check(memcmp(&digests[0], &digests[i], sizeof(Digest)) == 0);
}

static void say(FuzzWords *words, const Credentials *c, const Problems *problems) {
        fuzz_say_credentials(words, c);
        for (unsigned i = 0; i < problems->n_items; i++)
                fuzz_say(words, "%d %s\n", problems->items[i].level, problems->items[i].text);
}

static int read_file(const char *type _unused_, const char *text _unused_, FuzzWords *words) {
        static const DigestKey key = {{1}};
        _cleanup_(credentials_done) Credentials c = {0};
        CredFileStamp stamp = {0};
        Problems problems = {0};
        int r = credfile_load(&c, fuzz_path("file"), false, NULL, &key, &stamp, &problems);

        check(r >= 0 || fuzz_failed() || (problems.n_items > 0 && c.n_items == 0));
        for (size_t i = 1; i < c.n_items; i++)
                check(strcmp(c.items[i - 1]->registry, c.items[i]->registry) < 0);
        say(words, &c, &problems);
        fuzz_say_digest(words, &stamp.digest);
        return r;
}

static int read_list(const char *type _unused_, const char *text, FuzzWords *words) {
        static const CredentialStore store = {.helper = (char *) "store", .source = (char *) "/f"};
        _cleanup_(credentials_done) Credentials c = {0};
        Problems problems = {0};
        int r = credfile_parse_list(&c, &store, text, NULL, &problems);

        say(words, &c, &problems);
        return r;
}

/* What is written of it. */
static int read_format(const char *type, const char *text, FuzzWords *words) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_secret_ char *data = NULL;
        Problems problems = {0};
        const char *written_type = NULL;
        AuthType asked;
        int r;

        fuzz_pause(true);
        check(auth_type_from_string(type, &asked) == 0);
        (void) credfile_parse(&c, "/f", text, strlen(text), NULL, &problems);
        fuzz_pause(false);
        r = format(&c, NULL, asked, &written_type, &data, &problems);
        check(r >= 0 || (fuzz_failed() && !data));
        say(words, &c, &problems);
        if (data)
                fuzz_say(words, "%s %s", written_type, data);
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_free_ char *text = fuzz_text(bytes, size);
        Problems problems = {0};

        (void) credfile_parse(&c, "/f", text, size, NULL, &problems);
        check_digests(&c);
        fuzz_put("file", bytes, size);
        fuzz_read(read_file, NULL, text);
        fuzz_read(read_list, NULL, text);
        for (AuthType t = AUTH_TYPE_AUTO; t <= AUTH_TYPE_DOCKER; t++) {
                check_format(&c, t);
                fuzz_read(read_format, auth_type_to_string(t), text);
        }
        return 0;
}
