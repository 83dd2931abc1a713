/* SPDX-License-Identifier: Apache-2.0 */
#include <getopt.h>
#include <stdarg.h>
#include <syslog.h>

#include "base/memory.h"
#include "base/nearest.h"
#include "base/secret.h"
#include "check/check.h"
#include "ecsconfig/sync.h"
#include "manager/apply-dry-run.h"
#include "manager/manager.h"
#include "proxy/proxy.h"
#include "report/show-status.h"

typedef enum Flag { REVEAL, NO_RESTART, DRY_RUN, LOGIN, ONLY_SETTINGS, JSON, WATCH, _FLAG_MAX } Flag;

enum {
        OPTION_FLAG = 0x100, /* + Flag */
        OPTION_CONFIG = OPTION_FLAG + _FLAG_MAX,
};

static const struct option options[] = {
        [REVEAL] = {"reveal", no_argument, NULL, OPTION_FLAG + REVEAL},
        [NO_RESTART] = {"no-restart", no_argument, NULL, OPTION_FLAG + NO_RESTART},
        [DRY_RUN] = {"dry-run", no_argument, NULL, OPTION_FLAG + DRY_RUN},
        [LOGIN] = {"login", no_argument, NULL, OPTION_FLAG + LOGIN},
        [ONLY_SETTINGS] = {"settings", no_argument, NULL, OPTION_FLAG + ONLY_SETTINGS},
        [JSON] = {"json", no_argument, NULL, OPTION_FLAG + JSON},
        [WATCH] = {"watch", no_argument, NULL, OPTION_FLAG + WATCH},
        {"config", required_argument, NULL, OPTION_CONFIG},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {NULL, 0, NULL, 0},
};

/* The verbs that take each flag. */
static const char *const verbs_of_flag[_FLAG_MAX][2] = {
        [REVEAL] = {"render"},       [NO_RESTART] = {"apply"},     [DRY_RUN] = {"apply"}, [LOGIN] = {"check"},
        [ONLY_SETTINGS] = {"check"}, [JSON] = {"status", "check"}, [WATCH] = {"status"},
};

typedef struct Arguments {
        const char *verb;
        const char *config_path;
        const char **options; /* -o, NULL-terminated */
        size_t n_options;
        bool flags[_FLAG_MAX];
} Arguments;

static void print_help(void) {
        (void) printf("ecs-authd [OPTIONS] VERB\n"
                      "Keeps the registry credentials of the ECS agent in step with `docker login`.\n\n"
                      "Verbs:\n"
                      "  run      the service; started by ecs-authd.service\n"
                      "  apply    one pass in the foreground: write, restart if needed, verify\n"
                      "  render   show the two lines that would be written; secrets as ***\n"
                      "  status   what the service sees and does\n"
                      "  check    look at everything on this host that matters, and say what to do\n"
                      "  proxy    serve the agent's Docker socket (experimental)\n\n"
                      "Options:\n"
                      "  --config FILE            settings (default " SETTINGS_PATH_DEFAULT "), FILE.d/*.conf\n"
                      "  -o Section.Key=VALUE     overrides one setting; repeatable\n"
                      "  --no-restart             apply: stop after the write\n"
                      "  --dry-run                apply: say what would be done, and do nothing\n"
                      "  --reveal                 render: show the secrets\n"
                      "  --login, --settings      check: ask the registries, too; or the settings only\n"
                      "  --json                   status, check: for scripts\n"
                      "  --watch                  status: again whenever it changes\n"
                      "  -h, --help  -V, --version\n\n"
                      "Exit status: 0 done or nothing to do, 1 failed, 2 usage, 78 bad settings, 3 the\n"
                      "restart is held (status: somebody should look), 4 --dry-run: it would change\n");
}

_printf_(1, 2) static int usage_error(const char *format, ...) {
        va_list ap;

        (void) fprintf(stderr, "ecs-authd: ");
        va_start(ap, format);
        (void) vfprintf(stderr, format, ap);
        va_end(ap);
        (void) fprintf(stderr, "\nTry 'ecs-authd --help'.\n");
        return EXIT_STATUS_USAGE;
}

static void print_problems(const Problems *problems) {
        for (unsigned i = 0; i < problems->n_items; i++)
                (void) fprintf(stderr, "%s\n", problems->items[i].text);
}

/* result: what getopt_long() returned for word, which it could not take; optopt is what it knew of that. A value is not
 * shown: it may be a secret. */
