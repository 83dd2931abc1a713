/* SPDX-License-Identifier: Apache-2.0 */
#include "unit.h"

#include "agent/container-create-body.h"

/* What a real engine does with it is tested in tests/host/test_method_docker.py. */

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static json_object *container(const char *config, const char *host, const char *more) {
        _cleanup_free_ char *text = NULL;
        json_object *o;

        assert_true(asprintf(&text, "{\"Id\":\"" ID "\",\"Config\":{%s},\"HostConfig\":{%s}%s}", config, host, more) >
                    0);
        o = json_tokener_parse(text);
        assert_non_null(o);
        return o;
}

/* What becomes of it, with the names of its members in order. */
static void expect(const char *config, const char *host, const char *more, const char *environment,
                   const char *expected) {
        _cleanup_json_ json_object *old = container(config, host, more), *body = NULL;
        _cleanup_free_ char *before = strdup(json_object_to_json_string_ext(old, JSON_C_TO_STRING_PLAIN));

        body = container_body(old, environment, "image", false);
        assert_string_equal(
                json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
                expected);
        /* The old one can still be told what it was. */
        assert_string_equal(json_object_to_json_string_ext(old, JSON_C_TO_STRING_PLAIN), before);
}

static void test_as_it_was(void **state _unused_) {
        expect("\"Image\":\"x\",\"Labels\":{\"a\":\"b\"},\"Env\":[\"A=1\"],\"Hostname\":\"agent-1\"",
               "\"NetworkMode\":\"host\",\"Privileged\":true,\"Binds\":[\"/a:/b\"]", "", "",
               "{\"Image\":\"image\",\"Labels\":{\"a\":\"b\"},\"Env\":[\"A=1\"],\"Hostname\":\"agent-1\","
               "\"HostConfig\":{\"NetworkMode\":\"host\",\"Privileged\":true,\"Binds\":[\"/a:/b\"]}}");
}

static void test_generated_hostname(void **state _unused_) {
        expect("\"Hostname\":\"0123456789ab\"", "", "", "", "{\"Env\":[],\"Image\":\"image\",\"HostConfig\":{}}");
}

/* Docker refuses them, and shows them all the same. */
static void test_what_is_shared(void **state _unused_) {
        expect("\"Hostname\":\"host-1\",\"Env\":[]", "\"UTSMode\":\"host\"", "", "",
               "{\"Env\":[],\"Image\":\"image\",\"HostConfig\":{\"UTSMode\":\"host\"}}");
        expect("\"Hostname\":\"host-1\",\"UTS\":1,\"Env\":[]", "\"UTSMode\":\"\"", "", "",
               "{\"Hostname\":\"host-1\",\"UTS\":1,\"Env\":[],\"Image\":\"image\",\"HostConfig\":{\"UTSMode\":\"\"}}");
        expect("\"Hostname\":\"x\",\"Domainname\":\"y\",\"ExposedPorts\":{\"1/tcp\":{}},\"Env\":[]",
               "\"NetworkMode\":\"container:abc\"", "", "",
               "{\"Env\":[],\"Image\":\"image\",\"HostConfig\":{\"NetworkMode\":\"container:abc\"}}");
}

static void expect_endpoint(const char *endpoint, const char *expected) {
        _cleanup_free_ char *more = NULL, *body = NULL;

        assert_true(asprintf(&more, ",\"NetworkSettings\":{\"Networks\":{\"own\":{%s}}}", endpoint) > 0);
        assert_true(asprintf(&body,
                             "{\"Env\":[],\"Image\":\"image\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"own\":{%s"
                             "\"Aliases\":[]}}},\"HostConfig\":{\"NetworkMode\":\"own\"}}",
                             expected) > 0);
        expect("\"Env\":[]", "\"NetworkMode\":\"own\"", more, "", body);
}

