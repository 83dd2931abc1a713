/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for the ECS agent: the program of the container ecs-agent. Answers introspection on 127.0.0.1:51678 until
 * SIGTERM. With AGENT_EXIT in its environment it ends at once with that status, and with AGENT_EXIT_IF if that text stands
 * in its credentials; AGENT_STOP_SEC is how long it takes to end; as "agent task" it is a task's program,
 * which only waits. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static unsigned stop_seconds;

static void on_sigterm(int signal) {
        (void) signal;
        sleep(stop_seconds);
        _exit(0);
}

static void answer(int connection) {
        static const char metadata[] = "{\"Cluster\":\"stand-in\",\"ContainerInstanceArn\":"
                                       "\"arn:aws:ecs:us-west-2:012345678910:container-instance/stand-in/1\","
                                       "\"Version\":\"Amazon ECS Agent - v0.0.0 (stand-in)\"}";
        static const char tasks[] = "{\"Tasks\":[]}";
        char request[4096] = "", head[256];
        const char *body = NULL;

        if (read(connection, request, sizeof(request) - 1) <= 0)
                return;
        if (strncmp(request, "GET /v1/metadata ", 17) == 0)
                body = metadata;
        else if (strncmp(request, "GET /v1/tasks ", 14) == 0)
                body = tasks;

        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
                                     "Content-Length: %zu\r\n\r\n",
                 body ? "200 OK" : "404 Not Found", body ? strlen(body) : 0);
        (void) !write(connection, head, strlen(head));
        if (body)
                (void) !write(connection, body, strlen(body));
}

int main(int argc, char **argv) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(51678), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

        if (getenv("AGENT_EXIT"))
                return atoi(getenv("AGENT_EXIT"));
        if (getenv("AGENT_EXIT_IF") && getenv("ECS_ENGINE_AUTH_DATA") &&
            strstr(getenv("ECS_ENGINE_AUTH_DATA"), getenv("AGENT_EXIT_IF")))
                return 1;

        if (getenv("AGENT_STOP_SEC"))
                stop_seconds = (unsigned) atoi(getenv("AGENT_STOP_SEC"));
        signal(SIGTERM, on_sigterm); /* as PID 1 of its container it would not end otherwise */
        while (argc > 1 && strcmp(argv[1], "task") == 0)
                pause();
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 16) < 0) {
                perror("127.0.0.1:51678");
                return 1;
        }

        for (;;) {
                int connection = accept(fd, NULL, NULL);

                if (connection < 0)
                        continue;
                answer(connection);
                close(connection);
        }
}
