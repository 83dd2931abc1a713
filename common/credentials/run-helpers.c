/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/run-helpers.h"

#include <openssl/crypto.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/secret.h"
#include "credentials/helper-reaper.h"
#include "credentials/helper-environment.h"

enum {
        FDS_FIRST = 2, /* of the reaper */
        FDS_EACH = 2,  /* of a program */
};

#define POLL_MAX_USEC (3600 * USEC_PER_SEC)

/* What the helpers' own library prints on standard output, with exit status 1, for a server that they do not know. */
#define NOT_FOUND_MESSAGE "credentials not found in native keychain"

/* The result of a call. */
typedef struct Answer {
        int error; /* -EINPROGRESS: the call has not ended */
        size_t size;
        _Alignas(4096) char output[HELPER_OUTPUT_MAX + 1]; /* of pages of its own, which can be given back */
} Answer;

/* The work of the reaper. */
typedef struct Work {
        const HelperCall *calls;
        Answer *answers; /* memory that the reaper shares with its caller */
        size_t n_calls;
        char *const *environment;
        uint64_t timeout_usec;
        uint64_t last_usec; /* no program is started after this */
} Work;

/* One program, from its start until its end. */
typedef struct Running {
        const HelperCall *call; /* NULL: there is none */
        Answer *answer;
        Program program;
        bool ended;
        int status; /* of wait(2), after the program has ended */
        size_t written;
        uint64_t deadline_usec;
} Running;

static bool is_helper_name(const char *s) {
        return *s && strlen(s) < 128 && !strpbrk(s, "/") &&
               s[strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")] == 0;
}

static int judge_status(const Answer *answer, int status) {
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
                return strstr(answer->output, NOT_FOUND_MESSAGE) ? -ENOKEY : -EPROTO;
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
        ssize_t n = left > 0 ? write(r->program.in, input + r->written, left) : 0;

        if (n > 0)
                r->written += (size_t) n;
        /* One that does not want to read may answer all the same. */
        if (r->written == strlen(input) || (n < 0 && !is_passing(n)))
                close_end(&r->program.in);
}

/* Returns 1 if there may be more output, 0 at its end, or a negative errno if there is no answer. */
static int collect(Running *r) {
        Answer *a = r->answer;
        ssize_t n = read(r->program.out, a->output + a->size, sizeof(a->output) - a->size);

        if (n < 0)
                return is_passing(n) ? 1 : negative_errno();
        a->size += (size_t) n;
        if (a->size > HELPER_OUTPUT_MAX)
                return -EFBIG;
        return n > 0;
}

/* error: why there is no answer; not negative: the program has ended, and its status decides. */
static void finish(Running *r, int error) {
        Answer *a = r->answer;

        a->error = error < 0 ? error : judge_status(a, r->status);
        if (a->error < 0) {
                OPENSSL_cleanse(a->output, a->size);
                (void) madvise(a->output, sizeof(a->output), MADV_REMOVE);
                a->size = 0;
        }
        if (!r->ended)
                reaper_kill(&r->program);
        close_end(&r->program.in);
        close_end(&r->program.out);
        r->call = NULL;
}

static bool has_more(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* The program has ended. The rest of its output is in the pipe, which others may hold open, and fill. */
static int collect_rest(Running *r) {
        int more = 1;

        while (more > 0 && has_more(r->program.out))
                more = collect(r);
        return more;
}

static void attend(Running *r, const struct pollfd *fds) {
        bool late = clock_monotonic_usec() >= r->deadline_usec;
        int more = 1;

        if (fds[0].revents != 0)
                feed(r);
        if (fds[1].revents != 0)
                more = collect(r);
        /* A program that has closed its output may go on until its time limit. */
        if (more == 0)
                close_end(&r->program.out);
        if (more < 0)
                finish(r, more);
        else if (r->ended)
                finish(r, collect_rest(r));
        else if (late)
                finish(r, -ETIMEDOUT);
}

static void note_ended(const Reaper *reaper, Running running[static HELPER_PARALLEL_MAX]) {
        pid_t pid;
        int status;

        while ((pid = reaper_collect(reaper, &status)) > 0)
                for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++)
                        if (running[i].call && running[i].program.pid == pid) {
                                running[i].ended = true;
                                running[i].status = status;
                        }
}

/* Waits until one of these has a descriptor that is ready, or until next. Returns false if the caller is gone. */
static bool wait_for_programs(struct pollfd *fds, size_t n, uint64_t next) {
        uint64_t now = clock_monotonic_usec();

        /* A timeout of years does not fit an int; waking early does no harm. */
        if (next > now + POLL_MAX_USEC)
                next = now + POLL_MAX_USEC;
        if (poll(fds, n, next > now ? (int) ((next - now) / USEC_PER_MSEC) + 1 : 0) < 0)
                memset(fds, 0, n * sizeof(*fds)); /* nothing is known but the time */
        return fds[0].revents == 0;
}

/* Attends to the programs once. Returns false if there is nothing left to do, or if the caller is gone. */
static bool attend_all(const Reaper *reaper, Running running[static HELPER_PARALLEL_MAX]) {
        struct pollfd fds[FDS_FIRST + FDS_EACH * HELPER_PARALLEL_MAX] = {{.fd = reaper->caller, .events = POLLRDHUP},
                                                                         {.fd = reaper->children, .events = POLLIN}};
        uint64_t next = UINT64_MAX;
        Running *busy[HELPER_PARALLEL_MAX];
        size_t n = 0;

        for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++) {
                struct pollfd *f = &fds[FDS_FIRST + FDS_EACH * n];
                Running *r = &running[i];

                if (!r->call)
                        continue;
                f[0] = (struct pollfd){.fd = r->program.in, .events = POLLOUT};
                f[1] = (struct pollfd){.fd = r->program.out, .events = POLLIN};
                if (r->deadline_usec < next)
                        next = r->deadline_usec;
                busy[n++] = r;
        }
        if (n == 0 || !wait_for_programs(fds, FDS_FIRST + FDS_EACH * n, next))
                return false;

        if (fds[1].revents != 0)
                note_ended(reaper, running);
        for (size_t i = 0; i < n; i++)
                attend(busy[i], &fds[FDS_FIRST + FDS_EACH * i]);
        return true;
}

