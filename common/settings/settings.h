/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "agent/observe.h"
#include "base/problems.h"
#include "credentials/gather.h"
#include "decision/when-to-restart.h"
#include "ecsconfig/sync.h"

/* Reads /etc/ecs-authd.conf, then the drop-ins *.conf of /usr/lib/ecs-authd.conf.d, /run/ecs-authd.conf.d and
 * /etc/ecs-authd.conf.d as systemd does (in the order of their names over all three; one in /etc hides one of its name
 * in /run, and that one in /usr/lib; an empty one masks), then -o, and fills the settings that each room below declares
 * for itself. Read whole into a new object; bad settings give no object, so that the ones in use stay in use. Times are
 * in microseconds. */

#define SETTINGS_PATH_DEFAULT "/etc/ecs-authd.conf"

/* The hosts of Amazon ECR (private and public, FIPS, dual-stack, in every partition; after the pattern of
 * amazon-ecr-credential-helper). For a private registry the agent gets credentials itself and never uses an entry,
 * which could therefore only cause restarts. For public.ecr.aws it uses an entry if the task brings no credentials
 * (docker_client.go of amazon-ecs-agent), but the login expires after 12 hours, and an expired one makes pulls fail
 * that succeed without. */
#define EXCLUDE_DEFAULT                                                                              \
        "*.dkr?ecr*.amazonaws.* *.dkr?ecr*.on.aws *.dkr?ecr*.on.amazonwebservices.* public.ecr.aws " \
        "ecr-public.aws.com "                                                                        \
        "*.dkr?ecr*.sc2s.sgov.gov *.dkr?ecr*.c2s.ic.gov *.dkr?ecr*.cloud.adc-e.uk *.dkr?ecr*.csp.hci.ic.gov"

typedef struct Settings {
        CredentialSettings credentials;
        EcsConfigSettings ecsconfig;
        AgentSettings agent;
        RestartSettings restart;
        char *unit;         /* that runs the agent */
        char *metrics_file; /* NULL: none */
} Settings;

/* path NULL: the files above, of which any may be missing; otherwise this one, and the drop-ins of "PATH.d" alone.
 * options: "Section.Key=VALUE", NULL-terminated, or NULL. -EINVAL: each mistake is a problem that names file and line,
 * or the option; values of HelperEnvironment= are never shown. */
int settings_load(const char *path, char *const *options, Settings **ret, Problems *problems);

/* The same from elsewhere. */
typedef struct SettingsPlaces {
        const char *file;
        bool file_is_optional;
        const char *const *drop_in_directories; /* NULL-terminated, from the one that counts most */
} SettingsPlaces;

int settings_load_from(const SettingsPlaces *places, char *const *options, Settings **ret, Problems *problems);

Settings *settings_free(Settings *s);
DEFINE_CLEANUP_FUNC(Settings *, settings_free)
