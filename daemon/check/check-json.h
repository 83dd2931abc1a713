/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"

/* What ecs-authd check --json prints: one object, described in ecs-authd(8), CHECK FOR SCRIPTS. */

enum {
        CHECK_JSON_SCHEMA = 1,
};

typedef enum Verdict { OK, WARNING, PROBLEM } Verdict;

typedef struct CheckJson {
        json_object *findings; /* NULL: no memory */
        bool failed;           /* one that is missing would say that all is well */
} CheckJson;

CheckJson check_json_new(void);
void check_json_done(CheckJson *j);

/* subject and cure may be NULL. */
void check_json_add(CheckJson *j, const char *id, const char *subject, Verdict verdict, const char *text,
                    const char *cure);

/* counts: by verdict. Prints nothing where it fails for want of memory. */
int check_json_print(CheckJson *j, const unsigned counts[static 3]);
