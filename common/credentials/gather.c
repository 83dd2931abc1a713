/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/gather.h"

#include <fnmatch.h>

#include "base/directories.h"
#include "base/secret.h"
#include "credentials/credential-file.h"
#include "credentials/credential-helper.h"

/* A file that cannot be read costs its own registries, and not those of the others. */
static int load_files(const CredentialSettings *settings, Credentials *c, Problems *problems) {
        unsigned n_loaded = 0;
        int r, error = 0;

        for (char **file = settings->files; *file; file++) {
                r = credfile_load(c, *file, problems);
                if (r == -ENOMEM)
                        return r;
                if (r < 0)
                        error = r;
                else
                        n_loaded++;
        }
        if (n_loaded == 0)
                return error;

        c->incomplete = error < 0;
        return 0;
}

/* The part of a key that is a host, with its port: what an image's name begins with. */
static bool host_matches(const char *registry, const char *pattern) {
        const char *host = strstr(registry, "://");
        char buffer[256];

        host = host ? host + strlen("://") : registry;
        (void) snprintf(buffer, sizeof(buffer), "%.*s", (int) strcspn(host, "/"), host);
        return fnmatch(pattern, buffer, 0) == 0;
}

static bool is_excluded(const CredentialSettings *settings, const char *registry) {
        for (char **pattern = settings->exclude; pattern && *pattern; pattern++)
                if (host_matches(registry, *pattern))
                        return true;
        return false;
}

/* Before any helper is asked: one for Amazon ECR would ask AWS. */
static void leave_out(const CredentialSettings *settings, Credentials *c, Problems *problems) {
        size_t i = 0;

        while (i < c->n_items) {
                if (!is_excluded(settings, c->items[i].registry)) {
                        i++;
                        continue;
                }
                problems_add(problems, LOG_INFO, "%s: %s is left out, as Exclude= says", c->items[i].source,
                             c->items[i].registry);
                credentials_remove(c, i);
        }
}

static int ask_stores(const CredentialSettings *settings, const char *home, Credentials *c, Problems *problems) {
        _cleanup_free_ HelperCall *calls = calloc(c->n_stores + 1, sizeof(HelperCall));
        int r = 0;

        if (!calls)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_stores; i++)
                calls[i] = (HelperCall){.helper = c->stores[i].helper, .verb = "list", .input = ""};

        helper_run(calls, c->n_stores, home, settings->helper_environment, settings->helper_timeout_usec);
        for (size_t i = 0; r >= 0 && i < c->n_stores; i++) {
                int error = calls[i].error;

                if (error >= 0)
                        error = credfile_parse_list(c, &c->stores[i], calls[i].output, problems);
                if (error == -ENOMEM) {
                        r = error;
                } else if (error < 0) {
                        c->incomplete = true;
                        problems_add(
                                problems, LOG_ERR,
                                "%s: docker-credential-%s list: %s; the entries that the environment file has stay",
                                c->stores[i].source, c->stores[i].helper, helper_strerror(error));
                }
        }
        helper_calls_done(calls, c->n_stores);
        return r;
}

static void explain_failure(const Credential *c, int error, Problems *problems) {
        const char *consequence = credential_is_usable(c) ? "the ones that stand in the file itself are used"
                                  : error == -ENOKEY      ? "none are used. Run 'docker login' for it"
                                                          : "the entry that the environment file has for it stays";

        problems_add(
                problems, error == -ENOKEY ? LOG_WARNING : LOG_ERR,
                "%s: the credentials of %s from docker-credential-%s: %s; %s. By hand: echo %s | docker-credential-%s get",
                c->source, c->key, c->helper, helper_strerror(error), consequence, c->key, c->helper);
}

/* The answer of "get" in place of what the file itself has. */
static int take_answer(Credential *c, const HelperCall *call) {
        _cleanup_secret_ char *username = NULL, *secret = NULL;
        int r;

        if (call->error < 0)
                return call->error;
        r = helper_parse_get(call->output, &username, &secret);
        if (r < 0)
                return r;

        c->username = secret_free(c->username);
        c->password = secret_free(c->password);
        c->identity_token = secret_free(c->identity_token);
        if (streq(username, "<token>")) {
                c->identity_token = STEAL_POINTER(secret);
        } else {
                c->username = STEAL_POINTER(username);
                c->password = STEAL_POINTER(secret);
        }
        return 0;
}

static int ask_helpers(const CredentialSettings *settings, const char *home, Credentials *c, Problems *problems) {
        _cleanup_free_ HelperCall *calls = calloc(c->n_items + 1, sizeof(HelperCall));
        size_t n_calls = 0, n = 0;
        int r = 0;

        if (!calls)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_items; i++)
                if (c->items[i].helper)
                        calls[n_calls++] =
                                (HelperCall){.helper = c->items[i].helper, .verb = "get", .input = c->items[i].key};

        helper_run(calls, n_calls, home, settings->helper_environment, settings->helper_timeout_usec);
        for (size_t i = 0; r >= 0 && i < c->n_items;) {
                Credential *item = &c->items[i];
                int error = item->helper ? take_answer(item, &calls[n++]) : 0;

                if (error == -ENOMEM)
                        r = error;
                else if (error < 0)
                        explain_failure(item, error, problems);
                else if (item->helper)
                        credfile_check_characters(item, problems);

                /* It says that there is nothing (any more): as good as no entry. */
                if (error == -ENOKEY && !credential_is_usable(item))
                        credentials_remove(c, i);
                else
                        i++;
        }
        helper_calls_done(calls, n_calls);
        return r;
}

int gather_credentials(const CredentialSettings *settings, Credentials *ret, Problems *problems) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_free_ char *home = home_directory();
        int r;

        if (!home)
                return -ENOMEM;

        r = load_files(settings, &c, problems);
        if (r >= 0)
                r = ask_stores(settings, home, &c, problems);
        if (r < 0)
                return r;

        leave_out(settings, &c, problems);
        r = ask_helpers(settings, home, &c, problems);
        if (r < 0)
                return r;

        *ret = c;
        c = (Credentials){0};
        return 0;
}
