/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/engine-connection.h"
#include "agent/observe.h"

/* What a restart would cost: the tasks of the report. The Docker Engine tells of their containers, the agent of those
 * that have none yet. */

/* Asks the Docker Engine for the containers of tasks; *ret_tasks: the ARNs of their tasks, an array. */
int tasks_observe_containers(const Engine *engine, ObserveReport *report, json_object **ret_tasks);

/* Its answer put into the report. -EBADMSG: not such an answer; others as json_parse_answer(). */
int tasks_parse_containers(const char *json, ObserveReport *report, json_object **ret_tasks);

/* The answer of "GET /v1/tasks" put into the report; tasks: what tasks_parse_containers() gave. -EBADMSG: not such an
 * answer; others as json_parse_answer(). */
int tasks_parse(const char *json, json_object *tasks, ObserveReport *report);
