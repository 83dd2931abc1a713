/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "base/secret.h"
#include "credentials/lease.h"
#include "ecsconfig/environment-file.h"
#include "ecsconfig/gathered.h"
#include "sync-host.h"

/* Another program's file, which takes the place of the environment file at the moment at which ours would. */
static const char *newer;

int renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags) {
        if (newer)
                assert_int_equal(renameat(AT_FDCWD, newer, new_fd, new), 0);
        newer = NULL;
        return (int) syscall(SYS_renameat2, old_fd, old, new_fd, new, flags);
}

static bool refuse_to_sync_directories;

int fsync(int fd) {
        struct stat st;

        if (refuse_to_sync_directories && fstat(fd, &st) >= 0 && S_ISDIR(st.st_mode)) {
                errno = EIO;
                return -1;
        }
        return (int) syscall(SYS_fsync, fd);
}

static void test_login_and_logout(void **state) {
        const Host *h = *state;
        SyncReport first, second, third, fourth;

        unit_write_file(h->environment, "ECS_CLUSTER=x\n# a comment");
        unit_write_file(h->credentials, LOGGED_IN);
        expect(h, SYNC_WRITTEN, 1, &first);
        assert_string_equal(first.registries, "registry.example");
        unit_assert_file(h->environment, "ECS_CLUSTER=x\n# a comment\n" LINES);

        expect(h, SYNC_UNCHANGED, 1, &second);
        assert_true(first.seen_usec > 0 && second.seen_usec > first.seen_usec);
        assert_int_equal(second.ask_in_usec, 0); /* there is no helper */
        assert_true(digest_equal(&first.digest, &second.digest));

        unit_write_file(h->credentials, "{\"auths\":{}}");
        expect(h, SYNC_REMOVED, 0, &third);
        unit_assert_file(h->environment, "ECS_CLUSTER=x\n# a comment\n");
        assert_false(digest_equal(&second.digest, &third.digest));

        expect(h, SYNC_UNCHANGED, 0, &fourth);
}

