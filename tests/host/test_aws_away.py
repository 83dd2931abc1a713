# SPDX-License-Identifier: Apache-2.0
"""An agent that does not register with ECS: AWS or the network away, a warm pool. Told in order.

Credentials are never the cause (measured with the real agent), so they stay where they are, nothing is restarted for it,
and it is said once. The version before took silence after its restart for a sign of bad credentials: it took them back out
of ecs.config and restarted the agent once more."""

import json

import pytest

from host_parts import boot_logged_in, credentials_for, environment, never, new_login, wait_for, wait_live, wait_newest

SILENT = "has not registered with ECS"


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    engine.control.set(register=None)
    boot_logged_in(h, registry, "VerifySec=6s\n")
    yield h
    h.power_off()


def status(host):
    return json.loads(host.run("ecs-authd", "status", "--json", check=False))


def test_silent_from_boot(host, engine, registry):
    """No restart of ours came before it, and it is reported after VerifySec= all the same. The version before waited for
    it without a word."""
    wait_newest(host, engine, registry)
    line = host.wait_said(SILENT, seconds=30)
    assert line["PRIORITY"] == "4"
    assert "The credentials are not the cause" in line["MESSAGE"] and "journalctl -u ecs.service" in line["MESSAGE"]
    assert status(host)["state"] == "silent"
    started = int(host.property("ecs.service", "ExecMainStartTimestampMonotonic"))
    assert 5.5e6 < int(line["__MONOTONIC_TIMESTAMP"]) - started < 13e6
    assert host.jobs() == 0


def test_aws_is_there(host, engine, registry):
    engine.control.set(register=0)
    wait_live(host, engine, registry)
    assert host.jobs() == 0 and len(host.lines(SILENT)) == 1


def test_new_password_while_aws_is_away(host, engine, registry):
    since = host.cursor()
    engine.control.set(register=None)
    new_login(host, registry)
    agent = wait_newest(host, engine, registry)
    host.wait_said(SILENT, since, seconds=30)
    # Longer than VerifySec= and MinIntervalSec= together.
    never(lambda: host.jobs(since) > 1, 12, "a second restart")
    assert registry.entry() in host.read("/etc/ecs/ecs.config")
    assert engine.running_agent()["Id"] == agent["Id"]
    assert len(host.lines(SILENT, since)) == 1 and status(host)["state"] == "silent"


@pytest.mark.parametrize("verb", ["restart", "reload"])
def test_and_the_daemon_starts_anew(host, engine, registry, verb):
    since, before = host.cursor(), engine.running_agent()["Id"]
    host.run("systemctl", "reset-failed", "ecs-authd", check=False)
    host.run("systemctl", verb, "ecs-authd")
    never(lambda: host.jobs(since), 12, "a restart")
    # A new daemon has to say it itself.
    assert len(host.lines(SILENT, since)) == (1 if verb == "restart" else 0)
    assert status(host)["state"] == "silent"
    assert engine.running_agent()["Id"] == before
    assert registry.entry() in host.read("/etc/ecs/ecs.config")


def test_silent_until_aws_is_back(host, engine, registry):
    since, before = host.cursor(), engine.running_agent()["Id"]
    engine.control.set(register=0)
    assert wait_live(host, engine, registry, since)["Id"] == before
    assert host.jobs(since) == 0
    assert status(host)["state"] == "live"


def test_logout_while_aws_is_away(host, engine, registry):
    """What was removed stays removed, also in an agent that nobody hears of."""
    since = host.cursor()
    engine.control.set(register=None)
    host.logout(registry)

    def gone():
        agent = engine.running_agent()
        return agent if agent and "ECS_ENGINE_AUTH_DATA" not in environment(agent) else None

    agent = wait_for(gone, 40, "ecs-agent runs without credentials", host.tail)
    host.wait_said(SILENT, since, seconds=30)
    never(lambda: host.jobs(since) > 1, 12, "a second restart")
    assert host.read("/etc/ecs/ecs.config") == "ECS_CLUSTER=web\n"
    assert engine.running_agent()["Id"] == agent["Id"]


def test_an_agent_that_ends_and_is_made_anew(host, engine, registry):
    """As with a cluster that does not exist: it ends a second after each start, and ecs-init makes it anew while the unit
    stays active. ecs-init reads ecs.config each time, so that new credentials come in by themselves."""
    since = host.cursor()
    engine.control.set(register=None, exit=(1, 1))
    new_login(host, registry)
    wait_for(lambda: (agent := engine.agent()) and credentials_for(agent, registry.name) == (registry.user, registry.password),
             40, "ecs-agent has the newest credentials", host.tail)
    host.wait_said("ended with status 1, ", since, seconds=30)
    never(lambda: host.jobs(since) > 1, 15, "a second restart")
    assert len(host.journal(since)) < 12, host.tail()
    assert host.property("ecs.service", "ActiveState") == "active"

    since = host.cursor()
    engine.control.set(register=0, exit=None)
    # Of the container that stays: one that runs now may be about to end.
    host.wait_said("runs with the credentials of 1 registry", since)
    assert host.jobs(since) == 0
