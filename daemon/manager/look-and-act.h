/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "manager/manager-struct.h"

/* The pass: asks the two decisions (decision/when-to-write.h, decision/when-to-restart.h) what is to be done, and does
 * it. Nothing acts on an event: whatever happens only says "look again". */

/* "Look again": at everything that is marked as stale; at the agent, too. */
void manager_wake(Manager *m);
void manager_wake_agent(Manager *m);

/* For the source that runs the pass. */
int manager_on_pass(sd_event_source *s, void *userdata);

/* Operations of a pass; userdata: the Manager. */
extern const PassOperations manager_operations;

/* Results of the jobs, and signals of the service manager. */
void manager_on_written(Manager *m, const SyncReport *report);
void manager_on_asked(Manager *m, const SyncReport *report);
void manager_on_observed(void *userdata, const ObserveReport *agent, const UnitReport *unit);
void manager_on_unit_queried(void *userdata, const UnitReport *unit);
void manager_on_unit_changed(void *userdata);
void manager_on_job_finished(void *userdata, JobOutcome outcome, const char *result, const char *message);

/* CLOCK_MONOTONIC in microseconds, as of this round of the loop. */
uint64_t manager_now(const Manager *m);

/* Sets the timer for the moment, creating it when need be; 0 turns it off. */
int manager_arm_timer(Manager *m, sd_event_source **timer, uint64_t usec, sd_event_time_handler_t handler);

/* The agent may start. */
int manager_on_ready_limit(sd_event_source *s, uint64_t usec, void *userdata);

/* Something is under way that is better not cut off. */
bool manager_is_busy(const Manager *m);

/* Ends the loop: with this exit status; after a signal. */
void manager_exit(Manager *m, int status);
void manager_end(Manager *m);
