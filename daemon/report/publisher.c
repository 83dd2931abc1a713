/* SPDX-License-Identifier: Apache-2.0 */
#include "report/publisher.h"

#include "base/clock.h"
#include "base/log.h"
#include "process/worker.h"
#include "report/metrics.h"
#include "report/reason-texts.h"
#include "report/sentence.h"
#include "report/status-file.h"

#define WRITE_TIMEOUT_USEC (5 * USEC_PER_SEC)

struct Publisher {
        Worker *worker;
        void (*stale)(void *userdata);
        void *userdata;

        /* What is written, or was written last. */
        const Settings *settings;
        Facts facts;
        Decision decision;
        char sentence[SENTENCE_MAX];
        pid_t pid; /* of the service */
        int64_t clock_offset;
        char *metrics_file; /* for a message: a reload may free the settings meanwhile */

        bool known;   /* there is something of that, and it did not fail */
        bool written; /* it was at least begun */
        bool overrun; /* there was more to tell meanwhile */
        FileIdentity status;
        int metrics_error; /* that was told */
};

/* What the child reports. */
typedef struct Published {
        int status_error;
        FileIdentity status;
        int metrics_error;
} Published;

int publisher_new(Publisher **ret, sd_event *event, void (*stale)(void *userdata), void *userdata) {
        _cleanup_(publisher_freep) Publisher *p = calloc(1, sizeof(Publisher));
        int r;

        if (!p)
                return -ENOMEM;
        p->stale = stale;
        p->userdata = userdata;
        p->pid = getpid();
        r = worker_new(&p->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(p);
        return 0;
}

Publisher *publisher_free(Publisher *p) {
        if (!p)
                return NULL;

        /* Of one that is killed nobody knows how far it has come. */
        if (p->worker && worker_is_running(p->worker))
                p->status = (FileIdentity){0};
        worker_free(p->worker);
        if (p->written)
                status_file_remove(&p->status);
        free(p->metrics_file);
        free(p);
        return NULL;
}

/* --- the child --- */

static void publish(const void *context, void *report) {
        const Publisher *p = context;
        Published *published = report;

        published->status_error = status_file_write(p->settings, &p->facts, &p->decision, p->sentence, p->pid,
                                                    p->clock_offset, &published->status);
        if (p->settings->metrics_file)
                published->metrics_error = metrics_write(p->settings->metrics_file, &p->facts,
                                                         reason_text(&p->facts, &p->decision)->state);
}

/* --- the parent --- */

static void tell_metrics_error(Publisher *p, int error) {
        if (error < 0 && error != p->metrics_error && p->metrics_file)
                log_warning("%s: cannot be written: %s; its directory has to be in ReadWritePaths= of the unit",
                            p->metrics_file, strerror(-error));
        p->metrics_error = error;
}

static void on_done(void *userdata, int error, const void *report) {
        const Published *published = report;
        Publisher *p = userdata;

        if (published && published->status_error >= 0)
                p->status = published->status;
        if (!published)
                p->status = (FileIdentity){0}; /* nobody knows how far it has come */
        tell_metrics_error(p, published ? published->metrics_error : error);
        p->known = published && published->status_error >= 0 && published->metrics_error >= 0;
        if (p->overrun)
                p->stale(p->userdata);
}

static bool is_known(const Publisher *p, const Settings *settings, const Facts *facts, const Decision *d,
                     const char *sentence) {
        return p->known && p->settings == settings && streq(p->sentence, sentence) && p->decision.action == d->action &&
               p->decision.reason == d->reason &&
               /* NOLINTNEXTLINE: a difference in what pads it costs no more than a look at the file. */
               memcmp(&p->facts, facts, sizeof(Facts)) == 0;
}

void publisher_tell_again(Publisher *p) {
        p->known = false;
}

void publisher_tell(Publisher *p, const Settings *settings, const Facts *facts, const Decision *d,
                    const char *sentence) {
        p->overrun = worker_is_running(p->worker);
        if (p->overrun || is_known(p, settings, facts, d, sentence))
                return;

        free(p->metrics_file);
        p->metrics_file = settings->metrics_file ? strdup(settings->metrics_file) : NULL;
        p->settings = settings;
        p->facts = *facts;
        p->decision = *d;
        (void) snprintf(p->sentence, sizeof(p->sentence), "%s", sentence);
        clock_measure_offset(&p->clock_offset);
        p->known = p->written = true;
        if (worker_run(p->worker, publish, p, sizeof(Published), WRITE_TIMEOUT_USEC, on_done, p) < 0)
                p->known = false; /* the next look tries again */
}
