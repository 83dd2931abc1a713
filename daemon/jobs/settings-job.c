/* SPDX-License-Identifier: Apache-2.0 */
#include "jobs/settings-job.h"

#include "process/worker.h"
#include "settings/settings.h"

#define READ_TIMEOUT_USEC (5 * USEC_PER_SEC)

struct SettingsCheck {
        Worker *worker;
        const char *path;
        char *const *options;
        settings_check_done_t done;
        void *userdata;
        bool again;
};

typedef struct Checked {
        int error;
        Problems problems;
} Checked;

int settings_check_new(SettingsCheck **ret, sd_event *event, const char *path, char *const *options,
                       settings_check_done_t done, void *userdata) {
        _cleanup_(settings_check_freep) SettingsCheck *c = calloc(1, sizeof(SettingsCheck));
        int r;

        if (!c)
                return -ENOMEM;
        c->path = path;
        c->options = options;
        c->done = done;
        c->userdata = userdata;
        r = worker_new(&c->worker, event);
        if (r < 0)
                return r;
        *ret = STEAL_POINTER(c);
        return 0;
}

SettingsCheck *settings_check_free(SettingsCheck *c) {
        if (!c)
                return NULL;

        worker_free(c->worker);
        free(c);
        return NULL;
}

static void read_settings(const void *context, void *report) {
        _cleanup_(settings_freep) Settings *settings = NULL;
        const SettingsCheck *c = context;
        Checked *checked = report;

        checked->error = settings_load(c->path, c->options, &settings, &checked->problems);
}

static void on_done(void *userdata, int error, const void *report) {
        static const Problems none = {0};
        const Checked *checked = report;
        SettingsCheck *c = userdata;
        bool again = c->again;

        c->again = false;
        c->done(c->userdata, checked ? checked->error : error, checked ? &checked->problems : &none);
        if (again)
                settings_check_start(c);
}

void settings_check_start(SettingsCheck *c) {
        int r;

        c->again = worker_is_running(c->worker);
        if (c->again)
                return;
        r = worker_run(c->worker, read_settings, c, sizeof(Checked), READ_TIMEOUT_USEC, on_done, c);
        if (r < 0)
                on_done(c, r, NULL);
}
