/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/credential-helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "base/json.h"
#include "base/secret.h"

enum {
        EXIT_NOT_FOUND = 127, /* as a shell has it */
        EXIT_NOT_RUN = 126,
};

#define POLL_MAX_USEC (3600 * USEC_PER_SEC)

/* What the helpers' own library prints on standard output, with exit status 1, for a server that they do not know. */
#define NOT_FOUND_MESSAGE "credentials not found in native keychain"

/* One program that runs. */
typedef struct Running {
        HelperCall *call; /* NULL: the place is free */
        pid_t pid;
        int in, out;
        size_t written;
        uint64_t deadline_usec;
} Running;

static uint64_t now_usec(void) {
        struct timespec ts;

        (void) clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

static bool is_helper_name(const char *s) {
        return *s && strlen(s) < 128 && !strpbrk(s, "/") &&
               s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == 0;
}

static _Noreturn void run_program(const HelperCall *call, const char *home, int in, int out) {
        char program[160], home_variable[4096];
        char *const arguments[] = {program, (char *) call->verb, NULL};
        char *const environment[] = {(char *) "PATH=" HELPER_PATH, home_variable, NULL};
        sigset_t none;
        int null;

        (void) snprintf(program, sizeof(program), "docker-credential-%s", call->helper);
        (void) snprintf(home_variable, sizeof(home_variable), "HOME=%s", home);

        /* A group of its own, so that what it starts ends with it; and never longer than we. */
        (void) setpgid(0, 0);
        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void) sigemptyset(&none);
        (void) sigprocmask(SIG_SETMASK, &none, NULL);
        for (int s = 1; s < NSIG; s++)
                (void) signal(s, SIG_DFL);

        /* What it complains about may hold what it was asked for: nobody reads that. */
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        if (dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(null, STDERR_FILENO) < 0)
                _exit(EXIT_NOT_RUN);
        (void) close_range(STDERR_FILENO + 1, ~0U, 0);

        (void) setenv("PATH", HELPER_PATH, 1); /* where execvpe(3) looks */
        (void) execvpe(program, arguments, environment);
        _exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_RUN);
}

static int start(Running *r, HelperCall *call, const char *home, uint64_t timeout_usec) {
        int in[2] = {-1, -1}, out[2] = {-1, -1}, error;
        pid_t pid;

        if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
                goto fail;
        if (fcntl(in[1], F_SETFL, O_NONBLOCK) < 0 || fcntl(out[0], F_SETFL, O_NONBLOCK) < 0)
                goto fail;

        pid = fork();
        if (pid < 0)
                goto fail;
        if (pid == 0)
                run_program(call, home, in[0], out[1]);

        (void) setpgid(pid, pid); /* both sides: whoever comes first */
        (void) close(in[0]);
        (void) close(out[1]);
        *r = (Running){
                .call = call, .pid = pid, .in = in[1], .out = out[0], .deadline_usec = now_usec() + timeout_usec};
        return 0;

fail:
        error = negative_errno();
        closep(&in[0]);
        closep(&in[1]);
        closep(&out[0]);
        closep(&out[1]);
        return error;
}

static int judge_status(const HelperCall *call, int status) {
        if (!WIFEXITED(status))
                return -EPROTO;
        switch (WEXITSTATUS(status)) {
        case 0:
                return 0;
        case EXIT_NOT_FOUND:
                return -ENOENT;
        case EXIT_NOT_RUN:
                return -EACCES;
        default:
                return call->output && strstr(call->output, NOT_FOUND_MESSAGE) ? -ENOKEY : -EPROTO;
        }
}

/* error 0: it has closed its output, and its exit status decides. */
static void finish(Running *r, int error) {
        HelperCall *call = r->call;
        int status = 0;

        closep(&r->in);
        closep(&r->out);

        /* One that has closed its output but does not end had its time, too. */
        while (error == 0 && waitpid(r->pid, &status, WNOHANG) == 0) {
                const struct timespec pause = {.tv_nsec = 2000000};

                if (now_usec() >= r->deadline_usec)
                        error = -ETIMEDOUT;
                else
                        (void) nanosleep(&pause, NULL);
        }
        (void) kill(-r->pid, SIGKILL);
        if (error < 0)
                (void) waitpid(r->pid, &status, 0);

        call->error = error < 0 ? error : judge_status(call, status);
        if (call->error < 0) {
                call->output = secret_free_sized(call->output, call->size);
                call->size = 0;
        }
        *r = (Running){.in = -1, .out = -1};
}

