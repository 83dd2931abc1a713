/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/helper-network.h"

#include <arpa/inet.h>
#include <sys/socket.h>

enum {
        PORT_DISCARD = 9,
};

/* An empty packet to all hosts, by way of the loopback interface and with no hop to go: it never leaves this one. The
 * filter of the unit's control group sees an address that is not localhost, and refuses it. */
static bool is_denied(void) {
        const struct sockaddr_in all_hosts = {.sin_family = AF_INET,
                                              .sin_port = htons(PORT_DISCARD),
                                              .sin_addr.s_addr = htonl(INADDR_ALLHOSTS_GROUP)};
        const struct in_addr loopback = {.s_addr = htonl(INADDR_LOOPBACK)};
        _cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        const unsigned char no_hop = 0;

        return fd >= 0 && setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &no_hop, sizeof(no_hop)) >= 0 &&
               setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &loopback, sizeof(loopback)) >= 0 &&
               sendto(fd, "", 0, 0, (const struct sockaddr *) &all_hosts, sizeof(all_hosts)) < 0 && errno == EPERM;
}

const char *helper_network_hint(int error) {
        if ((error != -ETIMEDOUT && error != -EPROTO) || !is_denied())
                return "";
        return ". It has no network here but this host: ecs-authd(8), PRIVILEGES";
}
