/* SPDX-License-Identifier: Apache-2.0 */

/* One pass of the job that writes, for the counting of its instructions: pass CREDENTIAL-FILE ENVIRONMENT-FILE. */

#include <stdio.h>
#include <stdlib.h>

#include "ecsconfig/sync.h"

int main(int argc, char *argv[]) {
        char *files[] = {argc == 3 ? argv[1] : NULL, NULL}, *none[] = {NULL};
        const CredentialSettings sources = {
                .files = files, .exclude = none, .helper_timeout_usec = 10 * USEC_PER_SEC, .strict = true};
        const EcsConfigSettings settings = {.environment_file = argc == 3 ? argv[2] : NULL, .line_max = 131071};
        SyncReport report;
        DigestKey key;

        if (argc != 3 || digest_key_generate(&key) < 0)
                return EXIT_FAILURE;
        digest_prepare();
        sync_run(&sources, &settings, &key, ASK_NOBODY, &report);
        for (unsigned i = 0; i < report.problems.n_items; i++)
                (void) fprintf(stderr, "%s\n", report.problems.items[i].text);
        return report.outcome == SYNC_FAILED ? EXIT_FAILURE : EXIT_SUCCESS;
}
