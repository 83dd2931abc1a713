/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/key-coverage.h"

#include <ctype.h>

#include "base/memory.h"
#include "credentials/registry-name.h"

/* People log in to these hosts when they mean Docker Hub. The agent treats them as ordinary hosts. */
static const char *const hub_lookalikes[] = {"hub.docker.com", "registry.hub.docker.com"};

/* The agent removes the scheme and nothing else. */
static const char *skip_scheme(const char *key) {
        const char *rest = startswith(key, "http://");

        if (!rest)
                rest = startswith(key, "https://");
        return rest ? rest : key;
}

static size_t host_length(const char *name) {
        return strcspn(name, "/");
}

/* Labels of letters, digits and inner hyphens, separated by dots. */
static bool is_domain(const char *s, size_t n) {
        for (size_t i = 0; i < n; i++) {
                const bool inner = i > 0 && i + 1 < n && isalnum((unsigned char) s[i - 1]);

                if (isalnum((unsigned char) s[i]))
                        continue;
                if (s[i] == '.' ? !inner || !isalnum((unsigned char) s[i + 1])
                                : s[i] != '-' || i == 0 || i + 1 == n || s[i - 1] == '.')
                        return false;
        }
        return n > 0;
}

/* Docker accepts the host in an image name: a domain or an IPv6 address in brackets, and perhaps a port. */
static bool is_valid_host(const char *s, size_t n) {
        static const char address[] = "0123456789abcdefABCDEF:";
        const size_t domain = *s == '[' ? strspn(s + 1, address) + 2 : strcspn(s, ":/");
        size_t port;

        if (domain > n || (*s == '[' ? domain == 2 || s[domain - 1] != ']' : !is_domain(s, domain)))
                return false;
        if (domain == n)
                return true;
        port = strspn(s + domain + 1, "0123456789");
        return s[domain] == ':' && port > 0 && domain + 1 + port == n;
}

/* Without a dot or a colon, Docker and the agent take the first part of an image name as a Docker Hub organisation. */
static bool is_host_to_the_agent(const char *s, size_t n) {
        return memchr(s, '.', n) || memchr(s, ':', n) || (n == strlen("localhost") && strncmp(s, "localhost", n) == 0);
}

/* Returns true if an image name can have this path. path: from the first slash on. */
static bool is_valid_path(const char *path) {
        const size_t n = strspn(path, "abcdefghijklmnopqrstuvwxyz0123456789._-/");

        for (size_t i = 0; i + 1 < n; i++)
                if (path[i] == '/' && path[i + 1] == '/')
                        return false;
        return !path[n] || strchr(":@", path[n]); /* a tag or a digest follows */
}

static bool is_written(const Credentials *written, const char *host, size_t n) {
        char name[256];
        const Credential *c;

        if (n >= sizeof(name))
                return false; /* no host name is that long */
        memcpy(name, host, n);
        name[n] = 0;
        c = credentials_find(written, name);
        return c && credential_is_usable(c);
}

bool key_covers_nothing(const char *key, const Credentials *written) {
        const char *name = skip_scheme(key);
        const size_t n = host_length(name);

        if (registry_is_hub_host(name))
                return !streq(name, skip_scheme(REGISTRY_DOCKER_HUB));
        if (!is_host_to_the_agent(name, n) || !is_valid_host(name, n))
                return true;
        return name[n] && !is_valid_path(name + n) && is_written(written, name, n);
}

