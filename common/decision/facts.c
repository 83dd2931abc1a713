/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/facts.h"

#include <signal.h>

#define ASK_PAUSE_USEC (30 * USEC_PER_SEC)
#define ASK_AGAIN_USEC (5 * USEC_PER_SEC) /* whatever it is that has one asked right after it was */

/* An agent that refuses itself does so in the first seconds of its life; one that runs for longer has changed its mind,
 * or somebody has mended it. */
#define REFUSAL_USEC (30 * USEC_PER_SEC)

/* An agent that runs for this long does not exit again and again. */
#define STEADY_USEC (60 * USEC_PER_SEC)

bool facts_agent_has_credentials(const Facts *f) {
        return f->agent.agent == AGENT_RUNNING && f->file.sync.digest_known &&
               digest_equal(&f->agent.digest, &f->file.sync.digest);
}

/* Measured (systemd 252): a stop job takes the unit out of "active" before the main process exits. Without a stop job,
 * the main process exits first, even if ExecStop= runs afterwards. */
UnitEnd facts_judge_end(const UnitRun *run) {
        if (run->started_usec == 0)
                return UNIT_END_NEVER_RAN;
        /* A time belongs to an earlier run, or the unit has not been active in this run. */
        if (run->main_exit_usec < run->started_usec || run->active_end_usec < run->started_usec)
                return UNIT_END_UNKNOWN;
        if (run->active_end_usec < run->main_exit_usec)
                return UNIT_END_STOP;
        if (run->active_end_usec == run->main_exit_usec || run->is_active_without_process)
                return UNIT_END_UNKNOWN;
        return run->exit_code == CLD_EXITED ? UNIT_END_EXIT : UNIT_END_SIGNAL;
}

UnitState facts_unit_of_container(const ObserveReport *agent) {
        if (agent->swap == SWAP_HALF_DONE)
                return UNIT_HALF_DONE;
        if (agent->agent == AGENT_RUNNING || agent->agent == AGENT_UNKNOWN)
                return UNIT_ACTIVE;
        if (agent->agent == AGENT_STOPPED && agent->exit_status == AGENT_EXIT_TERMINAL)
                return UNIT_REFUSED;
        return UNIT_INACTIVE;
}

bool facts_swap_can_end(const Facts *f) {
        if (f->record.open || f->job || f->observing || f->agent_stale || f->agent.agent != AGENT_RUNNING)
                return false;
        return f->unit.state == UNIT_HALF_DONE || (f->agent.swap == SWAP_LEFTOVER && facts_agent_has_credentials(f));
}

void facts_forget_file(Facts *f) {
        f->file.known = f->file.right = false;
        f->file.sync = (SyncReport){0};
        f->file.stale = true;
}

/* --- the job that writes --- */

void facts_begin_write(Facts *f) {
        f->file.stale = false;
        f->file.writing = true;
}

bool facts_begin_ask(Facts *f) {
        f->file.asking = true;
        f->file.asking_all = f->file.ask_all;
        f->file.ask_all = false;
        return f->file.asking_all;
}

static void count_restore(FileFacts *file, const SyncReport *report, uint64_t now) {
        if (now >= file->restored_usec + RESTORES_FORGOTTEN_USEC)
                file->n_restores = 0;
        if (report->outcome != SYNC_WRITTEN || !file->sync.digest_known ||
            !digest_equal(&report->digest, &file->sync.digest))
                return;
        file->n_restores++;
        file->restored_usec = now;
}

static bool take_report(FileFacts *file, const SyncReport *report) {
        bool changed = report->outcome == SYNC_WRITTEN || report->outcome == SYNC_REMOVED;

        /* Nothing newer is known to belong there, or it cannot be told. */
        if (report->behind || !report->digest_known)
                file->right = false;

        /* A job that did not even look into the environment file: what is known of it still stands. */
        if (!report->digest_known) {
                file->sync.outcome = report->outcome;
                file->sync.problems = report->problems;
                return false;
        }

        if (file->sync.digest_known && !digest_equal(&report->digest, &file->sync.digest)) {
                changed = true; /* also by another process */
                file->right = false;
        }
        file->sync = *report;
        /* Before the first login nothing says that what stands there is right: an agent that has credentials keeps
         * them. */
        if (report->outcome != SYNC_FAILED && !report->no_login_yet)
                file->right = true;
        return changed;
}

