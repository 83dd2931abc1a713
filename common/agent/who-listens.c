/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/who-listens.h"

#include <arpa/inet.h>
#include <pwd.h>

enum {
        STATE_LISTEN = 10, /* TCP_LISTEN of the kernel */
};

/* An IPv4 address is mapped into IPv6. */
static bool parse_address(const char *text, struct in6_addr *ret) {
        char mapped[128];

        (void) snprintf(mapped, sizeof(mapped), "::ffff:%s", text);
        return inet_pton(AF_INET6, strchr(text, ':') ? text : mapped, ret) == 1;
}

/* NOLINTBEGIN(cert-err34-c): the kernel's numbers, each of so many digits. */

/* One word of 32 bits, or four, each as the memory has it and printed as a number. */
static bool parse_words(const char *hex, struct in6_addr *ret) {
        struct in6_addr a = IN6ADDR_ANY_INIT;
        unsigned words[4];

        if (strlen(hex) == 8 && sscanf(hex, "%8x", &words[0]) == 1) {
                a.s6_addr[10] = a.s6_addr[11] = 0xff;
                memcpy(&a.s6_addr[12], &words[0], sizeof(words[0]));
        } else if (sscanf(hex, "%8x%8x%8x%8x", &words[0], &words[1], &words[2], &words[3]) == 4) {
                memcpy(&a, words, sizeof(words));
        } else {
                return false;
        }
        *ret = a;
        return true;
}

static bool is_any(const struct in6_addr *a) {
        static const struct in6_addr any = IN6ADDR_ANY_INIT;
        struct in6_addr any_mapped = any;

        any_mapped.s6_addr[10] = any_mapped.s6_addr[11] = 0xff;
        return memcmp(a, &any, sizeof(any)) == 0 || memcmp(a, &any_mapped, sizeof(any)) == 0;
}

static bool is_loopback(const struct in6_addr *a) {
        return IN6_IS_ADDR_LOOPBACK(a) || (IN6_IS_ADDR_V4MAPPED(a) && a->s6_addr[12] == 127);
}

bool listener_scan(FILE *table, const char *address, unsigned port, unsigned *n_listeners, uid_t *ret_uid) {
        struct in6_addr wanted, a;
        char line[512], hex[33];
        unsigned at, state, uid;

        if (!parse_address(address, &wanted))
                return false;
        while (fgets(line, sizeof(line), table)) {
                if (sscanf(line, "%*u: %32[0-9A-F]:%4x %*[0-9A-F]:%*x %2x %*x:%*x %*x:%*x %*x %u", hex, &at, &state,
                           &uid) != 4 ||
                    state != STATE_LISTEN || at != port || !parse_words(hex, &a))
                        continue;
                if (memcmp(&a, &wanted, sizeof(a)) != 0 && !is_any(&a))
                        continue;
                (*n_listeners)++;
                if (uid != 0 && uid != geteuid()) {
                        *ret_uid = uid;
                        return true;
                }
        }
        return false;
}

/* NOLINTEND(cert-err34-c) */

/* Of the host's own users: who is only in a directory service that may hang has a number. */
static void describe_user(uid_t uid, char ret[static LISTENER_MAX]) {
        _cleanup_fclose_ FILE *f = fopen("/etc/passwd", "re");
        struct passwd *p = NULL;

        do
                p = f ? fgetpwent(f) : NULL; /* NOLINT(concurrency-mt-unsafe): one thread */
        while (p && p->pw_uid != uid);
        (void) snprintf(ret, LISTENER_MAX, "user %.40s (uid %u)", p ? p->pw_name : "?", uid);
}

int listener_check(const HttpResponse *response, char ret_other[static LISTENER_MAX]) {
        static const char *const tables[] = {"/proc/self/net/tcp", "/proc/self/net/tcp6"};
        unsigned n_listeners = 0;
        struct in6_addr peer;
        uid_t uid;

        if (!parse_address(response->peer, &peer))
                return -ENOTCONN;
        if (!is_loopback(&peer) && !streq(response->peer, response->local))
                return 0;

        for (size_t i = 0; i < ELEMENTSOF(tables); i++) {
                _cleanup_fclose_ FILE *f = fopen(tables[i], "re"); /* no IPv6: no tcp6 */

                if (!f || !listener_scan(f, response->peer, response->port, &n_listeners, &uid))
                        continue;
                describe_user(uid, ret_other);
                return -EPERM;
        }
        return n_listeners > 0 ? 0 : -ENOTCONN;
}