KeyCoverage key_coverage(const char *key, const Credentials *written) {
        const char *name = skip_scheme(key);
        const size_t n = host_length(name), length = strlen(name);
        bool only = true, longest = true;

        if (key_covers_nothing(key, written))
                return KEY_COVERS_NOTHING;
        if (registry_is_hub_host(name) || !name[n])
                return KEY_COVERS_HOST;
        if (is_written(written, name, n))
                return KEY_COVERS_PATH;

        for (size_t i = 0; longest && i < written->n_items; i++) {
                const char *other = skip_scheme(written->items[i]->registry);

                if (!credential_is_usable(written->items[i]) || strncmp(other, name, n + 1) != 0 || streq(other, name))
                        continue;
                only = false;
                longest = strlen(other) < length;
        }
        if (only)
                return KEY_COVERS_AS_ONLY;
        return longest && is_valid_path(name + n) ? KEY_COVERS_PATH_OR_CHANCE : KEY_COVERS_CHANCE;
}

const char *key_coverage_to_string(KeyCoverage coverage) {
        static const char *const words[] = {
                [KEY_COVERS_NOTHING] = "nothing", [KEY_COVERS_HOST] = "host",
                [KEY_COVERS_PATH] = "path",       [KEY_COVERS_AS_ONLY] = "host-as-only-key",
                [KEY_COVERS_CHANCE] = "chance",   [KEY_COVERS_PATH_OR_CHANCE] = "path-or-chance",
        };

        return words[coverage];
}

void key_coverage_describe(const char *key, KeyCoverage coverage, char *ret, size_t size) {
        const char *name = skip_scheme(key);
        const char *host = registry_is_hub_host(name) ? "Docker Hub" : name;
        const int n = registry_is_hub_host(name) ? (int) strlen(host) : (int) host_length(name);

        switch (coverage) {
        case KEY_COVERS_NOTHING:
                (void) snprintf(ret, size, "no image");
                return;
        case KEY_COVERS_HOST:
                (void) snprintf(ret, size, "all images of %.*s", n, host);
                return;
        case KEY_COVERS_PATH:
                (void) snprintf(ret, size, "only images whose names begin with %s, even %s-x", name, name);
                return;
        case KEY_COVERS_AS_ONLY:
                (void) snprintf(ret, size, "all images of %.*s, because no other key has this host", n, host);
                return;
        case KEY_COVERS_CHANCE:
                (void) snprintf(ret, size, "by chance any image of %.*s, because no key is the host alone", n, host);
                return;
        case KEY_COVERS_PATH_OR_CHANCE:
                (void) snprintf(ret, size,
                                "images whose names begin with %s, and by chance others of %.*s, because no key is the "
                                "host alone",
                                name, n, host);
                return;
        }
}

/* --- messages --- */

/* Returns the text behind the last * of a pattern, for an example of a host name in a message. */
static const char *end_of_pattern(const Credential *c) {
        const char *end = strrchr(c->registry, '*') + 1;

        return end[0] == '.' && end[1] ? end : ".example.com";
}

static void explain_pattern(const Credential *c, Problems *problems) {
        if (c->helper && !c->entered && !c->listed)
                problems_add(
                        problems, LOG_ERR,
                        "%s: credHelpers has the pattern '%s', but Docker and the agent compare these keys exactly: "
                        "no image uses it, and docker-credential-%s is not asked. Replace the line by one for each "
                        "registry, such as \"name%s\": \"%s\"",
                        c->source, c->key, c->helper, end_of_pattern(c), c->helper);
        else
                problems_add(
                        problems, LOG_ERR,
                        "%s: no image can use the login '%s', because Docker and the agent compare keys exactly and "
                        "know no patterns; it is not written. Delete this entry, and run 'docker login' for each "
                        "registry, such as 'docker login name%s'",
                        c->source, c->key, end_of_pattern(c));
}

static void explain_one_label(const Credential *c, Problems *problems) {
        const int n = (int) host_length(c->registry);

        problems_add(
                problems, LOG_ERR,
                "%s: no image can use the login '%s', because Docker and the agent take image names that begin with "
                "%.*s/ as names of Docker Hub; it is not written. Run 'docker logout %s' and 'docker login %.*s:443' "
                "(or its own port), and begin image names with %.*s:443/",
                c->source, c->key, n, c->registry, c->key, n, c->registry, n, c->registry);
}

