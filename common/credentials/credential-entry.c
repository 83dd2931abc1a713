/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/credential-entry.h"

#include <openssl/evp.h>
#include <strings.h>

#include "base/secret.h"

/* Base64 as it is found: with or without padding, either alphabet, with line breaks. Returns the number of bytes. */
static int decode_base64(const char *s, char **ret) {
        size_t length = strlen(s), n = 0, padding = 0;
        /* Zeroed: what is half done is wiped as a string. */
        _cleanup_secret_ char *clean = calloc(1, length + 4), *decoded = calloc(1, length + 4);
        int r;

        if (!clean || !decoded)
                return -ENOMEM;

        for (; *s; s++) {
                if (strchr(" \t\r\n", *s))
                        continue;
                if (*s == '=') {
                        padding++;
                        continue;
                }
                if (padding > 0)
                        break; /* something after the padding: refused below */
                clean[n++] = (char) (*s == '-' ? '+' : *s == '_' ? '/' : *s);
        }
        if (*s || padding > 2 || n % 4 == 1)
                return -EBADMSG;

        for (padding = 0; n % 4 != 0; padding++)
                clean[n++] = '=';

        r = EVP_DecodeBlock((unsigned char *) decoded, (const unsigned char *) clean, (int) n);
        if (r < 0 || (size_t) r < padding)
                return -EBADMSG;
        r -= (int) padding;
        decoded[r] = 0;
        *ret = STEAL_POINTER(decoded);
        return r;
}

/* "auth" is base64 of "user:password"; the password may have further colons. NULs at its end are cut off, as Docker's
 * CLI does (config file, decodeAuth). */
static int decode_auth(const char *auth, Credential *c) {
        _cleanup_secret_ char *plain = NULL;
        const char *colon;
        int n;

        n = decode_base64(auth, &plain);
        if (n < 0)
                return n;
        while (n > 0 && plain[n - 1] == 0)
                n--;
        if (strlen(plain) != (size_t) n)
                return -EBADMSG;

        colon = strchr(plain, ':');
        if (!colon || colon == plain)
                return -EBADMSG;

        c->username = secret_dup(plain, (size_t) (colon - plain));
        c->password = secret_dup(colon + 1, strlen(colon + 1));
        return c->username && c->password ? 0 : -ENOMEM;
}

static int copy_string(json_object *o, const char *key, char **ret) {
        const char *s = json_field_string(o, key);

        if (!s)
                return 0;
        *ret = secret_dup(s, strlen(s));
        return *ret ? 0 : -ENOMEM;
}

/* Docker's CLI reads none of the file's passwords if a field has another type than string. */
static const char *find_wrong_type(json_object *entry) {
        static const struct {
                const char *name, *flaw;
        } fields[] = {
                {"auth", "has an \"auth\" that is not a string: it must be in double quotes"},
                {"username", "has a \"username\" that is not a string: it must be in double quotes"},
                {"password", "has a \"password\" that is not a string: it must be in double quotes"},
                {"identitytoken", "has an \"identitytoken\" that is not a string: it must be in double quotes"},
        };

        for (size_t i = 0; i < ELEMENTSOF(fields); i++) {
                json_object_object_foreach(entry, name, value) {
                        if (strcasecmp(name, fields[i].name) == 0 && value &&
                            !json_object_is_type(value, json_type_string))
                                return fields[i].flaw;
                }
        }
        return NULL;
}

static int read_login(json_object *entry, Credential *c) {
        const char *auth = json_field_string(entry, "auth");
        int r;

        /* As in Docker, the two plain fields are used only if there is no "auth". */
        if (auth) {
                r = decode_auth(auth, c);
                if (r != -EBADMSG)
                        return r;
                /* Beside an identity token Docker writes "user:" with a password of zeros, or nothing that matters. */
                if (!c->identity_token)
                        c->flaw = "has an \"auth\" that is not base64 of user:password";
                return 0;
        }

        if (!json_field_string(entry, "username") || !json_field_string(entry, "password"))
                return 0;
        r = copy_string(entry, "username", &c->username);
        return r < 0 ? r : copy_string(entry, "password", &c->password);
}

int credential_read_entry(json_object *entry, Credential *c) {
        int r;

        if (!entry)
                return 0; /* null is an empty entry */
        if (!json_object_is_type(entry, json_type_object)) {
                c->flaw = "is not an object";
                return 0;
        }

        r = copy_string(entry, "identitytoken", &c->identity_token);
        if (r >= 0)
                r = copy_string(entry, "email", &c->email);
        if (r >= 0)
                r = read_login(entry, c);
        if (r >= 0 && !c->flaw && !credential_is_usable(c))
                c->flaw = find_wrong_type(entry);
        return r;
}
