/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/sync-report.h"

#include "base/json.h"
#include "credentials/registry-name.h"

const char *sync_key_in_file(const Credential *c) {
        return c->foreign && c->key ? c->key : c->registry;
}

const char *sync_shown_name(const Credential *c) {
        return c->foreign && c->key ? registry_showable(c->key) : c->registry;
}

unsigned sync_list_registries(const Credentials *credentials, bool foreign, char *ret, size_t size) {
        unsigned n_registries = 0;
        bool cut = false;
        size_t used = 0;

        ret[0] = 0;
        for (size_t i = 0; i < credentials->n_items; i++) {
                const Credential *c = credentials->items[i];

                if (!credential_is_usable(c) || c->foreign != foreign || registry_is_docker_own(c->registry) ||
                    (!foreign && key_covers_nothing(c->registry, credentials)))
                        continue;
                n_registries++;
                if (cut)
                        continue;

                cut = used + strlen(", ") + strlen(sync_shown_name(c)) + sizeof("...") > size;
                used += (size_t) snprintf(ret + used, size - used, "%s%s", used > 0 && !cut ? ", " : "",
                                          cut ? "..." : sync_shown_name(c));
        }
        make_printable(ret);
        return n_registries;
}

void sync_describe_coverages(const Credentials *credentials, char *ret, size_t size) {
        size_t used = 0;

        ret[0] = 0;
        for (size_t i = 0; i < credentials->n_items && used < size; i++) {
                const Credential *c = credentials->items[i];
                const KeyCoverage coverage = key_coverage(sync_key_in_file(c), credentials);
                char images[512];

                if (!credential_is_usable(c) || coverage == KEY_COVERS_HOST)
                        continue;
                key_coverage_describe(sync_shown_name(c), coverage, images, sizeof(images));
                used += (size_t) snprintf(ret + used, size - used, "%s%s: %s", used > 0 ? "; " : "", sync_shown_name(c),
                                          images);
        }
        if (used >= size)
                (void) snprintf(ret + size - sizeof("..."), sizeof("..."), "...");
        make_printable(ret);
}

/* About what an entry adds to the line. */
static size_t weigh(const Credential *c) {
        size_t n = strlen(c->registry);

        n += c->username ? strlen(c->username) : 0;
        n += c->password ? strlen(c->password) : 0;
        return n + (c->identity_token ? strlen(c->identity_token) : 0);
}

static int compare_weights(const void *a, const void *b) {
        const Credential *const *one = a, *const *other = b;
        size_t x = weigh(*one), y = weigh(*other);

        return x < y ? 1 : x > y ? -1 : strcmp((*one)->registry, (*other)->registry);
}

void sync_explain_refused_line(const EcsConfigSettings *settings, int error, Credentials *credentials, const char *data,
                               Problems *problems) {
        size_t size = sizeof(AUTHDATA_DATA_KEY) + strlen(data), max = settings->line_max;
        char names[200], foreign[100], also[160] = "";
        unsigned n, n_foreign;

        if (credentials->n_items > 0)
                qsort(credentials->items, credentials->n_items, sizeof(Credential *), compare_weights);
        n = sync_list_registries(credentials, false, names, sizeof(names));
        n_foreign = sync_list_registries(credentials, true, foreign, sizeof(foreign));
        if (n_foreign > 0)
                (void) snprintf(also, sizeof(also), ". %u entries are in it by other means: %s", n_foreign, foreign);

        if (error == -E2BIG)
                problems_add(
                        problems, LOG_ERR,
                        "%s: the line for %u registries would have %zu bytes, %zu more than the %zu that its reader "
                        "takes; nothing was written. Log out of registries that this host does not pull from; the "
                        "heaviest come first: %s%s",
                        settings->environment_file, n + n_foreign, size, size - max, max, names, also);
        else if (error == -EINVAL)
                problems_add(problems, LOG_ERR,
                             "%s: the line for %s has a byte that its readers would take each in another way; nothing "
                             "was written",
                             settings->environment_file, names);
}

/* Of an entry that was kept the source is told by the lease, where there is one. */
static void describe_lease(const Credential *c, const Leases *leases, SyncEntry *e) {
        const Lease *l = NULL;

        for (size_t i = 0; !l && leases && i < leases->n_items; i++)
                if (streq(leases->items[i]->registry, c->registry) && (leases->items[i]->named || !c->source) &&
                    (!c->helper || streq(leases->items[i]->helper, c->helper)))
                        l = leases->items[i];
        if (!l || (c->source && !c->helper))
                return;
        json_copy_printable(e->source, sizeof(e->source), l->source);
        json_copy_printable(e->helper, sizeof(e->helper), l->helper);
        e->asked_usec = l->answered ? l->given : 0;
        e->end_usec = l->end;
        e->due_usec = l->due;
        e->failing = l->failures > 0;
}

static bool fails(const Credential *c, const Leases *leases) {
        const Lease *l = leases && c->helper ? leases_find(leases, c->registry, c->helper) : NULL;

        return l && l->failures > 0;
}

void sync_describe_entries(const Credentials *credentials, const Leases *leases, SyncReport *report) {
        unsigned n = 0;

        memset(report->entries, 0, sizeof(report->entries));
        for (size_t i = 0; i < credentials->n_items && n < SYNC_ENTRIES_MAX; i++) {
                const Credential *c = credentials->items[i];
                SyncEntry *e = &report->entries[n];

                if (!credential_is_usable(c) && !fails(c, leases))
                        continue;
                json_copy_printable(e->registry, sizeof(e->registry), sync_shown_name(c));
                json_copy_printable(e->source, sizeof(e->source), c->source);
                json_copy_printable(e->helper, sizeof(e->helper), c->helper);
                e->foreign = c->foreign;
                e->token = c->identity_token != NULL;
                e->missing = !credential_is_usable(c);
                e->coverage = key_coverage(sync_key_in_file(c), credentials);
                describe_lease(c, leases, e);
                n++;
        }
}
