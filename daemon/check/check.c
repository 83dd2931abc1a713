/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check.h"

#include "base/secret.h"
#include "check/check-parts.h"

static void look(Check *c, bool login) {
        const Settings *s = c->settings;
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_secret_ char *type = NULL, *data = NULL;
        Problems problems = {0};
        UnitReport unit;
        DigestKey key;
        bool known;
        int r;

        if (geteuid() != 0)
                say(c, "user", NULL, WARNING,
                    "this is not root, and most files here are for root alone: not all that follows is so for the service",
                    "sudo ecs-authd check");
        check_credential_files(c);
        announce(c, "asking credential stores and helpers");
        r = digest_key_look(&key);
        if (r >= 0)
                r = sync_render(&s->credentials, &s->ecsconfig, &key, &credentials, &type, &data, &problems);
        known = r >= 0;
        c->no_login_yet = r == -ENOENT && problems_worst_level(&problems) > LOG_ERR;
        say_problems(c, "credentials", &problems);
        check_registries(c, &credentials, login);
        /* Before the first login as after the last logout. */
        if ((known && !data) || c->no_login_yet)
                say(c, "registries", NULL, WARNING, "no registry has credentials: images are pulled without",
                    "docker login REGISTRY");
        check_other_logins(c, &credentials);

        check_environment_file(c, known, type, data);
        check_other_places(c);
        announce(c, "asking systemd");
        check_units(c, &unit);
        announce(c, "asking the Docker Engine and the agent");
        check_agent(c, &unit);
        check_inotify(c);
}

static int print_counts(const Check *c) {
        screen_wipe(&c->screen);
        (void) printf("\n%u ok, %u warning%s, %u problem%s\n", c->counts[OK], c->counts[WARNING],
                      c->counts[WARNING] == 1 ? "" : "s", c->counts[PROBLEM], c->counts[PROBLEM] == 1 ? "" : "s");
        return fflush(stdout) == 0 ? 0 : negative_errno();
}

int check_host(const Settings *settings, bool login, bool json) {
        _cleanup_(check_json_done) CheckJson findings = check_json_new();
        Check c = {.settings = settings, .json = json ? &findings : NULL};
        int r;

        if (!json)
                screen_look(&c.screen);
        look(&c, login);
        r = json ? check_json_print(&findings, c.counts) : print_counts(&c);
        if (r < 0)
                (void) fprintf(stderr, "ecs-authd: %s\n", strerror(-r));
        return r >= 0 && c.counts[PROBLEM] == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
