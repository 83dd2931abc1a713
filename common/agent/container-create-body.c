/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/container-create-body.h"

#include <arpa/inet.h>
#include <strings.h>

#include "base/memory.h"
#include "ecsconfig/auth-data.h"

enum {
        SHORT_ID = 12,
};

/* Takes ownership of value. */
static void add(json_object *array, json_object *value) {
        if (!value || json_object_array_add(array, value) < 0)
                memory_exhausted();
}

static json_object *copy(json_object *o) {
        json_object *result = NULL;

        if (json_object_deep_copy(o, &result, NULL) < 0)
                memory_exhausted();
        return result;
}

static bool sets(const char *variable, const char *key, size_t length) {
        return variable && strncmp(variable, key, length) == 0 && variable[length] == '=';
}

static void set_variable(json_object *env, const char *line, size_t length, size_t key_length) {
        json_object *value = xmemory(json_object_new_string_len(line, (int) length));
        size_t n = json_object_array_length(env), i = 0;

        while (i < n && !sets(json_object_get_string(json_object_array_get_idx(env, i)), line, key_length))
                i++;
        if (json_object_array_put_idx(env, i, value) < 0)
                memory_exhausted();
}

static void remove_variable(json_object *env, const char *key) {
        for (size_t i = json_object_array_length(env); i-- > 0;)
                if (sets(json_object_get_string(json_object_array_get_idx(env, i)), key, strlen(key)))
                        (void) json_object_array_del_idx(env, i, 1);
}

/* Parses like docker run --env-file (docker/cli, opts/file.go): comments, blanks before a line; no quotes, no escapes.
 */
static void read_environment(json_object *env, const char *text) {
        remove_variable(env, AUTHDATA_TYPE_KEY);
        remove_variable(env, AUTHDATA_DATA_KEY);

        while (*text) {
                size_t length = strcspn(text, "\n"), key_length;
                const char *line = text + strspn(text, " \t\r\v\f"), *end = text + length;

                text = end + (*end ? 1 : 0);
                if (line >= end || *line == '#')
                        continue;
                if (end[-1] == '\r')
                        end--;
                key_length = strcspn(line, "=\n");
                if (line[key_length] == '=' && key_length > 0)
                        set_variable(env, line, (size_t) (end - line), key_length);
        }
}

/* Returns the next component of a path of *ret_length bytes, which is 0 at the end of the path, without those that mean
 * nothing. Docker cleans paths in the same way, except that a path with ".." is compared as it is. */
static const char *next_component(const char *path, size_t n, size_t *ret_length) {
        for (const char *end = path + n;; path += *ret_length) {
                while (path < end && *path == '/')
                        path++;
                for (*ret_length = 0; path + *ret_length < end && path[*ret_length] != '/';)
                        (*ret_length)++;
                if (*ret_length != 1 || *path != '.')
                        return path;
        }
}

/* Compares the first n bytes of a path with another path. */
static bool is_same_path(const char *path, size_t n, const char *other) {
        const char *end = path + n, *other_end = other + strlen(other);

        for (;;) {
                size_t length, other_length;

                path = next_component(path, (size_t) (end - path), &length);
                other = next_component(other, (size_t) (other_end - other), &other_length);
                if (length != other_length || memcmp(path, other, length) != 0)
                        return false;
                if (length == 0)
                        return true;
                path += length;
                other += length;
        }
}

static bool is_bound(json_object *binds, const char *destination) {
        size_t n = binds ? json_object_array_length(binds) : 0;

        for (size_t i = 0; i < n; i++) {
                const char *bind = json_object_get_string(json_object_array_get_idx(binds, i));
                const char *target = bind ? strchr(bind, ':') : NULL;

                if (target && is_same_path(target + 1, strcspn(target + 1, ":"), destination))
                        return true;
        }
        return false;
}

static json_object *find_mount(json_object *mounts, const char *target) {
        size_t n = mounts ? json_object_array_length(mounts) : 0;

        for (size_t i = 0; i < n; i++) {
                json_object *mount = json_object_array_get_idx(mounts, i);
                const char *t = json_get_string(mount, "Target");

                if (t && is_same_path(t, strlen(t), target))
                        return mount;
        }
        return NULL;
}