static void test_endpoint(void **state _unused_) {
        expect_endpoint("\"GwPriority\":100,\"MacAddress\":\"02:00:00:00:00:05\",\"IPAddress\":\"172.18.0.2\"",
                        "\"GwPriority\":100,\"MacAddress\":\"02:00:00:00:00:05\",");
        /* Made of the address. */
        expect_endpoint("\"MacAddress\":\"02:42:ac:12:00:02\",\"IPAddress\":\"172.18.0.2\"", "");
        expect_endpoint("\"MacAddress\":\"02:42:ac:12:00:02\",\"IPAddress\":\"172.18.0.3\"",
                        "\"MacAddress\":\"02:42:ac:12:00:02\",");
        expect_endpoint("\"MacAddress\":\"\",\"GwPriority\":0", "\"GwPriority\":0,");
}

static void test_connection(void **state _unused_) {
        _cleanup_json_ json_object *old = container("", "\"NetworkMode\":\"own\"",
                                                    ",\"NetworkSettings\":{\"Networks\":{\"own\":{},\"bridge\":{},"
                                                    "\"second\":{\"GwPriority\":7,\"Aliases\":[\"a\"]}}}");
        json_object *networks = container_networks(old), *second = json_get(networks, "second", json_type_object);
        _cleanup_json_ json_object *body = NULL;

        assert_null(container_connection(old, "own", json_get(networks, "own", json_type_object), "new", false));
        assert_null(container_connection(old, "bridge", json_get(networks, "bridge", json_type_object), "new", false));
        body = container_connection(old, "second", second, "new", false);
        assert_string_equal(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN),
                            "{\"EndpointConfig\":{\"GwPriority\":7,\"Aliases\":[\"a\"]},\"Container\":\"new\"}");
}

/* Where the engine takes them all, and where the first of them is one of Docker's own. */
static void test_all_networks(void **state _unused_) {
        static const char networks[] = ",\"NetworkSettings\":{\"Networks\":{\"own\":{},\"second\":{\"GwPriority\":7}}}";
        _cleanup_json_ json_object *old = container("\"Env\":[]", "\"NetworkMode\":\"own\"", networks), *body = NULL;
        _cleanup_json_ json_object *bridged = container("\"Env\":[]", "\"NetworkMode\":\"bridge\"", networks);
        _cleanup_json_ json_object *plain = NULL, *connection = NULL;
        json_object *second;

        body = container_body(old, "", "image", true);
        assert_string_equal(json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN),
                            "{\"Env\":[],\"Image\":\"image\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"own\":{"
                            "\"Aliases\":[]},\"second\":{\"GwPriority\":7,\"Aliases\":[]}}},\"HostConfig\":{"
                            "\"NetworkMode\":\"own\"}}");
        second = json_get(container_networks(old), "second", json_type_object);
        assert_null(container_connection(old, "second", second, "new", true));

        plain = container_body(bridged, "", "image", true);
        assert_null(json_get(plain, "NetworkingConfig", json_type_object));
        second = json_get(container_networks(bridged), "second", json_type_object);
        connection = container_connection(bridged, "second", second, "new", true);
        assert_non_null(connection);
}

static void test_environment(void **state _unused_) {
        static const struct {
                const char *had, *file, *expected;
        } table[] = {
                {"\"A=1\",\"B=2\"", "B=3\nC=4", "\"A=1\",\"B=3\",\"C=4\""},
                {"\"A=1\"", "# A=2\n  \tA=3 \r\nX\n=y\n\nAA=4\n", "\"A=3 \",\"AA=4\""},
                {"\"A=1\"", "A=\"x=y\\\"\n", "\"A=\\\"x=y\\\\\\\"\""},
                {"\"ECS_ENGINE_AUTH_DATA=old\",\"A=1\",\"ECS_ENGINE_AUTH_TYPE=docker\",\"ECS_ENGINE_AUTH_DATA2=z\"", "",
                 "\"A=1\",\"ECS_ENGINE_AUTH_DATA2=z\""},
                {"\"ECS_ENGINE_AUTH_DATA=old\",\"A=1\"", "ECS_ENGINE_AUTH_DATA=new\n",
                 "\"A=1\",\"ECS_ENGINE_AUTH_DATA=new\""},
        };

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_free_ char *config = NULL, *expected = NULL;

                assert_true(asprintf(&config, "\"Env\":[%s]", table[i].had) > 0);
                assert_true(asprintf(&expected, "{\"Env\":[%s],\"Image\":\"image\",\"HostConfig\":{}}",
                                     table[i].expected) > 0);
                expect(config, "", "", table[i].file, expected);
        }
}

