# SPDX-License-Identifier: Apache-2.0
"""An agent that our restart took down is owed a start; one that an operator stopped is not. The unit here needs another
one, which can be broken, as ecs.service needs docker.service.

The version before left an agent alone that was down after its restart, whoever had stopped it: it stayed down until
somebody came. Where its unit had failed, it tried once more with the old credentials."""

import pytest

from host_parts import boot_logged_in, never, new_login, wait_for, wait_live, wait_newest

ENGINE_UNIT = """[Unit]
Description=What ecs.service needs (stand-in)

[Service]
ExecStartPre=/bin/sh -c 'test ! -e /root/broken'
ExecStart=/bin/sleep infinity
"""


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    h = make_host()
    h.write("/etc/systemd/system/needed.service", ENGINE_UNIT)
    h.write("/etc/systemd/system/ecs.service.d/needs.conf", "[Unit]\nRequires=needed.service\nAfter=needed.service\n")
    boot_logged_in(h, registry)
    wait_live(h, engine, registry)
    yield h
    h.power_off()


@pytest.fixture(autouse=True)
def mend(host, engine, registry):
    """Everything runs, whatever the test before has left. systemd's start limit counts every start: there are more of them
    here than a day brings."""
    engine.control.reset()
    host.shell("rm -f /root/broken; systemctl reset-failed ecs ecs-authd needed; systemctl start needed ecs", check=False)
    wait_newest(host, engine, registry)


def break_it(host):
    """It ends, and does not come up again; ecs.service goes on without it, up to its next start."""
    host.shell("touch /root/broken && systemctl kill --signal=KILL needed", check=False)
    wait_for(lambda: host.property("needed.service", "ActiveState") == "failed", 10, "it is broken", host.tail)


def mend_it(host):
    host.run("rm", "/root/broken")


def job(host, result, since, seconds=30):
    return wait_for(lambda: [line for line in host.journal(since) if line.get("ECS_AUTHD_JOB_RESULT") == result], seconds,
                    f"a job of ours ends with {result}", host.tail)


def log_in_and_take_it_down(host, registry):
    since = host.cursor()
    break_it(host)
    new_login(host, registry)
    job(host, "dependency", since)
    assert host.property("ecs.service", "ActiveState") == "inactive"
    return since


def stays_down(host, seconds):
    """Failed is down as well: the stop of an agent whose container is not there yet fails."""
    never(lambda: host.property("ecs.service", "ActiveState") not in ("inactive", "failed"), seconds, "it is started")


def test_dependency(host, engine, registry):
    since = log_in_and_take_it_down(host, registry)
    line = host.wait_said("is down since our restart", since)
    assert line["PRIORITY"] == "4"
    # Tried again after 5 s, and 10 s: as often as that, and not in between.
    wait_for(lambda: host.jobs(since) >= 2, 12, "a first start", host.tail)
    never(lambda: host.jobs(since) > 2, 5, "a second start so soon")
    assert host.property("ecs.service", "ActiveState") == "inactive"
    mend_it(host)
    wait_live(host, engine, registry, since)
    assert host.restarts(since) == 1


@pytest.mark.parametrize("how", ["kill --signal=KILL --kill-whom=main", "stop"])
def test_the_daemon_ends_in_between(host, engine, registry, how):
    since = log_in_and_take_it_down(host, registry)
    host.shell(f"systemctl {how} ecs-authd")
    mend_it(host)
    if how == "stop":
        assert host.property("ecs-authd", "ActiveState") == "inactive"
        host.run("systemctl", "start", "ecs-authd")
    wait_live(host, engine, registry, since)
    assert host.restarts(since) == 1


