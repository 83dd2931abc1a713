/* SPDX-License-Identifier: Apache-2.0 */
#include "report/written-lines.h"

#include <limits.h>

#include "base/log.h"
#include "report/sentence.h"

typedef enum WrittenKind {
        WRITTEN,
        WRITTEN_BACK, /* what somebody else had changed */
        REMOVED,
} WrittenKind;

typedef struct WrittenLine {
        WrittenKind kind;
        unsigned n_registries; /* number of registries whose entries ecs-authd wrote */
        char registries[sizeof(((SyncReport *) NULL)->registries)];
        char coverages[sizeof(((SyncReport *) NULL)->coverages)];
        char file[PATH_MAX];
} WrittenLine;

struct WrittenLines {
        sd_event *event;
        sd_event_source *timer; /* armed since a line was said */
        WrittenLine last;       /* that is not yet said, */
        unsigned n_folded;      /* and stands for as many; 0: all is said */

        Digest digest; /* what stood in the environment file, by our hand or before it, when that could last be told */
        bool digest_known;
};

int written_lines_new(WrittenLines **ret, sd_event *event) {
        WrittenLines *w = calloc(1, sizeof(WrittenLines));

        if (!w)
                return -ENOMEM;
        w->event = event ? sd_event_ref(event) : NULL;
        *ret = w;
        return 0;
}

WrittenLines *written_lines_free(WrittenLines *w) {
        if (!w)
                return NULL;

        written_lines_flush(w);
        sd_event_source_disable_unref(w->timer);
        sd_event_unref(w->event);
        free(w);
        return NULL;
}

static void say(const WrittenLine *line, unsigned n) {
        char count[16], writes[16], of[48] = "";
        const LogField *fields = LOG_FIELDS({"REGISTRY_COUNT", count}, {"REGISTRIES", line->registries},
                                            {"WRITES", writes}, {"FILE", line->file});
        const char *registries = sentence_plural(line->n_registries, "registry", "registries");

        (void) snprintf(count, sizeof(count), "%u", line->n_registries);
        (void) snprintf(writes, sizeof(writes), "%u", n);
        if (n > 1)
                (void) snprintf(of, sizeof(of), " (the last of %u changes)", n);
        switch (line->kind) {
        case WRITTEN:
                log_event(LOG_INFO, MESSAGE_WRITTEN, fields, "Wrote the credentials of %s %s to %s%s: %s%s%s", count,
                          registries, line->file, of, line->registries, str_empty(line->coverages) ? "" : ". ",
                          line->coverages);
                break;
        case WRITTEN_BACK:
                log_event(LOG_NOTICE, MESSAGE_WRITTEN, fields,
                          "Something else took the credentials out of %s, or changed them: they are back%s, those of "
                          "%s %s",
                          line->file, of, count, registries);
                break;
        case REMOVED:
                log_event(LOG_INFO, MESSAGE_REMOVED, fields,
                          "Removed our auth entries from %s%s: the credential files name no registry any more",
                          line->file, of);
                break;
        }
}

static int on_time(sd_event_source *s, uint64_t usec, void *userdata) {
        WrittenLines *w = userdata;

        if (w->n_folded == 0)
                return 0;
        written_lines_flush(w);
        if (sd_event_source_set_time(s, usec + WRITTEN_LINES_FOLD_USEC) >= 0)
                (void) sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
        return 0;
}

/* From now on, more of them wait. */
static int arm(WrittenLines *w) {
        w->timer = sd_event_source_disable_unref(w->timer);
        return sd_event_add_time_relative(w->event, &w->timer, CLOCK_MONOTONIC, WRITTEN_LINES_FOLD_USEC,
                                          100 * USEC_PER_MSEC, on_time, w);
}

static bool armed(const WrittenLines *w) {
        int enabled = SD_EVENT_OFF;

        return w->timer && sd_event_source_get_enabled(w->timer, &enabled) >= 0 && enabled != SD_EVENT_OFF;
}

/* Those of one kind about one file. */
static void tell_line(WrittenLines *w, const Settings *settings, const SyncReport *report, WrittenKind kind) {
        const char *file = settings->ecsconfig.environment_file;

        if (w->n_folded > 0 && (w->last.kind != kind || !streq(w->last.file, file)))
                written_lines_flush(w);
        w->last.kind = kind;
        w->last.n_registries = report->n_ours;
        (void) snprintf(w->last.registries, sizeof(w->last.registries), "%s", report->registries);
        (void) snprintf(w->last.coverages, sizeof(w->last.coverages), "%s", report->coverages);
        (void) snprintf(w->last.file, sizeof(w->last.file), "%s", file);
        w->n_folded++;
        if (!w->event || (!armed(w) && (arm(w) < 0 || w->n_folded == 1)))
                written_lines_flush(w);
}

void written_lines_tell(WrittenLines *w, const Settings *settings, const SyncReport *report) {
        const bool same = w->digest_known && digest_equal(&w->digest, &report->digest);

        if (report->outcome == SYNC_WRITTEN)
                tell_line(w, settings, report, same ? WRITTEN_BACK : WRITTEN);
        else if (report->outcome == SYNC_REMOVED)
                tell_line(w, settings, report, REMOVED);
        if (report->outcome != SYNC_FAILED && report->digest_known) {
                w->digest = report->digest;
                w->digest_known = true;
        }
}

void written_lines_flush(WrittenLines *w) {
        if (w->n_folded > 0)
                say(&w->last, w->n_folded);
        w->n_folded = 0;
}

void written_lines_forget(WrittenLines *w) {
        w->digest_known = false;
}
