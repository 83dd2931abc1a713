/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <systemd/sd-event.h>

#include "base/macro.h"

/* Tells when CLOCK_REALTIME jumps: somebody has set it, or the machine was suspended. What was to happen at a time of
 * day has to be looked at anew then. */

typedef struct ClockChange ClockChange;

int clock_change_new(ClockChange **ret, sd_event *event, void (*changed)(void *userdata), void *userdata);
ClockChange *clock_change_free(ClockChange *c);
DEFINE_CLEANUP_FUNC(ClockChange *, clock_change_free)
