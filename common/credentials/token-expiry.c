/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/token-expiry.h"

#include <openssl/evp.h>

#include "base/json.h"
#include "base/memory.h"
#include "base/secret.h"

enum {
        CLAIMS_MAX = 64 * 1024,
};

/* Later than anybody means (the year 33658), and still a number of microseconds. */
#define SECONDS_MAX 1e12

/* base64url without padding (RFC 7515), decoded; the caller frees it with secret_free(). */
static int decode(const char *text, size_t n, char **ret) {
        size_t padded = (n + 3) / 4 * 4;
        _cleanup_secret_ char *standard = xcalloc(1, padded + 1), *plain = xcalloc(1, padded + 1);
        int length;

        for (size_t i = 0; i < padded; i++)
                standard[i] = i >= n ? '=' : text[i] == '-' ? '+' : text[i] == '_' ? '/' : text[i];
        length = EVP_DecodeBlock((unsigned char *) plain, (const unsigned char *) standard, (int) padded);
        if (length < 0)
                return -ENODATA;
        plain[(size_t) length - (padded - n)] = 0;
        *ret = STEAL_POINTER(plain);
        return 0;
}

int jwt_expiry(const char *token, int64_t *ret_sec) {
        static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        _cleanup_secret_ char *claims = NULL;
        _cleanup_json_ json_object *o = NULL;
        const char *start = strchr(token, '.');
        json_object *exp;
        size_t n;
        int r;

        if (!start)
                return -ENODATA;
        n = strspn(++start, alphabet);
        if (n == 0 || n > CLAIMS_MAX || n % 4 == 1 || start[n] != '.')
                return -ENODATA;

        r = decode(start, n, &claims);
        if (r < 0)
                return r;
        r = json_parse_strict(claims, strlen(claims), 0, &o, NULL, NULL);
        if (r < 0)
                return -ENODATA;
        /* NumericDate: it may have a fraction. */
        exp = json_get(o, "exp", json_type_int);
        if (!exp)
                exp = json_get(o, "exp", json_type_double);
        if (!exp || json_object_get_double(exp) < 1 || json_object_get_double(exp) > SECONDS_MAX)
                return -ENODATA;
        *ret_sec = json_object_get_int64(exp);
        return 0;
}
