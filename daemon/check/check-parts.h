/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/memory.h"
#include "check/check.h"
#include "report/screen.h"

/* The parts of ecs-authd check, and how they report. A verb: if no memory is left, it ends (base/memory.h). */

typedef enum Verdict { OK, WARNING, PROBLEM } Verdict;

typedef struct Check {
        const Settings *settings;
        unsigned counts[3];
        json_object *findings; /* of --json; NULL: findings are printed for people */
        Screen screen;
        bool no_login_yet;
        bool service_runs; /* ecs-authd.service restarts the agent if a restart is due */
} Check;

/* The content that the environment file has, and that it should have. */
typedef struct Plan {
        SyncReport current; /* as sync_look() reports it */
        Credentials credentials;
        char *type, *data; /* secrets; NULL: the lines would be removed */
        bool known;        /* false: the credential files or the environment file cannot be used */
} Plan;

/* Reports a finding. id: the check, as the manual lists it. subject: the file, registry or unit in question, or NULL.
 * cure: how to fix it, or NULL. */
void say(Check *c, const char *id, const char *subject, Verdict verdict, const char *text, const char *cure);
void say_problems(Check *c, const char *id, const Problems *problems);
Verdict verdict_of_level(int level);

/* Shows on a terminal that a check has started which may take seconds. The next output replaces the line. */
void announce(const Check *c, const char *what);

typedef struct Text {
        char s[1024];
} Text;

Text make_text(const char *format, ...) _printf_(1, 2);

/* Formats a string that lives until the end of the block. */
#define text(...) (((const Text[]){make_text(__VA_ARGS__)})[0].s)

/* Returns the advice to add a drop-in that lets the service see the first n_directory bytes of path (0: it sees them),
 * and read the files of other users if they are foreign. */
Text advise_drop_in(const char *path, size_t n_directory, bool foreign);

void check_credential_files(Check *c);
void check_registries(Check *c, const Credentials *credentials, bool login);

/* If no watched file contains a login: searches the files of other users and tools for one. */
void check_other_logins(Check *c, const Credentials *credentials);

void check_environment_file(Check *c, const DigestKey *key, const Plan *plan);
void check_other_places(Check *c);
void check_inotify(Check *c);

void check_units(Check *c, const UnitReport *unit);
void check_agent(Check *c, const Judgement *j);