static void test_environment_file_is_made(void **state) {
        const Host *h = *state;
        SyncReport report;
        struct stat st;

        unit_write_file(h->credentials, LOGGED_IN);
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, LINES);
        assert_int_equal(stat(h->environment, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
}

/* Its mode is whoever's who chose it; that it shows passwords is said as long as there are any. */
static void test_exposed_environment_file(void **state) {
        const Host *h = *state;
        SyncReport report;
        struct stat st;

        unit_write_file(h->environment, "ECS_CLUSTER=x\n");
        assert_int_equal(chmod(h->environment, 0644), 0);
        assert_int_equal(chmod(h->directory, 0755), 0);
        unit_write_file(h->credentials, LOGGED_IN);
        assert_int_equal(chmod(h->credentials, 0600), 0);
        for (unsigned i = 0; i < 2; i++) {
                expect(h, i == 0 ? SYNC_WRITTEN : SYNC_UNCHANGED, 1, &report);
                unit_assert_problem(&report.problems, "everybody on this host can read the passwords in it");
                assert_int_equal(report.problems.n_items, 1);
        }
        assert_int_equal(stat(h->environment, &st), 0);
        assert_int_equal(st.st_mode & 07777, 0644);
        unit_write_file(h->credentials, "{}");
        expect(h, SYNC_REMOVED, 0, &report);
        assert_int_equal(report.problems.n_items, 0);
}

static void test_nothing_is_made_for_nothing(void **state) {
        const Host *h = *state;
        SyncReport report;

        unit_write_file(h->credentials, "{}");
        expect(h, SYNC_UNCHANGED, 0, &report);
        assert_int_equal(access(h->environment, F_OK), -1);
}

static void test_bad_credential_file_changes_nothing(void **state) {
        const Host *h = *state;
        SyncReport report;
        Digest good;

        write_own(h, LINES);
        authdata_digest("dockercfg", "{\"registry.example\":{\"auth\":\"" AUTH "\"}}", &key, &good);

        /* Missing. */
        expect(h, SYNC_FAILED, 1, &report);
        unit_assert_problem(&report.problems, h->credentials);
        unit_assert_problem(&report.problems, "The last good credentials stay in use");
        assert_int_equal(problems_worst_level(&report.problems), LOG_ERR);
        unit_assert_file(h->environment, LINES);

        unit_write_file(h->credentials, "{\"auths\":\n  oops}");
        expect(h, SYNC_FAILED, 1, &report);
        unit_assert_problem(&report.problems, "config.json:2:3");
        unit_assert_problem(&report.problems, "The last good credentials stay in use");
        assert_int_equal(report.problems.n_items, 1); /* it says all that there is to say */
        unit_assert_file(h->environment, LINES);

        /* What the agent is to run with is known all the same, and nothing newer. */
        assert_true(report.digest_known);
        assert_false(report.behind);
        assert_true(digest_equal(&report.digest, &good));
        assert_string_equal(report.entries[0].registry, "registry.example");
        assert_string_equal(report.entries[1].registry, "");
}

/* A host to which nobody has logged in yet has no problem; and nothing good to lose. */
static void test_no_login_yet(void **state) {
        const Host *h = *state;
        SyncReport report;

        unit_write_file(h->environment, "ECS_CLUSTER=x\n");
        expect(h, SYNC_UNCHANGED, 0, &report);
        assert_true(report.no_login_yet);
        assert_int_equal(problems_worst_level(&report.problems), LOG_NOTICE);
        assert_null(strstr(report.problems.items[0].text, "stay in use"));
        unit_assert_file(h->environment, "ECS_CLUSTER=x\n");

        unit_write_file(h->credentials, "{");
        expect(h, SYNC_FAILED, 0, &report);
        assert_false(report.no_login_yet);
        assert_null(strstr(report.problems.items[0].text, "stay in use"));

        unit_write_file(h->credentials, "{}");
        expect(h, SYNC_UNCHANGED, 0, &report);
        assert_false(report.no_login_yet);
}

static void test_last_good_entry_is_kept(void **state) {
        const Host *h = *state;
        SyncReport report;

        write_own(h, LINES);
        unit_write_file(h->credentials, "{\"auths\":{\"registry.example\":{},\"b.example\":{\"auth\":\"" AUTH "\"}}}");
        expect(h, SYNC_WRITTEN, 2, &report);
        unit_assert_file(h->environment,
                         "ECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={\"b.example\":{\"auth\":"
                         "\"" AUTH "\"},\"registry.example\":{\"auth\":\"" AUTH "\"}}\n");
        assert_string_equal(report.entries[0].registry, "b.example");
        assert_string_equal(report.entries[1].registry, "registry.example");
}

static void test_line_that_is_too_long(void **state) {
        Host *h = *state;
        SyncReport report;
        FILE *f = fopen(h->credentials, "we");

        /* 2,000 entries of about 60 bytes: more than a line of the environment file may have. */
        assert_non_null(f);
        (void) fputs("{\"auths\":{", f);
        for (unsigned i = 0; i < 3000; i++)
                (void) fprintf(f, "%s\"registry-%04u.example%s\":{\"auth\":\"" AUTH "\"}", i > 0 ? "," : "", i,
                               i == 2000 ? "/with/a/long/path" : "");
        (void) fputs("}}", f);
        assert_int_equal(fclose(f), 0);

        unit_write_file(h->environment, LINES);
        expect(h, SYNC_FAILED, 1, &report);
        assert_true(report.behind);
        unit_assert_problem(&report.problems, "more than the 131071 that its reader takes");
        unit_assert_problem(&report.problems, "the heaviest come first: registry-2000.example/with/a/long/path, ");
        unit_assert_file(h->environment, LINES);
}

static void test_later_file_wins(void **state) {
        Host *h = *state;
        _cleanup_free_ char *later = unit_path(h->directory, "later.json");
        char *files[] = {h->credentials, later, NULL};
        SyncReport report;

        h->sources.files = files;
        unit_write_file(h->credentials, "{\"auths\":{\"registry.example\":{\"auth\":\"b2xkOm9sZA==\"}}}");
        unit_write_file(later, LOGGED_IN);
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, LINES);
}

