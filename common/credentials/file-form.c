/* SPDX-License-Identifier: Apache-2.0 */
#include "credentials/file-form.h"

#include <stdarg.h>
#include <strings.h>

#include "base/nearest.h"
#include "credentials/registry-name.h"

typedef struct Member {
        const char *name;
        json_type type;
} Member;

/* The members that name credentials. */
static const Member sources[] = {
        {"auths", json_type_object}, {"credHelpers", json_type_object}, {"credsStore", json_type_string}};

/* The other members of docker/cli's ConfigFile (cli/config/configfile/file.go), and two that older versions wrote. */
static const char *const settings[] = {"HttpHeaders",    "psFormat",          "imagesFormat",
                                       "networksFormat", "pluginsFormat",     "volumesFormat",
                                       "statsFormat",    "detachKeys",        "serviceInspectFormat",
                                       "servicesFormat", "tasksFormat",       "secretFormat",
                                       "configFormat",   "nodesFormat",       "pruneFilters",
                                       "proxies",        "currentContext",    "cliPluginsExtraDirs",
                                       "plugins",        "aliases",           "features",
                                       "experimental",   "stackOrchestrator", "kubernetes"};

/* Spellings that people use or nearly hit, each with the member that is meant. */
static const struct {
        const char *typed, *meant;
} spellings[] = {{"auths", "auths"},
                 {"authConfigs", "auths"},
                 {"credsStore", "credsStore"},
                 {"credentialsStore", "credsStore"},
                 {"credHelpers", "credHelpers"},
                 {"credentialHelpers", "credHelpers"}};

/* Members that identify files of other kinds. */
static const struct {
        Member member;
        const char *text;
} others[] = {
        {{".dockerconfigjson", json_type_string},
         "the data of a Kubernetes Secret. The value of its .dockerconfigjson, decoded from base64, is one"},
        {{".dockercfg", json_type_string},
         "the data of a Kubernetes Secret. The value of its .dockercfg, decoded from base64, is one"},
        {{"private_key", json_type_string},
         "a key file of Google Cloud. It is a password: docker login -u _json_key --password-stdin REGISTRY < FILE"},
        {{"Secret", json_type_string},
         "the answer of a credential helper. Name the helper in \"credHelpers\" or \"credsStore\""},
        {{"auth", json_type_string}, "one entry without its registry. Write {\"auths\": {\"REGISTRY\": ENTRY}}"},
        {{"password", json_type_string}, "one entry without its registry. Write {\"auths\": {\"REGISTRY\": ENTRY}}"},
        {{"identitytoken", json_type_string},
         "one entry without its registry. Write {\"auths\": {\"REGISTRY\": ENTRY}}"},
        {{"registry-mirrors", json_type_array}, "Docker's daemon.json. Name ~/.docker/config.json instead"},
        {{"insecure-registries", json_type_array}, "Docker's daemon.json. Name ~/.docker/config.json instead"},
};

typedef struct Recognition {
        json_object *top;
        const char *text;
        size_t size;
        size_t *offset;
        char *why;
} Recognition;

static int refuse(const Recognition *r, const char *member, unsigned nth, const char *format, ...) _printf_(4, 5);
static int refuse(const Recognition *r, const char *member, unsigned nth, const char *format, ...) {
        va_list ap;

        /* If the name is not found (escaped, not ASCII), the offset is the start of the text. */
        *r->offset = strspn(r->text, " \t\r\n");
        (void) json_find_member(r->text, r->size, member, nth, r->offset);
        va_start(ap, format);
        (void) vsnprintf(r->why, FORM_WHY_MAX, format, ap);
        va_end(ap);
        return -EBADMSG;
}

static bool is_setting(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(settings); i++)
                if (strcasecmp(name, settings[i]) == 0)
                        return true;
        return false;
}

static bool is_source(const char *name) {
        for (size_t i = 0; i < ELEMENTSOF(sources); i++)
                if (strcasecmp(name, sources[i].name) == 0)
                        return true;
        return false;
}

/* Refuses a member that occurs twice (Docker's CLI merges both, json-c drops the first), and one of a wrong type. */
static int check_sources(const Recognition *r, bool *ret_any) {
        bool any = false;

        for (size_t i = 0; i < ELEMENTSOF(sources); i++) {
                const char *name = sources[i].name;
                size_t at;

                if (json_find_member(r->text, r->size, name, 2, &at))
                        return refuse(r, name, 2,
                                      "\"%s\" occurs a second time. Merge the two in an editor, or run 'docker login' "
                                      "for a registry, which merges them",
                                      name);
        }
        json_object_object_foreach(r->top, key, member) {
                for (size_t i = 0; i < ELEMENTSOF(sources); i++) {
                        if (strcasecmp(key, sources[i].name) != 0)
                                continue;
                        any = true;
                        if (member && !json_object_is_type(member, sources[i].type))
                                return refuse(r, key, 1, "\"%s\" is not %s. Correct it in an editor", key,
                                              sources[i].type == json_type_object ? "an object" : "a string");
                }
        }
        *ret_any = any;
        return 0;
}

