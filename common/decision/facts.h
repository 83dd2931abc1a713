/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/decide.h"

/* What each thing that happens changes in what is known. Pure, as decide() is: with it and these functions every
 * history can be played through without a clock, a child or a bus. */

void facts_wake(Facts *f, bool files);

/* The job that writes. Gives the mode in which it is to run. */
SyncMode facts_begin_write(Facts *f);
void facts_end_write(Facts *f, const SyncReport *report, uint64_t now);

/* The job that observes, and the question to the service manager. */
void facts_begin_observe(Facts *f);
void facts_end_observe(Facts *f, const ObserveReport *agent, UnitState unit, uint64_t now);

/* Our restart. */
void facts_begin_restart(Facts *f, const Decision *d, uint64_t now);
void facts_end_restart(Facts *f, JobOutcome outcome, uint64_t now);

/* An operator asks to look again, and to try what was given up because it led nowhere. */
void facts_retry(Facts *f);

/* Since when it is this that is waited for; also done by facts_take_decision(). */
void facts_note_waiting(Facts *f, const Decision *d, uint64_t now);

/* Takes a decision that starts no job to the books. True: it may make way for another one at once. */
bool facts_take_decision(Facts *f, const Decision *d, uint64_t now);
