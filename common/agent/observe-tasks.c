/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/observe-tasks.h"

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

int tasks_parse_containers(const char *json, ObserveReport *report, json_object **ret_tasks) {
        _cleanup_json_ json_object *list = NULL, *tasks = json_object_new_array();
        size_t n;
        int r;

        r = json_parse_answer(json, &list);
        if (r < 0)
                return r;
        if (!json_object_is_type(list, json_type_array))
                return -EBADMSG;
        if (!tasks)
                return -ENOMEM;

        n = json_object_array_length(list);
        report->n_containers = 0;
        report->families[0] = 0;
        for (size_t i = 0; i < n; i++) {
                json_object *labels = json_get(json_object_array_get_idx(list, i), "Labels", json_type_object);
                const char *arn = json_get_string(labels, ARN_LABEL);
                json_object *task;

                /* Of the agent's own: the relay of Service Connect, managed daemons. */
                if (arn && startswith(arn, "arn:::::/"))
                        continue;
                report->n_containers++;
                add_family(report, json_get_string(labels, FAMILY_LABEL));
                task = arn ? json_object_new_string(arn) : NULL;
                if ((arn && !task) || json_object_array_add(tasks, task) < 0) {
                        json_object_put(task);
                        return -ENOMEM;
                }
        }

        *ret_tasks = STEAL_POINTER(tasks);
        return 0;
}

int tasks_parse(const char *json, json_object *tasks, ObserveReport *report) {
        _cleanup_json_ json_object *top = NULL, *known = json_object_new_object();
        size_t n, n_containers = json_object_array_length(tasks);
        json_object *list;
        int r;

        r = json_parse_answer(json, &top);
        if (r < 0)
                return r;
        list = json_get(top, "Tasks", json_type_array);
        n = list ? json_object_array_length(list) : 0;
        if (!json_object_is_type(top, json_type_object))
                return -EBADMSG;
        if (!known)
                return -ENOMEM;

        report->n_tasks = report->n_unknown = 0;
        for (size_t i = 0; i < n; i++) {
                json_object *task = json_object_array_get_idx(list, i);
                const char *arn = json_get_string(task, "Arn"), *status = json_get_string(task, "KnownStatus");

                if (arn && json_object_object_add(known, arn, NULL) < 0)
                        return -ENOMEM;
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

int tasks_observe_containers(const Engine *engine, ObserveReport *report, json_object **ret_tasks) {
        _cleanup_http_ HttpResponse response = {0};
        int r;

        r = engine_request(engine, "GET", "/containers/json?filters=" TASK_FILTER, NULL, &response);
        if (r < 0)
                return r;
        if (response.status != 200 || !response.body)
                return -EBADMSG;
        return tasks_parse_containers(response.body, report, ret_tasks);
}
