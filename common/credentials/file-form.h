/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/json.h"

/* Which kinds of JSON object are Docker credential files. A file of another kind must change nothing: it is not an
 * empty credential file. */

typedef enum FileForm {
        FORM_CONFIG,    /* config.json: "auths", "credHelpers" or "credsStore", or only settings of Docker's CLI */
        FORM_DOCKERCFG, /* ~/.dockercfg: the entries without "auths" */
} FileForm;

enum {
        FORM_WHY_MAX = 320,
};

/* Recognizes the form of a file. text: the JSON of top.
 * -EBADMSG: it is not a credential file. ret_why is set to the reason and the fix, ret_offset to their place in text.
 */
int file_form_recognize(json_object *top, const char *text, size_t size, FileForm *ret, size_t *ret_offset,
                        char ret_why[static FORM_WHY_MAX]);
