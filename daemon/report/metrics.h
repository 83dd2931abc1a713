/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/state-file.h"
#include "decision/when-to-restart.h"

/* A text file for the Prometheus node exporter (textfile collector), replaced as a whole: names and units by
 * Prometheus' conventions; ecs-authd.conf(5) lists them. state: the word of reason-texts.h. start_usec: of the
 * service. */
int metrics_write(const char *path, const Facts *facts, const char *state, uint64_t start_usec, FileIdentity *ret);
