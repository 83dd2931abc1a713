/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

/* Calls changed() when CLOCK_REALTIME jumps: the clock was set, or the machine was suspended. changed() must call
 * clock_change_rearm(). The source owns the descriptor. */
int clock_change_new(sd_event_source **ret, sd_event *event, sd_event_io_handler_t changed, void *userdata);
void clock_change_rearm(int fd);
