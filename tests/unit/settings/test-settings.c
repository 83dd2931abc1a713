/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "ecsconfig/environment-file.h"
#include "settings/settings.h"

static Settings *load(const char *directory, const char *text, const char *const *options, Problems *problems) {
        _cleanup_free_ char *path = unit_path(directory, "ecs-authd.conf");
        Settings *c = NULL;

        unit_write_file(path, text);
        (void) settings_load(path, (char *const *) options, &c, problems);
        return c;
}

static void test_defaults(void **state) {
        Problems problems = {0};
        _cleanup_(settings_freep) Settings *c = load(*state, "", NULL, &problems);

        assert_non_null(c);
        assert_int_equal(problems.n_items, 0);
        unit_assert_text(c->credentials.files[0], "/root/.docker/config.json");
        assert_null(c->credentials.files[1]);
        assert_true(c->credentials.strict);
        assert_int_equal(c->credentials.helper_timeout_usec, 10 * USEC_PER_SEC);
        unit_assert_text(c->credentials.exclude[0], "*.dkr?ecr*.amazonaws.*");
        assert_int_equal(c->credentials.refresh_usec, 3600 * USEC_PER_SEC);
        unit_assert_text(c->ecsconfig.environment_file, "/etc/ecs/ecs.config");
        assert_int_equal(c->ecsconfig.auth_type, AUTH_TYPE_AUTO);
        unit_assert_text(c->agent.container, "ecs-agent");
        unit_assert_text(c->agent.docker_socket, "/run/docker.sock");
        unit_assert_text(c->agent.introspection_url, "http://localhost:51678");
        assert_int_equal(c->restart.method, RESTART_METHOD_SYSTEMD);
        unit_assert_text(c->unit, "ecs.service");
        assert_int_equal(c->restart.unsaved_state, UNSAVED_STATE_WAIT);
        assert_int_equal(c->restart.settle_usec, 2 * USEC_PER_SEC);
        assert_int_equal(c->restart.min_interval_usec, 60 * USEC_PER_SEC);
        assert_int_equal(c->restart.verify_usec, 120 * USEC_PER_SEC);
        assert_int_equal(c->ecsconfig.line_max, ENVFILE_LINE_MAX_EXEC);
}

static void test_every_setting(void **state) {
        Problems problems = {0};
        _cleanup_(settings_freep) Settings *c =
                load(*state,
                     "# comment\n; comment\n\n[Credentials]\nFile=/a/b.json\n  File = /c.json\n"
                     "Exclude=a.example\nExclude= b.example  c.example \n"
                     "HelperTimeoutSec=3s\nStrictModes=off\n"
                     "RefreshSec=10min\n[Agent]\nEnvironmentFile=/e\nAuthType=docker\n"
                     "Container=my-agent_1.2\nDockerSocket=unix:///run/d.sock\n"
                     "IntrospectionURL=http://127.0.0.1:1/\n[Restart]\nMethod=none\n"
                     "Unit=amazon-ecs\nUnsavedState=force\nSettleSec=1s 500ms\n"
                     "MinIntervalSec=5\nVerifySec=1h\n",
                     NULL, &problems);

        assert_non_null(c);
        unit_assert_text(c->credentials.files[0], "/a/b.json");
        unit_assert_text(c->credentials.files[1], "/c.json");
        assert_null(c->credentials.files[2]);
        unit_assert_text(c->credentials.exclude[0], "a.example");
        unit_assert_text(c->credentials.exclude[1], "b.example");
        unit_assert_text(c->credentials.exclude[2], "c.example");
        assert_null(c->credentials.exclude[3]);
        assert_false(c->credentials.strict);
        assert_int_equal(c->credentials.helper_timeout_usec, 3 * USEC_PER_SEC);
        assert_int_equal(c->credentials.refresh_usec, 600 * USEC_PER_SEC);
        unit_assert_text(c->ecsconfig.environment_file, "/e");
        assert_int_equal(c->ecsconfig.auth_type, AUTH_TYPE_DOCKER);
        unit_assert_text(c->agent.container, "my-agent_1.2");
        unit_assert_text(c->agent.docker_socket, "/run/d.sock");
        unit_assert_text(c->agent.introspection_url, "http://127.0.0.1:1");
        assert_int_equal(c->restart.method, RESTART_METHOD_NONE);
        unit_assert_text(c->unit, "amazon-ecs.service");
        assert_int_equal(c->restart.unsaved_state, UNSAVED_STATE_FORCE);
        assert_int_equal(c->restart.settle_usec, 1500 * USEC_PER_MSEC);
        assert_int_equal(c->restart.min_interval_usec, 5 * USEC_PER_SEC);
        assert_int_equal(c->restart.verify_usec, 3600 * USEC_PER_SEC);
        assert_int_equal(c->ecsconfig.line_max, ENVFILE_LINE_MAX_DOCKER);
}