static void test_busy_environment_file(void **state) {
        const Host *h = *state;
        SyncReport report;
        int fd;

        unit_write_file(h->environment, "ECS_CLUSTER=x\n");
        unit_write_file(h->credentials, LOGGED_IN);

        fd = open(h->environment, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        expect(h, SYNC_FAILED, 0, &report);
        unit_assert_problem(&report.problems, "another program has it open for writing");
        unit_assert_file(h->environment, "ECS_CLUSTER=x\n");

        assert_true(report.behind);
        assert_true(report.asked);

        assert_int_equal(close(fd), 0);
        expect(h, SYNC_WRITTEN, 1, &report);
        assert_false(report.behind);
        expect(h, SYNC_UNCHANGED, 1, &report);
        assert_false(report.behind);
}

/* What is said of the credential files at each try is said once. */
static void test_replaced_while_it_is_written(void **state) {
        const Host *h = *state;
        _cleanup_free_ char *other = unit_path(h->directory, "other");
        SyncReport report;

        unit_write_file(h->environment, "ECS_CLUSTER=x\n");
        unit_write_file(other, "ECS_CLUSTER=y\n");
        /* "user:p\n" */
        unit_write_file(h->credentials, "{\"auths\":{\"registry.example\":{\"auth\":\"dXNlcjpwCg==\"}}}");
        newer = other;
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, "ECS_CLUSTER=y\nECS_ENGINE_AUTH_TYPE=dockercfg\n"
                                         "ECS_ENGINE_AUTH_DATA={\"registry.example\":{\"auth\":\"dXNlcjpwCg==\"}}\n");
        unit_assert_problem(&report.problems, "ends with a newline");
        assert_int_equal(report.problems.n_items, 1);
}

/* It is written, and may not be after a crash. */
static void test_directory_that_cannot_be_synced(void **state) {
        const Host *h = *state;
        SyncReport report;

        unit_write_file(h->credentials, LOGGED_IN);
        refuse_to_sync_directories = true;
        expect(h, SYNC_WRITTEN, 1, &report);
        refuse_to_sync_directories = false;
        unit_assert_file(h->environment, LINES);
        unit_assert_problem(&report.problems, "written, but a crash now may bring back the old file");
        unit_assert_problem(&report.problems, "state/written: cannot be replaced");
        assert_int_equal(report.problems.n_items, 2);
}

/* A program that writes the file anew, in place, and is not done yet: half of it is no reason to restart the agent,
 * also where there is nothing that we would write. */
static void test_half_of_an_environment_file(void **state) {
        const struct timespec slow = {.tv_nsec = 300 * 1000000L};
        const Host *h = *state;
        SyncReport before, report;
        int fd, status;
        pid_t pid;

        unit_write_file(h->environment, LINES);
        unit_write_file(h->credentials, "{\"auths\":{\"registry.example\":{}}}"); /* it keeps what it has */
        expect(h, SYNC_UNCHANGED, 1, &before);

        fd = open(h->environment, O_WRONLY | O_TRUNC | O_CLOEXEC);
        assert_true(fd >= 0);
        pid = fork();
        assert_true(pid >= 0);
        if (pid == 0) {
                (void) nanosleep(&slow, NULL);
                _exit(write(fd, LINES, strlen(LINES)) == (ssize_t) strlen(LINES) ? 0 : 1);
        }
        assert_int_equal(close(fd), 0);
        expect(h, SYNC_UNCHANGED, 1, &report);
        assert_true(digest_equal(&report.digest, &before.digest));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);

        /* One that is kept open for good holds up nothing that is as it should be. */
        fd = open(h->environment, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        expect(h, SYNC_UNCHANGED, 1, &report);
        assert_int_equal(close(fd), 0);
}

/* Helpers are found only where root alone can write. */
#define PROGRAM "/usr/local/bin/docker-credential-unit-sync"

static int remove_program(void **state _unused_) {
        (void) unlink(PROGRAM);
        return 0;
}

/* Instead of a secret the credential file names a helper, which does as the script says. */
static void set_up_helper(Host *h, const char *script) {
        FILE *f = unit_may_install_programs() ? fopen(PROGRAM, "we") : NULL;

        if (!f)
                skip(); /* cannot put a program on PATH */
        (void) fprintf(f, "#!/bin/sh\ncat > /dev/null\n%s\n", script);
        assert_int_equal(fclose(f), 0);
        assert_int_equal(chmod(PROGRAM, 0755), 0);

        unit_write_file(h->environment, "");
        unit_write_file(h->credentials, "{\"credHelpers\":{\"registry.example\":\"unit-sync\"}}");
        h->sources.helper_timeout_usec = 10 * USEC_PER_SEC;
        h->sources.refresh_usec = 3600 * USEC_PER_SEC;
}

