/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/observe.h"

#include "agent/engine-connection.h"
#include "agent/observe-tasks.h"
#include "base/json.h"
#include "base/secret.h"
#include "ecsconfig/auth-data.h"

/* Each of the five requests gets its share of OBSERVE_TIMEOUT_USEC. */
#define REQUEST_TIMEOUT_USEC (OBSERVE_TIMEOUT_USEC / 5)

/* The value of key in the container's environment; the last one counts, as in the process itself. Docker writes
 * null for an empty list. */
static const char *environment_get(json_object *env, const char *key) {
        const char *value = NULL;
        size_t n = env ? json_object_array_length(env) : 0, length = strlen(key);

        for (size_t i = 0; i < n; i++) {
                const char *s = json_object_get_string(json_object_array_get_idx(env, i));

                if (s && strncmp(s, key, length) == 0 && s[length] == '=')
                        value = s + length + 1;
        }
        return value;
}

static bool is_below(const char *path, const char *directory) {
        const char *rest = startswith(path, directory);

        return rest && (*rest == 0 || *rest == '/' || streq(directory, "/"));
}

/* Go's strconv.ParseBool, with which the agent reads it after it has cut off the blanks around it
 * (agent/config/parse.go of amazon-ecs-agent). */
static bool is_false(const char *s) {
        static const char *const words[] = {"0", "f", "F", "false", "FALSE", "False"};
        static const char blanks[] = " \t\n\v\f\r";
        size_t n;

        if (!s)
                return false;
        s += strspn(s, blanks);
        for (n = strlen(s); n > 0 && strchr(blanks, s[n - 1]); n--)
                ;
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (strlen(words[i]) == n && strncmp(words[i], s, n) == 0)
                        return true;
        return false;
}

/* What is there outlives the container: a directory of the host, or a volume that somebody has named. One without a
 * name has 64 hexadecimal digits for one, and goes with its container. */
static bool is_lasting(json_object *mount) {
        const char *type = json_get_string(mount, "Type"), *name = json_get_string(mount, "Name");

        if (type && streq(type, "volume"))
                return name && !(strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64);
        return type && streq(type, "bind");
}

static StateKept judge_state(json_object *container, json_object *env) {
        const char *datadir = environment_get(env, "ECS_DATADIR");
        json_object *mounts = json_get(container, "Mounts", json_type_array);
        size_t n = mounts ? json_object_array_length(mounts) : 0;

        if (str_empty(datadir))
                return STATE_NO_DATADIR;
        if (is_false(environment_get(env, "ECS_CHECKPOINT")))
                return STATE_NO_CHECKPOINT;

        for (size_t i = 0; i < n; i++) {
                json_object *mount = json_object_array_get_idx(mounts, i);
                const char *destination = json_get_string(mount, "Destination");

                if (destination && is_below(datadir, destination) && is_lasting(mount))
                        return STATE_KEPT;
        }
        return STATE_NO_MOUNT;
}

int observe_parse_container(const char *json, const DigestKey *key, ObserveReport *report) {
        _cleanup_json_ json_object *container = NULL;
        json_object *state, *running, *exit_code, *env;
        const char *id;
        int r;

        r = json_parse_answer(json, &container);
        if (r < 0)
                return r;
        state = json_get(container, "State", json_type_object);
        running = json_get(state, "Running", json_type_boolean);
        exit_code = json_get(state, "ExitCode", json_type_int);
        env = json_get(json_get(container, "Config", json_type_object), "Env", json_type_array);
        id = json_get_string(container, "Id");
        if (!running || str_empty(id))
                return -EBADMSG;

        authdata_digest(environment_get(env, AUTHDATA_TYPE_KEY), environment_get(env, AUTHDATA_DATA_KEY), key,
                        &report->digest);
        json_copy_printable(report->container_id, sizeof(report->container_id), id);
        report->state_kept = judge_state(container, env);
        report->agent = json_object_get_boolean(running) ? AGENT_RUNNING : AGENT_STOPPED;
        if (report->agent == AGENT_STOPPED && exit_code)
                report->exit_status = json_object_get_int(exit_code);
        return 0;
}

