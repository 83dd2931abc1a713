/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "credentials/gather.h"

/* What the kernel says to a packet that the unit's filter refuses: EPERM; 0: it goes. */
static int refusal;
static unsigned n_packets;

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t to_size) {
        struct in_addr interface = {0};
        socklen_t length = sizeof(interface);
        unsigned char hops = 1;
        socklen_t hops_length = sizeof(hops);

        const struct sockaddr_in *address = (const struct sockaddr_in *) to;

        (void) data, (void) to_size;
        n_packets++;
        assert_int_equal(flags, 0);
        assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);  /* no program that is started meanwhile has it */
        assert_int_equal(address->sin_port, htons(9)); /* discard */
        assert_int_equal(address->sin_addr.s_addr, htonl(INADDR_ALLHOSTS_GROUP));
        assert_int_equal(size, 0);
        /* Never out of this host. */
        assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &hops, &hops_length), 0);
        assert_int_equal(hops, 0);
        assert_int_equal(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &interface, &length), 0);
        assert_int_equal(interface.s_addr, htonl(INADDR_LOOPBACK));
        errno = refusal ? refusal : EPERM; /* of an earlier call */
        return refusal ? -1 : 0;
}

static void test_denied(void **state) {
        (void) state;
        refusal = EPERM;
        assert_non_null(strstr(helper_network_hint(-ETIMEDOUT), "ecs-authd(8), PRIVILEGES"));
        assert_non_null(strstr(helper_network_hint(-EPROTO), "ecs-authd(8), PRIVILEGES"));
}

static void test_allowed(void **state) {
        (void) state;
        refusal = 0;
        assert_string_equal(helper_network_hint(-ETIMEDOUT), "");
        refusal = ENETUNREACH; /* a host without a network */
        assert_string_equal(helper_network_hint(-ETIMEDOUT), "");
}

static void test_failures_of_another_kind(void **state) {
        (void) state;
        refusal = EPERM;
        n_packets = 0;
        assert_string_equal(helper_network_hint(-ENOENT), "");
        assert_string_equal(helper_network_hint(-ENOKEY), "");
        assert_int_equal(n_packets, 0);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_denied),
                cmocka_unit_test(test_allowed),
                cmocka_unit_test(test_failures_of_another_kind),
        };

        return cmocka_run_group_tests(tests, NULL, NULL);
}
