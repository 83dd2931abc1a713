/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <ctype.h>

enum {
        LENGTH_MAX = 32, /* of our own words, none is longer */
};

static unsigned smaller(unsigned a, unsigned b) {
        return a < b ? a : b;
}

static bool same(char a, char b) {
        return tolower((unsigned char) a) == tolower((unsigned char) b);
}

/* Optimal string alignment: d[i][j] is the distance of the first i letters of a to the first j of b. */
static unsigned distance_of(const char *a, const char *b) {
        unsigned d[LENGTH_MAX + 1][LENGTH_MAX + 1] = {0};
        size_t n_a = strlen(a), n_b = strlen(b);

        for (size_t i = 0; i <= n_a; i++)
                for (size_t j = 0; j <= n_b; j++) {
                        if (i == 0 || j == 0) {
                                d[i][j] = (unsigned) (i + j);
                                continue;
                        }
                        d[i][j] = smaller(smaller(d[i - 1][j], d[i][j - 1]) + 1,
                                          d[i - 1][j - 1] + !same(a[i - 1], b[j - 1]));
                        if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
                                d[i][j] = smaller(d[i][j], d[i - 2][j - 2] + 1);
                }
        return d[n_a][n_b];
}

void nearest_consider(Nearest *n, const char *word) {
        size_t length = strlen(word), limit = length / 3 > 2 ? length / 3 : 2;
        unsigned distance;

        if (length > LENGTH_MAX || strlen(n->typed) > LENGTH_MAX)
                return;
        distance = distance_of(n->typed, word);
        if (distance > limit || 2 * distance > length || (n->word && distance >= n->distance))
                return;
        n->word = word;
        n->distance = distance;
}
