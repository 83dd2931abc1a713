/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/gathered.h"

#include "base/clock.h"
#include "base/directories.h"
#include "base/state-file.h"

int gathered_lock(uint64_t wait_usec) {
        return state_file_lock("leases.lock", wait_usec);
}

void gathered_fill(Gathered *g, const CredentialSettings *sources, HelperRound *round) {
        credentials_done(&g->credentials);
        credentials_done(&g->useless);
        g->problems = (Problems){0};
        if (!g->leases_loaded)
                leases_load(&g->leases);
        g->leases_loaded = true;
        round->now = clock_usec(CLOCK_REALTIME);
        round->leases = &g->leases;
        round->useless = &g->useless;
        g->error = gather_credentials(sources, round, &g->credentials, &g->problems);
        if (g->error == -EAGAIN) /* of a credential file: -EAGAIN of sync means that the environment file is busy */
                g->error = -EBUSY;
        /* If a file could not be read when helpers were to be run, some of them have not been run. */
        if (g->error >= 0)
                g->error = g->ask_error;
        else if (round->ask != ASK_NOBODY && g->error != -ENOENT)
                g->ask_error = g->error;
        g->next = round->next;
}

void gathered_done(Gathered *g) {
        credentials_done(&g->credentials);
        credentials_done(&g->useless);
        leases_done(&g->leases);
}

bool gathered_was_asked(const Gathered *g) {
        for (size_t i = 0; i < g->leases.n_items; i++)
                if (g->leases.items[i]->fresh)
                        return true;
        return false;
}

unsigned gathered_count_failed(const Gathered *g) {
        unsigned n = 0;

        for (size_t i = 0; i < g->leases.n_items; i++)
                n += g->leases.items[i]->fresh && g->leases.items[i]->failures > 0;
        return n;
}

void gathered_give_back(Gathered *g, const Credentials *current, const DigestKey *key) {
        int64_t now = clock_usec(CLOCK_REALTIME);

        for (size_t i = 0; i < g->leases.n_items; i++) {
                Lease *l = g->leases.items[i];
                const Credential *c = current ? credentials_find(current, l->registry) : NULL;
                Digest digest;

                if (!l->fresh || l->error != 0 || !*l->registry)
                        continue;
                if (c) {
                        credential_digest(c, key, &digest);
                        if (digest_equal(&digest, &l->digest))
                                continue;
                }
                lease_not_written(l, now);
                if (g->next == 0 || l->due < g->next)
                        g->next = l->due;
        }
}

void gathered_keep(const Gathered *g, SyncReport *report) {
        int r = g->leases_locked ? 0 : leases_save(&g->leases);

        if (r >= 0 || report->forgotten || g->leases.n_items == 0)
                return;
        report->forgotten = gathered_was_asked(g);
        problems_add(&report->problems, LOG_WARNING,
                     "%s/leases: cannot be kept: %s; credential helpers are asked more often than they should be",
                     state_directory(), strerror(-r));
}