/* In so many seconds, less some minutes that this may have taken. */
static void assert_ask_in(const SyncReport *report, unsigned seconds) {
        unit_assert_in_range(report->ask_in_usec, seconds > 300 ? (seconds - 300) * USEC_PER_SEC : 1,
                             seconds * USEC_PER_SEC);
}

/* It is written, and kept until it is due. */
static void test_helper_answers(void **state) {
        Host *h = *state;
        SyncReport report;

        set_up_helper(h, "echo '{\"Username\":\"user\",\"Secret\":\"password\"}'");
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, LINES);
        assert_string_equal(report.entries[0].helper, "unit-sync");
        assert_true(report.asked && !report.forgotten);
        assert_int_equal(report.problems.n_items, 0);
        assert_ask_in(&report, 2400);

        /* Whoever comes after us asks nobody. */
        unit_write_file(PROGRAM, "#!/bin/sh\nexit 1\n");
        sync_run(&h->sources, &h->settings, &key, ASK_DUE, &report);
        assert_int_equal(report.outcome, SYNC_UNCHANGED);
        assert_int_equal(report.problems.n_items, 0);
        assert_ask_in(&report, 2400);
        sync_run(&h->sources, &h->settings, &key, ASK_NOBODY, &report);
        assert_int_equal(report.outcome, SYNC_UNCHANGED);
        assert_false(report.asked);
}

#define ACR_AUTH "MDAwMDAwMDAtMDAwMC0wMDAwLTAwMDAtMDAwMDAwMDAwMDAwOnRva2Vu" /* 00000000-…-000000000000:token */
#define ACR_LINES                                                                                                 \
        "ECS_ENGINE_AUTH_TYPE=dockercfg\n"                                                                        \
        "ECS_ENGINE_AUTH_DATA={\"gcr.io\":{\"auth\":\"X2pzb25fa2V5OiI=\"},\"x.azurecr.io\":{\"auth\":\"" ACR_AUTH \
        "\"}}\n"

static void expect_unchanged(const Host *h, Asking ask, SyncReport *ret) {
        sync_run(&h->sources, &h->settings, &key, ask, ret);
        assert_int_equal(ret->outcome, SYNC_UNCHANGED);
        assert_int_equal(ret->problems.n_items, 0);
        assert_int_equal(ret->n_registries, 2);
        unit_assert_file(h->environment, ACR_LINES);
}

/* The helper gives an identity token of Azure, and the key file beside it needs the type dockercfg. The token that was
 * written as a password is the helper's answer: nothing is asked or written again. */
static void test_azure_token_of_a_helper(void **state) {
        Host *h = *state;
        SyncReport report, again;

        set_up_helper(h, "echo '{\"Username\":\"<token>\",\"Secret\":\"token\"}'");
        unit_write_file(h->credentials, "{\"auths\":{\"gcr.io\":{\"auth\":\"X2pzb25fa2V5OiI=\"}},"
                                        "\"credHelpers\":{\"x.azurecr.io\":\"unit-sync\"}}");
        expect(h, SYNC_WRITTEN, 2, &report);
        assert_int_equal(report.problems.n_items, 0);
        unit_assert_file(h->environment, ACR_LINES);

        unit_write_file(PROGRAM, "#!/bin/sh\nexit 1\n");
        expect_unchanged(h, ASK_DUE, &again);
        assert_ask_in(&again, 2400);
        assert_true(digest_equal(&again.digest, &report.digest));
        expect_unchanged(h, ASK_NOBODY, &again);
        assert_ask_in(&again, 2400);

        /* Without the key file the token is written as it is. To the agent that is the same login. */
        unit_write_file(PROGRAM,
                        "#!/bin/sh\ncat > /dev/null\necho '{\"Username\":\"<token>\",\"Secret\":\"token\"}'\n");
        unit_write_file(h->credentials, "{\"credHelpers\":{\"x.azurecr.io\":\"unit-sync\"}}");
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, "ECS_ENGINE_AUTH_TYPE=docker\n"
                                         "ECS_ENGINE_AUTH_DATA={\"x.azurecr.io\":{\"identitytoken\":\"token\"}}\n");
}

