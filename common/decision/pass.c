/* SPDX-License-Identifier: Apache-2.0 */
#include "decision/pass.h"

void pass_files(Pass *p, uint64_t now) {
        FileDecision d = decide_files(&p->facts->file, now);

        p->operations->arm_files(p->userdata, d.look_again_usec);
        if (d.write) {
                facts_begin_write(p->facts);
                p->operations->write(p->userdata);
        }
        if (d.ask)
                p->operations->ask(p->userdata, facts_begin_ask(p->facts));
}

/* --- the record of restarts --- */

/* Reads the changes of another ecs-authd. */
static void load_record(Pass *p) {
        RestartRecord record;

        if (p->holds_lock)
                return;
        p->operations->load_record(&record);
        if (memcmp(&record, &p->saved, sizeof(record)) == 0)
                return;
        p->saved = record;
        facts_take_record(p->facts, &record);
}

static bool claim_record(Pass *p) {
        if (p->holds_lock)
                return true;
        if (!p->operations->claim_lock(&p->lock))
                return false;
        load_record(p);
        p->holds_lock = true;
        return true;
}

static int save_record(Pass *p) {
        int r = p->operations->save_record(&p->facts->record);

        if (r >= 0)
                p->saved = p->facts->record;
        return r;
}

static bool has_learned(const Pass *p) {
        return memcmp(&p->facts->record, &p->saved, sizeof(p->saved)) != 0;
}

/* Saves the changes to the record, and releases the lock unless a restart is pending. */
static void settle_record(Pass *p, const Policy *policy) {
        /* Claiming may load another process's record. It takes precedence: the changes are learned again from it. */
        if (has_learned(p) && claim_record(p) && has_learned(p))
                (void) save_record(p);
        if (!p->holds_lock || p->facts->job || p->operations->is_busy(p->userdata))
                return;
        if (p->facts->record.open && policy->settings.method != RESTART_METHOD_NONE)
                return;
        p->operations->release_lock(&p->lock);
        p->holds_lock = false;
}

/* --- environment file -> agent --- */

/* Saves the job and then starts it. Starting an agent that is down needs no record but that of the restart. */
static void begin_job(Pass *p, const Decision *d, uint64_t now) {
        RestartRecord before = p->facts->record;
        int r;

        facts_begin_job(p->facts, d, now);
        r = save_record(p);
        if (r < 0 && d->action == ACTION_RESTART) {
                p->operations->announce_not_recorded(p->userdata, r);
                facts_fail_to_record(p->facts, &before, now);
                return;
        }
        p->operations->announce(p->userdata, d);
        p->tried = true;
        p->operations->start_job(p->userdata, d);
}

static Decision decide(Pass *p, const Policy *policy, uint64_t now) {
        Decision d = decide_agent(p->facts, policy, now);
        Policy shared = *policy;

        if ((d.action != ACTION_RESTART && d.action != ACTION_START && d.action != ACTION_CLOSE) || p->holds_lock)
                return d;
        /* Decide again, from the record that the last holder of the lock has left. */
        shared.other_instance = !claim_record(p);
        return decide_agent(p->facts, &shared, now);
}

static void rest(Pass *p, const Policy *policy, const Decision *d) {
        if (policy->settings.method == RESTART_METHOD_DOCKER && facts_swap_can_end(p->facts) && claim_record(p))
                p->operations->confirm_swap(p->userdata);
        settle_record(p, policy);
        if (!p->stopping)
                p->operations->rest(p->userdata, d);
}

/* Returns false if nothing more can be decided for now. */
static bool act(Pass *p, const Policy *policy, const Decision *d, uint64_t now) {
        switch (d->action) {
        case ACTION_OBSERVE:
                load_record(p);
                facts_begin_observe(p->facts);
                p->operations->observe(p->userdata);
                return true;
        case ACTION_RESTART:
        case ACTION_START:
                begin_job(p, d, now);
                return true;
        case ACTION_ABANDON:
                p->operations->abandon_job(p->userdata);
                facts_abandon_job(p->facts);
                return true;
        case ACTION_CLOSE:
                facts_close(p->facts, d);
                return true;
        case ACTION_WAIT:
        case ACTION_HOLD:
        case ACTION_DONE:
                break;
        }
        /* A running observation leaves the reason to wait unchanged. */
        if (d->reason != REASON_LOOKING)
                rest(p, policy, d);
        return false;
}

void pass_agent(Pass *p, const Policy *policy, uint64_t now) {
        bool again = true;

        while (again && !p->stopping) {
                Decision d = decide(p, policy, now);

                facts_note_waiting(p->facts, &d, now);
                /* begin_job() announces a job once it is recorded. */
                if (d.action != ACTION_RESTART && d.action != ACTION_START)
                        p->operations->announce(p->userdata, &d);
                again = act(p, policy, &d, now);
        }
}
