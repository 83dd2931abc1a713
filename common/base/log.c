/* SPDX-License-Identifier: Apache-2.0 */
#define SD_JOURNAL_SUPPRESS_LOCATION

#include "base/log.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

enum {
        LINE_TEXT_MAX = 2048,
        FIELDS_MAX = 16,
        FIELD_MAX = 1200,
};

/* systemd.exec(5): JOURNAL_STREAM is "device:inode" of the stream that the journal listens on. */
static bool stderr_is_journal(void) {
        const char *e = getenv("JOURNAL_STREAM");
        unsigned long long dev, ino;
        struct stat st;

        if (!e || fstat(STDERR_FILENO, &st) < 0)
                return false;

        /* NOLINTNEXTLINE(cert-err34-c): a number that overflows matches no device */
        if (sscanf(e, "%llu:%llu", &dev, &ino) != 2)
                return false;

        return dev == st.st_dev && ino == st.st_ino;
}

static void log_to_journal(int level, const char *message_id, const LogField *fields, const char *text) {
        char storage[FIELDS_MAX][sizeof("MESSAGE=") + LINE_TEXT_MAX];
        struct iovec iov[FIELDS_MAX];
        int n = 0;

        (void) snprintf(storage[n++], sizeof(*storage), "MESSAGE=%s", text);
        (void) snprintf(storage[n++], sizeof(*storage), "PRIORITY=%i", level);
        if (message_id)
                (void) snprintf(storage[n++], sizeof(*storage), "MESSAGE_ID=%s", message_id);
        for (const LogField *f = fields; f && f->name && n < FIELDS_MAX; f++)
                if (f->value)
                        (void) snprintf(storage[n++], FIELD_MAX, "ECS_AUTHD_%s=%s", f->name, f->value);

        for (int i = 0; i < n; i++)
                iov[i] = (struct iovec){storage[i], strlen(storage[i])};
        (void) sd_journal_sendv(iov, n);
}

static void log_to_stderr(const LogField *fields, const char *text) {
        const char *e = getenv("ECS_AUTHD_LOG");
        char line[LINE_TEXT_MAX + FIELDS_MAX * FIELD_MAX];
        size_t used;

        used = (size_t) snprintf(line, sizeof(line), "%s", text);

        if (e && streq(e, "fields"))
                for (const LogField *f = fields; f && f->name; f++)
                        if (f->value && used < sizeof(line))
                                used += (size_t) snprintf(line + used, sizeof(line) - used, " ECS_AUTHD_%s=%s", f->name,
                                                          f->value);

        /* One call, so that lines of the daemon and of its children never mix. */
        (void) fprintf(stderr, "%s\n", line);
}

void log_event(int level, const char *message_id, const LogField *fields, const char *format, ...) {
        char text[LINE_TEXT_MAX];
        va_list ap;

        va_start(ap, format);
        (void) vsnprintf(text, sizeof(text), format, ap);
        va_end(ap);

        if (stderr_is_journal())
                log_to_journal(level, message_id, fields, text);
        else
                log_to_stderr(fields, text);
}
