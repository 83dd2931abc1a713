/* SPDX-License-Identifier: Apache-2.0 */
#include "process/instance.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "settings/config.h"

struct Instance {
        int fd; /* -1: who may not write there is not root, and shares the agent with nobody */
        bool claimed;
};

int instance_new(Instance **ret) {
        static const struct timespec never[2];
        Instance *i = calloc(1, sizeof(Instance));
        char path[PATH_MAX];

        if (!i)
                return -ENOMEM;

        config_make_state_directory();
        (void) snprintf(path, sizeof(path), "%s/restart.lock", config_state_directory());
        i->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (i->fd >= 0)
                (void) futimens(i->fd, never);
        else
                i->fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        *ret = i;
        return 0;
}

Instance *instance_free(Instance *i) {
        if (!i)
                return NULL;

        closep(&i->fd);
        free(i);
        return NULL;
}

bool instance_claim(Instance *i) {
        if (!i->claimed)
                i->claimed = i->fd < 0 || flock(i->fd, LOCK_EX | LOCK_NB) >= 0 || errno != EWOULDBLOCK;
        return i->claimed;
}

void instance_note_restart(Instance *i) {
        if (i->fd >= 0)
                (void) futimens(i->fd, NULL);
}

static uint64_t to_usec(const struct timespec *t) {
        return (uint64_t) t->tv_sec * USEC_PER_SEC + (uint64_t) t->tv_nsec / 1000;
}

uint64_t instance_last_restart_ago_usec(const Instance *i) {
        struct timespec now;
        struct stat st;

        if (i->fd < 0 || fstat(i->fd, &st) < 0 || st.st_mtim.tv_sec == 0 || clock_gettime(CLOCK_REALTIME, &now) < 0 ||
            to_usec(&st.st_mtim) > to_usec(&now))
                return UINT64_MAX;
        return to_usec(&now) - to_usec(&st.st_mtim);
}
