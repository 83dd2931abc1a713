/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/acr-token.h"

#include "base/secret.h"

#define TOKEN_USER "00000000-0000-0000-0000-000000000000"

static bool is_acr(const char *registry) {
        static const char *const suffixes[] = {".azurecr.io", ".azurecr.cn", ".azurecr.us", ".azurecr.de"};
        const size_t n = strcspn(registry, ":/");

        for (size_t i = 0; i < ELEMENTSOF(suffixes); i++) {
                const size_t length = strlen(suffixes[i]);

                if (n > length && strncmp(registry + n - length, suffixes[i], length) == 0)
                        return true;
        }
        return false;
}

const char *acr_token(const Credential *c) {
        if (!is_acr(c->registry))
                return NULL;
        if (c->identity_token)
                return c->identity_token;
        return c->username && streq(c->username, TOKEN_USER) && !str_empty(c->password) ? c->password : NULL;
}

int acr_token_to_password(Credential *c) {
        char *username = secret_dup(TOKEN_USER, strlen(TOKEN_USER));

        if (!username)
                return -ENOMEM;
        secret_free(c->username);
        secret_free(c->password);
        c->username = username;
        c->password = STEAL_POINTER(c->identity_token);
        return 0;
}
