/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/observe.h"

#include "agent/container-swap.h"
#include "base/memory.h"
#include "ecsconfig/auth-data.h"

/* Each of the at most seven requests gets its share of OBSERVE_TIMEOUT_USEC. */
#define REQUEST_TIMEOUT_USEC (OBSERVE_TIMEOUT_USEC / 7)

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

int observe_parse_container(json_object *container, const DigestKey *key, ObserveReport *report) {
        json_object *state = json_get(container, "State", json_type_object);
        json_object *running = json_get(state, "Running", json_type_boolean);
        json_object *exit_code = json_get(state, "ExitCode", json_type_int);
        json_object *env = json_get(json_get(container, "Config", json_type_object), "Env", json_type_array);
        const char *id = container_id(container);

        if (!running || !id)
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

int observe_parse_metadata(json_object *metadata, ObserveReport *report) {
        /* Served only once the agent has registered; without the ARN it has not. */
        if (str_empty(json_get_string(metadata, "ContainerInstanceArn")))
                return -EBADMSG;

        json_copy_printable(report->cluster, sizeof(report->cluster), json_get_string(metadata, "Cluster"));
        json_copy_printable(report->version, sizeof(report->version), json_get_string(metadata, "Version"));
        report->answers = true;
        return 0;
}

/* --- the tasks --- */

/* {"label":["com.amazonaws.ecs.task-arn"],"status":["created","restarting","running","paused"]}: every container that
 * the agent starts for a task has this label. */
#define TASK_FILTER                                                                                    \
        "%7B%22label%22%3A%5B%22com.amazonaws.ecs.task-arn%22%5D%2C%22status%22%3A%5B%22created%22%2C" \
        "%22restarting%22%2C%22running%22%2C%22paused%22%5D%7D"

#define ARN_LABEL "com.amazonaws.ecs.task-arn"
#define FAMILY_LABEL "com.amazonaws.ecs.task-definition-family"

static bool lists(const char *families, const char *family) {
        size_t n = strlen(family);

        for (const char *s = families; (s = strstr(s, family)); s += n)
                if ((s == families || s[-1] == ' ') && (!s[n] || s[n] == ','))
                        return true;
        return false;
}

/* Each once, as long as there is room. */
static void add_family(ObserveReport *report, const char *name) {
        size_t used = strlen(report->families);
        char family[128];

        json_copy_printable(family, sizeof(family), name);
        if (!*family || lists(report->families, family) || (used >= 3 && streq(report->families + used - 3, "...")))
                return;
        if (used + strlen(", ") + strlen(family) + sizeof(", ...") > sizeof(report->families))
                (void) snprintf(report->families + used, sizeof(report->families) - used, ", ...");
        else
                (void) snprintf(report->families + used, sizeof(report->families) - used, "%s%s", used > 0 ? ", " : "",
                                family);
}

int tasks_parse_containers(json_object *list, ObserveReport *report, json_object **ret_tasks) {
        json_object *tasks;
        size_t n;

        if (!json_object_is_type(list, json_type_array))
                return -EBADMSG;

        tasks = xmemory(json_object_new_array());
        n = json_object_array_length(list);
        report->n_containers = 0;
        report->families[0] = 0;
        for (size_t i = 0; i < n; i++) {
                json_object *labels = json_get(json_object_array_get_idx(list, i), "Labels", json_type_object);
                const char *arn = json_get_string(labels, ARN_LABEL);

                /* The agent's own containers: the relay of Service Connect, managed daemons. */
                if (arn && startswith(arn, "arn:::::/"))
                        continue;
                report->n_containers++;
                add_family(report, json_get_string(labels, FAMILY_LABEL));
                if (json_object_array_add(tasks, arn ? xmemory(json_object_new_string(arn)) : NULL) < 0)
                        memory_exhausted();
        }

        *ret_tasks = tasks;
        return 0;
}

int tasks_parse(json_object *answer, json_object *tasks, ObserveReport *report) {
        json_object *list = json_get(answer, "Tasks", json_type_array);
        size_t n = list ? json_object_array_length(list) : 0, n_containers = json_object_array_length(tasks);
        _cleanup_json_ json_object *known = xmemory(json_object_new_object());

        if (!json_object_is_type(answer, json_type_object))
                return -EBADMSG;

        report->n_tasks = report->n_unknown = 0;
        for (size_t i = 0; i < n; i++) {
                json_object *task = json_object_array_get_idx(list, i);
                const char *arn = json_get_string(task, "Arn"), *status = json_get_string(task, "KnownStatus");

                if (arn && json_object_object_add(known, arn, NULL) < 0)
                        memory_exhausted();
                if (status && streq(status, "STOPPED"))
                        continue;
                report->n_tasks++;
                add_family(report, json_get_string(task, "Family"));
        }

        for (size_t i = 0; i < n_containers; i++) {
                const char *arn = json_object_get_string(json_object_array_get_idx(tasks, i));

                if (!arn || !json_object_object_get_ex(known, arn, NULL))
                        report->n_unknown++;
        }
        return 0;
}

static int tasks_observe_containers(const Engine *engine, ObserveReport *report, json_object **ret_tasks) {
        _cleanup_json_ json_object *list = NULL;
        int r;

        r = engine_get(engine, "/containers/json?filters=" TASK_FILTER, "of tasks", &list);
        return r < 0 ? r : tasks_parse_containers(list, report, ret_tasks);
}

/* --- the requests --- */

static int observe_engine(const AgentSettings *settings, const DigestKey *key, ObserveReport *report,
                          json_object **ret_tasks) {
        _cleanup_json_ json_object *container = NULL;
        Engine engine;
        int r;

        r = engine_open(settings->docker_socket, REQUEST_TIMEOUT_USEC, NULL, &engine);
        if (r < 0)
                return r;

        memcpy(report->api_version, engine.api_version, sizeof(report->api_version));
        /* Tasks first: if they cannot be counted, the agent is not known well enough either. */
        r = tasks_observe_containers(&engine, report, ret_tasks);
        if (r >= 0 && settings->swapped)
                r = container_swap_observe(&engine, settings->container, &container, &report->swap);
        else if (r >= 0)
                r = container_inspect(&engine, settings->container, &container);
        if (r > 0)
                return observe_parse_container(container, key, report);
        report->agent = AGENT_ABSENT;
        return r;
}

static int introspect(const AgentSettings *settings, const char *path, ObserveReport *report, json_object **ret) {
        _cleanup_http_ HttpResponse response = {0};
        char url[1024];
        int r;

        (void) snprintf(url, sizeof(url), "%s%s", settings->introspection_url, path);
        r = http_get(NULL, url, REQUEST_TIMEOUT_USEC, &response);
        if (r < 0)
                return r;
        r = listener_check(&response, report->impostor);
        if (r < 0) {
                report->impostor_port = response.port;
                report->answers = false;
                return r;
        }
        return response.status == 200 && response.body ? json_parse_answer(response.body, ret) : -EBADMSG;
}

static int observe_introspection(const AgentSettings *settings, json_object *task_containers, ObserveReport *report) {
        _cleanup_json_ json_object *metadata = NULL, *tasks = NULL;
        int r;

        /* The port refuses until the agent has registered, and before that it is given no task (agent/app/agent.go of
         * amazon-ecs-agent). */
        r = introspect(settings, "/v1/metadata", report, &metadata);
        if (r == -ECONNREFUSED)
                return 0;
        if (r >= 0)
                r = observe_parse_metadata(metadata, report);
        if (r >= 0)
                r = introspect(settings, "/v1/tasks", report, &tasks);
        return r < 0 ? r : tasks_parse(tasks, task_containers, report);
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
