/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/registry-name.h"

#include <fnmatch.h>
#include <strings.h>

#include "base/memory.h"

/* The hosts that Docker's CLI takes for Docker Hub. */
static const char *const docker_hub_hosts[] = {"index.docker.io", "docker.io", "registry-1.docker.io"};

static const char *skip_scheme(const char *key) {
        if (strncasecmp(key, "https://", 8) == 0)
                return key + 8;
        if (strncasecmp(key, "http://", 7) == 0)
                return key + 7;
        return key;
}

/* Every reader of the environment file takes these bytes as they are. */
static bool is_carried_as_is(const char *s) {
        const unsigned char *p = (const unsigned char *) s;

        while (*p) {
                size_t n = json_utf8_length(p);

                if (n == 0 || *p <= ' ' || *p == 0x7f || strchr("\"'\\`", *p))
                        return false;
                p += n;
        }
        return true;
}

static void trim_slashes(char *s) {
        for (size_t n = strlen(s); n > 0 && s[n - 1] == '/'; n--)
                s[n - 1] = 0;
}

/* Removes the path of the registry's API. Behind another path, "v1" is part of an image's name. */
static void trim_api_path(char *name) {
        char *path = name + strcspn(name, "/");

        if (streq(path, "/v1") || streq(path, "/v2"))
                *path = 0;
}

bool registry_has_host(const char *name, const char *const *hosts, size_t n_hosts) {
        size_t n = strcspn(name, "/");

        for (size_t i = 0; i < n_hosts; i++)
                if (strlen(hosts[i]) == n && strncmp(hosts[i], name, n) == 0)
                        return true;
        return false;
}

bool registry_is_hub_host(const char *name) {
        return registry_has_host(name, docker_hub_hosts, ELEMENTSOF(docker_hub_hosts));
}

/* Refuses a second scheme, and a user name (and password) before the host. Refuses '@' behind a slash, too, because a
 * password may contain a slash. */
static bool has_host(const char *name) {
        return *name && !strchr("/:", *name) && !strchr(name, '@') && !strstr(name, "://");
}

int registry_normalize(const char *key, char **ret) {
        _cleanup_free_ char *name = NULL;

        if (!is_carried_as_is(key))
                return -EINVAL;

        name = xstrdup(skip_scheme(key));
        trim_slashes(name);
        trim_api_path(name);
        if (!has_host(name))
                return -EINVAL;

        /* A path below the host is a key of its own. */
        if (!strchr(name, '/') && registry_is_hub_host(name)) {
                free(STEAL_POINTER(name));
                name = xstrdup(REGISTRY_DOCKER_HUB);
        }

        *ret = STEAL_POINTER(name);
        return 0;
}

const char *registry_showable(const char *key) {
        const char *at = strrchr(key, '@');

        return at ? at + 1 : key;
}

bool registry_is_docker_own(const char *registry) {
        static const char *const names[] = {"index.docker.io/v1/access-token", "index.docker.io/v1/refresh-token",
                                            "hub-tool", "hub-tool-token", "hub-tool-refresh-token"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++)
                if (streq(registry, names[i]))
                        return true;
        return false;
}

bool registry_matches(const char *registry, const char *pattern) {
        const char *scheme = strstr(registry, "://"), *name = scheme ? scheme + strlen("://") : registry;
        _cleanup_free_ char *normalized = NULL, *host = xstrndup(name, strcspn(name, "/"));

        if (fnmatch(pattern, strchr(pattern, '/') ? name : host, FNM_CASEFOLD) == 0)
                return true;
        return registry_normalize(pattern, &normalized) >= 0 &&
               fnmatch(normalized, strchr(normalized, '/') ? registry : host, FNM_CASEFOLD) == 0;
}

bool registry_is_excluded(const char *registry, char *const *exclude) {
        for (; exclude && *exclude; exclude++)
                if (registry_matches(registry, *exclude))
                        return true;
        return false;
}