int observe_parse_metadata(const char *json, ObserveReport *report) {
        _cleanup_json_ json_object *metadata = NULL;
        int r;

        r = json_parse_answer(json, &metadata);
        if (r < 0)
                return r;
        /* Served only once the agent has registered; without the ARN it has not. */
        if (str_empty(json_get_string(metadata, "ContainerInstanceArn")))
                return -EBADMSG;

        json_copy_printable(report->cluster, sizeof(report->cluster), json_get_string(metadata, "Cluster"));
        json_copy_printable(report->version, sizeof(report->version), json_get_string(metadata, "Version"));
        report->answers = true;
        return 0;
}

static int observe_container(const AgentSettings *settings, const DigestKey *key, const Engine *engine,
                             ObserveReport *report) {
        _cleanup_http_ HttpResponse response = {0};
        char path[384];
        int r;

        (void) snprintf(path, sizeof(path), "/containers/%s/json", settings->container);
        r = engine_request(engine, "GET", path, NULL, &response);
        if (r < 0)
                return r;

        if (response.status == 404) {
                report->agent = AGENT_ABSENT;
                return 0;
        }
        if (response.status != 200 || !response.body)
                return -EBADMSG;
        return observe_parse_container(response.body, key, report);
}

static int observe_engine(const AgentSettings *settings, const DigestKey *key, ObserveReport *report,
                          json_object **ret_tasks) {
        Engine engine;
        int r;

        r = engine_open(settings->docker_socket, REQUEST_TIMEOUT_USEC, &engine);
        if (r < 0)
                return r;

        memcpy(report->api_version, engine.api_version, sizeof(report->api_version));
        /* Tasks first: if they cannot be counted, the agent is not known well enough either. */
        r = tasks_observe_containers(&engine, report, ret_tasks);
        if (r < 0)
                return r;
        return observe_container(settings, key, &engine, report);
}

static int introspect(const AgentSettings *settings, const char *path, ObserveReport *report, HttpResponse *ret) {
        char url[1024];
        int r;

        (void) snprintf(url, sizeof(url), "%s%s", settings->introspection_url, path);
        r = http_get(NULL, url, REQUEST_TIMEOUT_USEC, ret);
        if (r < 0)
                return r;
        r = listener_check(ret, report->impostor);
        if (r < 0) {
                report->impostor_port = ret->port;
                report->answers = false;
                return r;
        }
        return ret->status == 200 && ret->body ? 0 : -EBADMSG;
}

static int observe_introspection(const AgentSettings *settings, json_object *task_containers, ObserveReport *report) {
        _cleanup_http_ HttpResponse metadata = {0}, tasks = {0};
        int r;

        /* The port refuses until the agent has registered, and before that it is given no task (agent/app/agent.go of
         * amazon-ecs-agent). */
        r = introspect(settings, "/v1/metadata", report, &metadata);
        if (r == -ECONNREFUSED)
                return 0;
        if (r >= 0)
                r = observe_parse_metadata(metadata.body, report);
        if (r >= 0)
                r = introspect(settings, "/v1/tasks", report, &tasks);
        return r < 0 ? r : tasks_parse(tasks.body, task_containers, report);
}

void observe_run(const AgentSettings *settings, const DigestKey *key, ObserveReport *ret) {
        _cleanup_json_ json_object *task_containers = NULL;
        ObserveReport report = {.agent = AGENT_UNKNOWN};
        int r;

        r = observe_engine(settings, key, &report, &task_containers);
        if (r < 0)
                report = (ObserveReport){.agent = AGENT_UNKNOWN, .engine_error = r};
        /* Tasks after their containers: one that is listed there has been known before. */
        if (report.agent == AGENT_RUNNING)
                report.tasks_error = observe_introspection(settings, task_containers, &report);
        *ret = report;
}