static bool end_job(Facts *f, const SyncReport *report, uint64_t now) {
        bool changed;

        if (!report) {
                f->file.stale = true;
                return false;
        }
        f->counters.writes += report->outcome == SYNC_WRITTEN || report->outcome == SYNC_REMOVED;
        f->counters.helper_failures += report->n_failed;
        /* One that was overtaken by the other. */
        if (report->seen_usec > 0 && report->seen_usec < f->file.sync.seen_usec)
                return false;
        count_restore(&f->file, report, now);
        changed = take_report(&f->file, report);
        if (f->file.n_restores >= RESTORES_MAX)
                problems_add(
                        &f->file.sync.problems, LOG_ERR,
                        "another program changes the credentials that ecs-authd wrote to the environment file again "
                        "and again; ecs-authd restores them every %u s now. Find that program (a second ecs-authd "
                        "with another File=, a cron job, a template) and stop it, or take these credentials out of "
                        "what it writes",
                        (unsigned) (RESTORE_PAUSE_USEC / USEC_PER_SEC));
        f->file.known = true;
        f->file.written_usec = now;
        f->file.ask_usec = report->ask_in_usec > 0 ? now + report->ask_in_usec - SYNC_ASK_NOW : 0;
        if (!changed)
                return true;

        f->file.changed_usec = now;
        /* One that is under way is fresh enough: files that change all the time must not have it begun anew all the
         * time. */
        if (!f->observing)
                f->agent_stale = true;
        if (f->needed_usec == 0)
                f->needed_usec = now;
        if (f->record.open)
                f->overtaken = true;
        else
                f->record.failures = 0;
        return true;
}

bool facts_end_write(Facts *f, const SyncReport *report, uint64_t now) {
        f->file.writing = false;
        return end_job(f, report, now);
}

bool facts_end_ask(Facts *f, const SyncReport *report, uint64_t now) {
        bool asked = report && report->asked;

        /* A job that died asked nobody, for all that is known. */
        if (report && (!asked || report->forgotten))
                f->file.pause_usec = now + ASK_PAUSE_USEC;
        else if (report && report->ask_in_usec == SYNC_ASK_NOW)
                f->file.pause_usec = now + ASK_AGAIN_USEC;
        f->file.ask_all |= f->file.asking_all && !asked;
        f->file.asking = f->file.asking_all = false;
        return end_job(f, report, now);
}

/* --- the job that observes --- */

void facts_begin_observe(Facts *f) {
        f->agent_stale = false;
        f->observing = true;
}

/* Counts the containers that fail while the service manager starts the agent again and again. */
static void count_exits(Facts *f, const ObserveReport *agent, uint64_t now) {
        bool known = f->agent.agent == AGENT_STOPPED && streq(agent->container_id, f->agent.container_id);

        if (agent->answers || (f->running_usec > 0 && now >= f->running_usec + STEADY_USEC))
                f->exits = 0;
        if (agent->agent != AGENT_STOPPED || agent->exit_status == 0 || known || f->unit.state == UNIT_CHANGING)
                return;
        f->exits++;
        f->exit_status = agent->exit_status;
}

static void take_agent(Facts *f, const ObserveReport *agent, uint64_t now) {
        bool same = agent->agent == AGENT_RUNNING && f->agent.agent == AGENT_RUNNING &&
                    streq(agent->container_id, f->agent.container_id);
        bool idle = agent->agent != AGENT_UNKNOWN && agent->n_tasks == 0 && agent->n_containers == 0 &&
                    agent->tasks_error == 0;

        if (agent->agent != AGENT_RUNNING)
                f->running_usec = 0;
        else if (!same || f->running_usec == 0)
                f->running_usec = now;

        if (!idle)
                f->idle_usec = 0;
        else if (f->idle_usec == 0)
                f->idle_usec = now;
        count_exits(f, agent, now);
        f->agent = *agent;
}

/* Since when it does not answer, though it should. */
static void judge_silence(Facts *f, uint64_t now) {
        bool runs = f->agent.agent == AGENT_RUNNING || f->unit.state == UNIT_ACTIVE || f->unit.state == UNIT_CHANGING;

        if (f->agent.agent == AGENT_UNKNOWN)
                return;
        if (!runs || f->agent.answers)
                f->silent_usec = 0;
        else if (f->silent_usec == 0)
                f->silent_usec = now;
}

/* A unit that restarts the agent anyway (Debian's) shows it running for a moment now and then. One that has failed
 * because of it runs again only after an operator's start. */
static void judge_refusal(Facts *f, uint64_t now) {
        bool stopped = f->agent.agent == AGENT_STOPPED && f->agent.exit_status == AGENT_EXIT_TERMINAL;
        bool runs = f->agent.agent == AGENT_RUNNING;

        if (f->unit.state == UNIT_REFUSED) {
                f->refused = true;
                f->refused_unit = f->unit.stopped_usec > 0;
        } else if (stopped && f->unit.state != UNIT_INACTIVE) {
                f->refused = true;
        } else if (f->agent.answers || f->unit.state == UNIT_INACTIVE || f->agent.agent == AGENT_STOPPED ||
                   (f->agent.agent == AGENT_ABSENT && f->unit.state == UNIT_FAILED) ||
                   (runs && (f->refused_unit || now >= f->running_usec + REFUSAL_USEC))) {
                f->refused = false;
                f->refused_unit &= !runs;
        }
}

