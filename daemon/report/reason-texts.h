/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* What each reason of a decision means to people: one row a reason, and everything that they see is made from it. */

typedef struct ReasonText {
        const char *state;      /* the word of status.json and of the metrics, that scripts go by */
        int level;              /* of its journal line (syslog.h) */
        const char *message_id; /* NULL: it has no line, since it follows from one that is there or precedes one */
        const char *sentence;   /* what is so, why, and what to do; with {words} */
} ReasonText;

const ReasonText *reason_text(const Facts *facts, const Decision *d);

/* Returns the state of the text, or "problem" instead of "waiting" if the files or settings have a problem. */
const char *reason_state(const Facts *facts, const Decision *d);

/* Every word that a state can be, NULL-terminated. */
extern const char *const reason_states[];

enum {
        SENTENCE_MAX = 1400,
};

/* now: CLOCK_MONOTONIC, as the facts. */
void sentence_describe(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                       size_t size);

/* The same for systemctl status and status.json, in one line: what is so at this moment. Without a time of the day:
 * whoever reads it may do so on another day, and in another zone. */
void sentence_describe_briefly(const Settings *settings, const Facts *facts, const Decision *d, uint64_t now, char *ret,
                               size_t size);

/* Describes in ret how an inactive unit ended, for a sentence about the unit, and returns ret. */
const char *sentence_describe_end(const UnitReport *unit, char *ret, size_t size);

/* What is restarted, as people know it: a unit, or the container of an agent that was started by hand. */
const char *sentence_agent_name(const Settings *settings);

const char *sentence_plural(unsigned n, const char *one, const char *many);
