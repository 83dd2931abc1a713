# SPDX-License-Identifier: Apache-2.0
"""An agent that does not come up gets the credentials of before, once."""

import pytest
from bus_host import LIVE
from standin.wait import wait_for

BAD = "breaker"  # the agent stops at once with credentials of this user


@pytest.fixture(name="rolled_back")
def make_rolled_back(host):
    """The host has gone back to its first credentials."""
    # Without a restart of ours, which would count for the interval.
    host.login()
    assert host.run_verb("apply", "--no-restart").returncode == 0
    host.agent.restart()
    daemon = host.run(Restart_VerifySec="1s", Restart_MinIntervalSec="1h")
    host.wait_live()
    host.systemd1.calls.clear()
    host.good = dict(host.expected)
    host.agent.breaks_with = BAD
    host.login(user=BAD)
    host.bad = dict(host.expected)
    daemon.wait_said("cannot be confirmed")
    daemon.wait_said("putting the auth entries of before back")
    daemon.wait_said("^Rolled back: container ecs-agent .* systemctl reload ecs-authd")
    return host


def test_back_to_what_was_well(rolled_back):
    assert rolled_back.agent.credentials() == rolled_back.written() == rolled_back.good
    # The interval is for restarts that succeed.
    assert [m for m in rolled_back.systemd1.methods()] == ["TryRestartUnit", "ResetFailedUnit", "RestartUnit"]
    rolled_back.look_again()
    assert rolled_back.restarts() == 2
    rolled_back.wait_status("Rolled back")


@pytest.mark.parametrize("unit", ["failed", "at its start limit", "active"])
def test_whatever_became_of_the_unit(host, unit):
    daemon = host.run_live(Restart_VerifySec="1s")
    good = dict(host.expected)
    restart = host.agent.restart

    def break_down():  # in the loop of the stand-in
        restart()
        if not host.agent.container(running=True):
            host.systemd1._set_failed("start-limit-hit" if "limit" in unit else "exit-code", 1)

    if unit != "active":
        host.agent.restart = break_down
    host.agent.breaks_with = BAD
    host.login(user=BAD)
    daemon.wait_said("^Rolled back")
    assert host.agent.credentials() == good


def test_a_job_that_fails(host):
    daemon = host.run_live()
    good = dict(host.expected)
    host.systemd1.job_result = "failed"
    host.login()
    daemon.wait_said("Restart job of ecs.service: failed")
    host.systemd1.job_result = "done"
    daemon.wait_said("^(Rolled back|The agent does not come up)")
    assert host.written() == good


def test_a_restart_of_the_daemon_does_not_try_again(rolled_back):
    rolled_back.daemon.stop()
    daemon = rolled_back.run()
    daemon.wait_said("^Rolled back")
    rolled_back.look_again()
    assert rolled_back.restarts() == 2
    assert rolled_back.written() == rolled_back.good


def test_new_credentials_are_tried(rolled_back):
    rolled_back.daemon.stop()
    rolled_back.run()
    rolled_back.login()
    rolled_back.wait_live()
    assert rolled_back.restarts() == 3


def test_the_same_are_tried_when_asked_for(rolled_back):
    rolled_back.agent.breaks_with = None
    rolled_back.daemon.stop()
    daemon = rolled_back.run()
    daemon.wait_said("^Rolled back")
    daemon.hang_up()
    rolled_back.wait_live()
    assert rolled_back.written() == rolled_back.bad


def test_going_back_does_not_help(host):
    daemon = host.run_live(Restart_VerifySec="1s")
    good = dict(host.expected)
    host.agent.comes_up = False
    host.login()
    daemon.wait_said("^The agent does not come up, with the credentials of before either: nothing more is tried")
    host.look_again()
    assert host.restarts() == 2
    assert host.written() == good
    host.wait_status("nothing more is tried")

    # At each SIGHUP, and nothing else.
    since = daemon.mark()
    daemon.hang_up()
    daemon.wait_said("nothing more is tried", since)
    assert host.restarts() == 2

    # Somebody has mended it.
    host.agent.comes_up = True
    host.agent.restart()
    host.look_again()
    daemon.wait_said("^Rolled back", since)


def test_nothing_to_go_back_to(host):
    host.agent.stop()
    host.agent.comes_up = False
    host.login()
    daemon = host.run(Restart_VerifySec="1s")
    daemon.wait_said("does not run \\(yet\\)")
    assert host.restarts() == 0


def test_turned_off(host):
    daemon = host.run_live(Restart_VerifySec="1s", Restart_Rollback="no")
    host.agent.breaks_with = BAD
    host.login(user=BAD)
    daemon.wait_said("broke the agent, and it is not rolled back \\(Rollback=no\\)")
    host.look_again()
    assert host.written() == host.expected
    assert host.restarts() == 1
    assert not (host.directory / "state" / "last-good.env").exists()


def test_an_agent_that_refuses_itself(host):
    """Exit status 5: another start mends nothing."""
    daemon = host.run_live(Restart_VerifySec="1s")
    restart = host.agent.restart

    def refuse():
        restart()
        host.agent.stop(5)
        host.systemd1._set_failed("exit-code", 5)

    host.agent.restart = refuse
    host.login()
    daemon.wait_said("ended with status 5")
    host.look_again()
    assert host.restarts() == 1
    assert host.written() == host.expected


def test_killed_while_going_back(host):
    """The next instance goes on: it does not write again what broke the agent."""
    daemon = host.run_live(Restart_VerifySec="1s")
    good = dict(host.expected)
    host.agent.breaks_with = BAD
    host.login(user=BAD)
    rejected = host.directory / "state" / "rejected.env"
    wait_for(rejected.exists, 10, "the credentials are rejected", host.seen)
    daemon.process.kill()
    daemon.process.wait()
    daemon = host.run(Restart_VerifySec="1s")
    daemon.wait_said("does not run")
    assert host.written() == good


def test_apply_goes_back_too(host):
    host.login()
    assert host.run_verb("apply").returncode == 0
    good = dict(host.expected)
    host.agent.breaks_with = BAD
    host.login(user=BAD)
    result = host.run_verb("apply", Restart_VerifySec="1s")
    assert result.returncode == 1
    assert "Rolled back" in result.stderr
    assert host.agent.credentials() == good


def test_a_place_where_nothing_can_be_kept(host):
    (host.directory / "state").write_text("a file in the place of the directory")
    daemon = host.run_live()
    daemon.wait_said("will not be rolled back: cannot write to .*state: Not a directory")
    assert daemon.said(LIVE)
