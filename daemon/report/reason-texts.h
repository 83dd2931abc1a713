/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* What each reason of a decision means to people: one row a reason, and everything that they see is made from it. */

typedef struct ReasonText {
        const char *state;      /* the word of status.json and of the metrics, that scripts go by */
        int level;              /* of its journal line (syslog.h) */
        const char *message_id; /* NULL: it has no line, since it follows from one that is there or precedes one */
        const char *sentence;   /* what is so, why, and what to do; with {words} (sentence.c) */
} ReasonText;

const ReasonText *reason_text(const Facts *facts, const Decision *d);

/* Every word that a state can be, NULL-terminated. */
extern const char *const reason_states[];
