/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timespan.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/macro.h"

enum {
        YEARS_MAX = 10,
};

#define USEC_PER_YEAR (365ULL * 24 * 3600 * USEC_PER_SEC)

static int timespan_unit(const char *name, size_t length, uint64_t *ret_usec) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                {"us", 1},
                {"usec", 1},
                {"ms", USEC_PER_MSEC},
                {"msec", USEC_PER_MSEC},
                {"", USEC_PER_SEC},
                {"s", USEC_PER_SEC},
                {"sec", USEC_PER_SEC},
                {"second", USEC_PER_SEC},
                {"seconds", USEC_PER_SEC},
                {"m", 60 * USEC_PER_SEC},
                {"min", 60 * USEC_PER_SEC},
                {"minute", 60 * USEC_PER_SEC},
                {"minutes", 60 * USEC_PER_SEC},
                {"h", 3600 * USEC_PER_SEC},
                {"hr", 3600 * USEC_PER_SEC},
                {"hour", 3600 * USEC_PER_SEC},
                {"hours", 3600 * USEC_PER_SEC},
                {"d", 24 * 3600 * USEC_PER_SEC},
                {"day", 24 * 3600 * USEC_PER_SEC},
                {"days", 24 * 3600 * USEC_PER_SEC},
                {"w", 7 * 24 * 3600 * USEC_PER_SEC},
                {"week", 7 * 24 * 3600 * USEC_PER_SEC},
                {"weeks", 7 * 24 * 3600 * USEC_PER_SEC},
        };

        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                if (strlen(units[i].name) == length && strncmp(units[i].name, name, length) == 0) {
                        *ret_usec = units[i].usec;
                        return 0;
                }
        return -EINVAL;
}

int timespan_parse(const char *s, uint64_t *ret_usec) {
        const uint64_t limit = YEARS_MAX * USEC_PER_YEAR;
        uint64_t total = 0;

        s += strspn(s, " \t");
        if (!*s)
                return -EINVAL;

        while (*s) {
                unsigned long long number;
                uint64_t unit;
                char *end;
                size_t n;

                if (!isdigit((unsigned char) *s))
                        return -EINVAL;
                errno = 0;
                number = strtoull(s, &end, 10);
                if (errno != 0)
                        return -ERANGE;

                end += strspn(end, " \t");
                n = strspn(end, "abcdefghijklmnopqrstuvwxyz");
                if (timespan_unit(end, n, &unit) < 0)
                        return -EINVAL;
                if (number > (limit - total) / unit)
                        return -ERANGE;

                total += number * unit;
                s = end + n;
                s += strspn(s, " \t");
        }

        *ret_usec = total;
        return 0;
}

void timespan_format(char *ret, size_t size, uint64_t usec) {
        static const struct {
                const char *name;
                uint64_t usec;
        } units[] = {
                {"d", 24 * 3600 * USEC_PER_SEC}, {"h", 3600 * USEC_PER_SEC},
                {"min", 60 * USEC_PER_SEC},      {"s", USEC_PER_SEC},
                {"ms", USEC_PER_MSEC},           {"us", 1},
        };
        size_t used = 0;

        (void) snprintf(ret, size, "0");
        for (size_t i = 0; i < ELEMENTSOF(units) && used < size; i++) {
                if (usec >= units[i].usec)
                        used += (size_t) snprintf(ret + used, size - used, "%s%" PRIu64 "%s", used > 0 ? " " : "",
                                                  usec / units[i].usec, units[i].name);
                usec %= units[i].usec;
        }
}