static int option_error(int result, const char *word) {
        const struct option *known = NULL;
        char name[64];
        Nearest nearest = {.typed = name};

        for (const struct option *o = options; o->name; o++)
                if (o->val == optopt)
                        known = o;
        if (known)
                return usage_error("--%s %s", known->name, result == ':' ? "needs a value" : "takes no value");
        if (result == ':')
                return usage_error("-o needs a value: Section.Key=VALUE");
        if (optopt)
                return usage_error("unknown option: '-%c'", optopt);

        word += strlen("--");
        (void) snprintf(name, sizeof(name), "%.*s", (int) strcspn(word, "="), word);
        for (const struct option *o = options; o->name; o++)
                nearest_consider(&nearest, o->name);
        if (nearest.word)
                return usage_error("unknown option: '--%s'; did you mean '--%s'?", name, nearest.word);
        return usage_error("unknown option: '--%s'", name);
}

/* Returns true if word is the whole name of the option: getopt_long(3) also accepts the beginning of a name, but
 * "--rev" must not print secrets. */
static bool is_whole_name(const char *word, const struct option *option) {
        const size_t n = strlen("--") + strlen(option->name);

        return strlen(word) >= n && strcspn(word, "=") == n;
}

/* Returns -1 to go on, or an exit status. */
static int parse_options(int argc, char **argv, Arguments *a) {
        int c, index = -1;

        /* The colon in front: what is wrong we say ourselves. */
        while ((c = getopt_long(argc, argv, ":o:hV", options, &index)) >= 0) {
                const char *word = argv[optind - 1];

                if (index >= 0 && optarg == word)
                        word = argv[optind - 2];
                if (index >= 0 && !is_whole_name(word, &options[index])) {
                        optopt = 0;
                        return option_error('?', word);
                }
                index = -1;
                switch (c) {
                case OPTION_CONFIG:
                        a->config_path = optarg;
                        break;
                case 'o':
                        a->options[a->n_options++] = optarg;
                        break;
                case 'h':
                        print_help();
                        return EXIT_SUCCESS;
                case 'V':
                        (void) printf("ecs-authd " VERSION "\n");
                        return EXIT_SUCCESS;
                default:
                        if (c < OPTION_FLAG)
                                return option_error(c, argv[optind - 1]);
                        a->flags[c - OPTION_FLAG] = true;
                }
        }
        return -1;
}

/* Returns -1 to go on, or an exit status. */
static int check_flags(const Arguments *a) {
        for (Flag f = 0; f < _FLAG_MAX; f++) {
                const char *verb = verbs_of_flag[f][0], *other = verbs_of_flag[f][1];

                if (a->flags[f] && !streq(a->verb, verb) && (!other || !streq(a->verb, other)))
                        return usage_error("--%s belongs to %s%s%s", options[f].name, verb, other ? " and " : "",
                                           other ? other : "");
        }
        if (a->flags[ONLY_SETTINGS] && (a->flags[LOGIN] || a->flags[JSON]))
                return usage_error("--settings goes without --login and --json");
        return -1;
}

static int parse_arguments(int argc, char **argv, Arguments *a) {
        static const char *const verbs[] = {"run", "apply", "render", "status", "check", "proxy"};
        int r = parse_options(argc, argv, a);
        Nearest nearest = {0};

        if (r >= 0)
                return r;
        if (optind >= argc)
                return usage_error("a verb is missing: run, apply, render, status, check or proxy");
        if (optind + 1 < argc)
                return usage_error("unexpected argument: '%s'", argv[optind + 1]);

        nearest.typed = argv[optind];
        if (streq(argv[optind], "help")) {
                print_help();
                return EXIT_SUCCESS;
        }
        for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
                nearest_consider(&nearest, verbs[i]);
                if (streq(verbs[i], argv[optind]))
                        a->verb = verbs[i];
        }
        if (!a->verb && nearest.word)
                return usage_error("unknown verb: '%s'; did you mean '%s'?", argv[optind], nearest.word);
        if (!a->verb)
                return usage_error("unknown verb: '%s'", argv[optind]);
        return check_flags(a);
}

static int failed(int r) {
        (void) fprintf(stderr, "ecs-authd: %s\n", strerror(-r));
        return EXIT_STATUS_FAILED;
}

/* For a person who runs the service by hand. */
static void explain_run(void) {
        if (isatty(STDERR_FILENO))
                (void) fprintf(
                        stderr,
                        "This is the service, which runs until Ctrl-C; systemd runs it as ecs-authd.service. For "
                        "one pass in the foreground, run 'ecs-authd apply'\n");
        if (geteuid() != 0)
                (void) fprintf(stderr,
                               "This is not root: it may not read root's credential file, write ecs.config or restart "
                               "the agent. Run 'sudo systemctl start ecs-authd'\n");
}

