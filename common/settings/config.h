/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/problem.h"
#include "ecsconfig/authdata.h"

/* The settings: /etc/ecs-authd.conf, then /etc/ecs-authd.conf.d/?*.conf in the order of their names, then -o. Read
 * whole into a new object; bad settings give no object, so that the ones in use stay in use. Times are in microseconds.
 */

#define CONFIG_PATH_DEFAULT "/etc/ecs-authd.conf"

/* The hosts of Amazon ECR (private and public, FIPS, dual-stack, in every partition; after the pattern that
 * amazon-ecr-credential-helper knows them by): for their images the agent gets credentials by itself and never uses
 * these (docker_client.go of amazon-ecs-agent), so that an entry for them could only cause restarts. */
#define CONFIG_EXCLUDE_DEFAULT                                                                       \
        "*.dkr?ecr*.amazonaws.* *.dkr?ecr*.on.aws *.dkr?ecr*.on.amazonwebservices.* public.ecr.aws " \
        "ecr-public.aws.com "                                                                        \
        "*.dkr?ecr*.sc2s.sgov.gov *.dkr?ecr*.c2s.ic.gov *.dkr?ecr*.cloud.adc-e.uk *.dkr?ecr*.csp.hci.ic.gov"

typedef enum RestartMethod {
        RESTART_METHOD_SYSTEMD,
        RESTART_METHOD_UPSTART,
        RESTART_METHOD_DOCKER,
        RESTART_METHOD_NONE,
} RestartMethod;

typedef enum UnsavedState {
        UNSAVED_STATE_WAIT,
        UNSAVED_STATE_FORCE,
        UNSAVED_STATE_NEVER,
} UnsavedState;

typedef struct Config {
        char **credential_files; /* NULL-terminated, absolute paths */
        uint64_t helper_timeout_usec;
        char **exclude; /* NULL-terminated shell patterns of hosts, or NULL */
        uint64_t refresh_usec;

        char *environment_file;
        AuthType auth_type;
        char *container;
        char *docker_socket;
        char *introspection_url;

        RestartMethod method;
        char *unit;
        UnsavedState unsaved_state;
        uint64_t settle_usec;
        uint64_t min_interval_usec;
        uint64_t jitter_usec;
        uint64_t pending_usec;
        uint64_t verify_usec;
        bool rollback; /* see config_can_roll_back() */

        char *metrics_file; /* NULL: none */
} Config;

/* path NULL: the default file, which may be missing. Drop-ins stand in "PATH.d". options: "Section.Key=VALUE",
 * NULL-terminated, or NULL. -EINVAL: each mistake is a problem that names file and line, or the option. */
int config_load(const char *path, char *const *options, Config **ret, Problems *problems);
Config *config_free(Config *c);
DEFINE_CLEANUP_FUNC(Config *, config_free)

/* Rollback=yes, and there is somebody who restarts. */
static inline bool config_can_roll_back(const Config *c) {
        return c->rollback && c->method != RESTART_METHOD_NONE;
}

/* Where state is kept: $STATE_DIRECTORY, or, where nobody sets it, the directory that systemd would. */
const char *config_state_directory(void);

/* If it is not there; what is wrong with it shows when something is to be written there. */
void config_make_state_directory(void);

/* What "~" stands for: $HOME, or, as services have none, what the user database says. NULL: no memory. */
char *config_home_directory(void);

/* The longest line that the reader in use takes (envfile.h): where nothing restarts the agent for us, nobody knows who
 * reads the file, and the strictest reader counts. */
size_t config_line_max(const Config *c);

/* A span of time in systemd's notation (systemd.time(7)): "2s", "1min 30s", "500ms"; a bare number is seconds.
 * -EINVAL: not a span; -ERANGE: longer than 10 years. */
int config_parse_timespan(const char *s, uint64_t *ret_usec);