static void test_drop_ins_and_options(void **state) {
        const char *const options[] = {"Restart.Unit=third.service", "Credentials.File=/o.json", NULL};
        _cleanup_free_ char *dropins = unit_path(*state, "ecs-authd.conf.d");
        _cleanup_free_ char *a = unit_path(*state, "ecs-authd.conf.d/10-a.conf");
        _cleanup_free_ char *b = unit_path(*state, "ecs-authd.conf.d/20-b.conf");
        Problems problems = {0};

        assert_int_equal(mkdir(dropins, 0700), 0);
        unit_write_file(b, "[Restart]\nSettleSec=4s\nUnit=second.service\n[Credentials]\nFile=/b.json\n");
        unit_write_file(a, "[Restart]\nSettleSec=3s\n");

        _cleanup_(settings_freep) Settings *c =
                load(*state, "[Credentials]\nFile=/a.json\n[Restart]\nUnit=first.service\n", NULL, &problems);
        unit_assert_text(c->unit, "second.service");
        assert_int_equal(c->restart.settle_usec, 4 * USEC_PER_SEC);
        /* A list goes on in a drop-in ... */
        unit_assert_text(c->credentials.files[0], "/a.json");
        unit_assert_text(c->credentials.files[1], "/b.json");

        /* ... and is replaced on the command line. */
        _cleanup_(settings_freep) Settings *o = load(*state, "[Credentials]\nFile=/a.json\n", options, &problems);
        unit_assert_text(o->unit, "third.service");
        unit_assert_text(o->credentials.files[0], "/o.json");
        assert_null(o->credentials.files[1]);
}

/* Three directories, as systemd orders them. */
static void make_drop_ins(const char *directory, char *paths[3]) {
        static const char *const names[] = {"etc", "run", "lib"};

        for (size_t i = 0; i < ELEMENTSOF(names); i++) {
                paths[i] = unit_path(directory, names[i]);
                assert_int_equal(mkdir(paths[i], 0700), 0);
        }
}

static void write_drop_in(const char *directory, const char *name, const char *text) {
        _cleanup_free_ char *path = unit_path(directory, name);

        unit_write_file(path, text);
}

