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

enum {
        REMOVE_LIMIT_MSEC = 1000,
};

struct Publisher {
        Worker *worker;
        void (*stale)(void *userdata);
        void *userdata;

        /* What is written, or was written last. */
        const Settings *settings;
        Facts facts;
        Decision decision;
        char sentence[SENTENCE_MAX];
        pid_t pid; /* of the service, */
        uint64_t start_usec;
        int64_t clock_offset;
        char *metrics_file;       /* a reload may free the settings meanwhile */
        char *left_file;          /* the one before, to be removed */
        char metrics_error[1024]; /* why the metrics could not be written, as it was told; "": they can */

        bool known;        /* there is something of that, and it did not fail */
        bool written;      /* it was at least begun */
        bool overrun;      /* there was more to tell meanwhile */
        bool with_metrics; /* not while those of before hang */
        FileIdentity status, metrics;
};

/* What the child reports. */
typedef struct Published {
        int status_error;
        FileIdentity status;
        int metrics_error;
        FileIdentity metrics;
} Published;

int publisher_new(Publisher **ret, sd_event *event, void (*stale)(void *userdata), void *userdata) {
        _cleanup_(publisher_freep) Publisher *p = calloc(1, sizeof(Publisher));
        int r;

        if (!p)
                return -ENOMEM;
        p->stale = stale;
        p->userdata = userdata;
        p->pid = getpid();
        p->start_usec = clock_monotonic_usec();
        r = worker_new(&p->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(p);
        return 0;
}

/* What it says is not so any more; that of another instance, which has put its own there, is. */
static int remove_metrics(const Publisher *p, const char *path) {
        if (p->metrics.inode > 0 && file_identity_at(path).inode != p->metrics.inode)
                return EXIT_SUCCESS;
        return unlink(path) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int remove_last_metrics(const void *context, int fd _unused_) {
        const Publisher *p = context;

        return remove_metrics(p, p->metrics_file);
}

Publisher *publisher_free(Publisher *p) {
        if (!p)
                return NULL;

        /* Of one that is killed nobody knows how far it has come. */
        if (p->worker && worker_is_running(p->worker))
                p->status = p->metrics = (FileIdentity){0};
        worker_free(p->worker);
        if (p->written)
                status_file_remove(&p->status);
        if (p->metrics_file)
                fork_run("ecs-authd-job", remove_last_metrics, p, REMOVE_LIMIT_MSEC);
        free(p->left_file);
        free(p->metrics_file);
        free(p);
        return NULL;
}

/* --- the child --- */

/* The status first: the directory of the metrics may hang. What comes of these the status tells the next time, which is
 * at once where it is another thing than before. */
static void publish(const void *context, void *report) {
        const Publisher *p = context;
        Published *published = report;
        const StatusReport status = {.settings = p->settings,
                                     .facts = &p->facts,
                                     .decision = &p->decision,
                                     .sentence = p->sentence,
                                     .pid = p->pid,
                                     .clock_offset = p->clock_offset,
                                     .metrics_error = p->metrics_error};

        published->status_error = status_file_write(&status, &published->status);
        if (p->left_file)
                (void) remove_metrics(p, p->left_file);
        if (p->with_metrics)
                published->metrics_error =
                        metrics_write(p->metrics_file, &p->facts, reason_text(&p->facts, &p->decision)->state,
                                      p->start_usec, &published->metrics);
}

/* --- the parent --- */

/* True: the status is to tell of it, too. */
static bool tell_metrics_error(Publisher *p, int error) {
        char text[sizeof(p->metrics_error)] = "";

        if (error < 0 && p->metrics_file)
                (void) snprintf(text, sizeof(text), "%s: cannot be written: %s; %s", p->metrics_file, strerror(-error),
                                error == -ENOSPC || error == -EDQUOT
                                        ? "make room on its file system (df)"
                                        : "its directory has to exist, and to be in ReadWritePaths= of the unit");
        if (streq(text, p->metrics_error))
                return false;
        if (!str_empty(text))
                log_warning("%s", text);
        (void) snprintf(p->metrics_error, sizeof(p->metrics_error), "%s", text);
        return true;
}

static void on_done(void *userdata, int error, const void *report) {
        const Published *published = report;
        Publisher *p = userdata;
        bool news = false;

        if (published && published->status_error >= 0)
                p->status = published->status;
        if (published && published->metrics_error >= 0 && p->with_metrics)
                p->metrics = published->metrics;
        if (published) {
                free(p->left_file);
                p->left_file = NULL;
        } else {
                p->status = p->metrics = (FileIdentity){0}; /* nobody knows how far it has come */
        }
        if (p->with_metrics || !p->metrics_file)
                news = tell_metrics_error(p, published ? published->metrics_error : error);
        p->known = published && published->status_error >= 0 && published->metrics_error >= 0 && !news;
        if (p->overrun || news)
                p->stale(p->userdata);
}

/* What a write changes of the file is told when it has ended; what happens to the agent meanwhile, at once: with a disk
 * that hangs it takes its time. */
static bool same_facts(const Facts *a, const Facts *b) {
        const size_t from = b->file.writing ? offsetof(Facts, agent_stale) : 0;

        /* NOLINTNEXTLINE: a difference in what pads it costs no more than a look at the file. */
        return memcmp((const char *) a + from, (const char *) b + from, sizeof(Facts) - from) == 0;
}

static bool is_known(const Publisher *p, const Settings *settings, const Facts *facts, const Decision *d,
                     const char *sentence) {
        return p->known && (p->with_metrics || !p->metrics_file || worker_has_hung(p->worker)) &&
               p->settings == settings && streq(p->sentence, sentence) && p->decision.action == d->action &&
               p->decision.reason == d->reason && same_facts(&p->facts, facts);
}

static void take_metrics_file(Publisher *p, const char *path) {
        if (path && p->metrics_file && streq(path, p->metrics_file))
                return;
        free(p->left_file);
        p->left_file = p->metrics_file;
        p->metrics_file = path ? strdup(path) : NULL;
        p->metrics_error[0] = 0;
}

void publisher_tell_again(Publisher *p) {
        p->known = false;
}

void publisher_tell(Publisher *p, const Settings *settings, const Facts *facts, const Decision *d,
                    const char *sentence) {
        p->overrun = worker_is_running(p->worker);
        if (p->overrun || is_known(p, settings, facts, d, sentence))
                return;

        take_metrics_file(p, settings->metrics_file);
        p->settings = settings;
        p->facts = *facts;
        p->decision = *d;
        (void) snprintf(p->sentence, sizeof(p->sentence), "%s", sentence);
        p->with_metrics = p->metrics_file && !worker_has_hung(p->worker);
        clock_measure_offset(&p->clock_offset);
        p->known = p->written = true;
        if (worker_run(p->worker, publish, p, sizeof(Published), WRITE_TIMEOUT_USEC, on_done, p) < 0)
                p->known = false; /* the next look tries again */
}
