/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/container-swap-requests.h"
#include "agent/container-swap-record.h"

/* A swap of the agent's container on its way to one of its two ends. Each function looks at what there is, goes on from
 * there, and can be cut off at any point; the record says before each step what is done. */

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

/* A new one, of this container. old: what it is now. Nothing is written yet. */
void swap_begin(Swap *s, const char *container, json_object *old);

/* The one that the record tells of, or, where that is lost, the containers under the names of this one. 1 there is one,
 * or what is left of one; 0 all is well. */
int swap_find(Swap *s, const char *container);

/* For the steps that must not be taken without the record. */
int swap_note(Swap *s, SwapStage stage);

/* For those after them: on a disk that has become full meanwhile, to go on is better than to leave the agent down; with
 * an older record the same containers are found, and the same is done. */
void swap_try_note(Swap *s, SwapStage stage);

/* From where the old one is to be stopped to where the new one runs, whatever of that has been done. What the engine
 * refuses is undone; where it is not known what it did, as where it has ended, the record stays. */
int swap_carry_on_or_undo(Swap *s);

/* However far it came: the old one runs under its name, as it was. */
int swap_undo(Swap *s);

/* Of the two the one that does not have the name goes, and the record. */
int swap_remove_leftover(Swap *s);
int swap_forget(Swap *s);
