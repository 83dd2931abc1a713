# SPDX-License-Identifier: Apache-2.0
"""One distance between two restarts, and none without an end, whoever asks for them and however often the daemon starts.
Told in order."""

import time

import pytest

from host_parts import boot_logged_in, never, new_login, wait_for, wait_live, wait_newest

DISTANCE = 20


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    boot_logged_in(h, registry, f"MinIntervalSec={DISTANCE}s\nVerifySec=6s\n")
    wait_live(h, engine, registry)
    yield h
    h.power_off()


def moments(host, since):
    return [int(line["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in host.lines("Restarting ecs.service", since)]


def test_distance_across_restarts_of_the_daemon(host, engine, registry):
    """Whoever looks at the record of it finds when the last one was."""
    since = host.cursor()
    new_login(host, registry)
    wait_live(host, engine, registry, since)
    for _ in range(2):
        new_login(host, registry)
        host.restart_daemon()
        host.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "ecs-authd")
    wait_newest(host, engine, registry, seconds=DISTANCE + 20)
    first, second = moments(host, since)
    assert DISTANCE <= second - first < DISTANCE + 10
    assert host.restarts(since) == 2


def test_apply_keeps_it_too(host, engine, registry):
    """It waits for it, or says that it is held where that is longer than it waits in all; VerifySec= sets that."""
    since = host.cursor()
    before = engine.running_agent()["Id"]
    new_login(host, registry)
    host.run("systemctl", "stop", "ecs-authd")
    begun = time.monotonic()
    said = host.shell("ecs-authd apply 2>&1; echo exit=$?")
    if "exit=3" in said:
        assert engine.running_agent()["Id"] == before
    else:
        assert "exit=0" in said and engine.running_agent()["Id"] != before and time.monotonic() - begun > 1, said
    host.run("systemctl", "start", "ecs-authd")
    wait_newest(host, engine, registry, seconds=DISTANCE + 20)
    assert host.restarts(since) <= 1


def test_a_restart_that_brings_nothing_is_the_last(host, engine, registry):
    """The unit reads another file than we write. The version before tried again with each start, and each apply of a
    cron job."""
    host.shell("cp /etc/ecs/ecs.config /root/other.config && mkdir -p /etc/systemd/system/ecs.service.d && printf "
               "'[Service]\\nBindReadOnlyPaths=/root/other.config:/etc/ecs/ecs.config\\n' "
               "> /etc/systemd/system/ecs.service.d/other.conf && systemctl daemon-reload")
    host.shell("rm -f /etc/ecs-authd.conf.d/20-module.conf; systemctl reload ecs-authd")  # the usual short pauses
    since = host.cursor()
    new_login(host, registry)
    line = host.wait_said("did not bring the credentials", since, seconds=DISTANCE + 20)
    assert "ecs.service" in line["MESSAGE"]
    before = wait_for(engine.running_agent, 20, "the agent runs", host.tail)["Id"]
    for _ in range(2):
        host.restart_daemon()
        never(lambda: (engine.running_agent() or {}).get("Id") != before, 4, "another restart")
    for _ in range(3):
        said = host.shell("ecs-authd apply 2>&1; echo exit=$?")
        assert "exit=3" in said and "Restarting" not in said, said
    host.run("systemctl", "stop", "ecs-authd")
    said = host.shell("for i in 1 2 3; do ecs-authd apply 2>&1; echo exit=$?; done")
    assert said.count("exit=3") == 3 and "Restarting" not in said, said
    assert engine.running_agent()["Id"] == before
    assert host.restarts(since) == 1

    # Mended, and asked for.
    host.shell("rm /etc/systemd/system/ecs.service.d/other.conf; systemctl daemon-reload; systemctl start ecs-authd; "
               "systemctl reload ecs-authd")
    wait_live(host, engine, registry, since)
    assert host.restarts(since) == 2