static void bind_volume(json_object *host, const char *name, const char *destination, bool writable) {
        json_object *binds = json_get(host, "Binds", json_type_array);
        _cleanup_free_ char *bind = xasprintf("%s:%s%s", name, destination, writable ? "" : ":ro");

        if (!binds)
                xjson_set(host, "Binds", binds = json_object_new_array());
        add(binds, json_object_new_string(bind));
}

/* Keeps volumes without a name by the name that Docker gave them: a new container would get new volumes. */
static void keep_volumes(json_object *container, json_object *host) {
        json_object *mounts = json_get(container, "Mounts", json_type_array);
        size_t n = mounts ? json_object_array_length(mounts) : 0;

        for (size_t i = 0; i < n; i++) {
                json_object *mount = json_object_array_get_idx(mounts, i), *asked;
                const char *type = json_get_string(mount, "Type"), *name = json_get_string(mount, "Name");
                const char *destination = json_get_string(mount, "Destination");

                if (!type || !name || !destination || !streq(type, "volume") ||
                    is_bound(json_get(host, "Binds", json_type_array), destination))
                        continue;
                asked = find_mount(json_get(host, "Mounts", json_type_array), destination);
                if (!asked)
                        bind_volume(host, name, destination,
                                    json_object_get_boolean(json_get(mount, "RW", json_type_boolean)));
                else if (!json_get_string(asked, "Source"))
                        xjson_set_string(asked, "Source", name);
        }
}

/* What Docker makes of an address, where nobody asked for another: a new container gets its own, and one that somebody
 * else has by then must not be in its way. Since Engine 28 it is chance, which can be kept. */
static bool is_made_of_address(json_object *network, const char *mac) {
        const char *address = json_get_string(network, "IPAddress");
        unsigned char a[4];
        char made[sizeof("02:42:00:00:00:00")];

        if (!address || inet_pton(AF_INET, address, a) != 1)
                return false;
        (void) snprintf(made, sizeof(made), "02:42:%02x:%02x:%02x:%02x", a[0], a[1], a[2], a[3]);
        return strcasecmp(mac, made) == 0;
}

static void keep_aliases(json_object *network, const char *short_id, json_object *result) {
        json_object *aliases = json_object_new_array(), *had = json_get(network, "Aliases", json_type_array);
        size_t n = had ? json_object_array_length(had) : 0;

        xjson_set(result, "Aliases", aliases);
        for (size_t i = 0; i < n; i++) {
                json_object *alias = json_object_array_get_idx(had, i);
                const char *s = json_object_get_string(alias);

                if (s && !streq(s, short_id))
                        add(aliases, json_object_get(alias));
        }
}

/* Copies the endpoint settings that the user chose, not those that Docker assigned. */
static json_object *endpoint(json_object *network, const char *short_id) {
        /* GwPriority: since API 1.48. MacAddress: here since 1.44, before that in Config. */
        static const char *const settings[] = {"IPAMConfig", "Links", "DriverOpts", "GwPriority"};
        json_object *result = xmemory(json_object_new_object());
        const char *mac = json_get_string(network, "MacAddress");

        for (size_t i = 0; i < ELEMENTSOF(settings); i++) {
                json_object *value = NULL;

                if (json_object_object_get_ex(network, settings[i], &value) && value)
                        xjson_set(result, settings[i], json_object_get(value));
        }
        if (mac && !is_made_of_address(network, mac))
                xjson_set_string(result, "MacAddress", mac);
        keep_aliases(network, short_id, result);
        return result;
}

/* Networks of Docker's own need no settings, and take none. */
static bool has_settings(const char *network) {
        return !streq(network, "host") && !streq(network, "none") && !streq(network, "bridge") &&
               !streq(network, "default") && !startswith(network, "container:");
}

static void get_short_id(json_object *container, char *ret) {
        (void) snprintf(ret, SHORT_ID + 1, "%s", container_id(container));
}

/* Before API 1.44 a container can be created with one network only; since then, a MacAddress that comes with another
 * one later is not kept (measured, 26.1). */
static bool is_given_at_creation(const char *network, const char *mode, bool all_networks) {
        return mode && has_settings(mode) && has_settings(network) && (all_networks || streq(network, mode));
}

static bool has_id(json_object *network, const char *beginning) {
        const char *id = json_get_string(network, "NetworkID");

        return id && startswith(id, beginning);
}

