/* SPDX-License-Identifier: Apache-2.0 */
#include "failing-allocation.h"

#include <dirent.h>
#include <sys/syscall.h>
#include <sys/xattr.h>

#include "base/secret.h"
#include "base/state-file.h"
#include "ecsconfig/auth-data.h"
#include "ecsconfig/environment-file.h"
#include "ecsconfig/sync.h"

/* "user:password" */
#define AUTH "dXNlcjpwYXNzd29yZA=="
#define CREDENTIALS                                                                                                \
        "{\"auths\":{\"one.example\":{\"auth\":\"" AUTH "\",\"email\":\"a@b\"},\"two.example\":{\"identitytoken\"" \
        ":\"token\"},\"kept.example\":{}}}"
#define OLD                                       \
        "ECS_CLUSTER=x\n"                         \
        "ECS_ENGINE_AUTH_TYPE=dockercfg\n"        \
        "ECS_ENGINE_AUTH_DATA={\"kept.example\":" \
        "{\"auth\":\"" AUTH "\"}}\n"

static const DigestKey key = {{1}};

/* Behind what the text has already. */
static void add(char *text, size_t size, const char *format, ...) _printf_(3, 4);
static void add(char *text, size_t size, const char *format, ...) {
        size_t n = strlen(text);
        va_list arguments;

        va_start(arguments, format);
        unit_assert_in_range(vsnprintf(text + n, size - n, format, arguments), 0, size - n - 1);
        va_end(arguments);
}

static const char *shown(const char *s) {
        return s ? s : "-";
}

static void describe(const Credentials *c, char *ret, size_t size) {
        for (size_t i = 0; i < c->n_items; i++) {
                const Credential *e = c->items[i];

                add(ret, size, "%s %s %s %s %s %s\n", e->registry, e->key, shown(e->username), shown(e->password),
                    shown(e->identity_token), shown(e->email));
        }
}

/* --- the two values --- */

static const struct {
        const char *type, *data;
} values[] = {
        {"dockercfg", "{\"https://one.example/v1/\":{\"auth\":\"" AUTH "\"},\"two.example\":{\"auth\":\"" AUTH "\"}}"},
        {"docker", "{\"http://one.example\":{\"username\":\"u\",\"password\":\"p\",\"email\":\"e\"},\"two.example\":"
                   "{\"username\":\"u\"},\"three.example\":{\"identitytoken\":\"t\"}}"},
};
static size_t at; /* which of them */

static int parse(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        Digest digest;
        char hex[65];
        int r;

        failing_begin(n);
        r = authdata_parse(values[at].type, values[at].data, &c);
        if (r >= 0)
                r = authdata_digest(values[at].type, values[at].data, &key, &digest);
        failing_end();
        if (r < 0)
                return r;
        describe(&c, ret, size);
        digest_to_hex(&digest, hex);
        add(ret, size, "%s\n", hex);
        return 0;
}

static void test_values_are_parsed(void **state _unused_) {
        for (at = 0; at < ELEMENTSOF(values); at++)
                failing_each(parse);
}

/* A type that cannot carry an entry, which keeps its former form, too. */
static int format(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_(authdata_done) AuthData former = {0};
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        Problems problems = {0};
        int r;

        assert_int_equal(authdata_parse(values[at].type, values[at].data, &c), 0);
        assert_int_equal(authdata_read("dockercfg",
                                       "{\"three.example\":{\"auth\":\"" AUTH "\"},\"four.example\":{\"auth\":\"" AUTH
                                       "\"}}",
                                       &key, &former),
                         0);
        former.entries.items[0]->foreign = true;
        failing_begin(n);
        r = authdata_format(&c, &former, AUTH_TYPE_DOCKERCFG, &type, &data, &problems);
        failing_end();
        if (r >= 0) {
                add(ret, size, "%s %s\n", type, data);
                describe(&c, ret, size);
        } else
                assert_true(!type && !data);
        return r == -EIO && failing.cut ? -ENOMEM : r; /* the text was cut short */
}