static void feed(Running *r) {
        const char *input = r->call->input;
        size_t left = strlen(input) - r->written;
        ssize_t n = left > 0 ? write(r->in, input + r->written, left) : 0;

        if (n > 0)
                r->written += (size_t) n;
        /* One that does not want to read may answer all the same. */
        if (r->written == strlen(input) || (n < 0 && errno != EAGAIN && errno != EINTR)) {
                closep(&r->in);
                r->in = -1;
        }
}

/* 1: there may be more; 0: the end; negative: no answer. */
static int collect(Running *r) {
        HelperCall *call = r->call;
        char buffer[4096];
        ssize_t n = read(r->out, buffer, sizeof(buffer));
        char *output;

        if (n < 0)
                return errno == EAGAIN || errno == EINTR ? 1 : negative_errno();
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

static void attend(Running *r, const struct pollfd *in, const struct pollfd *out) {
        int more = 1;

        if (in->revents != 0 && r->in >= 0)
                feed(r);
        if (out->revents != 0)
                more = collect(r);
        if (more <= 0)
                finish(r, more);
        else if (now_usec() >= r->deadline_usec)
                finish(r, -ETIMEDOUT);
}

/* Waits until one of them has something to say, or is out of time. */
static void attend_all(Running *running) {
        struct pollfd fds[2 * HELPER_PARALLEL_MAX];
        uint64_t now = now_usec(), next = UINT64_MAX;

        for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++) {
                const Running *r = &running[i];

                fds[2 * i] = (struct pollfd){.fd = r->call ? r->in : -1, .events = POLLOUT};
                fds[2 * i + 1] = (struct pollfd){.fd = r->call ? r->out : -1, .events = POLLIN};
                if (r->call && r->deadline_usec < next)
                        next = r->deadline_usec;
        }
        if (next == UINT64_MAX)
                return;

        /* A timeout of years does not fit an int; who wakes early looks again. */
        if (next > now + POLL_MAX_USEC)
                next = now + POLL_MAX_USEC;
        (void) poll(fds, ELEMENTSOF(fds), next > now ? (int) ((next - now) / USEC_PER_MSEC) + 1 : 0);
        for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++)
                if (running[i].call)
                        attend(&running[i], &fds[2 * i], &fds[2 * i + 1]);
}

static int begin(Running *r, HelperCall *call, const char *home, uint64_t timeout_usec, uint64_t last_usec) {
        if (!is_helper_name(call->helper))
                return -EINVAL;
        if (now_usec() > last_usec)
                return -ETIMEDOUT;
        return start(r, call, home, timeout_usec);
}

void helper_run(HelperCall *calls, size_t n_calls, const char *home, uint64_t timeout_usec) {
        const uint64_t last_usec = now_usec() + (HELPER_RUN_TIMEOUTS - 1) * timeout_usec;
        Running running[HELPER_PARALLEL_MAX] = {0};
        size_t next = 0, busy = 0;

        /* One that ends before it has read its input must not end us. */
        (void) signal(SIGPIPE, SIG_IGN);

        do {
                busy = 0;
                for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++) {
                        while (!running[i].call && next < n_calls) {
                                HelperCall *call = &calls[next++];

                                call->error = begin(&running[i], call, home, timeout_usec, last_usec);
                        }
                        if (running[i].call)
                                busy++;
                }
                attend_all(running);
        } while (busy > 0 || next < n_calls);
}

void helper_calls_done(HelperCall *calls, size_t n_calls) {
        for (size_t i = 0; i < n_calls; i++) {
                calls[i].output = secret_free_sized(calls[i].output, calls[i].size);
                calls[i].size = 0;
        }
}

int helper_parse_get(const char *output, char **ret_username, char **ret_secret) {
        _cleanup_json_ json_object *answer = output ? json_tokener_parse(output) : NULL;
        const char *username = json_field_string(answer, "Username"), *secret = json_field_string(answer, "Secret");
        char *username_copy, *secret_copy;

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
                return "its answer has no end";
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