/* A later file cannot be read: the written form of the token is no other credential. */
static void test_azure_token_while_a_file_is_broken(void **state) {
        Host *h = *state;
        _cleanup_free_ char *later = unit_path(h->directory, "later.json");
        char *files[] = {h->credentials, later, NULL};
        SyncReport report;

        unit_write_file(h->environment, "");
        unit_write_file(h->credentials, "{\"auths\":{\"gcr.io\":{\"auth\":\"X2pzb25fa2V5OiI=\"},"
                                        "\"x.azurecr.io\":{\"identitytoken\":\"token\"}}}");
        expect(h, SYNC_WRITTEN, 2, &report);
        expect_unchanged(h, ASK_ALL, &report);

        unit_write_file(later, "{");
        h->sources.files = files;
        expect(h, SYNC_UNCHANGED, 2, &report);
        assert_int_equal(report.problems.n_items, 1);
        unit_assert_problem(&report.problems, "later.json:1:2: not valid JSON");
        unit_assert_file(h->environment, ACR_LINES);
        h->sources.files = h->files;
}

/* Such a key costs no write and no restart, and is none of the registries. */
static void test_key_that_no_image_can_use(void **state) {
        const Host *h = *state;
        SyncReport report, with;

        unit_write_file(h->environment, "");
        unit_write_file(h->credentials, LOGGED_IN);
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_write_file(h->credentials, "{\"auths\":{\"docker.io/myorg\":{\"auth\":\"" AUTH "\"},"
                                        "\"registry.example\":{\"auth\":\"" AUTH "\"}}}");
        expect(h, SYNC_UNCHANGED, 1, &with);
        unit_assert_problem(&with.problems, "no image can use the login 'docker.io/myorg'");
        assert_false(sync_is_well(&with));
        assert_string_equal(with.entries[1].registry, "");

        /* An older ecs-authd has written it: the agent needs no restart to get rid of it. */
        unit_write_file(h->environment, "ECS_ENGINE_AUTH_TYPE=dockercfg\n"
                                        "ECS_ENGINE_AUTH_DATA={\"docker.io/myorg\":{\"auth\":\"" AUTH "\"},"
                                        "\"registry.example\":{\"auth\":\"" AUTH "\"}}\n");
        assert_int_equal(sync_look(&h->settings, &key, &with), 0);
        assert_true(digest_equal(&with.digest, &report.digest));
        assert_int_equal(with.n_registries, 1);
        assert_string_equal(with.coverages, "docker.io/myorg: no image");
}

/* That it has none is an answer, too, and no failure. */
static void test_helper_has_none(void **state) {
        Host *h = *state;
        SyncReport report;

        set_up_helper(h, "echo credentials not found in native keychain; exit 1");
        expect(h, SYNC_UNCHANGED, 0, &report);
        unit_assert_problem(&report.problems, "it has no credentials for it");
        assert_ask_in(&report, 2400);
        assert_int_equal(report.problems.n_items, 1);
}

/* What it gives cannot be written: it is asked again after a pause, as after a failure, and why stands there. */
static void test_answer_that_cannot_be_written(void **state) {
        Host *h = *state;
        SyncReport report;

        set_up_helper(h, "echo '{\"Username\":\"<token>\",\"Secret\":\"token\"}'");
        h->settings.auth_type = AUTH_TYPE_DOCKERCFG;
        expect(h, SYNC_UNCHANGED, 0, &report);
        unit_assert_problem(&report.problems, "an identity token");
        assert_ask_in(&report, 5);
        sync_run(&h->sources, &h->settings, &key, ASK_NOBODY, &report);
        unit_assert_problem(&report.problems, "what it gave could not be written");
        unit_assert_file(h->environment, "");
}

/* Nor can a line that is too long. */
static void test_answer_that_makes_the_line_too_long(void **state) {
        Host *h = *state;
        SyncReport report;

        set_up_helper(h, "echo '{\"Username\":\"user\",\"Secret\":\"password\"}'");
        h->settings.line_max = 60;
        expect(h, SYNC_FAILED, 0, &report);
        unit_assert_problem(&report.problems, "more than the 60 that its reader takes");
        assert_ask_in(&report, 5);
}

