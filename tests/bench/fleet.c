/* SPDX-License-Identifier: Apache-2.0 */

/* fleet HOSTS JITTER-SECONDS: the credentials of so many hosts change at the same moment, and each decides for itself
 * with the code that the service decides with. Printed: how many restarts there are in the second that has most of
 * them, when half, 99 of 100 and all agents answer with the new credentials (seconds), and then the restarts of each of
 * 60 parts of that time. */

#include <inttypes.h>

#include "decision/when-to-restart.h"

#define JOB_USEC (250 * USEC_PER_MSEC)
#define AGENT_USEC (1800 * USEC_PER_MSEC) /* what the real one was measured to take, from its start to its answer */
#define HOUR_USEC (3600 * USEC_PER_SEC)

enum {
        PARTS = 60,
};

/* The host that is played. */
typedef struct World {
        uint64_t now;
        uint64_t answers_usec; /* the agent does from then on */
        Digest file, agent;
        unsigned n_containers;
} World;

static void observe(const World *w, Facts *f) {
        const UnitReport unit = {.state = UNIT_ACTIVE, .started_usec = w->answers_usec};
        ObserveReport agent = {.agent = AGENT_RUNNING,
                               .state_kept = STATE_KEPT,
                               .digest = w->agent,
                               .answers = w->now >= w->answers_usec};

        (void) snprintf(agent.container_id, sizeof(agent.container_id), "%u", w->n_containers);
        facts_begin_observe(f);
        facts_end_observe(f, &agent, &unit, w->now);
}

static void write_file(World *w, Facts *f, uint64_t number) {
        SyncReport report = {.outcome = SYNC_WRITTEN, .n_registries = 1, .digest_known = true, .seen_usec = w->now};

        memcpy(w->file.bytes, &number, sizeof(number));
        report.digest = w->file;
        facts_begin_write(f);
        (void) facts_end_write(f, &report, w->now);
}

static uint64_t restart(World *w, Facts *f, const Decision *d) {
        const uint64_t begin = w->now;

        facts_begin_job(f, d, w->now);
        w->now += JOB_USEC;
        w->n_containers++;
        w->agent = w->file;
        w->answers_usec = w->now + AGENT_USEC;
        facts_end_job(f, JOB_DONE);
        return begin;
}

/* Until the agent answers with what stands in the file. Returns when its restart began, 0 for none. */
static uint64_t live_through(World *w, Facts *f, const Policy *policy) {
        uint64_t restarted = 0;

        for (;;) {
                const Decision d = decide_agent(f, policy, w->now);

                switch (d.action) {
                case ACTION_OBSERVE:
                        observe(w, f);
                        break;
                case ACTION_RESTART:
                        restarted = restart(w, f, &d);
                        break;
                case ACTION_CLOSE:
                        facts_close(f, &d);
                        break;
                case ACTION_DONE:
                        return restarted;
                default:
                        if (d.look_again_usec == 0)
                                exit(EXIT_FAILURE); /* nothing but a time is waited for here */
                        w->now = d.look_again_usec;
                        f->agent_stale = true;
                }
        }
}

/* The same for each run (splitmix64). */
static uint64_t random_number(uint64_t i) {
        uint64_t z = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);

        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

/* As sd_id128_get_machine_app_specific(3) makes it, for the i-th machine: some bits say which kind of id it is. */
static void host_id(uint64_t i, uint8_t ret[static 16]) {
        const uint64_t numbers[] = {random_number(2 * i), random_number(2 * i + 1)};

        memcpy(ret, numbers, sizeof(numbers));
        ret[6] = (uint8_t) ((ret[6] & 0x0f) | 0x40);
        ret[8] = (uint8_t) ((ret[8] & 0x3f) | 0x80);
}

static int compare_numbers(const void *a, const void *b) {
        const uint64_t *x = a, *y = b;

        return *x < *y ? -1 : *x > *y;
}

static double seconds(uint64_t usec) {
        return (double) usec / (double) USEC_PER_SEC;
}

static unsigned most_in_a_second(const uint64_t *restarts, size_t n) {
        size_t most = 0, first = 0;

        for (size_t i = 0; i < n; i++) {
                while (restarts[i] - restarts[first] >= USEC_PER_SEC)
                        first++;
                most = i - first + 1 > most ? i - first + 1 : most;
        }
        return (unsigned) most;
}

static void print(const uint64_t *restarts, const uint64_t *lives, size_t n) {
        unsigned parts[PARTS] = {0};

        (void) printf("%u %.1f %.1f %.1f\n", most_in_a_second(restarts, n), seconds(lives[n / 2]),
                      seconds(lives[n - 1 - n / 100]), seconds(lives[n - 1]));
        for (size_t i = 0; i < n; i++)
                parts[restarts[i] * PARTS / (lives[n - 1] + 1)]++;
        for (size_t i = 0; i < PARTS; i++)
                (void) printf("%u%s", parts[i], i + 1 < PARTS ? " " : "\n");
}

int main(int argc, char *argv[]) {
        Policy policy = {.settings = {.settle_usec = 2 * USEC_PER_SEC,
                                      .min_interval_usec = 60 * USEC_PER_SEC,
                                      .verify_usec = 120 * USEC_PER_SEC}};
        World w = {.now = HOUR_USEC, .n_containers = 1};
        static Facts f;
        const size_t n = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
        const uint64_t jitter = argc == 3 ? strtoul(argv[2], NULL, 10) * USEC_PER_SEC : 0;
        uint64_t *restarts = calloc(n + 1, sizeof(uint64_t)), *lives = calloc(n + 1, sizeof(uint64_t));

        if (n == 0 || !restarts || !lives)
                return EXIT_FAILURE;
        write_file(&w, &f, 0);
        w.agent = w.file;
        (void) live_through(&w, &f, &policy);
        /* One host plays all of them, each an hour after the one before. */
        for (size_t i = 0; i < n; i++) {
                const uint64_t begin = w.now += HOUR_USEC + jitter;
                uint8_t id[16];

                host_id(i, id);
                policy.settings.jitter_usec = jitter_of_host(jitter, id);
                f.agent_stale = true;
                write_file(&w, &f, i + 1);
                restarts[i] = live_through(&w, &f, &policy) - begin;
                lives[i] = w.now - begin;
        }
        qsort(restarts, n, sizeof(uint64_t), compare_numbers);
        qsort(lives, n, sizeof(uint64_t), compare_numbers);
        print(restarts, lives, n);
        free(restarts);
        free(lives);
        return EXIT_SUCCESS;
}