static void test_drop_ins_of_three_directories(void **state) {
        _cleanup_free_ char *file = unit_path(*state, "main.conf"), *null = unit_path(*state, "run/40-null.conf");
        char *d[4] = {NULL};
        SettingsPlaces places = {
                .file = file, .file_is_optional = true, .drop_in_directories = (const char *const *) d};
        _cleanup_(settings_freep) Settings *c = NULL;
        Problems problems = {0};

        make_drop_ins(*state, d);
        /* By name over all of them: 10 of lib, 20 of run, 30 of etc, 50 of lib. */
        write_drop_in(d[2], "10-a.conf", "[Restart]\nUnit=lib-10\nSettleSec=10\n[Credentials]\nFile=/10\n");
        write_drop_in(d[1], "20-b.conf", "[Restart]\nUnit=run-20\n[Credentials]\nFile=/20\n");
        write_drop_in(d[0], "30-c.conf", "[Restart]\nUnit=etc-30\nMinIntervalSec=30\n[Credentials]\nFile=/30\n");
        write_drop_in(d[2], "50-d.conf", "[Restart]\nMinIntervalSec=50\n[Credentials]\nFile=/50\n");
        /* Hidden: those of one name, masked by an empty file and by a link to /dev/null; and what is none. */
        write_drop_in(d[2], "20-b.conf", "[Restart]\nSettleSec=99\n");
        write_drop_in(d[1], "30-c.conf", "[Restart]\nSettleSec=99\n");
        write_drop_in(d[2], "60-masked.conf", "[Restart]\nSettleSec=99\n");
        write_drop_in(d[0], "60-masked.conf", "");
        write_drop_in(d[2], "40-null.conf", "[Restart]\nSettleSec=99\n");
        assert_int_equal(symlink("/dev/null", null), 0);
        write_drop_in(d[0], "70.conf.rpmsave", "broken");
        write_drop_in(d[0], ".80.conf", "broken");

        assert_int_equal(settings_load_from(&places, NULL, &c, &problems), 0);
        unit_assert_text(c->unit, "etc-30.service");
        assert_int_equal(c->restart.settle_usec, 10 * USEC_PER_SEC);
        assert_int_equal(c->restart.min_interval_usec, 50 * USEC_PER_SEC);
        unit_assert_text(c->credentials.files[0], "/10");
        unit_assert_text(c->credentials.files[1], "/20");
        unit_assert_text(c->credentials.files[2], "/30");
        unit_assert_text(c->credentials.files[3], "/50");
        assert_null(c->credentials.files[4]);
        assert_int_equal(problems.n_items, 0);
        for (size_t i = 0; d[i]; i++)
                free(d[i]);
}

static void test_directory_that_cannot_be_read(void **state) {
        _cleanup_free_ char *file = unit_path(*state, "main.conf"), *other = unit_path(*state, "no-directory");
        const char *const d[] = {"/nonexistent", other, NULL};
        SettingsPlaces places = {.file = file, .file_is_optional = true, .drop_in_directories = d};
        Problems problems = {0};
        Settings *c = NULL;

        unit_write_file(other, "");
        assert_int_equal(settings_load_from(&places, NULL, &c, &problems), -ENOTDIR);
        assert_null(c);
        unit_assert_problem(&problems, "no-directory: cannot read the drop-ins: Not a directory");
}

static void test_files_that_are_none(void **state) {
        _cleanup_free_ char *fifo = unit_path(*state, "fifo"), *large = unit_path(*state, "large");
        const struct {
                const char *path;
                int r;
                const char *problem;
        } table[] = {
                {fifo, -ENOTSUP, "fifo: cannot read the settings: not a regular file"},
                {"/dev/zero", -ENOTSUP, "/dev/zero: cannot read the settings: not a regular file"},
                {*state, -EISDIR, "cannot read the settings: Is a directory"},
                {large, -EFBIG, "large: cannot read the settings: longer than 1 MiB"},
        };
        _cleanup_(settings_freep) Settings *empty = NULL;
        Problems none = {0};

        assert_int_equal(mkfifo(fifo, 0600), 0);
        unit_write_file(large, "");
        assert_int_equal(truncate(large, 1024 * 1024 + 1), 0);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Problems problems = {0};
                Settings *c = NULL;

                assert_int_equal(settings_load(table[i].path, NULL, &c, &problems), table[i].r);
                assert_null(c);
                unit_assert_problem(&problems, table[i].problem);
        }
        assert_int_equal(settings_load("/dev/null", NULL, &empty, &none), 0);
}

/* They decide what this process does as root. */
static void test_files_that_others_can_write(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "ecs-authd.conf");
        Settings *c = NULL;
        Problems problems = {0};

        unit_write_file(path, "");
        assert_int_equal(chmod(path, 0666), 0);
        assert_int_equal(settings_load(path, NULL, &c, &problems), -EKEYREJECTED);
        assert_null(c);
        unit_assert_problem(&problems, "ecs-authd.conf can be written by others; run 'chmod go-w /");
}