static void test_volumes_without_a_name(void **state _unused_) {
        static const char mounts[] =
                ",\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"v1\",\"Destination\":\"/data\",\"RW\":true},"
                "{\"Type\":\"volume\",\"Name\":\"v2\",\"Destination\":\"/ro\",\"RW\":false},"
                "{\"Type\":\"volume\",\"Name\":\"named\",\"Destination\":\"/named\",\"RW\":true},"
                "{\"Type\":\"volume\",\"Name\":\"v3\",\"Destination\":\"/mounted\",\"RW\":true},"
                "{\"Type\":\"bind\",\"Source\":\"/a\",\"Destination\":\"/b\",\"RW\":true}]";

        expect("\"Env\":[]",
               "\"Binds\":[\"/a:/b\",\"named:/named:z\"],\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"/mounted\"}]",
               mounts, "",
               "{\"Env\":[],\"Image\":\"image\",\"HostConfig\":{\"Binds\":[\"/a:/b\",\"named:/named:z\",\"v1:/data\",\"v2:/ro:ro\"],"
               "\"Mounts\":[{\"Type\":\"volume\",\"Target\":\"/mounted\",\"Source\":\"v3\"}]}}");
        expect("\"Env\":[]", "\"Binds\":null",
               ",\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"v1\",\"Destination\":\"/d\",\"RW\":true}]", "",
               "{\"Env\":[],\"Image\":\"image\",\"HostConfig\":{\"Binds\":[\"v1:/d\"]}}");
}

static void test_network(void **state _unused_) {
        expect("\"Env\":[]", "\"NetworkMode\":\"own\"",
               ",\"NetworkSettings\":{\"Networks\":{\"own\":{\"IPAMConfig\":{\"IPv4Address\":\"10.0.0.9\"},\"Links\":null,"
               "\"Aliases\":[\"agent\",\"0123456789ab\"],\"EndpointID\":\"e\",\"IPAddress\":\"10.0.0.9\"},\"other\":{}}}",
               "",
               "{\"Env\":[],\"Image\":\"image\",\"NetworkingConfig\":{\"EndpointsConfig\":{\"own\":{\"IPAMConfig\":{\"IPv4Address\":"
               "\"10.0.0.9\"},\"Aliases\":[\"agent\"]}}},\"HostConfig\":{\"NetworkMode\":\"own\"}}");
        expect("\"Env\":[]", "\"NetworkMode\":\"bridge\"",
               ",\"NetworkSettings\":{\"Networks\":{\"bridge\":{\"Aliases\":null}}}", "",
               "{\"Env\":[],\"Image\":\"image\",\"HostConfig\":{\"NetworkMode\":\"bridge\"}}");
}

static void test_not_a_container(void **state _unused_) {
        static const char *const table[] = {"{}", "[]", "null", "{\"Id\":\"1\",\"Config\":{}}",
                                            "{\"Config\":{},\"HostConfig\":{}}"};

        for (size_t i = 0; i < ELEMENTSOF(table); i++) {
                _cleanup_json_ json_object *o = json_tokener_parse(table[i]);

                assert_null(container_body(o, "", "image", false));
        }
}

#define FIELDS_FILE "tests/unit/agent/create-body-fields"

/* A container in which each field of the object has a value of its own; NULL: no line of the file is about the object.
 */
