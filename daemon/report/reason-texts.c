/* SPDX-License-Identifier: Apache-2.0 */
#include "report/reason-texts.h"

#include "base/log.h"

const char *const reason_states[] = {"live", "waiting", "held", "stopped", "silent", "problem", "written", NULL};

static const ReasonText texts[_REASON_MAX] = {
        [REASON_NONE] = {"waiting", LOG_INFO, NULL, "Looking"},
        [REASON_LOOKING] = {"waiting", LOG_INFO, NULL, "Looking"},

        /* restart, start */
        [REASON_OTHER_CREDENTIALS] = {"waiting", LOG_NOTICE, MESSAGE_RESTARTING,
                                      "Restarting {agent}: container {container} runs with other credentials than "
                                      "{file}"},
        [REASON_OWED] = {"problem", LOG_WARNING, MESSAGE_STARTING,
                         "{agent} is down since our restart, and is started again"},

        /* close */
        [REASON_RESTARTED] = {"waiting", LOG_INFO, NULL, "{agent} was restarted"},
        [REASON_STOPPED] = {"waiting", LOG_INFO, NULL, "{agent} was stopped by somebody"},
        [REASON_CUT_OFF] = {"waiting", LOG_WARNING, MESSAGE_PROBLEM,
                            "The restart of {agent} was cut off: container {container} is still the old one"},
        [REASON_NO_EFFECT] = {"problem", LOG_ERR, MESSAGE_NO_EFFECT,
                              "The restart of {agent} had no effect: container {container} is still the old one. See "
                              "{logs}"},
        [REASON_WITHOUT_THEM] = {"problem", LOG_ERR, MESSAGE_NO_EFFECT,
                                 "The restart of {agent} did not bring the credentials of {file} into container "
                                 "{container}. See {logs}"},

        /* done */
        [REASON_LIVE] = {"live", LOG_INFO, MESSAGE_LIVE,
                         "Container {container} ({id}) runs {credentials}; {version} in cluster {cluster}"},
        [REASON_WRITE_ONLY] = {"written", LOG_INFO, MESSAGE_WAITING,
                               "{file} is up to date; nothing is restarted, as {asked}"},

        /* wait */
        [REASON_RESTART_JOB] = {"waiting", LOG_INFO, NULL, "Waiting for the restart of {agent}"},
        [REASON_VERIFYING] = {"waiting", LOG_INFO, NULL, "{agent} was restarted; waiting for its new container"},
        [REASON_SETTLE] = {"waiting", LOG_INFO, NULL,
                           "Credentials changed; waiting for them to settle before {agent} is restarted"},
        [REASON_MIN_INTERVAL] =
                {"waiting", LOG_INFO, MESSAGE_WAITING,
                 "The restart of {agent} waits{wait}: at most one restart per MinIntervalSec={interval}"},
        [REASON_BACKOFF] = {"waiting", LOG_WARNING, MESSAGE_WAITING,
                            "The next restart of {agent} waits{wait}: {failures} had no effect"},
        [REASON_TASKS_ENDED] = {"waiting", LOG_INFO, NULL,
                                "The last task has ended; {agent} is restarted some seconds later, when that has been "
                                "reported"},
        [REASON_UNIT_CHANGING] = {"waiting", LOG_INFO, MESSAGE_WAITING,
                                  "{agent} is starting or stopping, or has a job queued: left to that"},
        [REASON_REGISTERING] = {"waiting", LOG_INFO, NULL,
                                "Waiting for the agent in container {container} to register and answer at {url}"},
        [REASON_SILENT] = {"silent", LOG_WARNING, MESSAGE_SILENT,
                           "The agent in container {container} has not registered with ECS for {silence}: it does not "
                           "answer at {url}. The credentials are not the cause, and nothing is restarted for it. See "
                           "{logs}"},
        [REASON_IMPOSTOR] =
                {"silent", LOG_WARNING, MESSAGE_IMPOSTOR,
                 "Port {port} is held by {impostor}, not by the agent in container {container}: what is said "
                 "there is not believed, and the agent cannot answer. Find the process, and end it: ss -ltnp "
                 "'sport = :{port}'"},
        [REASON_OTHER_INSTANCE] = {"waiting", LOG_INFO, MESSAGE_WAITING,
                                   "Another ecs-authd restarts {agent}: waiting for that"},

        /* hold */
        [REASON_FILE_UNKNOWN] = {"problem", LOG_ERR, MESSAGE_HELD_FILE,
                                 "{file} cannot be read, for the reason named before; the agent stays as it is"},
        [REASON_FILE_WRONG] = {"problem", LOG_ERR, MESSAGE_HELD_FILE,
                               "Restart held: {file} could not be brought up to date, for the reason named before; the "
                               "agent keeps what it has"},
        [REASON_ENGINE] = {"held", LOG_WARNING, MESSAGE_HELD_ENGINE,
                           "No restart while the Docker Engine cannot be asked at {socket} ({engine})"},
        [REASON_BUS] = {"held", LOG_WARNING, MESSAGE_HELD_BUS,
                        "No restart while systemd cannot be reached over D-Bus; see systemctl status dbus"},
        [REASON_UNIT_NOT_FOUND] = {"held", LOG_WARNING, MESSAGE_HELD_UNIT,
                                   "Restart held: there is no unit {unit}; install the ECS agent, or set [Restart] "
                                   "Unit= (SUSE: amazon-ecs.service)"},
        [REASON_UNIT_MASKED] = {"held", LOG_WARNING, MESSAGE_HELD_UNIT,
                                "Restart held: {unit} is masked. To let it start again: systemctl unmask {unit} && "
                                "systemctl start {unit}"},
        [REASON_UNIT_BAD_SETTING] = {"held", LOG_WARNING, MESSAGE_HELD_UNIT,
                                     "Restart held: the unit file of {unit} cannot be used; see systemctl status "
                                     "{unit}"},
        [REASON_UNIT_INACTIVE] = {"stopped", LOG_INFO, MESSAGE_HELD_STOPPED,
                                  "{agent} is stopped; left alone ({end}). Its next start uses the credentials of "
                                  "{file}"},
        [REASON_UNIT_EXITED] = {"held", LOG_WARNING, MESSAGE_HELD_EXITED,
                                "{unit} is inactive: {end}. Start it: systemctl start {unit}. It then uses the "
                                "credentials of {file}"},
        [REASON_UNIT_FAILED] =
                {"held", LOG_WARNING, MESSAGE_HELD_FAILED,
                 "Restart held: {unit} has failed; see systemctl status {unit}. When its cause is fixed: "
                 "systemctl reset-failed {unit} && systemctl start {unit}"},
        [REASON_UNIT_START_LIMIT] = {"held", LOG_WARNING, MESSAGE_HELD_FAILED,
                                     "Restart held: {unit} was started too often in a short time (its start limit). "
                                     "When its cause is fixed: systemctl reset-failed {unit} && systemctl start "
                                     "{unit}"},
        [REASON_AGENT_REFUSED] = {"held", LOG_WARNING, MESSAGE_HELD_REFUSED,
                                  "The agent ended with status 5: it must not be started as it is, and is left alone. "
                                  "Its reason is in its log: docker logs {container} (state not saved, another "
                                  "ECS_CLUSTER than before, registration refused, a changed instance type or "
                                  "attribute, failed user data)"},
        [REASON_TASKS] = {"held", LOG_WARNING, MESSAGE_HELD_TASKS,
                          "Restart held: {tasks}, which a restart would lose: the agent does not keep its state "
                          "({unsaved}). It is restarted when the last one is gone{unknown}"},
        [REASON_TASKS_UNKNOWN] = {"held", LOG_WARNING, MESSAGE_HELD_TASKS,
                                  "Restart held: the agent does not keep its state ({unsaved}), and does not tell at "
                                  "{url} which tasks it would lose ({introspection})"},
        [REASON_UNSAVED_NEVER] = {"held", LOG_WARNING, MESSAGE_HELD_TASKS,
                                  "Restart held by UnsavedState=never: the agent does not keep its state ({unsaved}). "
                                  "When its tasks may be lost: ecs-authd apply -o Restart.UnsavedState=force"},
        [REASON_FRUITLESS] = {"held", LOG_WARNING, MESSAGE_HELD_FRUITLESS,
                              "Restart held: the last one did not bring the credentials of {file} into container "
                              "{container}; does {unit} read that file (and not /var/lib/ecs/ecs.config as well)? "
                              "'systemctl reload ecs-authd' tries again"},
        [REASON_NO_RECORD] = {"held", LOG_ERR, MESSAGE_HELD_RECORD,
                              "Restart held: it cannot be written down in {state}, and what a crash would leave half "
                              "done is not begun. Make room there (df {state}), or, if others can write there: chmod "
                              "go-w {state}"},
};

