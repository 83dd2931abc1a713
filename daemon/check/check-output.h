/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "check/check-json.h"
#include "report/screen.h"
#include "settings/settings.h"

/* What ecs-authd check has found: for people a line for each finding, with its cure; with --json for scripts. */

typedef struct Check {
        const Settings *settings;
        unsigned counts[3];
        CheckJson *json; /* NULL: for people */
        Screen screen;
        bool no_login_yet;
        bool service_runs; /* ecs-authd.service: what is due follows by itself */
} Check;

/* id: what was looked at; in the manual, and stable. subject: the file, registry or unit that it is about, or NULL.
 * cure: what to do, or NULL. */
void say(Check *c, const char *id, const char *subject, Verdict verdict, const char *text, const char *cure);
void say_problems(Check *c, const char *id, const Problems *problems);
Verdict verdict_of_level(int level);

/* What may take longer than a moment, on a terminal; the next one, or a finding, takes its place. */
void announce(const Check *c, const char *what);

typedef struct Text {
        char s[1024];
} Text;

Text text(const char *format, ...) _printf_(1, 2);
