# SPDX-License-Identifier: Apache-2.0
"""What a restart waits for, and that it comes at once when that is over."""

import re
import signal
import subprocess
import time
import urllib.parse

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
    daemon.wait_said(r"Restart held: 1 task container runs \(web\), which a restart would lose", since)
    wait_for(lambda: followers(host) and '"container":[' not in urllib.parse.unquote(followers(host)[-1]), 10,
             "the events of all containers are followed", host.seen)
    return host


def followers(host):
    """Who listens to Docker's events."""
    return [path for path in host.engine.requests if re.match(r"(/v[0-9.]+)?/events", path)]


def test_the_end_of_the_last_task_is_heard(held):
    """Not asked for: events tell."""
    ended = time.monotonic()
    held.engine.stop_container("one")
    held.wait_live(seconds=12)
    assert held.systemd1.restarts()[0][0] - ended > 4.9  # its end has been reported


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
    held.wait_live(seconds=15)


def test_a_hold_survives_the_daemon(held):
    held.daemon.stop()
    daemon = held.run()
    daemon.wait_said("Restart held: 1 task container runs")
    assert held.restarts() == 0
    held.engine.stop_container("one")
    held.wait_live(seconds=15)


def test_other_containers_wake_nobody_longer_than_need_be(held):
    """Then those of the agent alone are listened to."""
    held.engine.stop_container("one")
    held.wait_live(seconds=15)
    wait_for(lambda: '"container":["ecs-agent"]' in urllib.parse.unquote(followers(held)[-1]), 5,
             "the agent's container is listened to", held.seen)


def test_an_agent_that_is_made_anew_while_it_is_live(host):
    """By ecs-init itself, with its unit active: nothing else tells. It was shown as live, with the container of before."""
    host.run_live()
    host.agent.answers = False
    host.agent.restart()
    wait_for(lambda: host.status()["state"] == "silent", 20, "it is said to be silent", host.seen)
    assert host.status()["agent"]["id"] == host.agent.container_id()
    host.agent.answers = True
    wait_for(lambda: host.status()["state"] == "live", 10, "it is live again", host.seen)
    assert (host.restarts(), host.starts()) == (0, 0)


def test_state_kept_waits_for_no_task(host):
    """A restart there harms none that is being pulled, and it may be failing to with the old password."""
    daemon = host.run_live()
    since = daemon.mark()
    host.agent.tasks = ["RUNNING", "PENDING", "STOPPED"]
    host.engine.run_task("one")
    host.login()
    host.wait_live(seconds=4)
    assert host.restarts() == 1
    assert not daemon.said("held|waiting", since)


@pytest.fixture(name="unsaved")
def make_unsaved(host):
    """The agent does not keep its state."""
    host.agent.datadir = None
    host.agent.restart()
    host.run_live()
    return host


@pytest.mark.parametrize("status", ["NONE", "CREATED", "PENDING", "RUNNING"])
def test_a_task_without_a_container_holds(unsaved, status):
    """It was lost: an agent made anew knows nothing of it."""
    since = unsaved.daemon.mark()
    unsaved.agent.tasks = ["STOPPED", status]
    unsaved.login()
    unsaved.daemon.wait_said(r"Restart held: 1 task has not ended \(web\), which a restart would lose", since)
    unsaved.look_again()
    assert unsaved.restarts() == 0

    # Its end has to reach ECS before the agent goes down: a restart came 0.03 s after it.
    unsaved.agent.tasks = ["STOPPED", "STOPPED"]
    ended = time.monotonic()
    unsaved.wait_live(seconds=20)
    assert unsaved.systemd1.restarts()[0][0] - ended > 4.9


def test_the_agents_own_containers_are_no_tasks(unsaved):
    """The relay of Service Connect held the restart for ever."""
    unsaved.engine.run_relay()
    unsaved.login()
    unsaved.wait_live(seconds=20)
    assert unsaved.restarts() == 1


