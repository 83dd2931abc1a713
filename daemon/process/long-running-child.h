/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "process/fork.h"

/* Keeps a child running for as long as it is wanted, and hands on what it sends. One that ends is begun again after a
 * pause that doubles up to half a minute; after one that has served for longer, the first pause is short again. */

typedef struct LongRunningChild LongRunningChild;

/* message is NULL: the child has ended, and is begun again later. */
typedef void (*child_message_t)(void *userdata, const void *message, size_t size);

enum {
        CHILD_MESSAGE_MAX = 64,
};

/* name and function: as fork_child(). */
int long_running_child_new(LongRunningChild **ret, sd_event *event, const char *name, child_function_t function,
                           child_message_t handler, void *userdata);
LongRunningChild *long_running_child_free(LongRunningChild *c);
DEFINE_CLEANUP_FUNC(LongRunningChild *, long_running_child_free)

/* Begins it, in place of one that runs. The child has the context as it is when it is forked, which may be more than
 * once: it must live until the child is stopped. */
void long_running_child_start(LongRunningChild *c, const void *context);
void long_running_child_stop(LongRunningChild *c);

/* For the child: hands a message to the parent, waiting for it or not (then a message that finds no room is lost,
 * -EAGAIN). */
int child_send(int fd, const void *message, size_t size, bool wait);
