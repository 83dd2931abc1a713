/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/proxy.h"

#include <signal.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "base/log.h"
#include "proxy/connection.h"

typedef struct Proxy {
        const Settings *settings;
        int listen_fd;
        sigset_t signals; /* blocked here, and not in a connection's process */
} Proxy;

/* Runs one connection in a child. If there is no child, the connection is closed, and the agent tries again. */
static void serve(const Proxy *p, int client) {
        pid_t pid = fork();

        if (pid < 0)
                log_error("No process for a connection of the agent: %s", strerror(errno));
        if (pid != 0)
                return;
        (void) signal(SIGCHLD, SIG_DFL); /* helpers are waited for */
        (void) sigprocmask(SIG_UNBLOCK, &p->signals, NULL);
        (void) close(p->listen_fd);
        connection_serve(p->settings, client);
        _exit(EXIT_SUCCESS);
}

static int on_connection(sd_event_source *s _unused_, int fd, uint32_t events _unused_, void *userdata) {
        const struct timespec pause = {.tv_nsec = 100 * 1000000L};
        _cleanup_close_ int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC);

        if (client >= 0)
                serve(userdata, client);
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
                (void) nanosleep(&pause, NULL); /* the connection still waits, and would wake us at once */
        return 0;
}

int proxy_serve(const Settings *settings) {
        __attribute__((cleanup(sd_event_unrefp))) sd_event *event = NULL;
        Proxy p = {.settings = settings};
        int r;

        if (sd_listen_fds(true) != 1 || sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) <= 0) {
                log_error(
                        "ecs-authd proxy serves the socket that systemd hands over, and there is none: start it from a "
                        "socket unit, or with systemd-socket-activate -l PATH");
                return EXIT_FAILURE;
        }
        p.listen_fd = SD_LISTEN_FDS_START;
        (void) sigemptyset(&p.signals);
        (void) sigaddset(&p.signals, SIGTERM);
        if (sigprocmask(SIG_BLOCK, &p.signals, NULL) < 0 || signal(SIGCHLD, SIG_IGN) == SIG_ERR)
                return negative_errno();

        r = sd_event_default(&event);
        if (r >= 0)
                r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);
        if (r >= 0)
                r = sd_event_add_io(event, NULL, p.listen_fd, EPOLLIN, on_connection, &p);
        if (r >= 0)
                r = sd_event_set_watchdog(event, true);
        if (r < 0)
                return r;
        (void) sd_notify(false, "READY=1");
        r = sd_event_loop(event);
        return r < 0 ? r : EXIT_SUCCESS;
}
