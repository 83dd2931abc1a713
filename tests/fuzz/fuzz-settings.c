/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include <sys/stat.h>

#include "settings/settings.h"
#include "base/timespan.h"

/* A file of settings. What stands behind a NUL is an option (-o), behind the next one the value of one that is nobody's
 * business. */

#define HUSH "hush-hush"

#define YEARS_10 (10 * 365 * 24 * 3600 * USEC_PER_SEC)

typedef struct Input {
        const char *option, *secret;
} Input;

static int load(const char *file, const char *drop_ins, const Input *input, Settings **ret, Problems *problems) {
        char secret[128];
        char *options[3] = {(char *) input->option, NULL, NULL};
        const char *directories[] = {drop_ins, NULL};
        const SettingsPlaces places = {.file = file, .file_is_optional = true, .drop_in_directories = directories};

        if (input->secret) {
                (void) snprintf(secret, sizeof(secret), "Credentials.HelperEnvironment=%.64s" HUSH, input->secret);
                options[1] = secret;
        }
        return settings_load_from(&places, options, ret, problems);
}

static bool same_list(char *const *a, char *const *b) {
        if (!a || !b)
                return a == b;
        for (; *a && *b; a++, b++)
                if (!streq(*a, *b))
                        return false;
        return !*a && !*b;
}

static bool same_lifetimes(const HelperLifetimes *a, const HelperLifetimes *b) {
        for (size_t i = 0; i < a->n_items && i < b->n_items; i++)
                if (!same(a->items[i].pattern, b->items[i].pattern) || a->items[i].usec != b->items[i].usec)
                        return false;
        return a->n_items == b->n_items;
}

static bool same_settings(const Settings *a, const Settings *b) {
        const CredentialSettings *c = &a->credentials, *d = &b->credentials;

        return same_list(c->files, d->files) && same_list(c->exclude, d->exclude) &&
               same_list(c->helper_environment, d->helper_environment) &&
               same_lifetimes(&c->helper_lifetimes, &d->helper_lifetimes) &&
               c->helper_timeout_usec == d->helper_timeout_usec && c->refresh_usec == d->refresh_usec &&
               same(a->ecsconfig.environment_file, b->ecsconfig.environment_file) &&
               a->ecsconfig.auth_type == b->ecsconfig.auth_type && a->ecsconfig.line_max == b->ecsconfig.line_max &&
               same(a->agent.container, b->agent.container) && same(a->agent.docker_socket, b->agent.docker_socket) &&
               same(a->agent.introspection_url, b->agent.introspection_url) && a->restart.method == b->restart.method &&
               a->restart.unsaved_state == b->restart.unsaved_state &&
               a->restart.settle_usec == b->restart.settle_usec &&
               a->restart.min_interval_usec == b->restart.min_interval_usec &&
               a->restart.jitter_usec == b->restart.jitter_usec && a->restart.verify_usec == b->restart.verify_usec &&
               same(a->unit, b->unit) && same(a->metrics_file, b->metrics_file);
}

/* Whatever the file says, these hold for everybody who uses them. */
static void check_values(const Settings *s) {
        const uint64_t times[] = {
                s->credentials.helper_timeout_usec, s->credentials.refresh_usec, s->restart.settle_usec,
                s->restart.min_interval_usec,       s->restart.jitter_usec,      s->restart.verify_usec};

        for (size_t i = 0; i < ELEMENTSOF(times); i++)
                check(times[i] <= YEARS_10);
        check(s->credentials.files && s->credentials.files[0]);
        for (char *const *f = s->credentials.files; *f; f++)
                check(**f == '/');
        check(s->ecsconfig.environment_file[0] == '/' && s->agent.docker_socket[0] == '/');
        check(!s->metrics_file || s->metrics_file[0] == '/');
        check(s->ecsconfig.auth_type <= AUTH_TYPE_DOCKER && s->restart.method <= RESTART_METHOD_NONE);
        check(*s->agent.container && !strpbrk(s->agent.container, "/?# %"));
        check(startswith(s->agent.introspection_url, "http"));
        check(!strchr(s->unit, '/') && strchr(s->unit, '.'));
        for (size_t i = 0; i < s->credentials.helper_lifetimes.n_items; i++)
                check(s->credentials.helper_lifetimes.items[i].usec <= YEARS_10);
}

static void check_timespan(const char *text) {
        uint64_t usec = 1, again = 2;
        char written[32];

        if (timespan_parse(text, &usec) < 0) {
                check(usec == 1);
                return;
        }
        check(usec <= YEARS_10);
        (void) snprintf(written, sizeof(written), "%lluus", (unsigned long long) usec);
        check(timespan_parse(written, &again) == 0 && again == usec);
}

static void check_silence(const Problems *problems, const uint8_t *bytes, size_t size) {
        if (memmem(bytes, size, HUSH, strlen(HUSH)))
                return;
        for (unsigned i = 0; i < problems->n_items; i++)
                check(!strstr(problems->items[i].text, HUSH));
}

/* The same text as a drop-in alone says the same. */
static void check_drop_in(const char *file, const char *drop_ins, const Input *input, const Settings *s) {
        _cleanup_(settings_freep) Settings *other = NULL;
        Problems problems = {0};
        int r = load(file, drop_ins, input, &other, &problems);

        check((r >= 0) == (s != NULL) && (!s || same_settings(s, other)));
}

static void check_failing(const char *file, const Input *input, const Settings *s, const uint8_t *bytes, size_t size) {
        while (fuzz_fail(bytes, size)) {
                _cleanup_(settings_freep) Settings *now = NULL;
                Problems problems = {0};
                int r = load(file, "/nonexistent", input, &now, &problems);

                (void) fuzz_stop();
                check(r < 0 ? !now : s && same_settings(s, now));
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        _cleanup_(settings_freep) Settings *s = NULL;
        _cleanup_free_ char *text = fuzz_text(bytes, size), *file = NULL, *drop_ins = NULL, *no_file = NULL;
        const size_t n = strlen(text), m = n < size ? n + 1 + strlen(text + n + 1) : size;
        const Input input = {.option = n < size ? text + n + 1 : NULL, .secret = m < size ? text + m + 1 : NULL};
        Problems problems = {0};
        int r;

        (void) setenv("HOME", "/root", 1);
        check((file = strdup(fuzz_path("conf"))) && (drop_ins = strdup(fuzz_path("conf.d"))));
        check((no_file = strdup(fuzz_path("none"))) && (mkdir(drop_ins, 0700) == 0 || errno == EEXIST));
        fuzz_put("conf", bytes, n);
        fuzz_put("conf.d/a.conf", bytes, n);

        fuzz_count();
        r = load(file, "/nonexistent", &input, &s, &problems);
        (void) fuzz_stop();
        check_failing(file, &input, s, bytes, size);
        if (r >= 0)
                check_values(s);
        else
                check(!s && problems.n_items > 0);
        check_silence(&problems, bytes, size);
        check_drop_in(no_file, drop_ins, &input, s);
        check_timespan(text);
        return 0;
}