static const ReasonText write_failed = {"problem", LOG_ERR, MESSAGE_WAITING,
                                        "{file} could not be brought up to date, for the reason named before"};
static const ReasonText written_in_part = {"problem", LOG_WARNING, MESSAGE_PROBLEM,
                                           "{file} is up to date, and nothing is restarted, as {asked}. {problems}"};
static const ReasonText start_waits = {"problem", LOG_WARNING, MESSAGE_STARTING,
                                       "{agent} is down since our restart; its next start waits{wait}. See "
                                       "{logs}"};
static const ReasonText live_with_problem = {"problem", LOG_WARNING, MESSAGE_LIVE,
                                             "Container {container} ({id}) runs {credentials}; {version} in cluster "
                                             "{cluster}. {problems}"};
static const ReasonText no_container_yet = {"waiting", LOG_INFO, NULL,
                                            "Waiting for container {container}: {agent} is active, and has none (yet)"};
static const ReasonText no_container = {"silent", LOG_WARNING, MESSAGE_SILENT,
                                        "{agent} is active, and container {container} does not run, for {silence}. See "
                                        "{logs}; then restart {agent}"};
static const ReasonText no_credentials_left = {
        "held", LOG_WARNING, MESSAGE_HELD_FILE,
        "Restart held: there is no credential file, and no credentials in {file}; the agent keeps those that it runs "
        "with. Run docker login, which makes {source}{elsewhere}"};