static void let_a_minute_pass(void) {
        _cleanup_(leases_done) Leases leases = {0};

        leases_load(&leases);
        assert_int_equal(leases.n_items, 1);
        leases.items[0]->asked -= 60 * (int64_t) USEC_PER_SEC;
        assert_int_equal(leases_save(&leases), 0);
}

/* An answer that somebody took out of the environment file, or with it, is asked for again before it is due. */
static void test_answer_that_was_taken_out(void **state) {
        static const struct {
                const char *environment; /* NULL: it is not there */
                const char *log;         /* of the helper */
                SyncOutcome outcome;
        } table[] = {
                {LINES, "asked\n", SYNC_UNCHANGED},
                {"ECS_CLUSTER=x\n", "asked\nasked\n", SYNC_WRITTEN},
                {NULL, "asked\nasked\nasked\n", SYNC_WRITTEN},
        };
        Host *h = *state;
        _cleanup_free_ char *log = unit_path(h->directory, "log"), *script = NULL;
        SyncReport report;

        assert_true(asprintf(&script, "echo asked >> %s\necho '{\"Username\":\"user\",\"Secret\":\"password\"}'", log) >
                    0);
        set_up_helper(h, script);
        expect(h, SYNC_WRITTEN, 1, &report);
        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                let_a_minute_pass();
                if (table[i].environment)
                        unit_write_file(h->environment, table[i].environment);
                else
                        assert_int_equal(unlink(h->environment), 0);
                sync_run(&h->sources, &h->settings, &key, ASK_DUE, &report);
                assert_int_equal(report.outcome, table[i].outcome);
                unit_assert_file(log, table[i].log);
        }
}

/* Others can write to the state directory: nothing is kept there, which costs no write, and is said once. */
static void test_answers_that_cannot_be_kept(void **state) {
        Host *h = *state;
        SyncReport report;

        assert_int_equal(mkdir(h->state, 0700), 0);
        assert_int_equal(chmod(h->state, 0777), 0);
        unit_write_file(h->environment, "");
        unit_write_file(h->credentials, LOGGED_IN);
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_problem(&report.problems, "state/written: cannot be read");
        unit_assert_problem(&report.problems, "state/written: cannot be replaced");
        assert_int_equal(report.problems.n_items, 2); /* there is no lease to keep */
        assert_false(report.forgotten);

        set_up_helper(h, "echo '{\"Username\":\"user\",\"Secret\":\"password\"}'");
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, LINES);
        unit_assert_problem(&report.problems, "/leases: cannot be kept");
        assert_int_equal(report.problems.n_items, 3);
        assert_true(report.forgotten);
        assert_true(sync_is_well(&report));

        sync_run(&h->sources, &h->settings, &key, ASK_NOBODY, &report);
        unit_assert_problem(&report.problems, "/leases: cannot be kept");
        assert_false(report.forgotten); /* nobody was asked */
}

/* A helper may be slow, or cost money: it is asked once, however often the file is tried, and no instance keeps another
 * waiting for it. */
static void test_busy_environment_file_asks_no_helper_again(void **state) {
        const Host *h = *state;
        _cleanup_free_ char *log = unit_path(h->directory, "log");
        _cleanup_close_ int fd = -1;
        SyncReport report;
        Host sources = *h;
        _cleanup_(leases_done) Leases leases = {0};
        _cleanup_free_ char *script = NULL;

        assert_true(asprintf(&script,
                             "echo asked >> %s\nflock -n %s/environment.lock echo free >> %s\n"
                             "echo '{\"Username\":\"user\",\"Secret\":\"password\"}'",
                             log, h->state, log) > 0);
        set_up_helper(&sources, script);
        assert_int_equal(mkdir(h->state, 0700), 0);
        fd = open(h->environment, O_WRONLY | O_CLOEXEC);
        assert_true(fd >= 0);
        expect(&sources, SYNC_FAILED, 0, &report);
        unit_assert_problem(&report.problems, "another program has it open for writing");
        unit_assert_file(log, "asked\nfree\n");
        /* That is on record: whoever comes next does not do it at once either. */
        leases_load(&leases);
        assert_int_equal(leases.n_items, 1);
        assert_true(leases.items[0]->answered);

        assert_int_equal(close(steal_fd(&fd)), 0);
        expect(&sources, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, LINES);
}

