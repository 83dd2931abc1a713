/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "agent/who-listens.h"

#define HEAD "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
#define LINE(local, state, uid)                                                               \
        "   0: " local " 00000000:0000 " state " 00000000:00000000 00:00000000 00000000 " uid \
        "        0 1597 1 00000000ee84c847 100 0 0 10 0\n"
#define LINE6(local, state, uid)                                                                                      \
        "   0: " local " 00000000000000000000000000000000:0000 " state " 00000000:00000000 00:00000000 00000000 " uid \
        "        0 1597 1 00000000ee84c847 100 0 0 10 0\n"

/* As Linux 6.18 on a machine with the low byte first has it; 51678 is C9DE. */
static void test_tables(void **state _unused_) {
        static const struct {
                const char *table, *address;
                unsigned n;
                uid_t other; /* 0: there is none */
        } table[] = {
                {HEAD, "127.0.0.1", 0, 0},
                {HEAD LINE("0100007F:C9DE", "0A", "    0"), "127.0.0.1", 1, 0},
                {HEAD LINE("00000000:C9DE", "0A", "    0"), "127.0.0.1", 1, 0},
                {HEAD LINE("0100007F:C9DE", "0A", "54321"), "127.0.0.1", 1, 54321},
                {HEAD LINE("00000000:C9DE", "0A", "54321"), "127.0.0.1", 1, 54321},
                {HEAD LINE("0100007F:C9DE", "0A", "    0") LINE("0100007F:C9DE", "0A", " 1001"), "127.0.0.1", 2, 1001},
                /* Another address, another port, no socket that listens. */
                {HEAD LINE("0200007F:C9DE", "0A", "54321"), "127.0.0.1", 0, 0},
                {HEAD LINE("0100007F:C9DF", "0A", "54321"), "127.0.0.1", 0, 0},
                {HEAD LINE("0100007F:C9DE", "01", "54321"), "127.0.0.1", 0, 0},
                {HEAD LINE6("00000000000000000000000001000000:C9DE", "0A", "54321"), "127.0.0.1", 0, 0},
                {HEAD LINE("0100007F:C9DE", "0A", "54321"), "::1", 0, 0},
                /* Both families. */
                {HEAD LINE6("00000000000000000000000001000000:C9DE", "0A", "54321"), "::1", 1, 54321},
                {HEAD LINE6("00000000000000000000000000000000:C9DE", "0A", "    0"), "::1", 1, 0},
                {HEAD LINE6("00000000000000000000000000000000:C9DE", "0A", "    0"), "127.0.0.1", 1, 0},
                {HEAD LINE6("00000000000000000000000000000000:C9DE", "0A", "54321"), "127.0.0.1", 1, 54321},
                {HEAD LINE6("0000000000000000FFFF00000100007F:C9DE", "0A", "54321"), "127.0.0.1", 1, 54321},
                {"garbage\n   0: 01\n", "127.0.0.1", 0, 0},
        };

        if (htonl(1) == 1)
                skip();
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_fclose_ FILE *f = fmemopen((char *) table[i].table, strlen(table[i].table), "r");
                unsigned n = 0;
                uid_t uid = 0;

                assert_non_null(f);
                if (listener_scan(f, table[i].address, 51678, &n, &uid) != (table[i].other != 0) || n != table[i].n ||
                    uid != table[i].other)
                        fail_msg("%zu: %u sockets, uid %u", i, n, uid);
        }
}

static int make_listener(int family, HttpResponse *ret) {
        struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
        struct sockaddr_storage bound = {0};
        socklen_t size = sizeof(bound);
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 ||
            bind(fd, family == AF_INET ? (struct sockaddr *) &in : (struct sockaddr *) &in6,
                 family == AF_INET ? sizeof(in) : sizeof(in6)) < 0 ||
            listen(fd, 1) < 0 || getsockname(fd, (struct sockaddr *) &bound, &size) < 0) {
                if (fd >= 0)
                        (void) close(fd);
                return -1;
        }
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): getsockname() has filled it in. */
        *ret = (HttpResponse){.port = ntohs(family == AF_INET ? ((struct sockaddr_in *) &bound)->sin_port
                                                              : ((struct sockaddr_in6 *) &bound)->sin6_port)};
        (void) strcpy(ret->peer, family == AF_INET ? "127.0.0.1" : "::1"); /* NOLINT */
        (void) strcpy(ret->local, ret->peer);                              /* NOLINT */
        return fd;
}

/* The kernel's own table. */
static void test_of_our_own(void **state _unused_) {
        static const int families[] = {AF_INET, AF_INET6};

        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                char other[LISTENER_MAX] = "";
                HttpResponse response = {0};
                int fd = make_listener(families[i], &response);

                if (fd < 0 && families[i] == AF_INET6)
                        continue; /* no IPv6 here */
                assert_true(fd >= 0);
                assert_int_equal(listener_check(&response, other), 0);
                (void) close(fd);
                assert_int_equal(listener_check(&response, other), -ENOTCONN);
                assert_string_equal(other, "");
        }
}

/* Made by another user, and left to us. */
static void test_of_another_user(void **state _unused_) {
        static const int families[] = {AF_INET, AF_INET6};

        if (geteuid() != 0)
                skip();
        for (size_t i = 0; i < ELEMENTSOF(families); i++) {
                char other[LISTENER_MAX] = "";
                HttpResponse response = {0};
                int fd;

                assert_int_equal(seteuid(65534), 0);
                fd = make_listener(families[i], &response);
                assert_int_equal(seteuid(0), 0);
                if (fd < 0 && families[i] == AF_INET6)
                        continue;
                assert_true(fd >= 0);
                assert_int_equal(listener_check(&response, other), -EPERM);
                assert_non_null(strstr(other, "(uid 65534)"));
                (void) close(fd);
        }
}

static void test_another_host(void **state _unused_) {
        const HttpResponse response = {.peer = "192.0.2.1", .local = "192.0.2.2", .port = 51678};
        const HttpResponse none = {.port = 51678};
        char other[LISTENER_MAX];

        assert_int_equal(listener_check(&response, other), 0);
        assert_int_equal(listener_check(&none, other), -ENOTCONN);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_tables),
                cmocka_unit_test(test_of_our_own),
                cmocka_unit_test(test_of_another_user),
                cmocka_unit_test(test_another_host),
        };

        return cmocka_run_group_tests_name("who-listens", tests, NULL, NULL);
}
