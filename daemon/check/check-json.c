/* SPDX-License-Identifier: Apache-2.0 */
#include "check/check-json.h"

static const char *const verdicts[] = {"ok", "warning", "problem"};

CheckJson check_json_new(void) {
        json_object *findings = json_object_new_array();

        return (CheckJson){.findings = findings, .failed = !findings};
}

void check_json_done(CheckJson *j) {
        json_object_put(j->findings);
}

/* Takes the value. */
static void add(CheckJson *j, json_object *object, const char *name, json_object *value) {
        if (!object || !value || json_object_object_add(object, name, value) < 0) {
                json_object_put(value);
                j->failed = true;
        }
}

/* null where there is none. */
static void add_string(CheckJson *j, json_object *object, const char *name, const char *s) {
        _cleanup_free_ char *printable = s ? strdup(s) : NULL;

        if (!s) {
                if (!object || json_object_object_add(object, name, NULL) < 0)
                        j->failed = true;
                return;
        }
        if (printable)
                make_printable(printable);
        add(j, object, name, printable ? json_object_new_string(printable) : NULL);
}

void check_json_add(CheckJson *j, const char *id, const char *subject, Verdict verdict, const char *text,
                    const char *cure) {
        json_object *finding = json_object_new_object();

        add_string(j, finding, "id", id);
        add_string(j, finding, "verdict", verdicts[verdict]);
        add_string(j, finding, "subject", subject);
        add_string(j, finding, "text", text);
        add_string(j, finding, "cure", cure);
        if (!finding || !j->findings || json_object_array_add(j->findings, finding) < 0) {
                json_object_put(finding);
                j->failed = true;
        }
}

int check_json_print(CheckJson *j, const unsigned counts[static 3]) {
        _cleanup_json_ json_object *o = json_object_new_object();
        json_object *by_verdict = json_object_new_object();
        const char *text;

        for (size_t i = 0; i < ELEMENTSOF(verdicts); i++)
                add(j, by_verdict, verdicts[i], json_object_new_int64(counts[i]));
        add(j, o, "schema", json_object_new_int64(CHECK_JSON_SCHEMA));
        add_string(j, o, "ecs_authd", VERSION);
        add(j, o, "counts", by_verdict);
        add(j, o, "findings", json_object_get(j->findings));
        text = j->failed ? NULL
                         : json_to_text(o, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                   JSON_C_TO_STRING_NOSLASHESCAPE);
        if (!text)
                return -ENOMEM;
        return printf("%s\n", text) < 0 || fflush(stdout) != 0 ? negative_errno() : 0;
}
