/* SPDX-License-Identifier: Apache-2.0 */
#include "ecsconfig/docker-endpoint.h"

#include "base/memory.h"
#include "ecsconfig/environment-file.h"

#define MEMBER "DockerEndpoint"

/* Finds the member as Go's decoder does: without regard to case. */
static const char *find_name(json_object *settings) {
        json_object_object_foreach(settings, name, value) {
                (void) value;
                if (strcasecmp(name, MEMBER) == 0)
                        return name;
        }
        return NULL;
}

static int explain(const char *path, int r, const char *what, Problems *problems) {
        problems_add(problems, LOG_ERR, "%s: %s", path, what);
        return r;
}

static int parse(const EnvFile *f, const char *path, json_object **ret, Problems *problems) {
        const char *text = envfile_content(f), *why = "it is not a JSON object";
        char what[PROBLEM_TEXT_MAX];
        size_t offset = 0;

        if (!text[strspn(text, " \t\r\n")]) {
                *ret = xmemory(json_object_new_object());
                return 0;
        }
        if (json_parse_strict(text, strlen(text), 0, ret, &offset, &why) >= 0 &&
            json_object_is_type(*ret, json_type_object))
                return 0;
        (void) snprintf(
                what, sizeof(what),
                "the agent cannot read this file (byte %zu: %s) and exits at its start. ecs-authd does not change "
                "the file. Correct the JSON, or delete the file",
                offset, why);
        return explain(path, -EBADMSG, what, problems);
}

/* Returns 1 if the member has to change, 0 if not. */
static int compare(json_object *settings, const char *path, bool set, Problems *problems) {
        const char *name = find_name(settings), *value = name ? json_get_string(settings, name) : NULL;
        const bool is_ours = value && streq(value, DOCKER_ENDPOINT);

        if (set && name && !is_ours)
                return explain(path, -EEXIST,
                               "it sets " MEMBER
                               " to another socket, so the agent would not use the proxy. Remove " MEMBER
                               " from the file, or set [Agent] Delivery=environment",
                               problems);
        return is_ours != set;
}

static void change(json_object *settings, bool set, EnvFile *f) {
        _cleanup_free_ char *text = NULL;
        const char *name = find_name(settings);

        if (set)
                xjson_set_string(settings, MEMBER, DOCKER_ENDPOINT);
        else if (name)
                json_object_object_del(settings, name);
        text = xasprintf("%s\n", xjson_to_text(settings, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
        envfile_set_content(f, text);
}

int docker_endpoint_set(const char *environment_file, bool set, Problems *problems) {
        _cleanup_free_ char *path = xasprintf("%s.json", environment_file);
        _cleanup_(envfile_freep) EnvFile *f = NULL;
        _cleanup_json_ json_object *settings = NULL;
        int r;

        r = envfile_open_for_change(path, &f, problems);
        if (r < 0)
                return r;
        if (!set && !strcasestr(envfile_content(f), MEMBER))
                return 0; /* a file without the member is no concern of ours, also if it is broken */
        r = parse(f, path, &settings, problems);
        if (r >= 0)
                r = compare(settings, path, set, problems);
        if (r <= 0)
                return r;
        change(settings, set, f);
        r = envfile_save(f, problems);
        return r == -EAGAIN ? explain(path, r, "another program is writing it; nothing was written. It is tried again",
                                      problems)
                            : r;
}