def test_the_daemon_is_killed_while_the_agent_stops(host, engine, registry):
    """The job goes on without it and fails, and nobody hears of that."""
    since = host.cursor()
    engine.control.set(stop=4)
    break_it(host)
    new_login(host, registry)
    host.wait_said("Restarting ecs.service", since)
    wait_for(lambda: host.property("ecs.service", "ActiveState") == "deactivating", 10, "the agent stops", host.tail)
    host.run("systemctl", "kill", "--signal=KILL", "--kill-whom=main", "ecs-authd")
    wait_for(lambda: host.property("ecs.service", "ActiveState") == "inactive", 20, "the agent is down", host.tail)
    mend_it(host)
    wait_live(host, engine, registry, since)
    assert host.restarts(since) == 1


def test_the_unit_fails_on_the_way_up(host, engine, registry):
    """Without Restart=, as SUSE's: nobody else starts it. Only with the third start it comes up."""
    host.shell("mkdir -p /etc/systemd/system/ecs.service.d && cat > /etc/systemd/system/ecs.service.d/pre.conf <<'E'\n"
               "[Service]\nRestart=no\n"
               "ExecStartPre=/bin/sh -c 'echo >> /root/starts; test $(wc -l < /root/starts) -ge 3'\n"
               "E\nsystemctl daemon-reload")
    since = host.cursor()
    new_login(host, registry)
    job(host, "failed", since)
    wait_live(host, engine, registry, since, seconds=60)
    assert host.restarts(since) == 1 and host.jobs(since) == 3
    host.shell("rm /etc/systemd/system/ecs.service.d/pre.conf /root/starts; systemctl daemon-reload")


def test_stopped_before(host, engine, registry):
    since = host.cursor()
    host.run("systemctl", "stop", "ecs")
    new_login(host, registry)
    host.wait_said("Wrote the credentials", since)
    host.restart_daemon()
    stays_down(host, 8)
    assert host.jobs(since) == 0
    host.run("systemctl", "start", "ecs")
    wait_live(host, engine, registry, since)


@pytest.mark.parametrize("how", ["stop ecs", "disable --now ecs"])
def test_stopped_while_our_restart_has_left_it_down(host, engine, registry, how):
    """systemctl changes no time of a unit that is down."""
    since = log_in_and_take_it_down(host, registry)
    host.wait_said("is down since our restart", since)
    host.run("systemctl", *how.split())
    jobs = host.jobs(since)
    mend_it(host)
    never(lambda: host.jobs(since) > jobs, 20, "it is started")
    assert host.property("ecs.service", "ActiveState") == "inactive"
    host.shell("systemctl enable ecs; systemctl start ecs", check=False)
    wait_live(host, engine, registry, since)


def test_stopped_during_our_restart(host, engine, registry):
    """The stop takes the place of our job, and its result tells."""
    since = host.cursor()
    engine.control.set(stop=3)
    new_login(host, registry)
    wait_for(lambda: host.property("ecs.service", "ActiveState") == "deactivating", 20, "the agent stops", host.tail)
    host.run("systemctl", "stop", "ecs")
    assert host.property("ecs.service", "ActiveState") == "inactive"
    stays_down(host, 12)
    engine.control.reset()
    host.run("systemctl", "start", "ecs")
    wait_live(host, engine, registry, since)


@pytest.mark.parametrize("container", [True, False], ids=["with-its-container", "before-its-container"])
def test_stopped_while_it_comes_up(host, engine, registry, container):
    since = host.cursor()
    engine.control.set(register=None)
    new_login(host, registry)
    job(host, "done", since)
    if container:
        wait_newest(host, engine, registry)
    host.run("systemctl", "stop", "ecs")
    stays_down(host, 12)
    host.restart_daemon()
    stays_down(host, 6)
    engine.control.reset()
    host.run("systemctl", "start", "ecs")
    wait_live(host, engine, registry, since)


def test_stopped_after_it(host, engine, registry):
    since = host.cursor()
    new_login(host, registry)
    wait_live(host, engine, registry, since)
    host.run("systemctl", "stop", "ecs")
    stays_down(host, 8)
    host.restart_daemon()
    stays_down(host, 6)