static json_object *object_with_all_fields(const char *object) {
        json_object *o = json_object_new_object();
        char line[256];
        FILE *f = fopen(FIELDS_FILE, "re");

        assert_non_null(f);
        while (fgets(line, sizeof(line), f)) {
                char in[64], field[64];
                json_object *value;

                if (sscanf(line, "%63s %63s", in, field) != 2 || !streq(in, object))
                        continue;
                value = json_object_new_string(field);
                if (streq(field, "Aliases")) {
                        json_object *array = json_object_new_array();

                        assert_int_equal(json_object_array_add(array, value), 0);
                        value = array;
                } else if (streq(field, "IPAMConfig")) {
                        json_object_put(value);
                        value = object_with_all_fields("IPAMConfig");
                }
                assert_int_equal(json_object_object_add(o, field, value), 0);
        }
        (void) fclose(f);
        return o;
}

static void check_field(const char *group, json_object *before, json_object *after, const char *field) {
        json_object *was = NULL, *is = NULL;

        (void) json_object_object_get_ex(before, field, &was);
        (void) json_object_object_get_ex(after, field, &is);
        if (streq(group, "left-out"))
                assert_null(is);
        else if (streq(group, "carried"))
                assert_true(is && json_object_equal(was, is));
        else if (streq(group, "changed"))
                assert_true(is && !json_object_equal(was, is));
        else
                assert_string_equal(group, "refused"); /* before this function is called: container-swap.c */
}

/* Each field that Docker's API has belongs to one group. Those of the real engine are compared with the same list in
 * tests/host/test_method_docker.py. */
static void test_each_field(void **state _unused_) {
        _cleanup_json_ json_object *old = json_object_new_object(), *body = NULL;
        json_object *config = object_with_all_fields("Config"), *host = object_with_all_fields("HostConfig"),
                    *own = object_with_all_fields("Endpoint"), *settings = json_object_new_object(),
                    *networks = json_object_new_object(), *new_own;
        char line[256], object[64], field[64], group[64];
        unsigned n = 0;
        FILE *f;

        assert_int_equal(json_object_object_add(host, "NetworkMode", json_object_new_string("own")), 0);
        assert_int_equal(json_object_object_add(networks, "own", own), 0);
        assert_int_equal(json_object_object_add(settings, "Networks", networks), 0);
        assert_int_equal(json_object_object_add(old, "Id", json_object_new_string(ID)), 0);
        assert_int_equal(json_object_object_add(old, "Config", config), 0);
        assert_int_equal(json_object_object_add(old, "HostConfig", host), 0);
        assert_int_equal(json_object_object_add(old, "NetworkSettings", settings), 0);
        body = container_body(old, "A=1", "image", true);
        assert_non_null(body);
        new_own = json_get(
                json_get(json_get(body, "NetworkingConfig", json_type_object), "EndpointsConfig", json_type_object),
                "own", json_type_object);

        f = fopen(FIELDS_FILE, "re");
        assert_non_null(f);
        for (; fgets(line, sizeof(line), f); n++) {
                if (*line == '#')
                        continue;
                assert_int_equal(sscanf(line, "%63s %63s %63s", object, field, group), 3);
                if (streq(object, "Config"))
                        check_field(group, config, body, field);
                else if (streq(object, "HostConfig"))
                        check_field(group, host, json_get(body, "HostConfig", json_type_object), field);
                else if (streq(object, "Endpoint"))
                        check_field(group, own, new_own, field);
        }
        (void) fclose(f);
        assert_true(n > 100);
}

int main(void) {
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_each_field),
                cmocka_unit_test(test_what_is_shared),
                cmocka_unit_test(test_endpoint),
                cmocka_unit_test(test_all_networks),
                cmocka_unit_test(test_connection),
                cmocka_unit_test(test_as_it_was),
                cmocka_unit_test(test_generated_hostname),
                cmocka_unit_test(test_environment),
                cmocka_unit_test(test_volumes_without_a_name),
                cmocka_unit_test(test_network),
                cmocka_unit_test(test_not_a_container),
        };

        return cmocka_run_group_tests_name("container-body", tests, NULL, NULL);
}
