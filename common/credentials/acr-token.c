/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/acr-token.h"

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

Credential acr_token_as_password(const Credential *c) {
        Credential form = *c;

        form.username = (char *) TOKEN_USER;
        form.password = c->identity_token;
        form.identity_token = NULL;
        return form;
}

static bool same_field(const char *a, const char *b) {
        return streq(a ? a : "", b ? b : "");
}

bool acr_same_login(const Credential *a, const Credential *b) {
        const char *x = acr_token(a), *y = acr_token(b);

        if (x || y)
                return x && y && streq(x, y);
        return same_field(a->username, b->username) && same_field(a->password, b->password) &&
               same_field(a->identity_token, b->identity_token);
}
