/* SPDX-License-Identifier: Apache-2.0 */
/* tracer LOG WHAT PROGRAM ARGUMENTS...: runs a program, and does something to one of its system calls.
 *
 * A process is named by its place in the family: 0 is the program, 0.2 its second child. Calls are counted from main()
 * on, which preload.c tells; what executes another program is left alone. WHAT is
 *
 *   watch                          nothing
 *   list                           writes each call down
 *   once=ERRNO:PROCESS:CALL:N      the N-th such call of that process fails
 *   ever=ERRNO:PROCESS:CALL:N      so do all that follow it, in each process
 *   before:PROCESS:CALL:N          that process is killed when it is about to make the call, or
 *   all:PROCESS:CALL:N             the program and all of its processes are
 *
 * CALL and ERRNO are numbers. LOG has a line for each of: "main PID", "call PROCESS CALL FIRST-ARGUMENT", "hit
 * FIRST-ARGUMENT", "died PROCESS SIGNAL". Ends as the program did. */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
        PROCESSES_MAX = 256,
        NAME_SIZE = 64,
        EXIT_STATUS_TRACER = 125,
};

typedef enum What { WATCH, LIST, ONCE, EVER, BEFORE, ALL } What;

typedef struct Process {
        pid_t pid;            /* 0: the place is free */
        char name[NAME_SIZE]; /* "": its parent has not told of it yet */
        bool waits;           /* for that */
        bool begun;           /* main() */
        unsigned forks;
        unsigned calls; /* of the one that is looked for */
        bool failing;   /* the call in hand */
} Process;

typedef struct Tracer {
        FILE *log;
        What what;
        char process[NAME_SIZE];
        unsigned long call;
        unsigned nth;
        int error;
        bool hit;
        Process processes[PROCESSES_MAX];
} Tracer;

static _Noreturn void give_up(const char *why) {
        (void) fprintf(stderr, "tracer: %s: %s\n", why, strerror(errno));
        exit(EXIT_STATUS_TRACER);
}

static Process *find(Tracer *t, pid_t pid) {
        Process *unused = NULL;

        for (unsigned i = 0; i < PROCESSES_MAX; i++) {
                if (t->processes[i].pid == pid)
                        return &t->processes[i];
                if (t->processes[i].pid == 0)
                        unused = &t->processes[i];
        }
        if (!unused)
                give_up("too many processes");
        *unused = (Process){.pid = pid};
        return unused;
}

/* One that has been killed meanwhile tells so itself. */
static void go_on(const Tracer *t, const Process *p, int signal) {
        bool calls = p->begun && t->what != WATCH;

        (void) ptrace(calls ? PTRACE_SYSCALL : PTRACE_CONT, p->pid, NULL, (void *) (long) signal);
}

static bool is_program(const Process *p) {
        return strcmp(p->name, "0") == 0;
}

/* A parent is told twice of the end of a child that is traced, and can wait for it only after the second time; sd-event
 * listens once. So none is traced to its end but the program, whose parent we are. */
static void let_go(Process *p, int signal) {
        (void) ptrace(PTRACE_DETACH, p->pid, NULL, (void *) (long) signal);
        p->pid = 0;
}

/* --- a call --- */

#if defined(__x86_64__)
static void skip_call(pid_t pid) {
        struct user_regs_struct regs;

        if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0) {
                regs.orig_rax = (unsigned long long) -1;
                (void) ptrace(PTRACE_SETREGS, pid, NULL, &regs);
        }
}

static void set_result(pid_t pid, long result) {
        struct user_regs_struct regs;

        if (ptrace(PTRACE_GETREGS, pid, NULL, &regs) == 0) {
                regs.rax = (unsigned long long) result;
                (void) ptrace(PTRACE_SETREGS, pid, NULL, &regs);
        }
}
#elif defined(__aarch64__)
static void skip_call(pid_t pid) {
        int none = -1;
        struct iovec v = {.iov_base = &none, .iov_len = sizeof(none)};

        (void) ptrace(PTRACE_SETREGSET, pid, (void *) NT_ARM_SYSTEM_CALL, &v);
}

static void set_result(pid_t pid, long result) {
        struct user_regs_struct regs;
        struct iovec v = {.iov_base = &regs, .iov_len = sizeof(regs)};

        if (ptrace(PTRACE_GETREGSET, pid, (void *) NT_PRSTATUS, &v) == 0) {
                regs.regs[0] = (unsigned long long) result;
                (void) ptrace(PTRACE_SETREGSET, pid, (void *) NT_PRSTATUS, &v);
        }
}
#else
#error "how a system call is skipped here is not known"
#endif

static bool is_the_one(Tracer *t, Process *p, unsigned long call) {
        if (t->what == LIST || call != t->call)
                return false;
        if (t->what == EVER && t->hit)
                return true;
        return strcmp(p->name, t->process) == 0 && ++p->calls == t->nth;
}