static void test_values_are_formatted(void **state _unused_) {
        for (at = 0; at < ELEMENTSOF(values); at++)
                failing_each(format);
}

static int format_docker(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_secret_ char *data = NULL;
        const char *type = NULL;
        Problems problems = {0};
        int r;

        assert_int_equal(authdata_parse(values[1].type, values[1].data, &c), 0);
        failing_begin(n);
        r = authdata_format(&c, NULL, AUTH_TYPE_AUTO, &type, &data, &problems);
        failing_end();
        if (r >= 0)
                add(ret, size, "%s %s\n", type, data);
        return r == -EIO && failing.cut ? -ENOMEM : r;
}

static void test_docker_values_are_formatted(void **state _unused_) {
        failing_each(format_docker);
}

static int mask(unsigned n, char *ret, size_t size) {
        _cleanup_free_ char *masked = NULL;
        int r;

        failing_begin(n);
        r = authdata_mask(values[1].data, &masked);
        failing_end();
        if (r < 0)
                return r;
        /* It is for people: whole or not, there is no secret in it. */
        assert_null(strstr(masked, "\"p\""));
        assert_null(strstr(masked, "\"t\""));
        add(ret, size, "masked");
        return 0;
}

static void test_values_are_masked(void **state _unused_) {
        failing_each(mask);
}

/* --- the file, and the job --- */

typedef struct Host {
        void *directory;
        char *credentials, *broken, *environment, *state;
        char *files[3];
        CredentialSettings sources;
        EcsConfigSettings settings;
} Host;

static Host host;

static int set_up(void **state _unused_) {
        if (unit_make_directory(&host.directory) < 0)
                return -1;
        host.credentials = unit_path(host.directory, "config.json");
        host.environment = unit_path(host.directory, "ecs.config");
        host.state = unit_path(host.directory, "state");
        host.broken = unit_path(host.directory, "broken.json");
        host.files[0] = host.credentials;
        host.files[1] = NULL;
        host.sources = (CredentialSettings){.files = host.files};
        host.settings = (EcsConfigSettings){.environment_file = host.environment, .line_max = ENVFILE_LINE_MAX_EXEC};
        return setenv("STATE_DIRECTORY", host.state, true);
}

static int tear_down(void **state _unused_) {
        (void) unsetenv("STATE_DIRECTORY");
        free(host.credentials);
        free(host.broken);
        free(host.environment);
        free(host.state);
        return unit_remove_directory(&host.directory);
}

/* What stands in the directory, and in the environment file. */
static void describe_host(char *ret, size_t size) {
        DIR *d = opendir(host.directory);
        unsigned n = 0;
        FILE *f;

        assert_non_null(d);
        for (const struct dirent *e = readdir(d); e; e = readdir(d))
                n += e->d_name[0] != '.' || strlen(e->d_name) > 2;
        (void) closedir(d);
        add(ret, size, "%u entries\n", n);

        f = fopen(host.environment, "re");
        assert_non_null(f);
        n = strlen(ret);
        ret[n + fread(ret + n, 1, size - n - 1, f)] = 0;
        (void) fclose(f);
}

/* Every file has an attribute, whatever its file system can; how many got it from another. */
static unsigned n_attributes;

ssize_t flistxattr(int fd _unused_, char *list, size_t size _unused_) {
        memcpy(list, "user.a", sizeof("user.a"));
        return sizeof("user.a");
}

ssize_t fgetxattr(int fd _unused_, const char *name _unused_, void *value, size_t size) {
        if (size > 0)
                memcpy(value, "v", 1);
        return 1;
}

int fsetxattr(int fd _unused_, const char *name _unused_, const void *value _unused_, size_t size _unused_,
              int flags _unused_) {
        n_attributes++;
        return 0;
}

