/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include <arpa/inet.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

/* A registry on this host that says what a test has it say. */

#define UNAUTHORIZED "HTTP/1.1 401 Unauthorized\r\nConnection: close\r\nContent-Length: 0\r\n"
#define ANSWER(status) "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
/* "@" is the port. */
#define BEARER UNAUTHORIZED "WWW-Authenticate: Bearer realm=\"http://127.0.0.1:@/token\",service=\"a:service\"\r\n\r\n"

/* The first byte of who wants TLS (RFC 8446, 5.1). */
#define TLS_HANDSHAKE 22

/* Gives these answers, one after the other, and keeps what it was asked. */
static inline pid_t serve(const char *const *answers, const char *log, unsigned *ret_port) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        socklen_t size = sizeof(address);
        FILE *f;
        pid_t pid;

        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 2), 0);
        assert_int_equal(getsockname(fd, (struct sockaddr *) &address, &size), 0);
        *ret_port = ntohs(address.sin_port);
        pid = fork();
        assert_true(pid >= 0);
        if (pid > 0) {
                (void) close(fd);
                return pid;
        }

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        f = fopen(log, "we");
        for (; f && *answers; answers++) {
                int connection = accept(fd, NULL, NULL);
                char request[4096] = "";
                size_t n = 0, end;
                ssize_t more = 1;

                /* Its body comes behind an empty line, and ends with our name or the token. Who begins with TLS gets
                 * no further. */
                while (more > 0 && *request != TLS_HANDSHAKE &&
                       (!strstr(request, "\r\n\r\n") || (*request == 'P' && !strstr(request, "refresh_token=")))) {
                        more = read(connection, request + n, sizeof(request) - n - 1);
                        n += more > 0 ? (size_t) more : 0;
                }
                (void) fputs(request, f);
                (void) fflush(f);
                end = strcspn(*answers, "@");
                (void) !write(connection, *answers, end);
                if ((*answers)[end] == '@') {
                        (void) dprintf(connection, "%u", *ret_port);
                        (void) !write(connection, *answers + end + 1, strlen(*answers + end + 1));
                }
                (void) close(connection);
        }
        _exit(0);
}
