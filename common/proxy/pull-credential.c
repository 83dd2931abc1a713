/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/pull-credential.h"

#include <openssl/evp.h>

#include "base/directories.h"
#include "base/memory.h"
#include "base/secret.h"
#include "credentials/registry-name.h"
#include "credentials/run-helpers.h"

#define HUB "docker.io"

/* Returns the host of an image name: without a dot, a colon or "localhost" in its first part, that is Docker Hub. */
static bool names_a_host(const char *image) {
        const size_t n = strcspn(image, "/");

        return image[n] &&
               (memchr(image, '.', n) || memchr(image, ':', n) || (n == 9 && strncmp(image, "localhost", n) == 0));
}

/* Returns "HOST/PATH" with one name for Docker Hub, of an image or of the key of a login. */
static char *full_name(const char *name, bool has_host) {
        if (streq(name, REGISTRY_DOCKER_HUB))
                return xstrdup(HUB);
        if (!has_host)
                return xasprintf(HUB "/%s%s", strchr(name, '/') ? "" : "library/", name);
        return registry_is_hub_host(name) ? xasprintf(HUB "%s", name + strcspn(name, "/")) : xstrdup(name);
}

/* Returns the length of the key if it covers the image, or 0. */
static size_t match(const char *image, const char *key) {
        const size_t n = strlen(key);

        return strncmp(image, key, n) == 0 && (!image[n] || image[n] == '/') ? n : 0;
}

static const Credential *find(const Credentials *c, const char *image) {
        const Credential *found = NULL;
        size_t longest = 0;

        for (size_t i = 0; i < c->n_items; i++) {
                _cleanup_free_ char *key = full_name(c->items[i]->registry, true);
                const size_t n = match(image, key);

                if (n <= longest)
                        continue;
                longest = n;
                found = c->items[i];
        }
        return found;
}

/* Runs a helper, and sets the secrets of c to its answer. Returns 0 if it has none. */
static int ask(const CredentialSettings *settings, const char *helper, const char *key, Credential *c,
               Problems *problems) {
        HelperCall call = {.helper = helper, .verb = "get", .input = key};
        _cleanup_free_ char *home = xmemory(home_directory());
        int r;

        helper_run(&call, 1, home, settings->helper_environment, settings->helper_timeout_usec);
        r = call.error;
        if (r >= 0)
                r = helper_parse_get(call.output, &c->username, &c->password);
        helper_calls_done(&call, 1);
        if (r < 0 && r != -ENOKEY) {
                problems_add(
                        problems, LOG_ERR,
                        "docker-credential-%s get: %s. By hand (this prints the secret): echo %s | docker-credential-%s get",
                        helper, helper_strerror(r), key, helper);
                return r;
        }
        if (r >= 0 && streq(c->username, "<token>")) {
                c->identity_token = c->password;
                c->username = c->password = NULL;
        }
        return r < 0 ? 0 : 1;
}

/* Encodes an AuthConfig as Docker does: base64 in the alphabet for URLs. */
static char *encode(const Credential *c) {
        _cleanup_json_ json_object *o = xmemory(json_object_new_object());
        const char *text;
        char *encoded;
        size_t n;

        if (c->identity_token)
                xjson_set_string(o, "identitytoken", c->identity_token);
        if (c->username)
                xjson_set_string(o, "username", c->username);
        if (c->password)
                xjson_set_string(o, "password", c->password);
        text = xjson_to_text(o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
        n = strlen(text);
        encoded = xcalloc(1, 4 * ((n + 2) / 3) + 1);
        (void) EVP_EncodeBlock((unsigned char *) encoded, (const unsigned char *) text, (int) n);
        for (char *s = encoded; *s; s++)
                *s = (char) (*s == '+' ? '-' : *s == '/' ? '_' : *s);
        return encoded;
}

/* Loads all files. Returns the first error; -ENOENT does not count. */
static int load(const CredentialSettings *settings, const DigestKey *key, Credentials *c, Problems *problems) {
        int result = 0;

        for (char **file = settings->files; *file; file++) {
                Problems found = {0};
                int r = credfile_load(c, *file, settings->strict, settings->exclude, key, NULL, &found);

                if (r < 0 && r != -ENOENT) {
                        problems_append(problems, &found);
                        result = result < 0 ? result : r;
                }
        }
        return result;
}

/* Docker asks a store for each host that no entry names. */
static int ask_stores(const CredentialSettings *settings, const Credentials *c, const char *image, Credential *ret,
                      Problems *problems) {
        _cleanup_free_ char *host = xstrndup(image, strcspn(image, "/"));
        const char *server = streq(host, HUB) ? REGISTRY_DOCKER_HUB : host;
        int r = 0;

        if (registry_is_excluded(host, settings->exclude))
                return 0;
        for (size_t i = 0; r == 0 && i < c->n_stores; i++)
                r = ask(settings, c->stores[i].helper, server, ret, problems);
        return r;
}

int pull_credential_find(const CredentialSettings *settings, const char *image, char **ret_auth, Problems *problems) {
        static const DigestKey key; /* digests are not used here */
        _cleanup_(credentials_done) Credentials all = {0};
        _cleanup_(credential_done) Credential answer = {0};
        _cleanup_free_ char *name = full_name(image, names_a_host(image));
        const Credential *c;
        int r, error;

        error = load(settings, &key, &all, problems);
        c = find(&all, name);
        if (c && c->helper)
                r = ask(settings, c->helper, c->key, &answer, problems);
        else if (c)
                r = credential_is_usable(c);
        else
                r = ask_stores(settings, &all, name, &answer, problems);
        if (r == 0)
                return error;
        if (r > 0)
                *ret_auth = encode(c && !c->helper ? c : &answer);
        return r;
}