static int edit(unsigned n, char *ret, size_t size) {
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        _cleanup_secret_ char *cluster = NULL, *link = unit_path(host.directory, "link");
        Problems problems = {0};
        char before[1024] = "";
        int r;

        unit_write_file(host.environment, OLD);
        (void) unlink(link);
        assert_int_equal(symlink("ecs.config", link), 0);
        describe_host(before, sizeof(before));
        n_attributes = 0;
        failing_begin(n);
        r = envfile_open_for_change(link, &file, &problems);
        if (r >= 0)
                r = envfile_get(file, "ECS_CLUSTER", &cluster);
        if (r >= 0)
                r = envfile_set(file, "ECS_CLUSTER", "y", ENVFILE_LINE_MAX_EXEC);
        if (r >= 0)
                r = envfile_save(file, &problems);
        failing_end();
        file = envfile_free(file);
        describe_host(ret, size);
        if (r < 0)
                assert_string_equal(ret, before);
        else
                add(ret, size, "it was %s, and %u has the attribute\n", cluster, n_attributes);
        /* -EAGAIN: what came out could not be read, and is not known. */
        return r == -EAGAIN && failing.failed ? -ENOMEM : r < 0 ? r : 0;
}

static void test_file_is_edited(void **state _unused_) {
        failing_each(edit);
}

/* What came out cannot be read, nor can ours when it is out again. */
static void test_file_is_edited_as_memory_runs_out(void **state _unused_) {
        failing.lasting = true;
        failing_each(edit);
        failing.lasting = false;
}

/* Another program's file, which takes the place of the environment file at the moment at which ours would. */
static const char *newer;

int renameat2(int old_fd, const char *old, int new_fd, const char *new, unsigned flags) {
        if (newer)
                assert_int_equal(rename(newer, host.environment), 0);
        newer = NULL;
        return (int) syscall(SYS_renameat2, old_fd, old, new_fd, new, flags);
}

/* That one is not lost. */
static int edit_beside_another(unsigned n, char *ret, size_t size) {
        _cleanup_free_ char *other = unit_path(host.directory, "other");
        _cleanup_(envfile_freep) EnvFile *file = NULL;
        Problems problems = {0};
        int r;

        unit_write_file(host.environment, OLD);
        unit_write_file(other, "ECS_CLUSTER=theirs\n");
        failing_begin(n);
        newer = other;
        r = envfile_open_for_change(host.environment, &file, &problems);
        if (r >= 0)
                r = envfile_set(file, "ECS_CLUSTER", "ours", ENVFILE_LINE_MAX_EXEC);
        if (r >= 0)
                r = envfile_save(file, &problems);
        failing_end();
        newer = NULL;
        file = envfile_free(file);
        describe_host(ret, size);
        assert_null(strstr(ret, "ours"));
        return r == -EAGAIN ? 0 : r;
}

static void test_newer_file_stays(void **state _unused_) {
        failing_each(edit_beside_another);
}

/* Written and said so, or left alone and said why. */
static int sync_once(unsigned n, char *ret, size_t size) {
        char before[2048] = "";
        SyncReport report;

        unit_write_file(host.environment, OLD);
        unit_write_file(host.credentials, CREDENTIALS);
        sync_run(&host.sources, &host.settings, &key, ASK_ALL, &(SyncReport){0}); /* with all that it makes */
        unit_write_file(host.environment, OLD);
        describe_host(before, sizeof(before));

        failing_begin(n);
        sync_run(&host.sources, &host.settings, &key, ASK_ALL, &report);
        failing_end();
        describe_host(ret, size);
        if (report.outcome == SYNC_FAILED) {
                assert_string_equal(ret, before);
                assert_true(problems_worst_level(&report.problems) <= LOG_ERR);
                return -ENOMEM;
        }
        assert_int_equal(report.outcome, SYNC_WRITTEN);
        assert_true(report.digest_known);
        assert_false(report.behind);
        return 0;
}