static void explain_useless(const Credential *c, Problems *problems) {
        const size_t n = host_length(c->registry);

        if (registry_is_hub_host(skip_scheme(c->registry)))
                problems_add(
                        problems, LOG_ERR,
                        "%s: no image can use the login '%s', because the agent has one login for all of Docker Hub; "
                        "it is not written. Run 'docker logout %s', and then 'docker login' with an account that may "
                        "pull all images that this host needs",
                        c->source, c->key, c->key);
        else if (memchr(c->registry, '*', n))
                explain_pattern(c, problems);
        else if (is_valid_host(c->registry, n) && !is_host_to_the_agent(c->registry, n))
                explain_one_label(c, problems);
        else
                problems_add(
                        problems, LOG_ERR,
                        "%s: no image can use the login '%s', because no image name can begin with it (%s); it is "
                        "not written. Delete this entry, and run 'docker login' with the host as in the image names",
                        c->source, c->key,
                        is_valid_host(c->registry, n) ? "its path has only a-z, 0-9, dots, hyphens and underscores"
                                                      : "its host has only letters, digits, dots and hyphens");
}

void key_coverage_remove_useless(Credentials *c, Credentials *ret_removed, Problems *problems) {
        size_t i = 0;

        while (i < c->n_items) {
                if (!key_covers_nothing(c->items[i]->registry, c)) {
                        i++;
                        continue;
                }
                explain_useless(c->items[i], problems);
                if (ret_removed)
                        credentials_put_copy(ret_removed, c->items[i]);
                credentials_remove(c, i);
        }
}

static const char *source_of(const Credential *c) {
        return c->source ? c->source : "the environment file";
}

static void warn_of_chance(const Credential *one, const Credential *other, Problems *problems) {
        const int n = (int) host_length(one->registry);

        problems_add(
                problems, LOG_WARNING,
                "%s: for images of %.*s chance decides between the logins %s and %s, because there is none for the "
                "host alone. Run 'docker login %.*s': each login then covers its own path, and this one the rest",
                source_of(one), n, one->registry, one->registry, other->registry, n, one->registry);
}

static void warn_of_capitals(const Credential *c, size_t n, Problems *problems) {
        _cleanup_free_ char *lower = xstrdup(c->registry);

        for (size_t i = 0; i < n; i++)
                lower[i] = (char) tolower((unsigned char) lower[i]);
        if (!streq(lower, c->registry) && c->source)
                problems_add(
                        problems, LOG_WARNING,
                        "%s: the login '%s' is only for image names with these capital letters: Docker and the agent "
                        "compare hosts exactly. If your image names have small letters, run 'docker logout %s' and "
                        "'docker login %s'",
                        c->source, c->key, c->key, lower);
}

void key_coverage_warn(const Credentials *c, Problems *problems) {
        const Credential *before = NULL; /* the last key with a path whose host has no key of its own */
        bool reported = false;

        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *item = c->items[i];
                const size_t n = host_length(item->registry);
                bool same;

                if (!credential_is_usable(item))
                        continue;
                warn_of_capitals(item, n, problems);
                if (registry_has_host(item->registry, hub_lookalikes, ELEMENTSOF(hub_lookalikes)))
                        problems_add(problems, LOG_WARNING,
                                     "%s: the login '%s' is for image names that begin with %.*s/ only, and no other "
                                     "image of Docker Hub uses it. If that is not meant, run 'docker logout %s' and "
                                     "'docker login'",
                                     source_of(item), item->registry, (int) n, item->registry, item->registry);
                if (startswith(item->registry, "https://") || !item->registry[n] || is_written(c, item->registry, n) ||
                    key_covers_nothing(item->registry, c))
                        continue;
                same = before && strncmp(before->registry, item->registry, n + 1) == 0;
                if (same && !reported)
                        warn_of_chance(before, item, problems);
                reported = same;
                before = item;
        }
}
