/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include <stdarg.h>

#include "base/json.h"
#include "base/secret.h"
#include "check/check-parts.h"
#include "ecsconfig/sync.h"

#define ARROW "         -> "

enum {
        JSON_SCHEMA = 1,
        INDENT = 9,
        CURE_INDENT = sizeof(ARROW) - 1,
};

static const char *const verdicts[] = {[OK] = "ok", [WARNING] = "warning", [PROBLEM] = "problem"};

/* s: NULL becomes null. */
static void add_string(json_object *o, const char *name, const char *s) {
        _cleanup_free_ char *printable = s ? xstrdup(s) : NULL;

        if (printable) {
                make_printable(printable);
                xjson_set_string(o, name, printable);
        } else if (json_object_object_add(o, name, NULL) < 0)
                memory_exhausted();
}

static void add_finding(Check *c, const char *id, const char *subject, Verdict verdict, const char *text,
                        const char *cure) {
        json_object *finding = xmemory(json_object_new_object());

        add_string(finding, "id", id);
        add_string(finding, "verdict", verdicts[verdict]);
        add_string(finding, "subject", subject);
        add_string(finding, "text", text);
        add_string(finding, "cure", cure);
        if (json_object_array_add(c->findings, finding) < 0)
                memory_exhausted();
}

void say(Check *c, const char *id, const char *subject, Verdict verdict, const char *text, const char *cure) {
        static const Colour colours[] = {[OK] = COLOUR_GOOD, [WARNING] = COLOUR_WAIT, [PROBLEM] = COLOUR_BAD};
        _cleanup_free_ char *printable = xstrdup(text);
        const Screen *s = &c->screen;

        make_printable(printable);
        c->counts[verdict]++;
        if (c->findings) {
                add_finding(c, id, subject, verdict, printable, cure);
                return;
        }
        screen_wipe(s);
        (void) printf("%s%-*s%s ", screen_colour(s, colours[verdict]), INDENT - 1, verdicts[verdict],
                      screen_no_colour(s));
        screen_print(s, INDENT, INDENT, printable);
        if (cure) {
                (void) printf(ARROW);
                screen_print(s, CURE_INDENT, CURE_INDENT, cure);
        }
        (void) fflush(stdout);
}

Verdict verdict_of_level(int level) {
        return level <= LOG_ERR ? PROBLEM : level <= LOG_WARNING ? WARNING : OK;
}

/* Each problem is a sentence that ends with what to do. */
void say_problems(Check *c, const char *id, const Problems *problems) {
        for (unsigned i = 0; i < problems->n_items; i++)
                say(c, id, NULL, verdict_of_level(problems->items[i].level), problems->items[i].text, NULL);
}

void announce(const Check *c, const char *what) {
        screen_print_briefly(&c->screen, text("...      %s", what));
}

Text make_text(const char *format, ...) {
        va_list ap;
        Text t;

        va_start(ap, format);
        (void) vsnprintf(t.s, sizeof(t.s), format, ap);
        va_end(ap);
        return t;
}

static void plan_done(Plan *p) {
        credentials_done(&p->credentials);
        secret_free(p->type);
        secret_free(p->data);
}

static int check_agent_and_units(Check *c, const DigestKey *key, const SyncReport *current) {
        SyncReport file = *current;
        Judgement j;
        int r;

        announce(c, "asking systemd, the Docker Engine and the agent");
        file.outcome = SYNC_UNCHANGED; /* another finding reports a file that should change */
        file.no_login_yet = c->no_login_yet;
        r = judge_agent(c->settings, key, &file, &j);
        if (r < 0)
                return r;
        check_units(c, &j.facts.unit);
        check_agent(c, &j);
        return 0;
}

static int run_checks(Check *c, bool login) {
        const Settings *s = c->settings;
        _cleanup_(plan_done) Plan plan = {0};
        Problems problems = {0};
        bool readable;
        DigestKey key;
        int r;

        r = digest_key_look(&key);
        if (r < 0)
                return r;
        if (geteuid() != 0)
                say(c, "user", NULL, WARNING,
                    "this is not root, and most files here are for root alone: not all that follows is so for the service",
                    "sudo ecs-authd check");
        check_credential_files(c);
        readable =
                sync_look(&s->ecsconfig, &key, &plan.current) >= 0 || access(s->ecsconfig.environment_file, F_OK) < 0;
        announce(c, "asking credential stores and helpers");
        r = sync_render(&s->credentials, &s->ecsconfig, &key, &plan.credentials, &plan.type, &plan.data, &problems);
        plan.known = r >= 0;
        c->no_login_yet = r == -ENOENT && problems_worst_level(&problems) > LOG_ERR;
        if (readable)
                say_problems(c, "credentials", &problems);
        else /* sync_render() reports nothing else */
                say_problems(c, "environment-file", &problems);
        check_registries(c, &plan.credentials, login);
        /* Before the first login as after the last logout. */
        if ((plan.known && !plan.data) || c->no_login_yet)
                say(c, "registries", NULL, WARNING, "no registry has credentials: images are pulled without",
                    "docker login REGISTRY");
        check_other_logins(c, &plan.credentials);

        check_environment_file(c, &key, &plan);
        check_other_places(c);
        check_inotify(c);
        return check_agent_and_units(c, &key, &plan.current);
}

static int print_counts(const Check *c) {
        screen_wipe(&c->screen);
        (void) printf("\n%u ok, %u warning%s, %u problem%s\n", c->counts[OK], c->counts[WARNING],
                      c->counts[WARNING] == 1 ? "" : "s", c->counts[PROBLEM], c->counts[PROBLEM] == 1 ? "" : "s");
        return fflush(stdout) == 0 ? 0 : negative_errno();
}

/* Prints one object, described in ecs-authd(8), CHECK FOR SCRIPTS. */
static int print_json(const Check *c) {
        _cleanup_json_ json_object *o = xmemory(json_object_new_object());
        json_object *counts = xmemory(json_object_new_object());
        const char *text;

        for (size_t i = 0; i < ELEMENTSOF(verdicts); i++)
                xjson_set(counts, verdicts[i], json_object_new_int64(c->counts[i]));
        xjson_set(o, "schema", json_object_new_int64(JSON_SCHEMA));
        xjson_set_string(o, "ecs_authd", VERSION);
        xjson_set(o, "counts", counts);
        xjson_set(o, "findings", json_object_get(c->findings));
        text = xjson_to_text(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED | JSON_C_TO_STRING_NOSLASHESCAPE);
        return printf("%s\n", text) < 0 || fflush(stdout) != 0 ? negative_errno() : 0;
}

int check_host(const Settings *settings, bool login, bool json) {
        _cleanup_json_ json_object *findings = json ? xmemory(json_object_new_array()) : NULL;
        Check c = {.settings = settings, .findings = findings};
        int r;

        if (!json)
                screen_look(&c.screen);
        r = run_checks(&c, login);
        if (r >= 0)
                r = json ? print_json(&c) : print_counts(&c);
        if (r < 0)
                return r;
        return c.counts[PROBLEM] == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