static int begin(Running *r, const HelperCall *call, const Work *work) {
        char program[160];
        char *const arguments[] = {program, (char *) call->verb, NULL};
        int e;

        if (!is_helper_name(call->helper))
                return -EINVAL;
        if (clock_monotonic_usec() > work->last_usec)
                return -ETIMEDOUT;

        (void) snprintf(program, sizeof(program), "docker-credential-%s", call->helper);
        *r = (Running){.answer = &work->answers[call - work->calls]};
        e = reaper_start(arguments, work->environment, &r->program);
        if (e < 0)
                return e;
        r->call = call;
        r->deadline_usec = clock_monotonic_usec() + work->timeout_usec;
        return -EINPROGRESS;
}

static void run_all(const Reaper *reaper, const void *context) {
        Running running[HELPER_PARALLEL_MAX] = {0};
        const Work *work = context;
        size_t next = 0;

        do {
                for (size_t i = 0; i < HELPER_PARALLEL_MAX; i++)
                        for (; !running[i].call && next < work->n_calls; next++)
                                work->answers[next].error = begin(&running[i], &work->calls[next], work);
        } while (attend_all(reaper, running));
}

/* error: of a call that has not ended. */
static void take_answer(HelperCall *call, Answer *a, int error) {
        /* A reaper that was stopped may still change the shared memory. */
        const size_t size = *(volatile size_t *) &a->size;
        const size_t n = size < sizeof(a->output) ? size : sizeof(a->output);

        call->error = a->error == -EINPROGRESS ? error : a->error;
        if (call->error >= 0) {
                call->output = xmemory(secret_dup(a->output, n));
                call->size = n;
        }
        OPENSSL_cleanse(a->output, n);
}

static int run_in_reaper(HelperCall *calls, size_t n_calls, char *const *environment, uint64_t timeout_usec) {
        const uint64_t last_usec = clock_monotonic_usec() + (HELPER_RUN_TIMEOUTS - 1) * timeout_usec;
        const size_t size = n_calls * sizeof(Answer);
        Answer *answers = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        const Work work = {calls, answers, n_calls, environment, timeout_usec, last_usec};
        int e;

        if (answers == MAP_FAILED)
                return negative_errno();
        for (size_t i = 0; i < n_calls; i++)
                answers[i].error = -EINPROGRESS;
        e = reaper_run(run_all, &work, last_usec + timeout_usec + USEC_PER_SEC);
        for (size_t i = 0; i < n_calls; i++)
                take_answer(&calls[i], &answers[i], e);
        (void) munmap(answers, size);
        return 0;
}

void helper_run(HelperCall *calls, size_t n_calls, const char *home, char *const *environment, uint64_t timeout_usec) {
        _cleanup_(helper_environment_freep) char **variables = helper_environment_new(home, environment);
        int e = 0;

        if (n_calls > 0)
                e = run_in_reaper(calls, n_calls, variables, timeout_usec);
        for (size_t i = 0; e < 0 && i < n_calls; i++)
                calls[i].error = e;
}

void helper_calls_done(HelperCall *calls, size_t n_calls) {
        for (size_t i = 0; i < n_calls; i++) {
                calls[i].output = secret_free_sized(calls[i].output, calls[i].size);
                calls[i].size = 0;
        }
}

int helper_parse_get(const char *output, char **ret_username, char **ret_secret) {
        _cleanup_json_ json_object *answer = NULL;
        const char *username, *secret;
        int r;

        r = output ? json_parse_answer(output, &answer) : -EBADMSG;
        if (r < 0)
                return r;
        username = json_field_string(answer, "Username");
        secret = json_field_string(answer, "Secret");
        if (!username || !secret)
                return -EBADMSG;

        *ret_username = xmemory(secret_dup(username, strlen(username)));
        *ret_secret = xmemory(secret_dup(secret, strlen(secret)));
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
