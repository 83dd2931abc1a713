# SPDX-License-Identifier: Apache-2.0
"""The main job on a real host, told in order: each test goes on where the one before it ended."""

import base64
import json
import re

import pytest

from host_parts import credentials_for, environment, never, wait_for

# What is not ours in ecs.config: kept byte for byte, odd lines and all.
OTHERS = "# written by hand\nECS_CLUSTER=web\n\n  ECS_LOGLEVEL=info  \n#ECS_OLD=1\nODD=\"quoted\" \\ # not a comment\n"


def our_lines(registry):
    entry = json.dumps({registry.name: {"auth": registry.entry()}}, separators=(",", ":"))
    return f"ECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={entry}\n"


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    h.write("/etc/ecs/ecs.config", OTHERS, 0o640)
    h.write("/root/.docker/config.json", json.dumps({"auths": {registry.name: {"auth": registry.entry()}}}), 0o600)
    h.boot()
    yield h
    h.power_off()


def wait_live(host, engine, registry, old_id=None):
    """The agent's container is another one than before, and logs in to the registry."""

    def live():
        agent = engine.running_agent()
        if not agent or agent["Id"] == old_id:
            return None
        found = credentials_for(agent, registry.name)
        return agent if found and registry.accepts(*found) else None

    agent = wait_for(live, 30, "ecs-agent runs with credentials that the registry accepts", host.tail)
    wait_for(lambda: any("runs with the credentials of 1 registry" in line["MESSAGE"] and
                         line.get("ECS_AUTHD_CONTAINER_ID") == agent["Id"] for line in host.journal()),
             20, "the daemon has seen it", host.tail)
    return agent


def no_restart(host, since):
    """For longer than any pause that the settings of these tests have."""
    never(lambda: [line for line in host.journal(since) if line.get("ECS_AUTHD_JOB_RESULT")], 4, "a restart")


def login_anew(host, engine, registry):
    old = engine.agent()
    registry.new_password()
    host.login(registry)
    wait_live(host, engine, registry, old["Id"])


def test_boot_needs_no_restart(host, engine, registry):
    agent = wait_live(host, engine, registry)
    assert host.read("/etc/ecs/ecs.config") == OTHERS + our_lines(registry)
    assert host.shell("stat -c '%a %U' /etc/ecs/ecs.config").split() == ["640", "root"]
    assert host.property("ecs.service", "NRestarts") == "0"
    no_restart(host, None)
    # Written before the agent's unit was started, not a moment later.
    written = int(host.said("Wrote the credentials")["__MONOTONIC_TIMESTAMP"])
    assert written < int(host.property("ecs.service", "ExecMainStartTimestampMonotonic"))
    assert environment(agent)["ECS_CLUSTER"] == "web"


def test_login_with_a_new_password(host, engine, registry):
    old = engine.agent()
    registry.new_password()
    assert not registry.accepts(*credentials_for(old, registry.name))

    host.login(registry)
    agent = wait_live(host, engine, registry, old["Id"])
    assert agent["Id"] != old["Id"]
    assert host.read("/etc/ecs/ecs.config") == OTHERS + our_lines(registry)


def test_login_twice_in_a_row(host, engine, registry):
    """The file is replaced by rename each time: a watch on the file itself would go deaf."""
    for _ in range(2):
        login_anew(host, engine, registry)


def test_the_same_login_again_restarts_nothing(host, registry):
    since = host.cursor()
    host.login(registry)
    host.run("systemctl", "reload", "ecs-authd")
    host.wait_said("looking again, as asked", since)
    no_restart(host, since)


def test_logout(host, engine, registry):
    old = engine.agent()
    host.logout(registry)

    def gone():
        agent = engine.running_agent()
        return agent and agent["Id"] != old["Id"] and "ECS_ENGINE_AUTH_DATA" not in environment(agent)

    wait_for(gone, 30, "ecs-agent runs without credentials", host.tail)
    assert host.read("/etc/ecs/ecs.config") == OTHERS
    host.wait_said("runs without registry credentials")


def test_first_login_of_all(host, engine, registry):
    """~/.docker does not exist before the first login."""
    old, since = engine.agent(), host.cursor()
    host.shell("rm -rf /root/.docker")
    host.wait_said("/root/.docker/config.json: there is no such file", since)
    host.login(registry)
    wait_live(host, engine, registry, old["Id"])


def test_sighup_looks_again_and_restarts_nothing(host):
    since = host.cursor()
    host.run("systemctl", "kill", "--signal=HUP", "--kill-whom=main", "ecs-authd")
    host.wait_said("looking again, as asked (SIGHUP)", since)
    wait_for(lambda: host.property("ecs-authd", "ActiveState") == "active", 10, "the reload is over")
    no_restart(host, since)


@pytest.mark.parametrize("how", ["cp /root/new /etc/ecs/ecs.config", "mv /root/new /etc/ecs/ecs.config",
                                 "cat /root/new > /etc/ecs/ecs.config"])
def test_environment_file_overwritten_from_outside(host, engine, registry, how):
    before, since = engine.agent(), host.cursor()
    theirs = f"# by a tool: {how}\nECS_CLUSTER=web\r\nlast line without a newline"
    host.put("/root/new", theirs)
    host.shell(how)
    wait_for(lambda: host.read("/etc/ecs/ecs.config") == theirs + "\n" + our_lines(registry), 20,
             "our two lines are back", lambda: host.read("/etc/ecs/ecs.config").replace(registry.entry(), "***"))
    # The agent has these credentials already.
    assert engine.agent()["Id"] == before["Id"]
    no_restart(host, since)


