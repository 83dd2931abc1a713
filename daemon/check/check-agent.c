/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"
#include "base/secret.h"
#include "check/check-parts.h"
#include "ecsconfig/environment-file.h"
#include "report/reason-texts.h"
#include "report/sentence.h"
#include "service/restart-lock-and-record.h"

static const char *consequence_of_no_state(const Check *c) {
        if (c->settings->restart.method == RESTART_METHOD_NONE)
                return "a restart loses its tasks";
        switch (c->settings->restart.unsaved_state) {
        case UNSAVED_STATE_FORCE:
                return "a restart loses its tasks (UnsavedState=force)";
        case UNSAVED_STATE_NEVER:
                return "it is not restarted (UnsavedState=never)";
        case UNSAVED_STATE_WAIT:
                break;
        }
        return "restarts wait until no task runs";
}

static void check_state(Check *c, const ObserveReport *r) {
        static const struct {
                StateKept kept;
                const char *text, *cure;
        } misses[] = {
                {STATE_NO_DATADIR, "the agent does not keep its state: ECS_DATADIR is not set",
                 "set ECS_DATADIR=/data in its environment, with --volume /var/lib/ecs/data:/data, and recreate its container"},
                {STATE_NO_CHECKPOINT, "the agent does not keep its state: ECS_CHECKPOINT=false",
                 "remove ECS_CHECKPOINT=false, and restart the agent"},
                {STATE_NO_MOUNT, "the agent does not keep its state: ECS_DATADIR is not on a mount of its container",
                 "set ECS_DATADIR=/data in its environment, with --volume /var/lib/ecs/data:/data, and recreate its container"},
        };

        for (size_t i = 0; i < ELEMENTSOF(misses); i++)
                if (misses[i].kept == r->state_kept)
                        say(c, "agent-keeps-state", c->settings->agent.container, WARNING,
                            text("%s; %s", misses[i].text, consequence_of_no_state(c)).s, misses[i].cure);
        if (r->state_kept == STATE_KEPT)
                say(c, "agent-keeps-state", c->settings->agent.container, OK,
                    "the agent keeps its state over a restart", NULL);
}

/* The last assignment counts, and the later file (consumers of ecs.config: ecs-init). */
static void get_cluster(const Check *c, char **ret) {
        const char *const files[] = {"/var/lib/ecs/ecs.config", c->settings->ecsconfig.environment_file};

        *ret = NULL;
        for (size_t i = 0; i < ELEMENTSOF(files); i++) {
                _cleanup_(envfile_freep) EnvFile *f = NULL;
                Problems ignored = {0};
                char *value;

                if (access(files[i], R_OK) < 0 || envfile_open(files[i], &f, &ignored) < 0)
                        continue;
                value = envfile_get(f, "ECS_CLUSTER");
                if (!value)
                        continue;
                free(*ret);
                *ret = value;
        }
}

/* A name, or the end of an ARN. */
static const char *name_of_cluster(const char *s) {
        const char *slash = strrchr(s, '/');

        return slash ? slash + 1 : s;
}

/* Before a restart would find out. */
static void check_cluster(Check *c, const ObserveReport *r) {
        _cleanup_free_ char *cluster = NULL;
        const char *name;

        get_cluster(c, &cluster);
        name = str_empty(cluster) ? "default" : name_of_cluster(cluster);
        if (!str_empty(r->cluster) && !streq(name, name_of_cluster(r->cluster)))
                say(c, "agent-cluster", c->settings->ecsconfig.environment_file, PROBLEM,
                    text("%s says ECS_CLUSTER=%s, and the agent is registered in %s: its next start ends with status 5",
                         c->settings->ecsconfig.environment_file, name, r->cluster)
                            .s,
                    text("set ECS_CLUSTER=%s there", name_of_cluster(r->cluster)).s);
}

/* As the service would see it: by the record, the file as it stands there, the agent and its unit. */
static int gather_facts(const Check *c, const UnitReport *unit, uint64_t now, Facts *ret) {
        const Settings *s = c->settings;
        SyncReport sync = {0};
        RestartRecord record;
        ObserveReport agent;
        UnitReport u = *unit;
        Facts f = {0};
        DigestKey key;
        int r;

        r = digest_key_look(&key);
        if (r >= 0)
                r = sync_look(&s->ecsconfig, &key, &sync);
        if (r < 0)
                return r;

        observe_run(&s->agent, &key, &agent);
        if (s->restart.method == RESTART_METHOD_DOCKER && u.state == UNIT_ACTIVE)
                u.state = facts_unit_of_container(&agent);
        restart_record_load(&record);
        /* Whether it should be another one is a finding of its own. */
        sync.outcome = SYNC_UNCHANGED;
        sync.no_login_yet = c->no_login_yet;
        facts_look_once(&f, &record, &sync, &agent, &u, now);
        *ret = f;
        return 0;
}