static void test_nul(void **state) {
        static const char text[] = "[Restart]\nUnit=a\0b.service\n#\0\nSettleSec=1s\n";
        _cleanup_free_ char *path = unit_path(*state, "nul.conf");
        FILE *f = fopen(path, "we");
        Problems problems = {0};
        Settings *c = NULL;

        assert_non_null(f);
        assert_int_equal(fwrite(text, 1, sizeof(text) - 1, f), sizeof(text) - 1);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(settings_load(path, NULL, &c, &problems), -EINVAL);
        assert_null(c);
        assert_int_equal(problems.n_items, 2);
        unit_assert_problem(&problems, "nul.conf:2: a NUL character");
        unit_assert_problem(&problems, "nul.conf:3: a NUL character");
}

static void test_last_line_without_a_newline(void **state) {
        Problems problems = {0};
        _cleanup_(settings_freep) Settings *c = load(*state, "[Restart]\r\nUnit=a\r\nSettleSec=3s", NULL, &problems);

        unit_assert_text(c->unit, "a.service");
        assert_int_equal(c->restart.settle_usec, 3 * USEC_PER_SEC);
}

static void test_helper_environment(void **state) {
        Problems problems = {0};
        _cleanup_(settings_freep) Settings *c = load(
                *state,
                "[Credentials]\nHelperEnvironment=LOST\nHelperEnvironment=\nHelperEnvironment=AWS_PROFILE  VAULT_ADDR=https://v/?a=b\n"
                "HelperEnvironment=EMPTY=\n",
                NULL, &problems);
        char **e = c->credentials.helper_environment;

        unit_assert_text(e[0], "AWS_PROFILE");
        unit_assert_text(e[1], "VAULT_ADDR=https://v/?a=b");
        unit_assert_text(e[2], "EMPTY=");
        assert_null(e[3]);
}

static void test_values_of_the_environment_are_not_shown(void **state) {
        static const char *const lines[] = {
                "HelperEnvironment=A-B=hunter2",      "HelperEnvironment=1=hunter2",
                "HelperEnvironment=PATH=hunter2",     "HelperEnvironment=LD_PRELOAD=hunter2",
                "HelperEnvironment=GOOD=x  =hunter2", "HelperEnvironmet=A=hunter2"};
        static const char *const more[] = {"Credential.HelperEnvironment=A=hunter2", "HelperEnvironment=A=hunter2",
                                           "Credentials.HelperEnvironment A=hunter2"};

        for (size_t i = 0; i < ELEMENTSOF(lines) + ELEMENTSOF(more); i++) {
                char text[128], option[128];
                const char *const options[] = {option, NULL};
                Problems problems = {0};

                if (i < ELEMENTSOF(lines)) {
                        (void) snprintf(text, sizeof(text), "[Credentials]\n%s\n", lines[i]);
                        (void) snprintf(option, sizeof(option), "Credentials.%s", lines[i]);
                        assert_null(load(*state, text, NULL, &problems));
                        assert_int_equal(problems.n_items, 1);
                } else {
                        (void) snprintf(option, sizeof(option), "%s", more[i - ELEMENTSOF(lines)]);
                }
                assert_null(load(*state, "", options, &problems));
                unit_assert_problem(&problems, "HelperEnvironme");
                for (unsigned k = 0; k < problems.n_items; k++)
                        assert_null(strstr(problems.items[k].text, "hunter2"));
        }
}

