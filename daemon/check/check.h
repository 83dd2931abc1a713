/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "settings/settings.h"

/* ecs-authd check: looks at everything on this host that matters, before the first start as well, and prints a line for
 * each: ok, warning or problem, and what to do; json: the same as one object. Changes nothing. login: ask each registry
 * whether it takes its credentials. Returns an exit status (1: there is a problem) or a negative errno. */
int check_host(const Settings *settings, bool login, bool json);

/* The state of the agent, and the decision about it, for a verb that changes nothing (check, apply --dry-run). */
typedef struct Judgement {
        Facts facts;
        Decision decision;
        uint64_t now; /* CLOCK_MONOTONIC */
} Judgement;

/* Observes the agent and its unit once, and decides about them, with the functions of the service. The decision is that
 * of apply: nothing has to settle first. file: the environment file whose credentials the agent should have. With
 * Method=none the unit counts as active, and the decision is that of Method=systemd. */
int judge_agent(const Settings *settings, const DigestKey *key, const SyncReport *file, Judgement *ret);
