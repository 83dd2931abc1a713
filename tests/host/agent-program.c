/* SPDX-License-Identifier: Apache-2.0 */
/* A stand-in for the ECS agent: the program of the container ecs-agent, which behaves as the real one was measured to.
 *
 * Introspection on 127.0.0.1:51678 refuses until it has registered with ECS. On SIGTERM it saves its state and ends with 0;
 * one that has not registered does not heed it and is killed after the 10 s of docker stop. /control/agent, looked at all
 * the time, says what becomes of it; without that file it registers at once. A line each:
 *
 *     register SECONDS|never        after its start; what has registered stays so
 *     exit STATUS SECONDS           it ends by itself, this long after its start; counts for those that start from now on
 *     stop SECONDS                  that it takes to end
 *     task ARN KNOWN-STATUS FAMILY  what /v1/tasks lists
 *
 * In its environment: with AGENT_EXIT it ends at once with that status, and with AGENT_EXIT_IF if that text stands in its
 * credentials; AGENT_STOP_SEC is how long it takes to end. As "agent task" it is a task's program, which only waits. */
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
        LOOK_MSEC = 50, /* how often at the control file */
};

typedef struct Control {
        double register_after; /* negative: never */
        double exit_after;     /* negative: it does not */
        int exit_status;
        unsigned stop_seconds;
        char tasks[8192]; /* as /v1/tasks has them */
} Control;

static volatile sig_atomic_t terminated;

static void on_sigterm(int signal) {
        (void) signal;
        terminated = 1;
}

static double seconds_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double) t.tv_sec + (double) t.tv_nsec / 1e9;
}

static void add_task(Control *c, const char *line) {
        char arn[256], status[32], family[128];
        size_t used = strlen(c->tasks);

        if (sscanf(line, "task %255s %31s %127s", arn, status, family) != 3)
                return;
        snprintf(c->tasks + used, sizeof(c->tasks) - used,
                 "%s{\"Arn\":\"%s\",\"DesiredStatus\":\"RUNNING\",\"KnownStatus\":\"%s\",\"Family\":\"%s\","
                 "\"Version\":\"1\",\"Containers\":[]}",
                 used > 0 ? "," : "", arn, status, family);
}

static void look(Control *ret) {
        Control c = {.exit_after = -1};
        FILE *f = fopen("/control/agent", "r");
        char line[512];

        if (getenv("AGENT_STOP_SEC"))
                c.stop_seconds = (unsigned) atoi(getenv("AGENT_STOP_SEC"));
        while (f && fgets(line, sizeof(line), f)) {
                if (strncmp(line, "register never", 14) == 0)
                        c.register_after = -1;
                (void) sscanf(line, "register %lf", &c.register_after);
                (void) sscanf(line, "exit %d %lf", &c.exit_status, &c.exit_after);
                (void) sscanf(line, "stop %u", &c.stop_seconds);
                add_task(&c, line);
        }
        if (f)
                fclose(f);
        *ret = c;
}

static int start_introspection(void) {
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(51678), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
        if (bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 || listen(fd, 16) < 0) {
                perror("127.0.0.1:51678");
                exit(1);
        }
        puts("registered");
        fflush(stdout);
        return fd;
}

static void answer(int connection, const Control *c) {
        const char *cluster = getenv("ECS_CLUSTER");
        char request[4096] = "", head[256], body[sizeof(c->tasks) + 64] = "";

        if (read(connection, request, sizeof(request) - 1) <= 0)
                return;
        if (strncmp(request, "GET /v1/metadata ", 17) == 0)
                snprintf(body, sizeof(body),
                         "{\"Cluster\":\"%s\",\"ContainerInstanceArn\":"
                         "\"arn:aws:ecs:us-west-2:012345678910:container-instance/stand-in/1\","
                         "\"Version\":\"Amazon ECS Agent - v0.0.0 (stand-in)\"}",
                         cluster && *cluster ? cluster : "default");
        else if (strncmp(request, "GET /v1/tasks ", 14) == 0)
                snprintf(body, sizeof(body), "{\"Tasks\":[%s]}", c->tasks);

        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nContent-Type: application/json\r\nConnection: close\r\n"
                                     "Content-Length: %zu\r\n\r\n",
                 *body ? "200 OK" : "404 Not Found", strlen(body));
        (void) !write(connection, head, strlen(head));
        (void) !write(connection, body, strlen(body));
}

static void be_an_agent(void) {
        double started = seconds_now();
        Control first;
        int fd = -1;

        look(&first);
        for (;;) {
                double age = seconds_now() - started;
                struct pollfd wait = {.events = POLLIN};
                Control c;

                look(&c);
                if (first.exit_after >= 0 && age >= first.exit_after)
                        exit(first.exit_status);
                if (terminated && fd >= 0) {
                        sleep(c.stop_seconds);
                        exit(0);
                }
                if (fd < 0 && c.register_after >= 0 && age >= c.register_after)
                        fd = start_introspection();

                wait.fd = fd; /* poll() passes over a negative one */
                if (poll(&wait, 1, LOOK_MSEC) > 0) {
                        int connection = accept(fd, NULL, NULL);

                        if (connection < 0)
                                continue;
                        answer(connection, &c);
                        close(connection);
                }
        }
}

int main(int argc, char **argv) {
        struct sigaction action = {.sa_handler = on_sigterm};

        if (getenv("AGENT_EXIT"))
                return atoi(getenv("AGENT_EXIT"));
        if (getenv("AGENT_EXIT_IF") && getenv("ECS_ENGINE_AUTH_DATA") &&
            strstr(getenv("ECS_ENGINE_AUTH_DATA"), getenv("AGENT_EXIT_IF")))
                return 1;

        sigaction(SIGTERM, &action, NULL); /* as PID 1 of its container it would not get it otherwise */
        while (argc > 1 && strcmp(argv[1], "task") == 0) {
                if (terminated)
                        return 0;
                pause();
        }
        be_an_agent();
}