/* Returns the name of the network whose ID begins like this; NULL: there is none, or it is known by its ID only. */
static const char *find_name(json_object *networks, const char *beginning) {
        json_object_object_foreach(networks, name, network) {
                if (has_id(network, beginning) && !has_id(network, name))
                        return name;
        }
        return NULL;
}

/* Returns a name in networks that is the beginning of an ID, if the network has an entry with its name, too. */
static const char *find_second_entry(json_object *networks) {
        json_object_object_foreach(networks, name, network) {
                if (has_id(network, name) && find_name(networks, name))
                        return name;
        }
        return NULL;
}

json_object *container_networks(json_object *container) {
        json_object *networks =
                json_get(json_get(container, "NetworkSettings", json_type_object), "Networks", json_type_object);
        const char *second;

        while (networks && (second = find_second_entry(networks)))
                json_object_object_del(networks, second);
        return networks;
}

/* Replaces the ID of a network, or the beginning of an ID, by the name: endpoints are found by name. */
static void name_network(json_object *container, json_object *host) {
        json_object *networks = container_networks(container);
        const char *mode = json_get_string(host, "NetworkMode"), *name;

        if (!mode || !networks || !has_settings(mode) || json_object_object_get_ex(networks, mode, NULL))
                return;
        name = find_name(networks, mode);
        if (name)
                xjson_set_string(host, "NetworkMode", name);
}

static void keep_networks(json_object *container, const char *mode, bool all_networks, const char *short_id,
                          json_object *body) {
        json_object *networks = container_networks(container), *config, *endpoints;

        if (!networks)
                return;
        endpoints = xmemory(json_object_new_object());
        json_object_object_foreach(networks, name, network) if (is_given_at_creation(name, mode, all_networks))
                xjson_set(endpoints, name, endpoint(network, short_id));
        if (json_object_object_length(endpoints) == 0) {
                json_object_put(endpoints);
                return;
        }
        xjson_set(body, "NetworkingConfig", config = json_object_new_object());
        xjson_set(config, "EndpointsConfig", endpoints);
}

/* What "docker inspect" shows of the machine or of another container is not what somebody asked for, and "docker
 * create" refuses it (moby, runconfig/hostconfig_unix.go and daemon/container_operations.go). */
static void leave_out_what_is_shared(json_object *body, json_object *host, const char *short_id) {
        const char *hostname = json_get_string(body, "Hostname"), *mode = json_get_string(host, "NetworkMode");
        const char *uts = json_get_string(host, "UTSMode");
        bool in_another = mode && startswith(mode, "container:");

        /* A name that Docker made from the id of the old one: a new one gets its own. */
        if ((hostname && streq(hostname, short_id)) || (uts && streq(uts, "host")) || in_another)
                json_object_object_del(body, "Hostname");
        if (in_another) {
                json_object_object_del(body, "Domainname");
                json_object_object_del(body, "ExposedPorts"); /* those of the image */
        }
}

json_object *container_body(json_object *container, const char *environment, const char *image, bool all_networks) {
        json_object *config = json_get(container, "Config", json_type_object), *body, *host, *env;
        char short_id[SHORT_ID + 1];

        if (!config || !container_host_config(container) || !container_id(container))
                return NULL;
        get_short_id(container, short_id);
        body = copy(config);
        host = copy(container_host_config(container));
        leave_out_what_is_shared(body, host, short_id);

        env = json_get(body, "Env", json_type_array);
        if (!env)
                xjson_set(body, "Env", env = json_object_new_array());
        read_environment(env, environment);
        xjson_set_string(body, "Image", image);
        keep_volumes(container, host);
        name_network(container, host);
        keep_networks(container, json_get_string(host, "NetworkMode"), all_networks, short_id, body);
        xjson_set(body, "HostConfig", host);
        return body;
}

json_object *container_connection(json_object *container, const char *name, json_object *network, const char *new_id,
                                  bool all_networks) {
        _cleanup_json_ json_object *host = copy(container_host_config(container));
        char short_id[SHORT_ID + 1];
        const char *mode;
        json_object *body;

        name_network(container, host);
        mode = json_get_string(host, "NetworkMode");
        if (!has_settings(name) || is_given_at_creation(name, mode, all_networks))
                return NULL;
        get_short_id(container, short_id);
        body = xmemory(json_object_new_object());
        xjson_set(body, "EndpointConfig", endpoint(network, short_id));
        xjson_set_string(body, "Container", new_id);
        return body;
}