static void test_helper_lifetime(void **state) {
        Problems problems = {0};
        _cleanup_(settings_freep) Settings *c = load(*state,
                                                     "[Credentials]\nHelperLifetime=1min\nHelperLifetime=\n"
                                                     "HelperLifetime=2h 30min\nHelperLifetime=*.azurecr.io 3h\n"
                                                     "HelperLifetime=gcr.io/team* 1h\n",
                                                     NULL, &problems);
        const HelperLifetimes *l = &c->credentials.helper_lifetimes;

        assert_int_equal(l->n_items, 3);
        assert_null(l->items[0].pattern);
        assert_int_equal(l->items[0].usec, 9000 * USEC_PER_SEC);
        unit_assert_text(l->items[1].pattern, "*.azurecr.io");
        assert_int_equal(l->items[1].usec, 3 * 3600 * USEC_PER_SEC);
        unit_assert_text(l->items[2].pattern, "gcr.io/team*");

        assert_null(load(*state, "[Credentials]\nHelperLifetime=gcr.io\n", NULL, &problems));
        unit_assert_problem(&problems, ":2: HelperLifetime=gcr.io: not a time such as 1h, or a pattern");
}

static void test_list_is_cleared(void **state) {
        Problems problems = {0};
        _cleanup_(settings_freep) Settings *c =
                load(*state, "[Credentials]\nFile=/a.json\nFile=\nFile=/b.json\n", NULL, &problems);

        unit_assert_text(c->credentials.files[0], "/b.json");
        assert_null(c->credentials.files[1]);

        assert_null(load(*state, "[Credentials]\nFile=\n", NULL, &problems));
        unit_assert_problem(&problems, "there is no credential file to read");
}

/* An upgrade does not end the service. */
static void test_settings_that_are_gone(void **state) {
        Problems problems = {0};
        _cleanup_(settings_freep) Settings *c =
                load(*state, "[Restart]\nRollback=no\nSettleSec=5s\nPendingSec=10min\n", NULL, &problems);

        assert_int_equal(c->restart.settle_usec, 5 * USEC_PER_SEC);
        unit_assert_problem(&problems, ":2: there is no Rollback= any more (since 0.2.0): remove it");
        unit_assert_problem(&problems, ":4: there is no PendingSec= any more (since 0.2.0): remove it");
        assert_int_equal(problems_worst_level(&problems), LOG_WARNING);

        assert_null(load(*state, "[Agent]\nRollback=no\n", NULL, &problems));
        unit_assert_problem(&problems, "unknown setting Rollback= in [Agent]");
}

static void test_home(void **state) {
        Problems problems = {0};
        const char *home = getenv("HOME");
        _cleanup_free_ char *saved = home ? strdup(home) : NULL;

        assert_int_equal(setenv("HOME", "/home/somebody", 1), 0);
        _cleanup_(settings_freep) Settings *c =
                load(*state, "[Credentials]\nFile=~/.docker/config.json\n", NULL, &problems);
        unit_assert_text(c->credentials.files[0], "/home/somebody/.docker/config.json");

        /* A service has no $HOME. */
        assert_int_equal(unsetenv("HOME"), 0);
        _cleanup_(settings_freep) Settings *s =
                load(*state, "[Credentials]\nFile=~/.docker/config.json\n", NULL, &problems);
        assert_int_equal(s->credentials.files[0][0], '/');
        assert_non_null(strstr(s->credentials.files[0], "/.docker/config.json"));
        if (saved)
                assert_int_equal(setenv("HOME", saved, 1), 0);
}

