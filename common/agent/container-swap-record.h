/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"

/* How far the swap of the agent's container has come, in a file of the state directory that is written before each
 * step: whoever comes after one that was cut off knows which container is which, and what was asked of Docker already.
 * It holds no secret. Only who holds the restart lock writes it. */

typedef enum SwapStage {
        /* Half done: to be finished, or undone. */
        SWAP_CREATING, /* the new one is made; the old one runs as ever */
        SWAP_PREPARED, /* the old one's restart policy is being taken from it */
        SWAP_STOPPING, /* the old one may have been asked to stop: from here on it is better to go on */
        SWAP_RENAMING, /* the new one gets the name */
        SWAP_STARTING, /* and is started */
        SWAP_UNDOING,  /* the old one gets it back */
        /* Of two one is left over. */
        SWAP_STARTED,   /* the new one has been started; the old one is kept until that is confirmed */
        SWAP_CONFIRMED, /* the old one is not needed any more */
        SWAP_UNDONE,    /* the old one runs again, the new one is not needed */
        _SWAP_STAGE_MAX,
} SwapStage;

typedef struct SwapRecord {
        SwapStage stage;
        char container[384]; /* the name that both have had, or will */
        char old_id[65];
        char new_id[65];         /* empty while it is made */
        char restart_policy[64]; /* of the old one: always, ...; empty: it is not known */
        int retries;             /* of the policy "on-failure" */
        int64_t since_usec;      /* when this stage began, on CLOCK_REALTIME */
} SwapRecord;

/* 1 there is one, 0 there is none. -EBADMSG: it is none of ours. */
int swap_record_load(SwapRecord *ret);

/* Lasts when this returns 0; the one before does otherwise. */
int swap_record_save(const SwapRecord *record);
int swap_record_remove(void);

/* The path, for messages. */
void swap_record_path(char *ret, size_t size);

/* There is one, whatever it says. */
bool swap_record_exists(void);

/* There is one that says that a swap is half done. Asks nobody but the state directory. */
bool swap_record_is_pending(void);