static const ReasonText no_login_yet = {"waiting", LOG_INFO, MESSAGE_WAITING,
                                        "Waiting for the first docker login, which makes {source}{elsewhere}"};

/* Where nothing is restarted, the file is all that there is to tell of; and nothing is before the first report. */
static const ReasonText *write_only_text(const Facts *f) {
        const FileFacts *file = &f->file;

        if (!file->known)
                return &texts[REASON_LOOKING];
        if (file->sync.outcome == SYNC_FAILED)
                return &write_failed;
        if (file->sync.no_login_yet)
                return &no_login_yet;
        return facts_are_well(f) ? &texts[REASON_WRITE_ONLY] : &written_in_part;
}

const ReasonText *reason_text(const Facts *f, const Decision *d) {
        if (d->reason == REASON_WRITE_ONLY)
                return write_only_text(f);
        if (d->reason == REASON_LIVE && !facts_are_well(f))
                return &live_with_problem;
        if (d->reason == REASON_LIVE && f->file.sync.no_login_yet)
                return &no_login_yet;
        if (d->reason == REASON_FILE_WRONG && f->file.sync.no_login_yet)
                return &no_credentials_left;
        if (d->reason == REASON_OWED && d->action == ACTION_WAIT)
                return &start_waits;
        if (d->reason == REASON_REGISTERING && f->agent.agent != AGENT_RUNNING)
                return &no_container_yet;
        if (d->reason == REASON_SILENT && f->agent.agent != AGENT_RUNNING)
                return &no_container;
        return &texts[d->reason];
}
