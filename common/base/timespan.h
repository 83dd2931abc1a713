/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* A span of time in systemd's notation (systemd.time(7)): "2s", "1min 30s", "500ms". */

enum {
        TIMESPAN_MAX = 64,
};

/* A bare number is seconds.
 * -EINVAL: not a span; -ERANGE: longer than 10 years. */
int timespan_parse(const char *s, uint64_t *ret_usec);

/* Into TIMESPAN_MAX bytes, as timespan_parse() reads it. */
void timespan_format(char *ret, size_t size, uint64_t usec);