static void test_mistakes(void **state) {
        static const struct {
                const char *text, *problem;
        } table[] = {
                {"[Restart]\nSettle=2s\n", ":2: unknown setting Settle= in [Restart]; did you mean SettleSec=?"},
                {"[Restart]\nNothing=2s\n", ":2: unknown setting Nothing= in [Restart]; see ecs-authd.conf(5)"},
                {"[Restart]\nSetlteSec=2s\n", ":2: unknown setting SetlteSec= in [Restart]; did you mean SettleSec=?"},
                {"[Agent]\nunit=x\n", ":2: unknown setting unit= in [Agent]; did you mean [Restart] Unit=?"},
                {"[Agent]\nDockerSoket=x\n", "unknown setting DockerSoket= in [Agent]; did you mean DockerSocket=?"},
                {"\n[Restat]\nSettleSec=2s\n", ":3: unknown section [Restat]; did you mean [Restart]?"},
                {"[Service]\nUser=root\n",
                 "unknown section [Service]; there are [Credentials], [Agent], [Restart] and [Status]"},
                {"SettleSec=2s\n", ":1: SettleSec= stands before the first [Section]"},
                {"[Restart]\nSettleSec=soon\n", ":2: SettleSec=soon: not a time such as 2s, 5min or 1h"},
                {"[Restart]\nSettleSec=-1\n", ":2: SettleSec=-1: not a time"},
                {"[Credentials]\nStrictModes=maybe\n", ":2: StrictModes=maybe: not yes or no"},
                {"[Restart]\nMethod=upstar\n", ":2: Method=upstar: not systemd, upstart, docker or none"},
                {"[Restart]\nUnit=\n", ":2: Unit=: not the name of a unit"},
                {"[Agent]\nAuthType=json\n", ":2: AuthType=json: not auto, dockercfg or docker"},
                {"[Agent]\nEnvironmentFile=ecs.config\n", ":2: EnvironmentFile=ecs.config: not an absolute path"},
                {"[Agent]\nContainer=../x\n", ":2: Container=../x: not the name of a container"},
                {"[Agent]\nIntrospectionURL=localhost\n", ":2: IntrospectionURL=localhost: not a URL"},
                {"[Credentials]\nFile=config.json\n", ":2: File=config.json: not an absolute path"},
                {"[Restart]\nSettleSec\n", ":2: not a section, a comment or Key=VALUE"},
                {"[Restart\nSettleSec=2s\n", ":1: section without ']'"},
                {"# one\n\n[Restart]\nSettleSec=2s\n\nbroken\nUnit=a b\n", ":6: not a section, a comment or Key=VALUE"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                Problems problems = {0};

                assert_null(load(*state, table[i].text, NULL, &problems));
                unit_assert_problem(&problems, table[i].problem);
        }
}

static void test_all_mistakes_are_named(void **state) {
        Problems problems = {0};

        assert_null(load(*state, "[Restart]\nUnit=a b\nSettleSec=x\n", NULL, &problems));
        assert_int_equal(problems.n_items, 2);
        unit_assert_problem(&problems, ":2: Unit=a b");
        unit_assert_problem(&problems, ":3: SettleSec=x");
}

static void test_long_line(void **state) {
        char text[600];
        Problems problems = {0};

        (void) snprintf(text, sizeof(text), "[Credentials]\nFile=/%0500d\n", 0);
        assert_null(load(*state, text, NULL, &problems));
        unit_assert_problem(&problems, ":2: line too long");
}

static void test_comments_may_be_long(void **state) {
        char text[12000];
        Problems problems = {0};
        int n = snprintf(text, sizeof(text), "[Restart]\n# %09000d\nUnit=a\nSettleSec=x\n", 0);

        assert_true(n > 9000 && (size_t) n < sizeof(text));
        assert_null(load(*state, text, NULL, &problems));
        assert_int_equal(problems.n_items, 1);
        unit_assert_problem(&problems, ":4: SettleSec=x");
}

static void test_wrong_options(void **state) {
        static const char *const table[][2] = {
                {"nonsense", "-o nonsense: not Section.Key=VALUE"},
                {"Restart=x", "-o Restart=: not Section.Key=VALUE"},
                {"Restart.Nothing=x", "-o Restart.Nothing=: unknown setting Nothing= in [Restart]"},
                {"Restart.Methd=x", "-o Restart.Methd=: unknown setting Methd= in [Restart]; did you mean Method=?"},
                {"agent.Container=x", "-o agent.Container=: unknown section [agent]; did you mean [Agent]?"},
                /* One that is nearly HelperEnvironment= is not shown for it. */
                {"Credentials.HelperEnvironmnt=T=s3cret",
                 "-o Credentials.HelperEnvironmnt=: unknown setting HelperEnvironmnt= in [Credentials]; did you mean "
                 "HelperEnvironment=?"},
                {"Restart.SettleSec=x", "-o Restart.SettleSec=x: SettleSec=x: not a time"},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                const char *const options[] = {table[i][0], NULL};
                Problems problems = {0};

                assert_null(load(*state, "", options, &problems));
                unit_assert_problem(&problems, table[i][1]);
        }
}

static void test_missing_file(void **state) {
        _cleanup_free_ char *path = unit_path(*state, "nothing.conf");
        Problems problems = {0};
        Settings *c = NULL;

        assert_int_equal(settings_load(path, NULL, &c, &problems), -ENOENT);
        assert_null(c);
        unit_assert_problem(&problems, "nothing.conf: cannot read the settings");
}

static void test_shipped_file_shows_the_defaults(void **state) {
        char line[256], text[8192] = "";
        Problems problems = {0};
        FILE *shipped = fopen("conf/ecs-authd.conf", "re");
        unsigned n_keys = 0;

        if (!shipped)
                skip(); /* not run from the top of the repository */

        while (fgets(line, sizeof(line), shipped)) {
                const char *key = startswith(line, "#");

                if (key && key[0] != ' ' && strchr(key, '='))
                        n_keys++;
                else
                        key = line;
                (void) strncat(text, key, sizeof(text) - strlen(text) - 1);
        }
        (void) fclose(shipped);

        _cleanup_(settings_freep) Settings *shown = load(*state, text, NULL, &problems);
        _cleanup_(settings_freep) Settings *c = load(*state, "", NULL, &problems);
        assert_int_equal(n_keys, 21);
        assert_non_null(shown);
        unit_assert_text(shown->credentials.files[0], c->credentials.files[0]);
        assert_null(shown->credentials.files[1]);
        assert_int_equal(shown->credentials.helper_timeout_usec, c->credentials.helper_timeout_usec);
        for (size_t i = 0; shown->credentials.exclude[i] || c->credentials.exclude[i]; i++)
                unit_assert_text(shown->credentials.exclude[i], c->credentials.exclude[i]);
        assert_null(shown->credentials.helper_environment);
        assert_int_equal(shown->credentials.helper_lifetimes.n_items, 0);
        assert_int_equal(shown->credentials.refresh_usec, c->credentials.refresh_usec);
        unit_assert_text(shown->ecsconfig.environment_file, c->ecsconfig.environment_file);
        assert_int_equal(shown->ecsconfig.auth_type, c->ecsconfig.auth_type);
        unit_assert_text(shown->agent.container, c->agent.container);
        unit_assert_text(shown->agent.docker_socket, c->agent.docker_socket);
        unit_assert_text(shown->agent.introspection_url, c->agent.introspection_url);
        assert_int_equal(shown->restart.method, c->restart.method);
        unit_assert_text(shown->unit, c->unit);
        assert_int_equal(shown->restart.unsaved_state, c->restart.unsaved_state);
        assert_int_equal(shown->restart.settle_usec, c->restart.settle_usec);
        assert_int_equal(shown->restart.jitter_usec, c->restart.jitter_usec);
        assert_int_equal(shown->restart.min_interval_usec, c->restart.min_interval_usec);
        assert_int_equal(shown->restart.verify_usec, c->restart.verify_usec);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_defaults, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_every_setting, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_drop_ins_and_options, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_list_is_cleared, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_settings_that_are_gone, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_home, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_mistakes, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_all_mistakes_are_named, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_long_line, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_comments_may_be_long, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_wrong_options, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_missing_file, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_shipped_file_shows_the_defaults, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_drop_ins_of_three_directories, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_directory_that_cannot_be_read, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_files_that_are_none, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_files_that_others_can_write, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_nul, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_last_line_without_a_newline, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_helper_environment, unit_make_directory, unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_values_of_the_environment_are_not_shown, unit_make_directory,
                                                unit_remove_directory),
                cmocka_unit_test_setup_teardown(test_helper_lifetime, unit_make_directory, unit_remove_directory),
        };

        return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