static void say_decision(Check *c, Facts *f, uint64_t now) {
        Policy policy = {.settings = c->settings->restart};
        char sentence[SENTENCE_MAX];
        Decision d;

        policy.settings.settle_usec = policy.settings.jitter_usec = 0;
        if (policy.settings.method == RESTART_METHOD_NONE)
                policy.settings.method = RESTART_METHOD_SYSTEMD; /* nothing is restarted; what runs is of interest */
        /* What the record still has open is what the service sees first. */
        while ((d = decide_agent(f, &policy, now)).action == ACTION_CLOSE)
                facts_close(f, &d);
        sentence_describe(c->settings, f, &d, now, sentence, sizeof(sentence));

        if (d.reason == REASON_IMPOSTOR)
                return; /* a finding of its own */
        switch (d.action) {
        case ACTION_DONE:
                say(c, "agent-credentials", c->settings->agent.container, OK,
                    text("container %s runs with what %s has", c->settings->agent.container,
                         c->settings->ecsconfig.environment_file)
                            .s,
                    NULL);
                return;
        case ACTION_RESTART:
        case ACTION_START:
                if (c->settings->restart.method == RESTART_METHOD_NONE)
                        say(c, "agent-credentials", c->settings->agent.container, WARNING,
                            text("container %s runs with other credentials than %s, and Method=none restarts nothing",
                                 c->settings->agent.container, c->settings->ecsconfig.environment_file)
                                    .s,
                            "restart the agent");
                else if (c->service_runs)
                        say(c, "agent-credentials", c->settings->agent.container, OK,
                            text("container %s has to be restarted: the service is about to",
                                 c->settings->agent.container)
                                    .s,
                            NULL);
                else
                        say(c, "agent-credentials", c->settings->agent.container, PROBLEM,
                            text("container %s runs with other credentials than %s", c->settings->agent.container,
                                 c->settings->ecsconfig.environment_file)
                                    .s,
                            "systemctl start ecs-authd, or: ecs-authd apply");
                return;
        default:
                say(c, "agent-restart", c->settings->agent.container, verdict_of_level(reason_text(f, &d)->level),
                    sentence, NULL);
        }
}

static const char *cure_of_engine(int error) {
        switch (error) {
        case -ENOENT:
        case -ECONNREFUSED:
                return "systemctl start docker, or set [Agent] DockerSocket=";
        case -EACCES:
                return "sudo ecs-authd check";
        case -ETIMEDOUT:
                return "journalctl -u docker; then: systemctl restart docker";
        default:
                return "set [Agent] DockerSocket= to the socket of the Docker Engine";
        }
}

/* Returns the fix for an agent that is not running: how to start it with this Method=. */
static Text cure_of_container(const Check *c, const ObserveReport *r, const UnitReport *unit) {
        const Settings *s = c->settings;

        switch (s->restart.method) {
        case RESTART_METHOD_SYSTEMD:
                return text("systemctl %s %s", unit->state == UNIT_ACTIVE ? "restart" : "start", s->unit);
        case RESTART_METHOD_UPSTART:
                return text("start %.*s", (int) strcspn(s->unit, "."), s->unit);
        case RESTART_METHOD_DOCKER:
                if (r->agent != AGENT_ABSENT)
                        return text("docker start %s", s->agent.container);
                break;
        case RESTART_METHOD_NONE:
                if (r->agent != AGENT_ABSENT)
                        return text("start the agent");
                break;
        }
        return text("start the agent, or set [Agent] Container= to the name of its container");
}

void check_agent(Check *c, const UnitReport *unit) {
        const Settings *s = c->settings;
        const ObserveReport *r;
        uint64_t now = clock_monotonic_usec();
        Facts f;

        if (gather_facts(c, unit, now, &f) < 0)
                return;
        r = &f.agent;

        if (r->agent == AGENT_UNKNOWN) {
                say(c, "docker-engine", s->agent.docker_socket, PROBLEM,
                    text("the Docker Engine does not answer at %s: %s", s->agent.docker_socket,
                         strerror(-r->engine_error))
                            .s,
                    cure_of_engine(r->engine_error));
                return;
        }
        say(c, "docker-engine", s->agent.docker_socket, OK, "the Docker Engine answers", NULL);
        if (r->agent != AGENT_RUNNING && !f.refused) {
                say(c, "agent-container", s->agent.container, WARNING,
                    text("container %s %s", s->agent.container,
                         r->agent == AGENT_ABSENT ? "does not exist" : "does not run")
                            .s,
                    cure_of_container(c, r, unit).s);
                return;
        }

        say_decision(c, &f, now);
        if (r->agent != AGENT_RUNNING)
                return;
        if (r->answers)
                say(c, "agent-answers", s->agent.introspection_url, OK,
                    text("the agent answers: %s, cluster %s", r->version, r->cluster).s, NULL);
        else if (!str_empty(r->impostor))
                say(c, "agent-port", r->impostor, WARNING,
                    text("port %u is held by %s, not by the agent, which cannot answer there", r->impostor_port,
                         r->impostor)
                            .s,
                    text("ss -ltnp 'sport = :%u' shows the process; end it", r->impostor_port).s);
        else
                say(c, "agent-answers", s->agent.introspection_url, WARNING,
                    text("the agent does not answer at %s: it has not registered with ECS (yet). The credentials are not "
                         "the cause",
                         s->agent.introspection_url)
                            .s,
                    text("docker logs %s", s->agent.container).s);
        check_cluster(c, r);
        check_state(c, r);
}
