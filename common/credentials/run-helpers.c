/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/run-helpers.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/secret.h"
#include "credentials/helper-reaper.h"
#include "credentials/helper-environment.h"

enum {
        FDS_EACH = 3,
};

#define POLL_MAX_USEC (3600 * USEC_PER_SEC)

/* What the helpers' own library prints on standard output, with exit status 1, for a server that they do not know. */
#define NOT_FOUND_MESSAGE "credentials not found in native keychain"

/* One program, from its start until its end. */
typedef struct Running {
        HelperCall *call; /* NULL: there is none */
        Reaper reaper;
        size_t written;
        uint64_t deadline_usec;
} Running;

static bool is_helper_name(const char *s) {
        return *s && strlen(s) < 128 && !strpbrk(s, "/") &&
               s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == 0;
}

static int judge_status(const HelperCall *call, int status) {
        if (!WIFEXITED(status))
                return -EPROTO;
        switch (WEXITSTATUS(status)) {
        case 0:
                return 0;
        case REAPER_EXIT_NOT_FOUND:
                return -ENOENT;
        case REAPER_EXIT_NOT_RUN:
                return -EACCES;
        default:
                return call->output && strstr(call->output, NOT_FOUND_MESSAGE) ? -ENOKEY : -EPROTO;
        }
}

static void close_end(int *fd) {
        closep(fd);
        *fd = -1;
}

/* The pipe is full or empty for now. */
static bool is_passing(ssize_t n) {
        return n < 0 && (errno == EAGAIN || errno == EINTR);
}

static void feed(Running *r) {
        const char *input = r->call->input;
        size_t left = strlen(input) - r->written;
        ssize_t n = left > 0 ? write(r->reaper.in, input + r->written, left) : 0;

        if (n > 0)
                r->written += (size_t) n;
        /* One that does not want to read may answer all the same. */
        if (r->written == strlen(input) || (n < 0 && !is_passing(n)))
                close_end(&r->reaper.in);
}

/* 1: there may be more; 0: the end; negative: no answer. */
static int collect(Running *r) {
        HelperCall *call = r->call;
        char buffer[4096];
        ssize_t n = read(r->reaper.out, buffer, sizeof(buffer));
        char *output;

        if (n < 0)
                return is_passing(n) ? 1 : negative_errno();
        if (n == 0)
                return 0;
        if (call->size + (size_t) n > HELPER_OUTPUT_MAX)
                return -EFBIG;

        output = malloc(call->size + (size_t) n + 1);
        if (!output)
                return -ENOMEM;
        if (call->size > 0)
                memcpy(output, call->output, call->size);
        memcpy(output + call->size, buffer, (size_t) n);
        output[call->size + (size_t) n] = 0;
        secret_free_sized(call->output, call->size);
        call->output = output;
        call->size += (size_t) n;
        return 1;
}

/* error not negative: it has ended by itself, and its status decides. */
static void finish(Running *r, int error, int status) {
        HelperCall *call = r->call;

        call->error = error < 0 ? error : judge_status(call, status);
        if (call->error < 0) {
                call->output = secret_free_sized(call->output, call->size);
                call->size = 0;
        }
        if (error < 0)
                reaper_kill(&r->reaper);

        close_end(&r->reaper.in);
        close_end(&r->reaper.out);
        r->call = NULL;
}

static bool has_more(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* It has ended, and what it wrote stands in the pipes, which others may hold open, and fill. */
static void take_end(Running *r, int status) {
        int more = 1;

        while (more > 0 && has_more(r->reaper.out))
                more = collect(r);
        finish(r, more, status);
}

static void attend(Running *r, const struct pollfd *fds) {
        bool late = clock_monotonic_usec() >= r->deadline_usec;
        int more = 1, status, e;

        if (fds[0].revents != 0)
                feed(r);
        if (fds[1].revents != 0)
                more = collect(r);
        /* One that has closed its output had its time, too. */
        if (more == 0)
                close_end(&r->reaper.out);
        if (more < 0) {
                finish(r, more, 0);
                return;
        }

        e = fds[2].revents != 0 || late ? reaper_status(&r->reaper, &status) : -EAGAIN;
        if (e == 0)
                take_end(r, status);
        else if (e != -EAGAIN)
                finish(r, -EPROTO, 0);
        else if (late)
                finish(r, -ETIMEDOUT, 0);
}

/* Waits until one of them has something to say, or is out of time. False: there is none. */
static bool attend_all(Running running[static HELPER_PARALLEL_MAX]) {
        struct pollfd fds[FDS_EACH * HELPER_PARALLEL_MAX];
        uint64_t now = clock_monotonic_usec(), next = UINT64_MAX;
        Running *busy[HELPER_PARALLEL_MAX];
        size_t n = 0;

        for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++) {
                Running *r = &running[i];

                if (!r->call)
                        continue;
                fds[FDS_EACH * n] = (struct pollfd){.fd = r->reaper.in, .events = POLLOUT};
                fds[FDS_EACH * n + 1] = (struct pollfd){.fd = r->reaper.out, .events = POLLIN};
                fds[FDS_EACH * n + 2] = (struct pollfd){.fd = r->reaper.control, .events = POLLIN};
                if (r->deadline_usec < next)
                        next = r->deadline_usec;
                busy[n++] = r;
        }
        if (n == 0)
                return false;

        /* A timeout of years does not fit an int; who wakes early looks again. */
        if (next > now + POLL_MAX_USEC)
                next = now + POLL_MAX_USEC;
        if (poll(fds, FDS_EACH * n, next > now ? (int) ((next - now) / USEC_PER_MSEC) + 1 : 0) < 0)
                memset(fds, 0, sizeof(fds)); /* nothing is known but the time */
        for (size_t i = 0; i < n; i++)
                attend(busy[i], &fds[FDS_EACH * i]);
        return true;
}

