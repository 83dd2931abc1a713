/* SPDX-License-Identifier: Apache-2.0 */
/* Preloaded into the program: tells the tracer where main() begins, and has an allocation fail.
 *
 *   TORTURE_ALLOCATION=once:PROCESS:N     the N-th allocation of that process (as the tracer names it) fails, or
 *   TORTURE_ALLOCATION=ever:PROCESS:N     all from that one on, in that process
 *   TORTURE_COUNTS=FILE                   gets a line for each process at its end: its name, and a letter for each of
 * them: c where libcrypto asked for it, which does so by the thousand, or else o
 *   TORTURE_REFUSED=FILE                  gets the path of the program or library for which the first one was that
 * fails
 *
 * Counted from main() on. strdup(3), asprintf(3) and the like come here, too: the C library lets malloc(3) be replaced.
 */
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef int (*main_t)(int, char **, char **);

int __libc_start_main(main_t main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void),
                      void *stack_end);

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
pid_t __fork(void);

enum {
        COUNTED_MAX = 65536,
};

static struct {
        bool begun, ever;
        char process[64], name[64], counts[4096], refused[4096], who[COUNTED_MAX];
        unsigned long nth, n;
        unsigned forks;
} us;

/* Whose it is: of the first that is not the C library. */
static void tell_for_whom(void) {
        void *frames[32];
        int fd, n = backtrace(frames, 32);
        Dl_info info;

        for (int i = 0; i < n; i++)
                if (dladdr(frames[i], &info) != 0 && info.dli_fname && !strstr(info.dli_fname, "/preload.so") &&
                    !strstr(info.dli_fname, "/libc.so")) {
                        fd = open(us.refused, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
                        (void) dprintf(fd, "%s\n", info.dli_fname);
                        backtrace_symbols_fd(frames, n, fd);
                        (void) close(fd);
                        return;
                }
}

/* One place for a debugger to stop at. */
__attribute__((noinline)) static bool torture_refuse(void) {
        if (*us.refused) {
                us.begun = false; /* what is asked for here counts for nothing */
                tell_for_whom();
                *us.refused = 0;
                us.begun = true;
        }
        errno = ENOMEM;
        return true;
}

static char who_asks(void *caller) {
        Dl_info info;

        return dladdr(caller, &info) != 0 && info.dli_fname && strstr(info.dli_fname, "/libcrypto") ? 'c' : 'o';
}

static bool fails(void *caller) {
        if (!us.begun)
                return false;
        if (*us.counts && us.n < COUNTED_MAX)
                us.who[us.n] = who_asks(caller);
        us.n++;
        if (us.nth == 0 || strcmp(us.name, us.process) != 0 || (us.ever ? us.n < us.nth : us.n != us.nth))
                return false;
        return torture_refuse();
}

#define FAILS() fails(__builtin_return_address(0))

void *malloc(size_t size) {
        return FAILS() ? NULL : __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
        return FAILS() ? NULL : __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
        return FAILS() ? NULL : __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size) {
        return FAILS() ? NULL : __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
        return memalign(alignment, size);
}

int posix_memalign(void **ret, size_t alignment, size_t size) {
        void *p = memalign(alignment, size);

        if (!p)
                return ENOMEM;
        *ret = p;
        return 0;
}

pid_t fork(void) {
        pid_t pid = __fork();
        char name[sizeof(us.name)];

        if (pid != 0) {
                us.forks += pid > 0;
                return pid;
        }
        (void) snprintf(name, sizeof(name), "%.40s.%u", us.name, us.forks + 1);
        memcpy(us.name, name, sizeof(name));
        us.n = us.forks = 0;
        return pid;
}

/* Several processes may end at once: the line goes out in one piece, which dprintf(3) does not promise. */
__attribute__((destructor)) static void tell(void) {
        static char line[COUNTED_MAX + sizeof(us.name) + 3];
        int fd = us.begun && *us.counts ? open(us.counts, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;

        if (fd < 0)
                return;
        int size = snprintf(line, sizeof(line), "%s %.*s\n", us.name, (int) (us.n < COUNTED_MAX ? us.n : COUNTED_MAX), us.who);
        (void) !write(fd, line, (size_t) size);
        (void) close(fd);
}

void _exit(int status) {
        tell();
        (void) syscall(SYS_exit_group, status);
        __builtin_unreachable();
}

static main_t real_main;

static int begin(int argc, char **argv, char **environment) {
        const char *allocation = getenv("TORTURE_ALLOCATION"), *counts = getenv("TORTURE_COUNTS"),
                   *refused = getenv("TORTURE_REFUSED");
        char when[5] = "";

        if (allocation && sscanf(allocation, "%4[a-z]:%63[0-9.]:%lu", when, us.process, &us.nth) != 3)
                abort();
        us.ever = strcmp(when, "ever") == 0;
        (void) snprintf(us.counts, sizeof(us.counts), "%s", counts ? counts : "");
        (void) snprintf(us.refused, sizeof(us.refused), "%s", refused ? refused : "");
        (void) snprintf(us.name, sizeof(us.name), "0");
        (void) raise(SIGWINCH);
        us.begun = true;
        return real_main(argc, argv, environment);
}

int __libc_start_main(main_t main, int argc, char **argv, void (*init)(void), void (*fini)(void), void (*end)(void),
                      void *stack_end) {
        void *symbol = dlsym(RTLD_NEXT, "__libc_start_main");
        int (*real)(main_t, int, char **, void (*)(void), void (*)(void), void (*)(void), void *);

        memcpy(&real, &symbol, sizeof(symbol));
        real_main = main;
        return real(begin, argc, argv, init, fini, end, stack_end);
}
