/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "service/service.h"

/* Looks at agent and unit at once: the job that asks Docker and the agent (observe_run()) in a worker of its own, and a
 * question to the service manager. */

typedef struct Observer Observer;

typedef void (*observer_done_t)(void *userdata, const ObserveReport *agent, const UnitReport *unit);

int observer_new(Observer **ret, sd_event *event, observer_done_t done, void *userdata);
Observer *observer_free(Observer *o); /* kills a job that still runs */
DEFINE_CLEANUP_FUNC(Observer *, observer_free)

/* done() is called in any case, later or at once. service NULL: there is no unit to ask for. The settings have to live
 * until then. */
void observer_start(Observer *o, const AgentSettings *settings, const DigestKey *key, Service *service);

/* The answer of the service manager (ServiceHandlers.queried). One that comes too late is nobody's. */
void observer_take_unit(Observer *o, const UnitReport *unit);
