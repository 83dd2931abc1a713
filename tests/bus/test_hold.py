# SPDX-License-Identifier: Apache-2.0
"""What a restart waits for, and that it comes at once when that is over."""

import signal
import subprocess
import time

import pytest
from standin.wait import wait_for


@pytest.fixture(name="held")
def make_held(host):
    """The agent does not keep its state, a task runs, and there are new credentials."""
    host.agent.datadir = None
    host.agent.restart()
    daemon = host.run_live()
    host.engine.run_task("one")
    since = daemon.mark()
    host.login()
    daemon.wait_said(r"Restart held: 1 task container runs \(web\) and would be lost", since)
    wait_for(lambda: followers(host), 10, "Docker's events are followed", host.seen)
    return host


def followers(host):
    """Who listens to Docker's events."""
    return [path for path in host.engine.requests if path.startswith("/events")]


def test_the_end_of_the_last_task_is_heard(held):
    """Not asked for: events tell."""
    held.engine.stop_container("one")
    held.wait_live(seconds=3)


def test_status_counts_the_tasks(held):
    held.engine.run_task("two")
    held.wait_status("2 task containers run")
    # The journal has been told already that it is held.
    assert len([line for line in held.daemon.lines() if "held" in line.text]) == 1


def test_a_hold_survives_the_engine(held):
    held.engine.stop()
    held.look_again()
    held.engine.start()
    wait_for(lambda: len(followers(held)) > 1, 10, "the events are followed again", held.seen)
    held.look_again()
    assert held.restarts() == 0
    held.engine.stop_container("one")
    held.wait_live(seconds=5)


def test_a_hold_survives_the_daemon(held):
    held.daemon.stop()
    daemon = held.run()
    daemon.wait_said("Restart held: 1 task container runs")
    assert held.restarts() == 0
    held.engine.stop_container("one")
    held.wait_live(seconds=5)


def test_nobody_listens_longer_than_need_be(held):
    held.engine.stop_container("one")
    held.wait_live()
    children = f"/proc/{held.daemon.pid}/task/{held.daemon.pid}/children"
    wait_for(lambda: not open(children, encoding="ascii").read().strip(), 5, "no child is left", held.seen)


def test_a_task_on_its_way_is_waited_for(host):
    daemon = host.run_live()
    since = daemon.mark()
    host.agent.tasks = ["RUNNING", "PENDING", "STOPPED"]
    host.login()
    daemon.wait_said("^1 task is being pulled or started", since)
    host.look_again()
    assert host.restarts() == 0
    host.agent.tasks = ["RUNNING", "RUNNING", "STOPPED"]
    host.wait_live()
    assert host.restarts() == 1


def test_but_not_for_ever(host):
    host.agent.tasks = ["PENDING"]
    host.agent.restart()
    host.login()
    daemon = host.run(Restart_PendingSec="2s")
    daemon.wait_said("^1 task is being pulled or started")
    started = time.monotonic()
    host.wait_live()
    assert time.monotonic() - started > 1


def test_jitter(host):
    """The same wait on this host, whenever it is asked for; none for a person."""
    host.login()
    daemon = host.run(Restart_JitterSec="1000d")
    host.wait_written()
    host.wait_status("waiting for them to settle")
    host.look_again()
    assert host.restarts() == 0
    daemon.stop()
    assert host.run_verb("apply", Restart_JitterSec="1000d").returncode == 0


# --- several instances ---

def test_apply_leaves_the_restart_to_the_service(host):
    """It writes, waits for the service to do it, and tells the outcome."""
    daemon = host.run_live(Restart_SettleSec="2s")
    host.login()
    result = host.run_verb("apply")
    assert result.returncode == 0, result.stderr
    assert "Another ecs-authd restarts ecs.service" in result.stderr
    assert "runs with the credentials" in result.stderr
    host.wait_live()
    assert host.restarts() == 1
    assert daemon.said("Restarting ecs.service")


def test_apply_is_held_beside_the_service(held):
    result = held.run_verb("apply")
    assert result.returncode == 3
    assert "Restart held: 1 task container runs" in result.stderr
    assert held.restarts() == 0


def test_the_service_takes_over_from_apply(host):
    """apply, in the middle of its work, is killed."""
    host.login()
    host.systemd1.job_seconds = 3600
    apply = subprocess.Popen(host.arguments("apply"), env=host.environment(), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: host.restarts() == 1, 10, "apply restarts the agent", host.seen)
        daemon = host.run()
        host.look_again()
        assert host.restarts() == 1
        apply.send_signal(signal.SIGKILL)
        apply.wait()
        host.systemd1.job_seconds = 0.02
        host.systemd1.finish_job()
        host.wait_live()
        assert host.restarts() == 2
        assert not daemon.said("Another ecs-authd") or host.restarts() == 2
    finally:
        apply.kill()
        apply.wait()
        apply.stderr.close()
