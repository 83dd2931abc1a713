/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/macro.h"
#include "credentials/gather.h"

/* One value of a setting, from its text to where it is kept. target: of the type that is named with each. -EINVAL:
 * *ret_expected says, for people, what it should have been. What stood there before is given back. */

typedef int (*parse_value_t)(void *target, const char *value, const char **ret_expected);

/* char *, without "unix://" */
int parse_path(void *target, const char *value, const char **ret_expected);
/* the same, or NULL for an empty value */
int parse_optional_path(void *target, const char *value, const char **ret_expected);
/* char **, NULL-terminated: one more, or none for an empty value */
int parse_path_list(void *target, const char *value, const char **ret_expected);
/* the same, several in a value */
int parse_pattern_list(void *target, const char *value, const char **ret_expected);
/* uint64_t, in microseconds */
int parse_timespan(void *target, const char *value, const char **ret_expected);
/* bool, as systemd's: yes, true, on, 1 and their opposites */
int parse_boolean(void *target, const char *value, const char **ret_expected);
/* AuthType */
int parse_auth_type(void *target, const char *value, const char **ret_expected);
/* char * */
int parse_container(void *target, const char *value, const char **ret_expected);
/* char *, without slashes at its end */
int parse_url(void *target, const char *value, const char **ret_expected);
/* char *, with its suffix */
int parse_unit(void *target, const char *value, const char **ret_expected);
/* RestartMethod */
int parse_method(void *target, const char *value, const char **ret_expected);
/* UnsavedState */
int parse_unsaved_state(void *target, const char *value, const char **ret_expected);

/* char **, as parse_pattern_list(): words of helper-environment.h. What is expected never shows the value. */
int parse_helper_environment(void *target, const char *value, const char **ret_expected);
/* HelperLifetimes: one more, or none for an empty value */
int parse_helper_lifetime(void *target, const char *value, const char **ret_expected);

/* Takes NULL, returns NULL. */
char **strv_free(char **l);
DEFINE_CLEANUP_FUNC(char **, strv_free)

/* Takes over item, also when it fails. */
int strv_append(char ***list, char *item);

/* Empties the list. */
void helper_lifetimes_done(HelperLifetimes *l);
