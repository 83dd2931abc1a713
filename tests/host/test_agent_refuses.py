# SPDX-License-Identifier: Apache-2.0
"""Exit status 5: the agent must not be started again as it is. Told in order, and for two units: that of the AMIs, which
then stays failed, and Debian's, which starts it again every 10 s."""

import pytest

from host_parts import boot_logged_in, never, new_login, wait_for, wait_live, wait_newest

REFUSED = "ended with status 5"


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    boot_logged_in(h, registry, "VerifySec=6s\n")
    wait_live(h, engine, registry)
    yield h
    h.power_off()


@pytest.fixture(scope="module")
def debian(make_host, registry, engine, host):
    host.power_off()  # there is one engine, and one control group
    h = make_host(unit="ecs-debian.service")
    boot_logged_in(h, registry, "VerifySec=6s\n")
    wait_live(h, engine, registry)
    yield h
    h.power_off()


def start_again(host):
    host.run("systemctl", "reset-failed", "ecs")
    host.run("systemctl", "start", "ecs")


def wait_failed(host):
    wait_for(lambda: host.property("ecs.service", "ActiveState") == "failed", 20, "the unit has failed", host.tail)


def test_it_is_named_and_left_alone(host, engine, registry):
    since = host.cursor()
    engine.control.set(register=None, exit=(5, 1))
    new_login(host, registry)
    line = host.wait_said(REFUSED, since, seconds=40)
    for reason in ("docker logs ecs-agent", "ECS_CLUSTER", "state not saved"):
        assert reason in line["MESSAGE"]
    assert line["PRIORITY"] == "4"
    never(lambda: host.jobs(since) > 1, 10, "a second restart, or a start")
    assert registry.entry() in host.read("/etc/ecs/ecs.config")


def test_the_operator_starts_it_too_early(host):
    """It refuses once more. The version before took its own restart up again as soon as the unit ran."""
    since = host.cursor()
    for _ in range(2):
        start_again(host)
        wait_failed(host)
    never(lambda: host.jobs(since) or host.restarts(since), 12, "a restart or a start of ours")
    assert len(host.lines(REFUSED, since)) <= 2  # once for each start


def test_the_operator_mends_it(host, engine, registry):
    since = host.cursor()
    engine.control.set(register=3, exit=None)  # longer than the pauses between two looks
    start_again(host)
    wait_live(host, engine, registry, since)
    never(lambda: host.jobs(since) or host.restarts(since), 8, "a restart or a start of ours")


def test_a_login_that_comes_while_it_refuses(host, engine, registry):
    engine.control.set(register=None, exit=(5, 0))
    host.restart_agent()
    wait_failed(host)
    since = host.cursor()
    new_login(host, registry)
    host.wait_said("Wrote the credentials", since)
    never(lambda: host.jobs(since) or host.restarts(since), 6, "a restart or a start of ours")
    engine.control.set(register=0, exit=None)
    start_again(host)
    wait_live(host, engine, registry, since)
    assert host.jobs(since) == 0


def test_a_unit_that_starts_it_again_and_again(debian, engine, registry):
    """Known by its container. It is said once, not once a round."""
    host, since = debian, debian.cursor()
    engine.control.set(register=None, exit=(5, 1))
    new_login(host, registry)
    host.wait_said(REFUSED, since, seconds=40)
    before = int(host.property("ecs.service", "NRestarts"))
    wait_for(lambda: int(host.property("ecs.service", "NRestarts")) >= before + 2, 60, "two rounds", host.tail)
    assert host.jobs(since) == 1
    assert len(host.lines(REFUSED, since)) == 1
    assert len(host.journal(since)) < 10, host.tail()
    assert registry.entry() in host.read("/etc/ecs/ecs.config")


def test_new_credentials_within_the_loop(debian, engine, registry):
    """The next round reads them by itself."""
    host, since = debian, debian.cursor()
    # Between two rounds: there are 10 s.
    wait_for(lambda: host.property("ecs.service", "SubState") == "auto-restart", 20, "it waits for the next round", host.tail)
    new_login(host, registry)
    host.wait_said("Wrote the credentials", since)
    engine.control.set(register=0, exit=None)
    wait_newest(host, engine, registry)
    wait_live(host, engine, registry, since)
    assert host.jobs(since) == 0
