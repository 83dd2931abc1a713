/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/when-to-restart.h"

/* Returns the text for the Prometheus node exporter (textfile collector), which the caller frees, or NULL if no memory
 * is left. Names and units follow Prometheus' conventions; ecs-authd.conf(5) lists them. state: the word of
 * reason-texts.h. start_usec: start of the service. clock_offset: from clock_measure_offset(). */
char *metrics_text(const Facts *facts, const char *state, uint64_t start_usec, int64_t clock_offset);
