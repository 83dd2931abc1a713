/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/registry-login.h"

#include "base/http.h"
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

/* Docker talks to registries on this machine without TLS. */
static const char *scheme_of(const char *host) {
        return startswith(host, "localhost") || startswith(host, "127.") || startswith(host, "[::1]") ? "http"
                                                                                                      : "https";
}

static int ask(const char *url, const Credential *c, HttpResponse *ret) {
        const HttpRequest request = {.method = "GET",
                                     .url = url,
                                     .timeout_usec = TIMEOUT_USEC,
                                     .username = c->username,
                                     .password = c->password};

        return http_request(&request, ret);
}

static int judge(long status, char *why, size_t size) {
        (void) snprintf(why, size, "status %ld", status);
        if (status / 100 == 2)
                return 1;
        return status == 401 || status == 403 ? 0 : -EREMOTEIO;
}

static int ask_for_token(const char *challenge, const Credential *c, char *why, size_t size) {
        _cleanup_http_ HttpResponse response = {0};
        char realm[512], service[256] = "", url[1024];
        int r;

        if (!challenge_parameter(challenge, "realm", realm, sizeof(realm)) || !startswith(realm, "http")) {
                (void) snprintf(why, size, "it names no place to get a token");
                return -EBADMSG;
        }
        (void) challenge_parameter(challenge, "service", service, sizeof(service));
        (void) snprintf(url, sizeof(url), "%s%cservice=%s", realm, strchr(realm, '?') ? '&' : '?', service);
        r = ask(url, c, &response);
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

        if (!c->username || !c->password) {
                (void) snprintf(why, size, "an identity token is not tried");
                return -EOPNOTSUPP;
        }
        (void) snprintf(url, sizeof(url), "%s://%.*s/v2/", scheme_of(host), (int) strcspn(host, "/"), host);
        r = ask(url, c, &response);
        if (r < 0) {
                (void) snprintf(why, size, "%s", strerror(-r));
                return r;
        }
        if (response.status == 401 && strncasecmp(response.challenge, "Bearer ", 7) == 0)
                return ask_for_token(response.challenge, c, why, size);
        return judge(response.status, why, size);
}
