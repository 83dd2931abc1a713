/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "decision/when-to-restart.h"

/* A text file for the Prometheus node exporter (textfile collector), replaced as a whole: names and units by
 * Prometheus' conventions. state: the word of reason-texts.h. */
int metrics_write(const char *path, const Facts *facts, const char *state);
