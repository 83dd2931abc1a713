/* SPDX-License-Identifier: Apache-2.0 */
#include "service/restart-lock-and-record.h"

#include <inttypes.h>
#include <sys/file.h>
#include <systemd/sd-id128.h>

#include "base/clock.h"
#include "base/state-file.h"

enum {
        TEXT_MAX = 512,
};

/* Times on disk are of this boot's CLOCK_MONOTONIC, and of CLOCK_REALTIME for the boots after it. */
#define FORMAT(text, number, integer, flag)                                                           \
        "ecs-authd restart 1\nboot=" text "\nrestart=" number "\ntried=" number "\nrealtime=" integer \
        "\nfailures=" flag "\nopen=" flag "\ndone=" flag "\nfruitless=" flag "\ncontainer=" text "\ndigest=" text "\n"

bool restart_lock_claim(int *lock) {
        _cleanup_close_ int fd = -1;

        if (*lock >= 0)
                return true;
        fd = state_file_open_lock("restart.lock");
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK)
                return false;
        /* Without the file there is no lock: this process is not root and shares the agent with no other, or other
         * users may write into the state directory. Then restart_record_save() fails, too, and no restart begins. */
        *lock = steal_fd(&fd);
        return true;
}

void restart_lock_release(int *lock) {
        closep(lock);
        *lock = -1;
}

/* --- the record --- */

static int get_boot_id(char ret[static SD_ID128_STRING_MAX]) {
        sd_id128_t boot;
        int r = sd_id128_get_boot(&boot);

        if (r < 0)
                return r;
        (void) sd_id128_to_string(boot, ret);
        return 0;
}

/* The boot starts the agent by itself, with what stands in the file: nothing of a restart before it is open. */
static void move_to_this_boot(RestartRecord *record, int64_t realtime) {
        const int64_t today = (int64_t) time(NULL);
        const uint64_t now = clock_monotonic_usec();
        const bool known = realtime >= 0 && realtime <= today; /* nothing to reckon with otherwise */
        const uint64_t ago_usec = known ? (uint64_t) (today - realtime) * USEC_PER_SEC : now;

        record->open = false;
        record->restart_usec = ago_usec < now ? now - ago_usec : 0;
        record->tried_usec = record->restart_usec;
}

/* A time that is still to come, in a file that was damaged, would hold back every restart until then. */
static void keep_to_the_past(RestartRecord *record) {
        const uint64_t now = clock_monotonic_usec();

        if (record->restart_usec > now)
                record->restart_usec = now;
        if (record->tried_usec > now)
                record->tried_usec = now;
}

static bool parse(const char *text, RestartRecord *ret) {
        char boot[65], this_boot[SD_ID128_STRING_MAX] = "", digest[65];
        unsigned open, done, fruitless;
        RestartRecord record = {0};
        int64_t realtime;

        /* NOLINTNEXTLINE(cert-err34-c): only root can write the file, and keep_to_the_past() corrects wrong times. */
        if (sscanf(text, FORMAT("%64s", "%" SCNu64, "%" SCNd64, "%u"), boot, &record.restart_usec, &record.tried_usec,
                   &realtime, &record.failures, &open, &done, &fruitless, record.old_container_id, digest) != 10 ||
            digest_from_hex(digest, &record.digest) < 0)
                return false;

        record.open = open;
        record.done = done;
        record.fruitless = fruitless;
        if (streq(record.old_container_id, "-"))
                record.old_container_id[0] = 0;
        if (get_boot_id(this_boot) < 0 || !streq(boot, this_boot))
                move_to_this_boot(&record, realtime);
        keep_to_the_past(&record);
        *ret = record;
        return true;
}

void restart_record_load(RestartRecord *ret) {
        _cleanup_free_ char *text = NULL;

        if (state_file_read("restart", TEXT_MAX, &text) < 0 || !parse(text, ret))
                *ret = (RestartRecord){0};
}

int restart_record_save(const RestartRecord *record) {
        char text[TEXT_MAX], boot[SD_ID128_STRING_MAX], digest[65];
        uint64_t now = clock_monotonic_usec();
        int64_t ago = (int64_t) ((now - record->restart_usec) / USEC_PER_SEC);
        int n;

        n = get_boot_id(boot);
        if (n < 0)
                return n;
        digest_to_hex(&record->digest, digest);
        n = snprintf(text, sizeof(text), FORMAT("%s", "%" PRIu64, "%" PRId64, "%u"), boot, record->restart_usec,
                     record->tried_usec, (int64_t) time(NULL) - ago, record->failures, (unsigned) record->open,
                     (unsigned) record->done, (unsigned) record->fruitless,
                     str_empty(record->old_container_id) ? "-" : record->old_container_id, digest);
        return n < 0 || (size_t) n >= sizeof(text) ? -EOVERFLOW : state_file_write("restart", text);
}