def test_containers_that_the_agent_does_not_know(unsaved):
    since = unsaved.daemon.mark()
    unsaved.agent.forgets = True
    unsaved.engine.run_task("left")
    unsaved.login()
    unsaved.daemon.wait_said("held: 1 task container runs.*The agent does not know of 1 of the containers: one that lost its "
                             "state left it behind.*docker stop ends it", since)
    assert unsaved.restarts() == 0
    unsaved.engine.remove("left")
    unsaved.wait_live(seconds=20)


@pytest.mark.parametrize("page, answer", [("/v1/tasks", b"<html>"), ("/v1/metadata", b"teapot"), ("/v1/tasks", b"[]")])
def test_an_agent_that_does_not_tell_its_tasks(unsaved, page, answer):
    unsaved.agent.pages[page] = answer
    since = unsaved.daemon.mark()
    unsaved.login()
    unsaved.daemon.wait_said("Restart held: the agent does not keep its state .* does not tell at .* which tasks", since)
    unsaved.look_again()
    assert unsaved.restarts() == 0
    del unsaved.agent.pages[page]
    unsaved.wait_live(seconds=20)


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


def test_a_problem_while_a_restart_waits(host):
    """The wait may last for hours: it hides no broken file, and says why and until when."""
    host.login()
    host.run(Restart_JitterSec="1000d")
    host.wait_status("JitterSec=1000d")
    wait_for(lambda: "(JitterSec=1000d)" in host.status()["sentence"], 10, "the reason of the wait", host.seen)
    assert re.search(r"restarted at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \S+ \(JitterSec=1000d\)", host.status()["sentence"])
    assert host.status()["state"] == "waiting" and host.run_verb("status").returncode == 0
    host.credentials.replace("{")
    wait_for(lambda: host.status()["state"] == "problem", 10, "the problem", host.seen)
    assert host.run_verb("status").returncode == 3
    host.wait_status("Problem: .*not valid JSON.*JitterSec=1000d")


# --- several instances ---

def test_apply_leaves_a_restart_under_way_to_the_service(host):
    """It writes, waits for the service to be done, and tells the outcome."""
    daemon = host.run_live()
    host.systemd1.job_seconds = 3
    host.login()
    host.wait_restarts(1)
    result = host.run_verb("apply")
    assert result.returncode == 0, result.stderr
    assert "runs with the credentials" in result.stderr
    host.wait_live()
    assert host.restarts() == 1
    assert daemon.said("Restarting ecs.service")


def test_apply_takes_over_from_a_service_that_waits(host):
    """It did not end, and said that the other one restarts."""
    host.login()
    daemon = host.run(Restart_SettleSec="1h")
    host.wait_written()
    host.wait_status("waiting for them to settle")
    result = host.run_verb("apply", timeout=20)
    assert result.returncode == 0, result.stderr
    assert host.restarts() == 1
    host.wait_agent()
    daemon.wait_said("runs with the credentials of 1 registry", CONTAINER_ID=host.agent.container_id())


def test_apply_by_force_beside_a_service_that_holds(held):
    result = held.run_verb("apply", timeout=20, Restart_UnsavedState="force")
    assert result.returncode == 0, result.stderr
    assert held.restarts() == 1
    held.wait_live()
    assert held.restarts() == 1


def test_apply_is_held_beside_the_service(held):
    result = held.run_verb("apply")
    assert result.returncode == 3
    assert "Restart held: 1 task container runs" in result.stderr
    assert held.restarts() == 0


def test_the_service_takes_over_from_apply(host):
    """apply, in the middle of its work, is killed: what it began is on record."""
    host.login()
    host.systemd1.job_seconds = 5
    apply = subprocess.Popen(host.arguments("apply"), env=host.environment(), stderr=subprocess.PIPE, text=True)
    try:
        wait_for(lambda: host.restarts() == 1, 10, "apply restarts the agent", host.seen)
        host.run()
        host.look_again()
        apply.send_signal(signal.SIGKILL)
        apply.wait()
        host.wait_live(seconds=20)
        assert host.restarts() == 1
    finally:
        apply.kill()
        apply.wait()
        apply.stderr.close()
