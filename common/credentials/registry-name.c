/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/registry-name.h"

#include <ctype.h>
#include <strings.h>

#include "base/json.h"

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

static bool trim_end(char *s, const char *suffix) {
        size_t n = strlen(s), length = strlen(suffix);

        if (n <= length || !streq(s + n - length, suffix))
                return false;
        s[n - length] = 0;
        return true;
}

static void trim_slashes(char *s) {
        for (size_t n = strlen(s); n > 0 && s[n - 1] == '/'; n--)
                s[n - 1] = 0;
}

static bool is_docker_hub(const char *name) {
        size_t n = strcspn(name, "/");

        for (size_t i = 0; i < ELEMENTSOF(docker_hub_hosts); i++)
                if (strlen(docker_hub_hosts[i]) == n && strncmp(docker_hub_hosts[i], name, n) == 0)
                        return name[n] == 0; /* a path below the host is a key of its own */
        return false;
}

/* A host, and not one with a scheme or a user (and password) before it. */
static bool has_host(const char *name) {
        size_t n = strcspn(name, "/");

        return n > 0 && name[0] != ':' && !memchr(name, '@', n) && !strstr(name, "://");
}

int registry_normalize(const char *key, char **ret) {
        _cleanup_free_ char *name = NULL;

        if (!is_carried_as_is(key))
                return -EINVAL;

        name = strdup(skip_scheme(key));
        if (!name)
                return -ENOMEM;

        for (char *c = name; *c && *c != '/'; c++)
                *c = (char) tolower((unsigned char) *c);

        /* An API path is no part of an image's name: left there, it makes the agent's choice a chance. */
        do
                trim_slashes(name);
        while (trim_end(name, "/v1") || trim_end(name, "/v2"));
        if (!has_host(name))
                return -EINVAL;

        if (is_docker_hub(name)) {
                free(STEAL_POINTER(name));
                name = strdup(REGISTRY_DOCKER_HUB);
                if (!name)
                        return -ENOMEM;
        }

        *ret = STEAL_POINTER(name);
        return 0;
}