static int verb_manager(const Arguments *a, Settings **settings) {
        _cleanup_(manager_freep) Manager *m = NULL;
        const ManagerMode mode = streq(a->verb, "run")  ? MANAGER_RUN
                                 : a->flags[NO_RESTART] ? MANAGER_APPLY_WRITE
                                                        : MANAGER_APPLY;
        int r;

        if (mode == MANAGER_RUN)
                explain_run();
        r = manager_new(&m, mode, settings, a->config_path, (char *const *) a->options);
        return r < 0 ? r : manager_loop(m);
}

/* Prints the source of each entry, and its changes; to stderr, because stdout is the lines that would be written. */
static void print_sources(const Credentials *credentials) {
        for (size_t i = 0; i < credentials->n_items; i++) {
                const Credential *c = credentials->items[i];
                const bool is_respelled = c->source && !streq(c->key, c->registry);
                char name[512];

                if (!credential_is_usable(c))
                        continue;
                json_copy_printable(name, sizeof(name), c->registry);
                (void) fprintf(stderr, "%s: from %s%s%s%s%s%s\n", name,
                               c->source ? c->source : "the lines that stand there now, kept",
                               c->helper ? ", docker-credential-" : "", c->helper ? c->helper : "",
                               is_respelled ? "; spelled there " : "", is_respelled ? c->key : "",
                               c->identity_token ? "; an identity token" : "");
        }
}

static int verb_render(const Arguments *a, const Settings *settings) {
        _cleanup_(credentials_done) Credentials credentials = {0};
        _cleanup_secret_ char *type = NULL, *data = NULL, *masked = NULL;
        Problems problems = {0};
        DigestKey key;
        int r;

        r = digest_key_look(&key);
        if (r < 0)
                return r;
        r = sync_render(&settings->credentials, &settings->ecsconfig, &key, &credentials, &type, &data, &problems);
        print_problems(&problems);
        /* Nobody has logged in yet. */
        if (r == -ENOENT && problems_worst_level(&problems) > LOG_ERR)
                return EXIT_SUCCESS;
        if (r < 0)
                return problems_worst_level(&problems) <= LOG_ERR ? EXIT_STATUS_FAILED : r;
        print_sources(&credentials);
        if (!data) {
                (void) fprintf(stderr,
                               "No registry has credentials: ecs-authd would write neither of the two lines to %s\n",
                               settings->ecsconfig.environment_file);
                return EXIT_SUCCESS;
        }

        if (!a->flags[REVEAL]) {
                r = authdata_mask(data, &masked);
                if (r < 0)
                        return r;
                make_printable(masked);
        }
        (void) printf(AUTHDATA_TYPE_KEY "=%s\n" AUTHDATA_DATA_KEY "=%s\n", type, masked ? masked : data);
        return fflush(stdout) == 0 ? EXIT_SUCCESS : negative_errno();
}

static int run_verb(const Arguments *a, Settings **settings) {
        if (a->flags[ONLY_SETTINGS])
                return EXIT_SUCCESS;
        if (streq(a->verb, "render"))
                return verb_render(a, *settings);
        if (streq(a->verb, "proxy"))
                return proxy_serve(*settings);
        if (streq(a->verb, "check"))
                return check_host(*settings, a->flags[LOGIN], a->flags[JSON]);
        if (a->flags[DRY_RUN])
                return apply_dry_run(*settings, a->flags[NO_RESTART]);
        return verb_manager(a, settings);
}

int main(int argc, char **argv) {
        _cleanup_free_ const char **settings_options = xcalloc((size_t) argc + 1, sizeof(char *));
        _cleanup_(settings_freep) Settings *settings = NULL;
        Arguments a = {.options = settings_options};
        Problems problems = {0};
        int r;

        r = parse_arguments(argc, argv, &a);
        if (r >= 0 || !a.verb)
                return r;

        /* Of no secret and no settings. */
        if (streq(a.verb, "status"))
                return show_status(a.flags[JSON], a.flags[WATCH]);

        r = secret_protect_process();
        if (r < 0) {
                (void) fprintf(stderr, "ecs-authd: cannot turn core files off: %s\n", strerror(-r));
                return EXIT_STATUS_FAILED;
        }

        r = settings_load(a.config_path, (char *const *) a.options, &settings, &problems);
        print_problems(&problems);
        if (r < 0)
                return r == -ENOMEM ? failed(r) : EXIT_STATUS_CONFIG;

        r = run_verb(&a, &settings);
        return r < 0 ? failed(r) : r;
}
