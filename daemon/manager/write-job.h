/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "ecsconfig/sync.h"
#include "manager/manager.h"
#include "process/worker.h"

/* A job that writes the environment file (sync_run()). The manager has two, so that a slow helper delays no write. */

typedef struct WriteJob {
        Manager *manager;
        Worker *worker;
        /* report is NULL: the job was canceled. */
        void (*done)(Manager *m, const SyncReport *report);

        Asking asking;
        int ended;  /* error of the first attempt; 0: this is the first attempt */
        bool asked; /* the first attempt queried helpers */
} WriteJob;

/* Calls done() in any case, later or at once. A job that ends without a report is run once more, without helpers,
 * because it may have written. */
void write_job_start(WriteJob *j, Asking asking);

/* Kills a running job, and calls done() for it. The file on disk is whole at any moment. */
void write_job_cancel(WriteJob *j);
