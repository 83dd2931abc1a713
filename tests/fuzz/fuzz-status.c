/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "base/json.h"
#include "report/show-status.h"

/* What ecs-authd status makes of the status file: for people, and for programs. */

/* The output of one run, which ends what fails in it, with a NUL behind it; the sanitizers and libFuzzer write to
 * stderr. */
static char *shown(bool json, int *ret_status) {
        static int fd = -1;
        size_t size;
        char *text;

        if (fd < 0) {
                fd = memfd_create("shown", MFD_CLOEXEC);
                check(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
        }
        check(ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
        *ret_status = show_status(json, false);
        (void) fflush(stdout);
        (void) fuzz_stop();
        check(lseek(fd, 0, SEEK_SET) == 0 && secret_read_fd(fd, 1 << 24, &text, &size) == 0);
        return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_free_ char *people = NULL, *programs = NULL, *again = NULL;
        int status, other;

        (void) setenv("RUNTIME_DIRECTORY", fuzz_path(NULL), 1);
        /* Without memory newlocale() (glibc 2.36, 2.41) loses the name of the character set of any other. */
        (void) setenv("LC_ALL", "C", 1);
        fuzz_put("status.json", bytes, size);
        fuzz_count();
        people = shown(false, &status);
        while (fuzz_fail(bytes, size)) {
                free(shown(false, &other));
                /* Where there is no memory it may say nothing, but not that all is well where it is not. */
                check(other == EXIT_FAILURE || other == status);
        }

        programs = shown(true, &other);
        check(status == other && (status == 0 || status == 1 || status == 3));
        check(status == 1 ? !*people && !*programs : *people && *programs);
        if (status == 1)
                return 0;
        /* What is printed for programs says the same when it is read again. */
        fuzz_put("status.json", programs, strlen(programs));
        again = shown(true, &other);
        check(other == status && streq(again, programs));
        return 0;
}
