/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "agent/observe.h"
#include "credentials/registry-name.h"
#include "credentials/run-helpers.h"
#include "ecsconfig/auth-data.h"

/* What other programs answer: credential helpers, the Docker Engine, the agent; and what stands in an environment. */

static const DigestKey key = {{1}};

static int read_get(const char *type _unused_, const char *text, FuzzWords *words) {
        char *username = NULL, *secret = NULL;
        int r = helper_parse_get(text, &username, &secret);

        check(r < 0 ? !username && !secret : *username && *secret);
        if (r >= 0)
                fuzz_say(words, "%s %s", username, secret);
        secret_free(username);
        secret_free(secret);
        return r;
}

static int read_values(const char *type, const char *text, FuzzWords *words) {
        _cleanup_(authdata_done) AuthData a = {0};

        authdata_read(type, text, &key, &a);
        fuzz_say_credentials(words, &a.entries);
        check(!*a.ignored || a.entries.n_items == 0);
        return *a.ignored ? -EBADMSG : 0;
}

static int read_digest(const char *type, const char *text, FuzzWords *words) {
        Digest digest = {0};

        authdata_digest(type, text, &key, &digest);
        fuzz_say_digest(words, &digest);
        return 0;
}

static int read_masked(const char *type _unused_, const char *text, FuzzWords *words) {
        _cleanup_free_ char *masked = NULL, *again = NULL;
        int r = authdata_mask(text, &masked);

        if (r < 0)
                return r;
        fuzz_say(words, "%s", masked);
        r = authdata_mask(masked, &again);
        check(r >= 0 ? same(masked, again) : fuzz_failed());
        return r;
}

/* Parses an answer as the requests do. */
static json_object *parse(const char *text) {
        json_object *o = NULL;

        (void) json_parse_answer(text, &o);
        return o;
}

static int read_container(const char *type _unused_, const char *text, FuzzWords *words) {
        _cleanup_json_ json_object *container = parse(text);
        ObserveReport report = {0};
        int r = observe_parse_container(container, &key, &report);

        check(memchr(report.container_id, 0, sizeof(report.container_id)));
        fuzz_say_digest(words, &report.digest);
        fuzz_say(words, "%s %d %d %d", report.container_id, report.agent, report.state_kept, report.exit_status);
        return r;
}

static int read_metadata(const char *type _unused_, const char *text, FuzzWords *words) {
        _cleanup_json_ json_object *metadata = parse(text);
        ObserveReport report = {0};
        int r = observe_parse_metadata(metadata, &report);

        check(memchr(report.cluster, 0, sizeof(report.cluster)) && memchr(report.version, 0, sizeof(report.version)));
        fuzz_say(words, "%d %s %s", report.answers, report.cluster, report.version);
        return r;
}

static int read_containers(const char *type _unused_, const char *text, FuzzWords *words) {
        _cleanup_json_ json_object *list = parse(text), *arns = NULL;
        ObserveReport report = {0};
        int r;

        fuzz_pause(true); /* ends the process if no memory is left */
        r = tasks_parse_containers(list, &report, &arns);
        fuzz_pause(false);

        check(memchr(report.families, 0, sizeof(report.families)));
        check(r < 0 ? !arns : json_object_array_length(arns) == report.n_containers);
        fuzz_say(words, "%s", report.families);
        for (size_t i = 0; arns && i < report.n_containers; i++) {
                const char *arn = json_string_of(json_object_array_get_idx(arns, i));

                fuzz_say(words, " %s", arn ? arn : "-");
        }
        return r;
}

static json_object *some_containers(void) {
        json_object *arns;

        fuzz_pause(true);
        arns = json_tokener_parse("[\"arn:aws:ecs:eu-west-1:1:task/1\", null]");
        fuzz_pause(false);
        check(arns);
        return arns;
}

static int read_tasks(const char *type _unused_, const char *text, FuzzWords *words) {
        _cleanup_json_ json_object *arns = some_containers(), *answer = parse(text);
        ObserveReport report = {0};
        int r;

        fuzz_pause(true); /* ends the process if no memory is left */
        r = tasks_parse(answer, arns, &report);
        fuzz_pause(false);

        check(memchr(report.families, 0, sizeof(report.families)) && report.n_unknown <= 2);
        fuzz_say(words, "%u %u %s", report.n_tasks, report.n_unknown, report.families);
        return r;
}

static int read_registry(const char *type _unused_, const char *text, FuzzWords *words) {
        _cleanup_free_ char *once = NULL, *twice = NULL;
        int r = registry_normalize(text, &once);

        if (r < 0)
                return r;
        for (const char *p = once; *p; p++)
                check((unsigned char) *p > ' ' && *p != 0x7f && !strchr("\"'\\`", *p));
        fuzz_say(words, "%s", once);
        r = registry_normalize(once, &twice);
        check(r >= 0 ? same(once, twice) : fuzz_failed());
        return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        static const struct {
                FuzzReader read;
                const char *type;
        } readers[] = {
                {read_get, NULL},           {read_masked, NULL},        {read_container, NULL},
                {read_metadata, NULL},      {read_containers, NULL},    {read_tasks, NULL},
                {read_registry, NULL},      {read_values, NULL},        {read_values, ""},
                {read_values, "docker"},    {read_values, "dockercfg"}, {read_values, "other"},
                {read_digest, NULL},        {read_digest, ""},          {read_digest, "docker"},
                {read_digest, "dockercfg"}, {read_digest, "other"},
        };
        _cleanup_free_ char *text = fuzz_text(bytes, size);

        for (size_t i = 0; i < ELEMENTSOF(readers); i++)
                fuzz_read(readers[i].read, readers[i].type, text);
        return 0;
}
