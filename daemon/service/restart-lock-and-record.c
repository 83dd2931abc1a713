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
#define FORMAT                                                                                         \
        "ecs-authd restart 1\nboot=%s\nrestart=%" PRIu64 "\ntried=%" PRIu64 "\nrealtime=%" PRId64 "\n" \
        "failures=%u\nopen=%u\ndone=%u\nfruitless=%u\ncontainer=%s\ndigest=%s\n"

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

static int64_t realtime_sec(void) {
        return (int64_t) time(NULL);
}

/* The boot starts the agent by itself, with what stands in the file: nothing of a restart before it is open. */
static void move_to_this_boot(RestartRecord *record, int64_t realtime) {
        const int64_t today = realtime_sec();
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

/* What stands behind "name=", to the end of its line. */
static bool get_text(const char *text, const char *name, char *ret, size_t size) {
        const char *line = strstr(text, name);
        size_t n;

        if (!line || line == text || line[-1] != '\n')
                return false;
        line += strlen(name);
        n = strcspn(line, "\n");
        if (n == 0 || n >= size)
                return false;
        memcpy(ret, line, n);
        ret[n] = 0;
        return true;
}

static bool get_number(const char *text, const char *name, uint64_t *ret) {
        char digits[32], *end;

        if (!get_text(text, name, digits, sizeof(digits)))
                return false;
        errno = 0;
        *ret = strtoull(digits, &end, 10);
        return errno == 0 && *end == 0;
}

static bool parse(const char *text, RestartRecord *ret) {
        char boot[SD_ID128_STRING_MAX], this_boot[SD_ID128_STRING_MAX] = "", digest[65];
        uint64_t realtime, failures, open, done, fruitless;
        RestartRecord record = {0};

        if (!startswith(text, "ecs-authd restart 1\n") || !get_text(text, "boot=", boot, sizeof(boot)) ||
            !get_number(text, "restart=", &record.restart_usec) || !get_number(text, "tried=", &record.tried_usec) ||
            !get_number(text, "realtime=", &realtime) || !get_number(text, "failures=", &failures) ||
            !get_number(text, "open=", &open) || !get_number(text, "done=", &done) ||
            !get_number(text, "fruitless=", &fruitless) ||
            !get_text(text, "container=", record.old_container_id, sizeof(record.old_container_id)) ||
            !get_text(text, "digest=", digest, sizeof(digest)) || digest_from_hex(digest, &record.digest) < 0)
                return false;

        record.failures = (unsigned) failures;
        record.open = open;
        record.done = done;
        record.fruitless = fruitless;
        if (streq(record.old_container_id, "-"))
                record.old_container_id[0] = 0;
        if (get_boot_id(this_boot) < 0 || !streq(boot, this_boot))
                move_to_this_boot(&record, (int64_t) realtime);
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
        n = snprintf(text, sizeof(text), FORMAT, boot, record->restart_usec, record->tried_usec, realtime_sec() - ago,
                     record->failures, (unsigned) record->open, (unsigned) record->done, (unsigned) record->fruitless,
                     str_empty(record->old_container_id) ? "-" : record->old_container_id, digest);
        return n < 0 || (size_t) n >= sizeof(text) ? -EOVERFLOW : state_file_write("restart", text);
}