static void begin_call(Tracer *t, Process *p, unsigned long call, unsigned long argument) {
        if (t->what == LIST)
                (void) fprintf(t->log, "call %s %lu %lu\n", p->name, call, argument);
        if (!is_the_one(t, p, call))
                return;

        (void) fprintf(t->log, "hit %lu\n", argument);
        t->hit = true;
        if (t->what == BEFORE || t->what == ALL) {
                for (unsigned i = 0; t->what == ALL && i < PROCESSES_MAX; i++)
                        if (t->processes[i].pid != 0 && &t->processes[i] != p)
                                (void) kill(t->processes[i].pid, SIGKILL);
                /* The kernel does not begin the call. */
                if (is_program(p))
                        (void) kill(p->pid, SIGKILL);
                else
                        let_go(p, SIGKILL);
                return;
        }
        p->failing = true;
        /* One that cannot be closed is closed all the same. */
        if (call != SYS_close)
                skip_call(p->pid);
}

static void on_call(Tracer *t, Process *p) {
        struct __ptrace_syscall_info info = {0};

        if (ptrace(PTRACE_GET_SYSCALL_INFO, p->pid, (void *) sizeof(info), &info) < 0)
                return;
        if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
                begin_call(t, p, info.entry.nr, info.entry.args[0]);
        if (info.op != PTRACE_SYSCALL_INFO_EXIT)
                return;
        if (p->failing)
                set_result(p->pid, -t->error);
        p->failing = false;
}

/* --- processes --- */

static void on_exit_of(const Tracer *t, Process *p, int status) {
        if (WIFSIGNALED(status))
                (void) fprintf(t->log, "died %s %d\n", p->name, WTERMSIG(status));
        if (!is_program(p))
                let_go(p, 0);
}

static void on_event(Tracer *t, Process *p, int event) {
        unsigned long message;
        Process *c;

        if (event == PTRACE_EVENT_EXEC && !is_program(p))
                let_go(p, 0);
        if (event == PTRACE_EVENT_EXEC || ptrace(PTRACE_GETEVENTMSG, p->pid, NULL, &message) < 0)
                return;
        if (event == PTRACE_EVENT_EXIT) {
                on_exit_of(t, p, (int) message);
                return;
        }

        c = find(t, (pid_t) message);
        if (snprintf(c->name, sizeof(c->name), "%s.%u", p->name, ++p->forks) >= (int) sizeof(c->name))
                give_up("too many generations");
        c->begun = p->begun;
        if (c->waits)
                go_on(t, c, 0);
}

static void on_stop(Tracer *t, Process *p, int status) {
        int signal = WSTOPSIG(status), event = status >> 16;

        if (signal == (SIGTRAP | 0x80)) {
                on_call(t, p);
                signal = 0;
        } else if (event != 0) {
                on_event(t, p, event);
                signal = 0;
        } else if (!*p->name) {
                p->waits = true;
                return;
        } else if (signal == SIGSTOP) {
                signal = 0;
        } else if (signal == SIGWINCH && !p->begun) {
                p->begun = true;
                signal = 0;
        }
        if (p->pid != 0)
                go_on(t, p, signal);
}

static int trace(Tracer *t, pid_t main_pid) {
        int status, result = EXIT_STATUS_TRACER;
        pid_t pid;

        while ((pid = waitpid(-1, &status, __WALL)) > 0) {
                Process *p = find(t, pid);

                if (WIFSTOPPED(status)) {
                        on_stop(t, p, status);
                        continue;
                }
                if (pid == main_pid)
                        result = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
                p->pid = 0;
        }
        return result;
}

static void parse_what(Tracer *t, const char *what) {
        if (strcmp(what, "watch") == 0)
                t->what = WATCH;
        else if (strcmp(what, "list") == 0)
                t->what = LIST;
        else if (sscanf(what, "before:%63[0-9.]:%lu:%u", t->process, &t->call, &t->nth) == 3)
                t->what = BEFORE;
        else if (sscanf(what, "all:%63[0-9.]:%lu:%u", t->process, &t->call, &t->nth) == 3)
                t->what = ALL;
        else if (sscanf(what, "once=%d:%63[0-9.]:%lu:%u", &t->error, t->process, &t->call, &t->nth) == 4)
                t->what = ONCE;
        else if (sscanf(what, "ever=%d:%63[0-9.]:%lu:%u", &t->error, t->process, &t->call, &t->nth) == 4)
                t->what = EVER;
        else
                give_up(what);
}

int main(int argc, char **argv) {
        static Tracer t;
        int status;
        pid_t pid;

        if (argc < 4)
                give_up("usage: tracer LOG WHAT PROGRAM ARGUMENTS...");
        parse_what(&t, argv[2]);
        t.log = fopen(argv[1], "we");
        if (!t.log)
                give_up(argv[1]);
        (void) setvbuf(t.log, NULL, _IOLBF, 0);

        pid = fork();
        if (pid < 0)
                give_up("fork");
        if (pid == 0) {
                const char *preload = getenv("TORTURE_PRELOAD");

                if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || (preload && setenv("LD_PRELOAD", preload, 1) < 0))
                        _exit(EXIT_STATUS_TRACER);
                (void) raise(SIGSTOP);
                (void) execv(argv[3], argv + 3);
                _exit(EXIT_STATUS_TRACER);
        }
        if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status) ||
            ptrace(PTRACE_SETOPTIONS, pid, NULL,
                   (void *) (long) (PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEFORK |
                                    PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
                                    PTRACE_O_TRACEEXIT)) < 0)
                give_up("ptrace");
        (void) fprintf(t.log, "main %d\n", (int) pid);
        (void) snprintf(find(&t, pid)->name, NAME_SIZE, "0");
        go_on(&t, find(&t, pid), 0);
        return trace(&t, pid);
}
