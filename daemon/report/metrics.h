/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "report/status-file.h"

/* Prints the text for the Prometheus node exporter (textfile collector). Names and units follow Prometheus'
 * conventions; ecs-authd.conf(5) lists them. */
void metrics_print(FILE *f, const StatusReport *report);
