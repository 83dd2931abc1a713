/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "unit.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

/* A server on a Unix socket that is asked just what the script says, in that order, and answers as it says. */

typedef struct Exchange {
        const char *request; /* the beginning of its first line, "GET /_ping" */
        const char *body;    /* what stands in what follows; NULL: anything */
        const char *answer;  /* status and body, "200 {}"; NULL: the connection is closed */
} Exchange;

static inline void server_read(int connection, char *request, size_t size) {
        const char *end, *length;
        size_t used = 0;
        ssize_t n;

        do {
                n = read(connection, request + used, size - used - 1);
                if (n <= 0)
                        _exit(2);
                used += (size_t) n;
                request[used] = 0;
                end = strstr(request, "\r\n\r\n");
                length = strcasestr(request, "\r\nContent-Length:");
        } while (!end ||
                 (length && length < end && used < (size_t) (end + 4 - request) + strtoul(length + 17, NULL, 10)));
}

static inline void server_play(int fd, const Exchange *script) {
        static char request[65536];

        for (; script->request; script++) {
                int connection = accept(fd, NULL, NULL);
                const char *body;

                if (connection < 0)
                        _exit(2);
                server_read(connection, request, sizeof(request));
                body = strstr(request, "\r\n\r\n") + 4;
                if (!startswith(request, script->request) || (script->body && !strstr(body, script->body))) {
                        (void) fprintf(stderr, "asked for: %s\nnot for: %s\n%s\n", request, script->request,
                                       script->body ? script->body : "");
                        _exit(1);
                }
                if (script->answer)
                        (void) dprintf(connection,
                                       "HTTP/1.1 %.3s x\r\nApi-Version: 1.41\r\nContent-Length: %zu\r\n\r\n%s",
                                       script->answer, strlen(script->answer + 4), script->answer + 4);
                (void) close(connection);
        }
        _exit(0);
}

static inline pid_t server_start(const char *path, const Exchange *script) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        pid_t pid;

        (void) snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
        assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof(address)), 0);
        assert_int_equal(listen(fd, 16), 0);

        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
                server_play(fd, script);
        }
        (void) close(fd);
        return pid;
}

/* It was asked everything that the script has. */
static inline void server_assert_done(pid_t pid) {
        int status;

        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 0);
}
