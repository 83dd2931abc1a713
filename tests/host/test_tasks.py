# SPDX-License-Identifier: Apache-2.0
"""Tasks and restarts: an agent that keeps its state is restarted at any moment, one that does not is not while it would
lose a task. Told in order."""

import time

import pytest

from host_parts import environment, never, new_login, wait_for, wait_live, wait_newest

ARN = "arn:aws:ecs:us-west-2:012345678910:task/stand-in/{}"
HELD = "Restart held: "
RELAY = "arn:::::/relay-x"


@pytest.fixture(name="without_state")
def make_without_state(host, engine):
    """No ECS_DATADIR."""
    yield from with_line(host, engine, "ECS_DATADIR=")


@pytest.fixture(name="without_checkpoint")
def make_without_checkpoint(host, engine):
    yield from with_line(host, engine, "ECS_CHECKPOINT= false")


def with_line(host, engine, line):
    key, value = line.split("=", 1)
    host.shell(f"echo '{line}' >> /etc/ecs/ecs.config")
    host.restart_agent()
    wait_for(lambda: (agent := engine.running_agent()) and environment(agent).get(key) == value, 30, f"it runs with {line}",
             host.tail)
    yield
    engine.control.set(tasks=[])
    host.shell(f"sed -i /{key}/d /etc/ecs/ecs.config")
    host.restart_agent()
    wait_for(lambda: (agent := engine.running_agent()) and environment(agent).get(key) != value, 30, f"it runs without {line}",
             host.tail)


def moment(line):
    return int(line["__REALTIME_TIMESTAMP"]) / 1e6


def test_state_kept_and_a_task_is_pulled(host, engine, registry):
    """The restart harms no such task (measured), and may be what lets its pull succeed. The version before waited for it
    up to PendingSec=, 10 minutes."""
    engine.control.set(tasks=[(ARN.format(1), "PENDING", "web")])
    host.restart_daemon()  # it has seen the task
    since = host.cursor()
    new_login(host, registry)
    logged_in = time.time()
    restarting = host.wait_said("Restarting ecs.service", since, seconds=15)
    assert moment(restarting) - logged_in < 3  # SettleSec= is 0.3 s
    wait_live(host, engine, registry, since)
    assert host.restarts(since) == 1
    engine.control.set(tasks=[])


@pytest.mark.usefixtures("without_state")
def test_a_task_that_has_no_container_yet_holds_it(host, engine, registry):
    """It is being pulled, or between two states: the agent alone knows of it. The version before looked for containers and,
    for as long as PendingSec=, at tasks that are pending: after that it lost them."""
    engine.control.set(tasks=[(ARN.format(1), "PENDING", "web"), (ARN.format(2), "STOPPED", "old")])
    since = host.cursor()
    new_login(host, registry)
    held = host.wait_said(HELD, since)
    assert "1 task has not ended (web)" in held["MESSAGE"] and "ECS_DATADIR is not set" in held["MESSAGE"]
    assert registry.entry() in host.read("/etc/ecs/ecs.config")

    # Running, but its container is not there, or not any more.
    engine.control.set(tasks=[(ARN.format(1), "RUNNING", "web")])
    never(lambda: host.restarts(since), 12, "a restart")
    host.restart_daemon()
    never(lambda: host.restarts(since), 4, "a restart after the daemon's own")

    ended = time.time()
    engine.control.set(tasks=[(ARN.format(1), "STOPPED", "web")])
    restarting = host.wait_said("Restarting ecs.service", since)
    assert 5 <= moment(restarting) - ended < 14
    wait_live(host, engine, registry, since)


@pytest.mark.usefixtures("without_state")
def test_the_end_of_a_container_is_reported_first(host, engine, registry):
    """The agent reports it half a second later. The version before restarted as soon as Docker told of the end."""
    engine.control.set(tasks=[(ARN.format(3), "RUNNING", "web")])
    since = host.cursor()
    with engine.task(ARN.format(3)) as container:
        new_login(host, registry)
        assert "1 task container runs (web)" in host.wait_said(HELD, since)["MESSAGE"]
        engine.control.set(tasks=[])
        never(lambda: host.restarts(since), 7, "a restart while the container is there")
        ended = time.time()
        engine.docker("kill", container)
        restarting = host.wait_said("Restarting ecs.service", since)
        assert 5 <= moment(restarting) - ended < 9
    wait_live(host, engine, registry, since)


@pytest.mark.usefixtures("without_state")
def test_a_container_of_the_agents_own_holds_nothing(host, engine, registry):
    """The relay of Service Connect. The version before took it for a task that never ends."""
    since = host.cursor()
    with engine.task(RELAY):
        new_login(host, registry)
        wait_newest(host, engine, registry)
        assert not host.lines(HELD, since)


@pytest.mark.usefixtures("without_state")
def test_a_container_that_an_agent_left_behind_is_named(host, engine, registry):
    since = host.cursor()
    with engine.task(ARN.format(9)) as container:
        new_login(host, registry)
        message = host.wait_said(HELD, since)["MESSAGE"]
        assert "The agent does not know of 1 of the containers" in message
        # Followed to the letter.
        assert "docker ps --filter label=com.amazonaws.ecs.task-arn" in message and "docker stop" in message
        host.shell("docker stop $(docker ps -q --filter label=com.amazonaws.ecs.task-arn)")
        assert container
        wait_live(host, engine, registry, since)


@pytest.mark.usefixtures("without_checkpoint")
def test_false_with_a_blank(host, engine, registry):
    """The agent trims it. The version before read it as kept state, and lost the tasks."""
    engine.control.set(tasks=[(ARN.format(5), "RUNNING", "web")])
    since = host.cursor()
    with engine.task(ARN.format(5)):
        new_login(host, registry)
        assert "ECS_CHECKPOINT=false" in host.wait_said(HELD, since)["MESSAGE"]
        never(lambda: host.restarts(since), 5, "a restart")
    engine.control.set(tasks=[])
    wait_live(host, engine, registry, since)


@pytest.mark.usefixtures("without_state")
def test_apply_with_force_beside_a_service_that_holds(host, engine, registry):
    """The operator has decided. The version before ended with 3: the service that held had the agent to itself."""
    engine.control.set(tasks=[(ARN.format(6), "RUNNING", "web")])
    since = host.cursor()
    with engine.task(ARN.format(6)):
        new_login(host, registry)
        host.wait_said(HELD, since)
        begun = time.monotonic()
        said = host.shell("ecs-authd -o Restart.UnsavedState=force apply 2>&1; echo exit=$?")
        took = time.monotonic() - begun
        assert "exit=0" in said and "Restarting ecs.service" in said, said
        assert took < 15, said
        wait_newest(host, engine, registry, seconds=1)
        # The service takes it in, and does nothing more.
        wait_live(host, engine, registry, since)
        assert host.restarts(since) == 0
