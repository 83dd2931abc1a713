# SPDX-License-Identifier: Apache-2.0
"""A registry whose tokens last an hour, told in seconds: HelperLifetime= of 12 s stands for the hour."""

import json
import time

import pytest

from host_parts import credentials_for, never, wait_for

LIFETIME = 12  # seconds; asked again at two thirds
EPISODES = 3

# It gives the password that the registry takes at that moment, and tells of each call where the unit lets it.
HELPER = """#!/bin/sh
read -r server
echo "$1 $(date +%s.%N)" >> /var/lib/ecs-authd/calls
if [ -e /root/vault-is-sealed ]; then echo 'Error: vault is sealed' >&2; exit 1; fi
printf '{"Username":"%s","Secret":"%s"}' "$(cat /root/user)" "$(cat /root/token)"
"""


@pytest.fixture(scope="module")
def host(make_host, engine, registry):
    h = make_host()
    h.write("/etc/ecs/ecs.config", "ECS_CLUSTER=web\n", 0o600)
    h.write("/usr/local/bin/docker-credential-minute", HELPER, 0o755)
    h.write("/root/user", registry.user)
    h.write("/root/token", registry.password)
    h.write("/root/.docker/config.json", json.dumps({"credHelpers": {registry.name: "minute"}}), 0o600)
    h.write("/etc/ecs-authd.conf.d/30-leases.conf",
            f"[Credentials]\nHelperLifetime={LIFETIME}s\n[Restart]\nMinIntervalSec=1s\n")
    h.boot()
    yield h
    h.power_off()


def calls(host):
    return [float(line.split()[1]) for line in host.read("/var/lib/ecs-authd/calls").splitlines() if line.startswith("get ")]


def wait_token(host, engine, registry):
    def works():
        agent = engine.running_agent()
        return agent and credentials_for(agent, registry.name) == (registry.user, registry.password)

    wait_for(works, 40, "ecs-agent has the newest token", host.tail)
    assert registry.accepts(registry.user, registry.password)


def status(host):
    return json.loads(host.read("/run/ecs-authd/status.json"))


def new_token(host, registry):
    """The one before ends with it."""
    registry.new_password()
    host.put("/root/token", registry.password)


def test_some_hours(host, engine, registry, capsys):
    """Each token comes into the agent with one call, one write and one restart, and nothing else happens."""
    wait_token(host, engine, registry)
    wait_for(lambda: status(host)["state"] == "live", 20, "it is live", host.tail)
    assert any("is good for so short" in problem["text"] for problem in status(host)["problems"])
    since, before = host.cursor(), len(calls(host))
    for _ in range(EPISODES):
        new_token(host, registry)
        wait_token(host, engine, registry)
    asked = calls(host)
    # One line may stand for several writes.
    writes = sum(int(entry["ECS_AUTHD_WRITES"]) for entry in host.journal(since) if "ECS_AUTHD_WRITES" in entry)
    gaps = [later - earlier for earlier, later in zip(asked, asked[1:])]
    with capsys.disabled():
        print(f"\n{EPISODES} tokens: {len(asked) - before} calls, {writes} writes, {host.restarts(since)} restarts; "
              f"asked every {', '.join(f'{gap:.1f}' for gap in gaps)} s")
    assert len(asked) - before == EPISODES and writes == EPISODES and host.restarts(since) == EPISODES
    assert all(LIFETIME * 2 / 3 - 0.5 < gap < LIFETIME * 2 / 3 + 1.5 for gap in gaps[before - 1:])


def test_restart_of_the_daemon_within_a_lease(host, engine, registry):
    """And its files stay as they are: nobody is asked before it is due."""
    n = len(calls(host))
    wait_for(lambda: len(calls(host)) > n, 20, "it was just asked", host.tail)
    n, identity = len(calls(host)), host.run("stat", "-c", "%i %Y", "/etc/ecs/ecs.config")
    since = host.cursor()
    asked = calls(host)[-1]
    host.restart_daemon()
    assert host.run("stat", "-c", "%a", "/var/lib/ecs-authd/leases").strip() == "600"
    assert registry.password not in host.read("/var/lib/ecs-authd/leases")
    never(lambda: len(calls(host)) > n, asked + LIFETIME * 2 / 3 - 1 - time.time(), "it is asked before its lease is due")
    assert host.run("stat", "-c", "%i %Y", "/etc/ecs/ecs.config") == identity
    assert host.restarts(since) == 0
    wait_for(lambda: len(calls(host)) == n + 1, 10, "and then it is asked", host.tail)


def test_vault_that_is_sealed_for_a_while(host, engine, registry):
    """What the agent has stays; it is no well host, and it says so; apply fails; and it mends itself."""
    host.put("/root/vault-is-sealed", "")
    wait_for(lambda: status(host)["state"] == "problem", 30, "the state is problem", host.tail)
    texts = [problem["text"] for problem in status(host)["problems"]]
    assert any("from docker-credential-minute" in text and "By hand" in text for text in texts)
    assert "vault is sealed" not in str(texts)  # it may be a secret
    wait_token(host, engine, registry)
    assert host.shell("ecs-authd apply > /dev/null 2>&1; echo $?").strip() == "1"
    host.run("rm", "/root/vault-is-sealed")
    new_token(host, registry)
    wait_token(host, engine, registry)
    wait_for(lambda: status(host)["state"] == "live", 20, "it is live again", host.tail)