static void test_sync(void **state _unused_) {
        failing_each(sync_once);
}

/* What yields to a file that cannot be read, and is the same as what stays, is no problem. */
static int sync_beside_a_broken_file(unsigned n, char *ret, size_t size) {
        SyncReport report;

        unit_write_file(host.environment, OLD);
        unit_write_file(host.credentials, "{\"auths\":{\"kept.example\":{\"auth\":\"" AUTH "\"}}}");
        unit_write_file(host.broken, "{");
        host.files[1] = host.broken;
        sync_run(&host.sources, &host.settings, &key, ASK_NOBODY, &report); /* with the record that it makes */
        failing_begin(n);
        sync_run(&host.sources, &host.settings, &key, ASK_NOBODY, &report);
        failing_end();
        if (report.outcome == SYNC_FAILED)
                return failing.failed ? -ENOMEM : -EIO;
        assert_int_equal(report.outcome, SYNC_UNCHANGED);
        for (unsigned i = 0; i < report.problems.n_items; i++)
                add(ret, size, "%s\n", report.problems.items[i].text);
        return 0;
}

static void test_sync_beside_a_broken_file(void **state _unused_) {
        failing_each(sync_beside_a_broken_file);
}

static int look(unsigned n, char *ret, size_t size) {
        SyncReport report;
        char hex[65];
        int r;

        unit_write_file(host.environment, OLD);
        failing_begin(n);
        r = sync_look(&host.settings, &key, &report);
        failing_end();
        if (r < 0)
                return r;
        digest_to_hex(&report.digest, hex);
        add(ret, size, "%s %u %s\n", hex, report.n_registries, report.registries);
        return 0;
}

static void test_look(void **state _unused_) {
        failing_each(look);
}

static int render(unsigned n, char *ret, size_t size) {
        _cleanup_(credentials_done) Credentials c = {0};
        _cleanup_secret_ char *type = NULL, *data = NULL;
        Problems problems = {0};
        int r;

        unit_write_file(host.environment, OLD);
        unit_write_file(host.credentials, CREDENTIALS);
        failing_begin(n);
        r = sync_render(&host.sources, &host.settings, &key, &c, &type, &data, &problems);
        failing_end();
        if (r < 0)
                return r == -EIO && failing.cut ? -ENOMEM : r;
        add(ret, size, "%s %s\n", type, data);
        describe(&c, ret, size);
        return 0;
}

static void test_render(void **state _unused_) {
        failing_each(render);
}

static int forecast(unsigned n, char *ret, size_t size) {
        _cleanup_(sync_forecast_done) SyncForecast f = {0};
        char hex[65];

        unit_write_file(host.environment, OLD);
        unit_write_file(host.credentials, CREDENTIALS);
        failing_begin(n);
        sync_forecast(&host.sources, &host.settings, &key, &f);
        failing_end();
        if (f.report.outcome == SYNC_FAILED) {
                assert_true(problems_worst_level(&f.report.problems) <= LOG_ERR);
                return failing.failed ? -ENOMEM : -EIO;
        }
        digest_to_hex(&f.report.digest, hex);
        add(ret, size, "%s %s\n", hex, f.report.registries);
        describe(&f.after, ret, size);
        return 0;
}

static void test_forecast(void **state _unused_) {
        failing_each(forecast);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_values_are_parsed),
                cmocka_unit_test(test_values_are_formatted),
                cmocka_unit_test(test_docker_values_are_formatted),
                cmocka_unit_test(test_values_are_masked),
                cmocka_unit_test_setup_teardown(test_file_is_edited, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_file_is_edited_as_memory_runs_out, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_newer_file_stays, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_sync, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_sync_beside_a_broken_file, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_look, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_render, set_up, tear_down),
                cmocka_unit_test_setup_teardown(test_forecast, set_up, tear_down),
        };

        return cmocka_run_group_tests_name("no memory", tests, NULL, NULL);
}
