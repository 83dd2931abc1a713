/* SPDX-License-Identifier: Apache-2.0 */
#include "base/timespan.h"

#include <ctype.h>
#include <inttypes.h>

#include "base/macro.h"

enum {
        YEARS_MAX = 10,
};

#define USEC_PER_MIN (60 * USEC_PER_SEC)
#define USEC_PER_HOUR (60 * USEC_PER_MIN)
#define USEC_PER_DAY (24 * USEC_PER_HOUR)
#define USEC_PER_YEAR (365 * USEC_PER_DAY)

enum {
        UNITS_SHOWN = 6,
        NAMES_MAX = 5,
};

/* Largest first; the first UNITS_SHOWN are shown, by their first name. */
static const struct {
        const char *names[NAMES_MAX];
        uint64_t usec;
} units[] = {
        {{"d", "day", "days"}, USEC_PER_DAY},
        {{"h", "hr", "hour", "hours"}, USEC_PER_HOUR},
        {{"min", "m", "minute", "minutes"}, USEC_PER_MIN},
        {{"s", "sec", "second", "seconds", ""}, USEC_PER_SEC},
        {{"ms", "msec"}, USEC_PER_MSEC},
        {{"us", "usec"}, 1},
        {{"w", "week", "weeks"}, 7 * USEC_PER_DAY},
};

static int timespan_unit(const char *name, size_t length, uint64_t *ret_usec) {
        for (size_t i = 0; i < ELEMENTSOF(units); i++)
                for (size_t j = 0; j < NAMES_MAX && units[i].names[j]; j++)
                        if (strlen(units[i].names[j]) == length && strncmp(units[i].names[j], name, length) == 0) {
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
        size_t used = 0;

        (void) snprintf(ret, size, "0");
        for (size_t i = 0; i < UNITS_SHOWN && used < size; i++) {
                if (usec >= units[i].usec)
                        used += (size_t) snprintf(ret + used, size - used, "%s%" PRIu64 "%s", used > 0 ? " " : "",
                                                  usec / units[i].usec, units[i].names[0]);
                usec %= units[i].usec;
        }
}