/* Two instances reach the same due lease: the second waits for the first, and finds its answer. */
static void test_two_at_once_ask_once(void **state) {
        Host *h = *state;
        _cleanup_free_ char *log = unit_path(h->directory, "log"), *script = NULL;
        pid_t pids[2];

        assert_true(asprintf(&script,
                             "echo asked >> %s\nsleep 0.5\necho '{\"Username\":\"user\",\"Secret\":\"password\"}'",
                             log) > 0);
        set_up_helper(h, script);
        for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                pids[i] = fork();
                assert_true(pids[i] >= 0);
                if (pids[i] == 0) {
                        SyncReport report;

                        sync_run(&h->sources, &h->settings, &key, ASK_DUE, &report);
                        _exit(report.asked && sync_is_well(&report) ? 0 : 1);
                }
        }
        for (size_t i = 0; i < ELEMENTSOF(pids); i++) {
                int status;

                assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
                assert_int_equal(status, 0);
        }
        unit_assert_file(log, "asked\n");
        unit_assert_file(h->environment, LINES);
}

/* Another process holds the lock for too long: no helper runs, but the logins of the files are written. */
static void test_leases_that_stay_locked(void **state) {
        Host *h = *state;
        _cleanup_close_ int lock = -1;
        SyncReport report;

        set_up_helper(h, "echo '{\"Username\":\"user\",\"Secret\":\"password\"}'");
        unit_write_file(h->credentials, "{\"auths\":{\"registry.example\":{\"auth\":\"" AUTH "\"}},"
                                        "\"credHelpers\":{\"other.example\":\"unit-sync\"}}");
        h->sources.helper_timeout_usec = 1;
        lock = gathered_lock(0);
        assert_true(lock >= 0);
        assert_int_equal(gathered_lock(0), -EWOULDBLOCK);
        expect(h, SYNC_WRITTEN, 1, &report);
        unit_assert_file(h->environment, LINES);
        unit_assert_problem(&report.problems, "another process has locked the leases");
        assert_false(report.asked);
        assert_int_equal(report.ask_in_usec, SYNC_ASK_NOW);
}

/* A registry that takes a name with an empty password. */
static void test_empty_password(void **state) {
        Host *h = *state;
        SyncReport first, second;

        h->settings.auth_type = AUTH_TYPE_DOCKER;
        unit_write_file(h->environment, LINES);
        unit_write_file(h->credentials, "{\"auths\":{\"registry.example\":{\"auth\":\"dXNlcjo=\"}}}");
        expect(h, SYNC_WRITTEN, 1, &first);
        unit_assert_file(h->environment, "ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={\"registry.example\":"
                                         "{\"username\":\"user\",\"password\":\"\"}}\n");
        expect(h, SYNC_UNCHANGED, 1, &second);
        assert_true(digest_equal(&first.digest, &second.digest));
}

/* --- what cannot be read, among others --- */

#define ENTRY(registry, auth) "\"" registry "\":{\"auth\":\"" auth "\"}"
#define FILE_OF(entries) "{\"auths\":{" entries "}}"
#define LINES_OF(entries) "ECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={" entries "}\n"
#define OLD "dTpvbGQ="
#define NEW "dTpuZXc="

