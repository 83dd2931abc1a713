/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/container-swap-requests.h"
#include "agent/container-swap-record.h"

/* The steps of a swap of the agent's container, in their order, and what the record says of them:
 *
 *   swap_begin()             SWAP_CREATING
 *   swap_prepare()           SWAP_PREPARED
 *   swap_carry_on_or_undo()  SWAP_STOPPING, SWAP_RENAMING, SWAP_STARTING; SWAP_STARTED
 *   swap_undo()              SWAP_UNDOING; SWAP_UNDONE
 *   swap_remove_leftover()   none any more
 *
 * The last three look at what there is and go on from there; each can be cut off at any point, and the record says
 * before each step what is done. Which is taken of a swap that was cut off: agent/container-swap-recovery.h. */

typedef struct Swap {
        ContainerEngine engine;
        Problems *problems;
        SwapRecord record;
        char fresh_name[448];    /* the name of the new one, before it gets its own */
        char previous_name[448]; /* of the one of before, after it has lost it */
} Swap;

/* What there is of it; NULL where it is gone, or is not there yet. */
typedef struct SwapContainers {
        json_object *old, *fresh, *named;
} SwapContainers;

void swap_containers_done(SwapContainers *c);
#define _cleanup_containers_ _cleanup_(swap_containers_done)

int swap_look(const Swap *s, SwapContainers *ret);

/* A new one, of this container. old: what it is now. What is left of the swap before, which the record tells of, goes
 * first. -ESTALE: it does not run. */
int swap_begin(Swap *s, const char *container, json_object *old);

/* One that was cut off where the old one is stopped: the new one may have been made from other variables. The record
 * stays, as the old one may be about to end because of it. */
int swap_begin_again(Swap *s);

/* The new one is made, with the variables of the file; then the old one loses its restart policy. What fails half way
 * is to be undone. */
int swap_prepare(Swap *s, json_object *old, const char *environment_file);

/* From where the old one is to be stopped to where the new one runs, whatever of that has been done. What the engine
 * refuses is undone; where it is not known what it did, as where it has ended, the record stays. */
int swap_carry_on_or_undo(Swap *s);

/* However far it came: the old one runs under its name, as it was. */
int swap_undo(Swap *s);

/* The same of one that runs under its name, and was not asked to stop: it goes on running. */
int swap_take_back(Swap *s);

/* Of the two the one that does not have the name goes, and the record. */
int swap_remove_leftover(Swap *s);
int swap_forget(Swap *s);

/* The steps note by themselves how far they came. Where the record cannot be written, as on a disk that has become full
 * meanwhile, to go on is better than to leave the agent down; with an older record the same containers are found, and
 * the same is done. */
void swap_try_note(Swap *s, SwapStage stage);

/* Puts it among the problems that the record cannot be read, ..., and gives the error back. */
int swap_complain_of_record(const Swap *s, int level, int error, const char *what);

/* Fills in the two names beside the one that the record has. */
void swap_name_leftovers(Swap *s);

/* What the record keeps of a container. "": there is none. */
void swap_copy_id(json_object *container, char *ret, size_t size);
void swap_take_policy(SwapRecord *s, json_object *container);
bool swap_has_policy(const SwapRecord *s, json_object *container);
