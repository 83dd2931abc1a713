/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/registry-login.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <strings.h>

#include "base/http.h"
#include "base/memory.h"
#include "base/printable.h"
#include "base/secret.h"
#include "credentials/registry-name.h"

#define TIMEOUT_USEC (10 * USEC_PER_SEC)

bool challenge_parameter(const char *header, const char *name, char *ret, size_t size) {
        size_t length = strlen(name), n;

        for (const char *s = strchr(header, ' '); s; s = strchr(s, ',')) {
                s += strspn(s, ", ");
                if (strncmp(s, name, length) != 0 || s[length] != '=' || s[length + 1] != '"')
                        continue;
                s += length + 2;
                n = strcspn(s, "\"");
                if (s[n] != '"' || n >= size)
                        return false;
                memcpy(ret, s, n);
                ret[n] = 0;
                return true;
        }
        return false;
}

bool registry_is_local(const char *host) {
        char name[256];
        struct in_addr address;
        size_t n = host[0] == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/");

        if (n >= sizeof(name))
                return false;
        memcpy(name, host, n);
        name[n] = 0;
        return strcasecmp(name, "localhost") == 0 || streq(name, "[::1]") ||
               (inet_pton(AF_INET, name, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

/* Where a secret may go: over TLS, or to this machine. */
static bool is_safe(const char *url) {
        const char *host = startswith(url, "http://");

        return startswith(url, "https://") || (host && !strchr(host, '@') && registry_is_local(host));
}

static int ask(const char *url, const Credential *c, HttpResponse *ret) {
        bool password = c && c->username && c->password;
        const HttpRequest request = {.method = "GET",
                                     .url = url,
                                     .timeout_usec = TIMEOUT_USEC,
                                     .username = password ? c->username : NULL,
                                     .password = password ? c->password : NULL};

        return http_request(&request, ret);
}

/* application/x-www-form-urlencoded: all but the unreserved characters of RFC 3986. */
static char *append_form(char *target, const char *name, const char *value) {
        target += sprintf(target, "%s=", name); /* NOLINT: the caller has made room */
        for (; *value; value++)
                if (isalnum((unsigned char) *value) || strchr("-._~", *value))
                        *target++ = *value;
                else
                        target += sprintf(target, "%%%02X", (unsigned char) *value); /* NOLINT */
        *target++ = '&';
        *target = 0;
        return target;
}

/* An identity token is a refresh token of OAuth 2 (distribution, "Token Authentication Implementation", POST). */
static int send_identity_token(const char *realm, const char *service, const Credential *c, HttpResponse *ret) {
        size_t size = 3 * (strlen(service) + strlen(c->identity_token)) + 128;
        _cleanup_secret_ char *body = xcalloc(1, size);
        HttpRequest request = {.method = "POST",
                               .url = realm,
                               .timeout_usec = TIMEOUT_USEC,
                               .content_type = "application/x-www-form-urlencoded"};
        char *end;

        end = append_form(body, "grant_type", "refresh_token");
        end = append_form(end, "service", service);
        end = append_form(end, "client_id", "ecs-authd");
        (void) append_form(end, "refresh_token", c->identity_token);
        request.body = body;
        return http_request(&request, ret);
}

static int judge(long status, char *why, size_t size) {
        (void) snprintf(why, size, "status %ld", status);
        if (status / 100 == 2)
                return 1;
        return status == 400 || status == 401 || status == 403 ? 0 : -EREMOTEIO;
}

static int ask_for_token(const char *challenge, const Credential *c, char *why, size_t size) {
        _cleanup_http_ HttpResponse response = {0};
        char realm[512], service[256] = "", url[1024];
        int r;

        if (!challenge_parameter(challenge, "realm", realm, sizeof(realm)) || !startswith(realm, "http")) {
                (void) snprintf(why, size, "it names no place to get a token");
                return -EBADMSG;
        }
        if (!is_safe(realm)) {
                (void) snprintf(why, size, "it wants the secret without TLS, at %s", realm);
                make_printable(why);
                return -EPERM;
        }
        (void) challenge_parameter(challenge, "service", service, sizeof(service));
        (void) snprintf(url, sizeof(url), "%s%cservice=%s", realm, strchr(realm, '?') ? '&' : '?', service);
        /* As Docker: the token, and the password only where there is none. */
        r = c->identity_token ? send_identity_token(realm, service, c, &response) : ask(url, c, &response);
        if (r < 0) {
                (void) snprintf(why, size, "%s", strerror(-r));
                return r;
        }
        return judge(response.status, why, size);
}

int registry_login(const Credential *c, char *why, size_t size) {
        _cleanup_http_ HttpResponse response = {0};
        const char *host = streq(c->registry, REGISTRY_DOCKER_HUB) ? "registry-1.docker.io" : c->registry;
        char url[512];
        int r;

        (void) snprintf(url, sizeof(url), "%s://%.*s/v2/", registry_is_local(host) ? "http" : "https",
                        (int) strcspn(host, "/"), host);
        r = ask(url, c->identity_token ? NULL : c, &response);
        if (r < 0) {
                (void) snprintf(why, size, "%s", strerror(-r));
                return r;
        }
        if (response.status == 401 && strncasecmp(response.challenge, "Bearer ", 7) == 0)
                return ask_for_token(response.challenge, c, why, size);
        if (c->identity_token) {
                (void) snprintf(why, size, "it asks for no token, so the identity token cannot be tried");
                return -EOPNOTSUPP;
        }
        return judge(response.status, why, size);
}
