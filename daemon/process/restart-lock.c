/* SPDX-License-Identifier: Apache-2.0 */
#include "process/restart-lock.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/directories.h"

struct RestartLock {
        int fd; /* -1: who may not write there is not root, and shares the agent with nobody */
        bool claimed;
};

int restart_lock_new(RestartLock **ret) {
        static const struct timespec never[2];
        RestartLock *i = calloc(1, sizeof(RestartLock));
        char path[PATH_MAX];

        if (!i)
                return -ENOMEM;

        make_state_directory();
        (void) snprintf(path, sizeof(path), "%s/restart.lock", state_directory());
        i->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (i->fd >= 0)
                (void) futimens(i->fd, never);
        else
                i->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        *ret = i;
        return 0;
}

RestartLock *restart_lock_free(RestartLock *i) {
        if (!i)
                return NULL;

        closep(&i->fd);
        free(i);
        return NULL;
}

bool restart_lock_claim(RestartLock *i) {
        if (!i->claimed)
                i->claimed = i->fd < 0 || flock(i->fd, LOCK_EX | LOCK_NB) >= 0 || errno != EWOULDBLOCK;
        return i->claimed;
}

void restart_lock_note_restart(RestartLock *i) {
        if (i->fd >= 0)
                (void) futimens(i->fd, NULL);
}

static uint64_t to_usec(const struct timespec *t) {
        return (uint64_t) t->tv_sec * USEC_PER_SEC + (uint64_t) t->tv_nsec / 1000;
}

uint64_t restart_lock_last_restart_ago_usec(const RestartLock *i) {
        struct timespec now;
        struct stat st;

        if (i->fd < 0 || fstat(i->fd, &st) < 0 || st.st_mtim.tv_sec == 0 || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
            to_usec(&st.st_mtim) > to_usec(&now))
                return UINT64_MAX;
        return to_usec(&now) - to_usec(&st.st_mtim);
}
