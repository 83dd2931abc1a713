/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "agent/observe-tasks.h"
#include "base/secret.h"
#include "credentials/run-helpers.h"
#include "credentials/credentials.h"
#include "credentials/registry-name.h"
#include "ecsconfig/auth-data.h"

/* What other programs answer: credential helpers, the Docker Engine, the agent; and what stands in an environment. */
static void check_registry(const char *key) {
        _cleanup_free_ char *once = NULL, *twice = NULL;

        if (registry_normalize(key, &once) < 0)
                return;
        check(registry_normalize(once, &twice) == 0 && same(once, twice));
        for (const char *p = once; *p; p++)
                check((unsigned char) *p > ' ' && *p != 0x7f && !strchr("\"'\\`", *p));
}

static void check_tasks(const char *text, ObserveReport *report) {
        _cleanup_json_ json_object *arns = NULL;

        if (tasks_parse_containers(text, report, &arns) < 0) {
                check(!arns);
                arns = json_tokener_parse("[\"arn:aws:ecs:eu-west-1:1:task/1\", null]");
        } else {
                check(json_object_array_length(arns) == report->n_containers);
        }
        if (tasks_parse(text, arns, report) == 0)
                check(report->n_unknown <= json_object_array_length(arns));
        check(memchr(report->families, 0, sizeof(report->families)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
        static const DigestKey key = {{1}};
        static const char *const types[] = {NULL, "", "docker", "dockercfg", "other"};
        _cleanup_free_ char *text = fuzz_text(bytes, size);
        char *username = NULL, *secret = NULL, *masked = NULL;
        ObserveReport report = {0};

        if (helper_parse_get(text, &username, &secret) == 0)
                check(*username && *secret);
        else
                check(!username && !secret);
        secret_free(username);
        secret_free(secret);

        for (size_t i = 0; i < ELEMENTSOF(types); i++) {
                _cleanup_(credentials_done) Credentials c = {0};
                Digest digest;

                (void) authdata_parse(types[i], text, &c);
                check(authdata_digest(types[i], text, &key, &digest) == 0);
        }
        if (authdata_mask(text, &masked) == 0) {
                _cleanup_free_ char *again = NULL;

                check(authdata_mask(masked, &again) == 0 && same(masked, again));
                free(masked);
        }

        (void) observe_parse_container(text, &key, &report);
        check(memchr(report.container_id, 0, sizeof(report.container_id)));
        (void) observe_parse_metadata(text, &report);
        check(memchr(report.cluster, 0, sizeof(report.cluster)) && memchr(report.version, 0, sizeof(report.version)));
        check_tasks(text, &report);
        check_registry(text);
        return 0;
}
