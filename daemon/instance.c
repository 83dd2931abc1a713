/* SPDX-License-Identifier: Apache-2.0 */
#include "instance.h"

#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>

#include "config.h"

struct Instance {
        int fd; /* of the lock file; -1: there is none */
        bool claimed;
};

int instance_new(Instance **ret) {
        Instance *i = calloc(1, sizeof(Instance));
        char path[PATH_MAX];

        if (!i)
                return -ENOMEM;

        /* Who may not write there is not root, and shares the agent with nobody. */
        (void) snprintf(path, sizeof(path), "%s/lock", config_state_directory());
        i->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
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
