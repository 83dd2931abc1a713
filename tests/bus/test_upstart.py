# SPDX-License-Identifier: Apache-2.0
"""Method=upstart, with a stand-in for Upstart 0.6.5 on the bus."""

import pytest
from bus_host import LIVE
from dbus.exceptions import DBusException
from standin.upstart import MANAGER, Upstart
from standin.wait import wait_for


@pytest.fixture(name="host")
def make_upstart_host(host):
    host.systemd1.disconnect()
    host.upstart = Upstart(host.bus.address, "ecs", host.agent)
    host.upstart.connect()
    host.settings["Restart.Method"] = "upstart"
    yield host
    host.upstart.disconnect()


def live(host, **settings):
    """The daemon runs, and the agent has the credentials of one login."""
    host.login()
    daemon = host.run(**settings)
    host.wait_live()
    host.upstart.calls.clear()
    return daemon


def test_stop_and_start(host):
    live(host)
    host.login()
    host.wait_live()
    assert host.upstart.methods() == ["Stop", "Start"]


def test_a_stopped_job_is_not_started(host):
    daemon = live(host)
    host.agent.stop()
    host.upstart.loop.call(host.upstart.set_running, False)
    host.login()
    daemon.wait_said("is stopped; left alone")
    assert not host.upstart.methods()


def test_stopped_by_somebody_else_meanwhile(host):
    daemon = live(host)
    host.upstart.refusals["Stop"] = ("UnknownInstance", "Unknown instance: ")
    host.login()
    daemon.wait_said("restart of ecs.service was refused: Unknown instance")
    assert host.upstart.methods() == ["Stop"]


def test_no_such_job(host):
    host.login()
    daemon = host.run(Restart_Unit="other.service")
    daemon.wait_said("held: there is no unit other.service")


def test_not_allowed(host):
    daemon = live(host)
    host.upstart.refusals["Stop"] = ("PermissionDenied", "You do not have permission")
    host.login()
    daemon.wait_said("was refused: You do not have permission")
    assert host.upstart.methods() == ["Stop"]


def test_a_stop_that_fails_on_the_way(host):
    """A script after the stop has failed: the job is down all the same."""
    live(host)
    stop = host.upstart._Stop

    def fail(*args):
        stop(*args)
        raise DBusException("Job failed while stopping", name=f"{MANAGER}.Error.JobFailed")

    host.upstart._Stop = fail
    host.login()
    host.wait_live()
    assert host.upstart.methods() == ["Stop", "Start"]


def test_a_start_that_fails_is_tried_again(host):
    """Upstart has no failed jobs: it looks as if somebody had stopped it, and it was us."""
    daemon = live(host)
    start = host.upstart._Start

    def fail_once(*_):
        host.upstart._Start = start
        raise DBusException("Job failed to start", name=f"{MANAGER}.Error.JobFailed")

    host.upstart._Start = fail_once
    host.login()
    daemon.wait_said("Restart job of ecs.service: Job failed to start; see docker logs ecs-agent")
    daemon.wait_said("is down since our restart; its next start waits ")
    host.wait_live(seconds=20)
    assert host.upstart.methods() == ["Stop", "Start", "Start"]


def test_bus_dropped_and_back(host):
    daemon = live(host)
    since = daemon.mark()
    host.upstart.disconnect()
    host.login()
    daemon.wait_said("held|No restart while", since)
    host.upstart.connect()
    host.wait_live()


def test_slow_to_stop(host):
    """The loop goes on meanwhile."""
    daemon = live(host)
    host.upstart.stop_seconds = 3
    host.login()
    wait_for(lambda: "Stop" in host.upstart.methods(), 10, "Stop is called", host.seen)
    since = daemon.mark()
    daemon.hang_up()
    daemon.wait_said("looking again, as asked", since, seconds=2)
    host.wait_live()


def test_killed_between_stop_and_start(host):
    """The next instance starts what this one has stopped."""
    daemon = live(host)
    host.upstart.stop_seconds = 1
    host.login()
    wait_for(lambda: "Stop" in host.upstart.methods(), 10, "Stop is called", host.seen)
    daemon.process.kill()
    daemon.process.wait()
    wait_for(lambda: not host.upstart.running, 10, "the job is stopped", host.seen)
    host.upstart.stop_seconds = 0
    daemon = host.run()
    host.wait_live()
    assert host.upstart.methods() == ["Stop", "Start"]
    assert daemon.said(LIVE)


def test_ended_between_stop_and_start(host):
    """SIGTERM waits for the start."""
    daemon = live(host)
    host.upstart.stop_seconds = 1
    host.login()
    wait_for(lambda: "Stop" in host.upstart.methods(), 10, "Stop is called", host.seen)
    assert daemon.stop(seconds=15) == 0
    assert host.upstart.running
    assert host.agent.credentials() == host.expected
