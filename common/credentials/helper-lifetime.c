/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/helper-lifetime.h"

#include "credentials/registry-name.h"

/* How much a pattern says: counts characters that stand for themselves, and those that do not. */
static void weigh(const char *pattern, size_t *literal, size_t *wild) {
        for (const char *s = pattern; *s; s++) {
                const char *end = *s == '[' && s[1] ? strchr(s + 2, ']') : NULL;

                if (end)
                        s = end;
                if (end || *s == '*' || *s == '?') {
                        (*wild)++;
                        continue;
                }
                if (*s == '\\' && s[1])
                        s++;
                (*literal)++;
        }
}

uint64_t helper_lifetime_usec(const CredentialSettings *settings, const char *registry) {
        const HelperLifetimes *list = &settings->helper_lifetimes;
        size_t best_literal = 0, best_wild = 0;
        const HelperLifetime *best = NULL;

        for (size_t i = 0; i < list->n_items; i++) {
                const HelperLifetime *item = &list->items[i];
                size_t literal = 0, wild = 0;

                /* Less than any pattern. */
                if (!item->pattern)
                        wild = SIZE_MAX;
                else if (!registry_matches(registry, item->pattern))
                        continue;
                else
                        weigh(item->pattern, &literal, &wild);

                if (best && (literal < best_literal || (literal == best_literal && wild > best_wild)))
                        continue;
                best = item;
                best_literal = literal;
                best_wild = wild;
        }
        return best ? best->usec : 0;
}