/* A broken file changes nothing for what the environment file has; one that comes later counts all the same. */
static void test_broken_file_among_others(void **state) {
        static const struct {
                const char *files[3]; /* NULL: not there */
                const char *before, *after;
                SyncOutcome outcome;
        } table[] = {
                /* It may have named a.example, too. */
                {{FILE_OF(ENTRY("a.example", NEW)), "{", "{}"},
                 LINES_OF(ENTRY("a.example", OLD)),
                 LINES_OF(ENTRY("a.example", OLD)),
                 SYNC_UNCHANGED},
                {{FILE_OF(ENTRY("a.example", NEW)), NULL, "{}"},
                 LINES_OF(ENTRY("a.example", OLD)),
                 LINES_OF(ENTRY("a.example", OLD)),
                 SYNC_UNCHANGED},
                /* Not if it is read before. */
                {{"{", FILE_OF(ENTRY("a.example", NEW)), "{}"},
                 LINES_OF(ENTRY("a.example", OLD)),
                 LINES_OF(ENTRY("a.example", NEW)),
                 SYNC_WRITTEN},
                /* One that comes later says so itself. */
                {{FILE_OF(ENTRY("a.example", OLD)), "{", FILE_OF(ENTRY("a.example", NEW))},
                 LINES_OF(ENTRY("a.example", OLD)),
                 LINES_OF(ENTRY("a.example", NEW)),
                 SYNC_WRITTEN},
                /* What is not there has nothing to lose. */
                {{FILE_OF(ENTRY("a.example", NEW)), "{", "{}"}, "", LINES_OF(ENTRY("a.example", NEW)), SYNC_WRITTEN},
                /* Nobody but the broken one may have named it. */
                {{"{}", "{", "{}"},
                 LINES_OF(ENTRY("a.example", OLD)),
                 LINES_OF(ENTRY("a.example", OLD)),
                 SYNC_UNCHANGED},
                {{"{}", "{}", "{}"}, LINES_OF(ENTRY("a.example", OLD)), "", SYNC_REMOVED},
                {{"{", "{", NULL}, LINES_OF(ENTRY("a.example", OLD)), LINES_OF(ENTRY("a.example", OLD)), SYNC_FAILED},
        };
        Host *h = *state;

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *first = unit_path(h->directory, "first.json"),
                                    *second = unit_path(h->directory, "second.json"),
                                    *third = unit_path(h->directory, "third.json");
                char *files[] = {first, second, third, NULL};
                SyncReport report;

                h->sources.files = files;
                for (size_t j = 0; j < ELEMENTSOF(table[i].files); j++) {
                        (void) unlink(files[j]);
                        if (table[i].files[j])
                                unit_write_file(files[j], table[i].files[j]);
                }
                write_own(h, table[i].before);
                sync_run(&h->sources, &h->settings, &key, ASK_DUE, &report);
                if (report.outcome != table[i].outcome)
                        fail_msg("%zu: %d", i, report.outcome);
                unit_assert_file(h->environment, table[i].after);
                /* A missing one is a warning, as not everybody has logged in yet, if nothing is withheld for it. */
                assert_int_equal(sync_is_well(&report), i == 6);
        }
}

/* Whoever has logged in is told why nothing comes of it; where it is the same already there is nothing to tell. */
static void test_login_before_a_broken_file(void **state) {
        Host *h = *state;
        _cleanup_free_ char *later = unit_path(h->directory, "later.json");
        char *files[] = {h->credentials, later, NULL};
        SyncReport report;

        h->sources.files = files;
        unit_write_file(later, "{");
        unit_write_file(h->environment, LINES);
        unit_write_file(h->credentials, LOGGED_IN);
        expect(h, SYNC_UNCHANGED, 1, &report);
        assert_int_equal(report.problems.n_items, 1); /* the broken file */
        unit_write_file(h->credentials, FILE_OF(ENTRY("registry.example", NEW)));
        expect(h, SYNC_UNCHANGED, 1, &report);
        unit_assert_problem(&report.problems, "its credentials of registry.example are not used while a file");
        assert_int_equal(report.problems.n_items, 2);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test_setup_teardown(test_login_and_logout, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_environment_file_is_made, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_exposed_environment_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_nothing_is_made_for_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_bad_credential_file_changes_nothing, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_no_login_yet, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_last_good_entry_is_kept, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_line_that_is_too_long, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_later_file_wins, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_busy_environment_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_replaced_while_it_is_written, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_directory_that_cannot_be_synced, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_half_of_an_environment_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_helper_answers, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_azure_token_of_a_helper, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_azure_token_while_a_file_is_broken, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_key_that_no_image_can_use, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_helper_has_none, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answer_that_cannot_be_written, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answer_that_makes_the_line_too_long, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answer_that_was_taken_out, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_answers_that_cannot_be_kept, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_busy_environment_file_asks_no_helper_again, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_two_at_once_ask_once, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_leases_that_stay_locked, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_empty_password, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_broken_file_among_others, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_login_before_a_broken_file, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("sync", tests, NULL, remove_program);
}