void facts_end_observe(Facts *f, const ObserveReport *agent, const UnitReport *unit, uint64_t now) {
        f->observing = false;
        f->unit = *unit;
        take_agent(f, agent, now);
        f->observed_usec = now;
        judge_silence(f, now);
        judge_refusal(f, now);

        if (facts_agent_has_credentials(f)) {
                f->needed_usec = 0;
                f->record.fruitless = false;
                if (!f->record.open)
                        f->record.failures = 0;
        } else if (f->needed_usec == 0 && f->agent.agent == AGENT_RUNNING && f->file.sync.digest_known) {
                f->needed_usec = now;
        }
}

void facts_look_once(Facts *f, const RestartRecord *record, const SyncReport *file, const ObserveReport *agent,
                     const UnitReport *unit, uint64_t now) {
        facts_take_record(f, record);
        facts_begin_write(f);
        (void) facts_end_write(f, file, now); /* nothing overtakes the only one */
        facts_begin_observe(f);
        facts_end_observe(f, agent, unit, now);
}

/* --- our job --- */

void facts_take_record(Facts *f, const RestartRecord *record) {
        f->record = *record;
        f->overtaken = record->open; /* for all that we know */
}

void facts_begin_job(Facts *f, const Decision *d, uint64_t now) {
        RestartRecord *r = &f->record;

        f->job = true;
        r->tried_usec = now;
        r->failures++; /* until it is seen to be none */
        if (d->action != ACTION_RESTART)
                return;

        f->needed_usec = 0;
        f->overtaken = false;
        r->restart_usec = now;
        r->open = true;
        r->done = r->fruitless = false;
        r->digest = f->file.sync.digest;
        memcpy(r->old_container_id, f->agent.container_id, sizeof(r->old_container_id));
}

void facts_fail_to_record(Facts *f, const RestartRecord *before, uint64_t now) {
        f->record = *before;
        f->job = false;
        f->not_recorded_usec = now;
}

void facts_abandon_job(Facts *f) {
        f->job = false;
        f->agent_stale = true;
}

void facts_end_job(Facts *f, JobOutcome outcome) {
        bool restart = f->record.tried_usec == f->record.restart_usec;

        facts_abandon_job(f);
        if (outcome == JOB_DONE && restart)
                f->record.done = true;
        /* Nothing was done to an agent that ran; of one that is down already that says nothing. */
        if (outcome == JOB_CANCELED || (outcome == JOB_REFUSED && restart)) {
                f->record.open = false;
                f->counters.restarts[outcome == JOB_CANCELED ? RESTART_CANCELED : RESTART_FAILED]++;
        }
}

void facts_forget_restart(Facts *f) {
        facts_abandon_job(f);
        f->record.open = false;
}

void facts_close(Facts *f, const Decision *d) {
        bool done = d->reason == REASON_RESTARTED, stopped = d->reason == REASON_STOPPED;

        f->counters.restarts[done ? RESTART_DONE : stopped ? RESTART_CANCELED : RESTART_FAILED]++;
        f->record.open = false;
        f->overtaken = false;
        /* One that was not even done is tried again, after a pause. */
        f->record.fruitless = d->reason == REASON_WITHOUT_THEM || (d->reason == REASON_NO_EFFECT && f->record.done);
        /* For the first that is cut off nobody waits. */
        if (done || stopped || (d->reason == REASON_CUT_OFF && f->record.failures <= 1))
                f->record.failures = 0;
}

void facts_retry(Facts *f) {
        f->file.stale = true;
        f->file.ask_all = true;
        f->file.pause_usec = 0;
        f->agent_stale = true;
        f->record.fruitless = false;
        f->not_recorded_usec = 0;
}

/* A look that is under way changes nothing about what is waited for. */
void facts_note_waiting(Facts *f, const Decision *d, uint64_t now) {
        bool rests = d->action == ACTION_WAIT || d->action == ACTION_HOLD || d->action == ACTION_DONE;
        /* What is live, or written, and has a problem is another state than before. */
        bool well = d->action != ACTION_DONE || (f->file.known && facts_are_well(f));

        if (!rests || d->reason == REASON_LOOKING || (d->reason == f->waiting_for && well == f->waiting_well))
                return;
        f->waiting_for = d->reason;
        f->waiting_well = well;
        f->waiting_since_usec = now;
}

bool facts_are_well(const Facts *f) {
        return sync_is_well(&f->file.sync) && str_empty(f->settings_problem);
}

const char *facts_problem(const Facts *f) {
        const Problems *problems = &f->file.sync.problems;
        const int worst = problems_worst_level(problems);

        if (worst <= LOG_ERR || (worst <= LOG_WARNING && str_empty(f->settings_problem)))
                for (unsigned i = 0; i < problems->n_items; i++)
                        if (problems->items[i].level == worst)
                                return problems->items[i].text;
        return str_empty(f->settings_problem) ? NULL : f->settings_problem;
}
