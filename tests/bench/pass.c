/* SPDX-License-Identifier: Apache-2.0 */

/* One pass of the job that writes, for the counting of its instructions: pass CREDENTIAL-FILE ENVIRONMENT-FILE. */

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "ecsconfig/environment-file.h"
#include "ecsconfig/sync.h"

static void *run(void *arguments) {
        char **paths = arguments, *files[] = {paths[0], NULL}, *none[] = {NULL};
        const CredentialSettings sources = {
                .files = files, .exclude = none, .helper_timeout_usec = 10 * USEC_PER_SEC, .strict = true};
        const EcsConfigSettings settings = {.environment_file = paths[1], .line_max = ENVFILE_LINE_MAX_EXEC};
        SyncReport report;
        DigestKey key;

        if (digest_key_generate(&key) < 0)
                exit(EXIT_FAILURE);
        sync_run(&sources, &settings, &key, ASK_NOBODY, &report);
        for (unsigned i = 0; i < report.problems.n_items; i++)
                (void) fprintf(stderr, "%s\n", report.problems.items[i].text);
        return NULL;
}

/* In a thread: below valgrind brk(2) fails after 8 MiB, and where malloc(3) goes on without it, it leaves ENOMEM in
 * errno. */
int main(int argc, char *argv[]) {
        pthread_t thread;

        digest_prepare();
        if (argc != 3 || pthread_create(&thread, NULL, run, argv + 1) != 0)
                return EXIT_FAILURE;
        return pthread_join(thread, NULL) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