/* Returns the member that was probably meant by a misspelled key; NULL: none. */
static const char *meant_for(const char *key, json_object *member) {
        Nearest nearest = {.typed = key};

        for (size_t i = 0; i < ELEMENTSOF(spellings); i++)
                nearest_consider(&nearest, spellings[i].typed);
        for (size_t i = 0; nearest.word && i < ELEMENTSOF(spellings); i++) {
                if (!streq(spellings[i].typed, nearest.word))
                        continue;
                /* Many other words are near to so short a name: author, oauth, paths. */
                if (streq(nearest.word, "auths") && !json_object_is_type(member, json_type_object))
                        return NULL;
                return nearest.distance > (streq(nearest.word, "auths") ? 1 : 2) ? NULL : spellings[i].meant;
        }
        return NULL;
}

static int check_spelling(const Recognition *r) {
        json_object_object_foreach(r->top, key, member) {
                const char *meant = is_source(key) || is_setting(key) ? NULL : meant_for(key, member);

                if (meant)
                        return refuse(r, key, 1,
                                      "the member \"%s\" is not known to Docker; \"%s\" is. Rename or remove it in an "
                                      "editor",
                                      key, meant);
        }
        return 0;
}

/* Also beside "auths": a manifest that some tool has merged into the file says nothing of logins. */
static int check_manifest(const Recognition *r) {
        const char *kind = json_get_string(r->top, "kind");

        if (!kind || !json_get_string(r->top, "apiVersion"))
                return 0;
        return refuse(r, "kind", 1,
                      "not a Docker credential file but a Kubernetes %s. The value of .dockerconfigjson in a Secret, "
                      "decoded from base64, is one",
                      streq(kind, "Secret") ? "Secret" : "manifest");
}

static int check_resemblance(const Recognition *r) {
        for (size_t i = 0; i < ELEMENTSOF(others); i++)
                if (json_field(r->top, others[i].member.name, others[i].member.type))
                        return refuse(r, others[i].member.name, 1, "not a Docker credential file but %s",
                                      others[i].text);
        return 0;
}

/* Returns true for an auth entry. An empty object is one, too: its secret was in a store. */
static bool is_entry(const char *key, json_object *member) {
        static const char *const fields[] = {"auth", "username", "password", "identitytoken", "email"};

        if (is_setting(key) || !json_object_is_type(member, json_type_object))
                return false;
        if (json_object_object_length(member) == 0)
                return true;
        json_object_object_foreach(member, name, value) {
                (void) value;
                for (size_t i = 0; i < ELEMENTSOF(fields); i++)
                        if (strcasecmp(name, fields[i]) == 0)
                                return true;
        }
        return false;
}

/* Judges an object that has none of the members in sources[]. */
static int judge_members(const Recognition *r, FileForm *ret) {
        const char *unknown = NULL, *odd = NULL;
        bool any = false;

        json_object_object_foreach(r->top, key, member) {
                bool entry = is_entry(key, member);

                if (!unknown && !is_setting(key))
                        unknown = key;
                if (!odd && !entry)
                        odd = key;
                any = any || (entry && json_object_object_length(member) > 0);
        }
        if (!unknown) {
                *ret = FORM_CONFIG;
                return 0;
        }
        if (!any)
                return refuse(r, unknown, 1,
                              "not a Docker credential file: it has neither \"auths\" nor \"credHelpers\" nor "
                              "\"credsStore\", and '%.64s' is not a setting of Docker's CLI. Name the right file in "
                              "[Credentials] File=; if this is the right one, add \"auths\": {}",
                              registry_showable(unknown));
        if (odd)
                return refuse(r, odd, 1,
                              "not a Docker credential file: a list of entries without \"auths\", in which '%.64s' is "
                              "not an entry. Put the entries into \"auths\": {...}",
                              registry_showable(odd));
        *ret = FORM_DOCKERCFG;
        return 0;
}

int file_form_recognize(json_object *top, const char *text, size_t size, FileForm *ret, size_t *ret_offset,
                        char ret_why[static FORM_WHY_MAX]) {
        const Recognition recognition = {.top = top, .text = text, .size = size, .offset = ret_offset, .why = ret_why};
        bool any = false;
        int r;

        r = check_manifest(&recognition);
        if (r >= 0)
                r = check_sources(&recognition, &any);
        if (r >= 0)
                r = check_spelling(&recognition);
        if (r < 0)
                return r;
        if (any) {
                *ret = FORM_CONFIG;
                return 0;
        }
        r = check_resemblance(&recognition);
        return r < 0 ? r : judge_members(&recognition, ret);
}