static int begin(Running *r, HelperCall *call, char *const *environment, uint64_t timeout_usec, uint64_t last_usec) {
        char program[160];
        char *const arguments[] = {program, (char *) call->verb, NULL};
        int e;

        if (!is_helper_name(call->helper))
                return -EINVAL;
        if (clock_monotonic_usec() > last_usec)
                return -ETIMEDOUT;

        (void) snprintf(program, sizeof(program), "docker-credential-%s", call->helper);
        e = reaper_start(arguments, environment, &r->reaper);
        if (e < 0)
                return e;
        r->call = call;
        r->written = 0;
        r->deadline_usec = clock_monotonic_usec() + timeout_usec;
        return 0;
}

/* Those whose program has ended, but for what it may have started. */
typedef struct Left {
        Reaper *items;
        size_t n_items;
} Left;

/* Most leave nothing, and are forgotten soon. */
static void leave(Left *left, const Running *r) {
        size_t n = 0;

        for (size_t i = 0; i < left->n_items; i++)
                if (!reaper_has_ended(&left->items[i]))
                        left->items[n++] = left->items[i];
        if (r->reaper.pid > 0)
                left->items[n++] = r->reaper;
        left->n_items = n;
}

static void run_all(HelperCall *calls, size_t n_calls, Left *left, char *const *environment, uint64_t timeout_usec) {
        const uint64_t last_usec = clock_monotonic_usec() + (HELPER_RUN_TIMEOUTS - 1) * timeout_usec;
        Running running[HELPER_PARALLEL_MAX] = {0};
        size_t next = 0;

        do {
                for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++) {
                        Running *r = &running[i];

                        for (; !r->call && next < n_calls; next++) {
                                leave(left, r);
                                r->reaper = REAPER_NONE;
                                calls[next].error = begin(r, &calls[next], environment, timeout_usec, last_usec);
                        }
                }
        } while (attend_all(running));

        for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++)
                leave(left, &running[i]);
}

void helper_run(HelperCall *calls, size_t n_calls, const char *home, char *const *environment, uint64_t timeout_usec) {
        _cleanup_(helper_environment_freep) char **variables = helper_environment_new(home, environment);
        _cleanup_free_ Reaper *reapers = calloc(n_calls, sizeof(Reaper));
        Left left = {.items = reapers};

        if (!variables || !reapers) {
                for (size_t i = 0; i < n_calls; i++)
                        calls[i].error = -ENOMEM;
                return;
        }

        /* One that ends before it has read its input must not end us. */
        (void) signal(SIGPIPE, SIG_IGN);
        run_all(calls, n_calls, &left, variables, timeout_usec);
        reaper_end(left.items, left.n_items);
}

void helper_calls_done(HelperCall *calls, size_t n_calls) {
        for (size_t i = 0; i < n_calls; i++) {
                calls[i].output = secret_free_sized(calls[i].output, calls[i].size);
                calls[i].size = 0;
        }
}

int helper_parse_get(const char *output, char **ret_username, char **ret_secret) {
        _cleanup_json_ json_object *answer = NULL;
        char *username_copy, *secret_copy;
        const char *username, *secret;
        int r;

        r = output ? json_parse_answer(output, &answer) : -EBADMSG;
        if (r < 0)
                return r;
        username = json_field_string(answer, "Username");
        secret = json_field_string(answer, "Secret");
        if (!username || !secret)
                return -EBADMSG;

        username_copy = secret_dup(username, strlen(username));
        secret_copy = secret_dup(secret, strlen(secret));
        if (!username_copy || !secret_copy) {
                secret_free(username_copy);
                secret_free(secret_copy);
                return -ENOMEM;
        }

        *ret_username = username_copy;
        *ret_secret = secret_copy;
        return 0;
}

const char *helper_strerror(int error) {
        switch (error) {
        case -ENOENT:
                return "there is no such program on PATH";
        case -EACCES:
                return "it cannot be run";
        case -ETIMEDOUT:
                return "it did not answer within HelperTimeoutSec=";
        case -EFBIG:
                return "its answer is longer than any of a credential helper";
        case -ENOKEY:
                return "it has no credentials for it";
        case -EPROTO:
                return "it failed";
        case -EBADMSG:
                return "its answer is not that of a credential helper";
        case -EINVAL:
                return "that is not the name of a credential helper";
        default:
                return strerror(-error);
        }
}