def test_an_agent_that_was_stopped_is_not_started(host, engine, registry):
    since = host.cursor()
    host.run("systemctl", "stop", "ecs")
    registry.new_password()
    host.login(registry)
    host.wait_said("is stopped; left alone", since)
    assert host.property("ecs.service", "ActiveState") == "inactive"

    host.run("systemctl", "start", "ecs")
    wait_live(host, engine, registry)
    assert not host.said("Restarting", since)


def test_tasks_hold_the_restart_of_an_agent_without_state(host, engine, registry):
    old = engine.agent()
    host.shell("echo ECS_DATADIR= >> /etc/ecs/ecs.config")
    host.restart_agent()
    old = wait_for(lambda: (engine.running_agent() or {}).get("Id", old["Id"]) != old["Id"] and engine.running_agent(), 30,
                   "the agent runs without ECS_DATADIR", host.tail)
    wait_live(host, engine, registry)

    # A task: any container with the agent's label.
    task = engine.docker("create", "--network", "host", "--label", "com.amazonaws.ecs.task-arn=arn:aws:ecs:task/1",
                         "amazon/amazon-ecs-agent:latest", "/agent", "task").strip()
    engine.docker("start", task)
    since = host.cursor()
    registry.new_password()
    host.login(registry)
    held = host.wait_said("Restart held: 1 task container runs", since)
    assert held["PRIORITY"] == "4"
    assert "ECS_DATADIR is not set" in held["MESSAGE"]
    assert engine.agent()["Id"] == old["Id"]
    # Written all the same: a restart by anyone picks it up.
    assert registry.entry() in host.read("/etc/ecs/ecs.config")

    engine.docker("rm", "-f", task)
    wait_live(host, engine, registry, old["Id"])


def test_bus_restarted(host, engine, registry):
    host.run("systemctl", "restart", "dbus.service")
    login_anew(host, engine, registry)


def test_systemd_executed_anew(host, engine, registry):
    host.run("systemctl", "daemon-reexec")
    login_anew(host, engine, registry)


def test_engine_stopped_and_started(host, engine, registry):
    """The CLI asks the engine to check a password, so the login is written as it would write it."""
    engine.stop()
    since = host.cursor()
    registry.new_password()
    host.put("/root/.docker/config.json", json.dumps({"auths": {registry.name: {"auth": registry.entry()}}}))
    host.wait_said("Wrote the credentials of 1 registry", since)
    engine.start()
    wait_live(host, engine, registry)


def test_killed_daemon_comes_back_and_goes_on(host, engine, registry):
    old = engine.agent()
    pid = host.property("ecs-authd", "MainPID")
    host.run("systemctl", "kill", "--signal=KILL", "ecs-authd")
    registry.new_password()
    host.login(registry)
    wait_live(host, engine, registry, old["Id"])
    assert host.property("ecs-authd", "MainPID") != pid
    assert host.property("ecs-authd", "NRestarts") == "1"


def test_status_and_clean_end(host):
    host.shell("chmod 600 /etc/ecs/ecs.config; systemctl reload ecs-authd")
    wait_for(lambda: re.match(r"1 registry live in ecs-agent; watching 1 file \(since \d{4}-\d\d-\d\d \d\d:\d\d \S+\)$",
                              host.property("ecs-authd", "StatusText")), 20, "the status is that it is live", host.tail)
    assert "1 registry live in ecs-agent" in host.run("ecs-authd", "status")
    # Anybody may ask.
    assert "1 registry live in ecs-agent" in host.run("setpriv", "--reuid=65534", "--clear-groups", "ecs-authd", "status")
    assert "runs with the credentials" in host.run("systemctl", "status", "--no-pager", "ecs-authd")
    host.run("systemctl", "stop", "ecs-authd")
    assert host.property("ecs-authd", "Result") == "success"
    assert host.property("ecs-authd", "ActiveState") == "inactive"
    host.run("systemctl", "start", "ecs-authd")


def test_journal_tells_the_story(host):
    lines = host.journal()
    restart = next(line for line in lines if line["MESSAGE"].startswith("Restarting ecs.service"))
    assert restart["ECS_AUTHD_UNIT"] == "ecs.service" and len(restart["ECS_AUTHD_CONTAINER_ID"]) == 64
    job = next(line for line in lines if line.get("ECS_AUTHD_JOB_RESULT"))
    assert job["ECS_AUTHD_JOB_RESULT"] == "done"
    live = next(line for line in lines if "runs with the credentials" in line["MESSAGE"])
    assert live["ECS_AUTHD_REGISTRY_COUNT"] == "1" and live["ECS_AUTHD_CLUSTER"] == "web"
    assert all("MESSAGE_ID" in line for line in (restart, job, live))


def test_journal_explains(host):
    """journalctl -x: what each message means, and what to do."""
    host.run("journalctl", "--update-catalog")
    text = host.run("journalctl", "--no-pager", "-x", "-u", "ecs-authd")
    assert "The agent runs with the credentials" in text
    assert "Subject: The restart is held: tasks would be lost" in text
    assert "cluster (web)" in text


def test_no_secret_is_anywhere(host, registry):
    secrets = {registry.password, registry.entry(), base64.b64encode(registry.password.encode()).decode()}
    pid = host.property("ecs-authd", "MainPID")
    seen = host.run("journalctl", "--no-pager", "-u", "ecs-authd", "-o", "export")
    seen += host.run("systemctl", "show", "ecs-authd")
    seen += host.shell(f"cat /proc/{pid}/cmdline /proc/{pid}/environ | tr '\\0' '\\n'; cat /run/ecs-authd/* /var/lib/ecs-authd/restart 2>/dev/null",
                       check=False)
    assert "Wrote the credentials" in seen
    assert not [s for s in secrets if s in seen], "a secret is in the journal, the unit's state or the process"


def test_nothing_was_left_behind(host):
    assert host.shell("ls -A /etc/ecs").split() == ["ecs.config"]
