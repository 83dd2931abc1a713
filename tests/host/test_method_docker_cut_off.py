# SPDX-License-Identifier: Apache-2.0
"""Method=docker on a real engine, cut off at each step of a swap: there is one agent in the end, and it runs."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from engine_proxy import EngineProxy
from host_parts import end, never, wait_for
from test_method_docker import IMAGE, ByHand, comparable, make_hand  # noqa: F401

# Each request of a swap that changes something, in order.
STEPS = {
    "create": r"POST /containers/create",
    "rename-old": r"POST /containers/\w+/rename\?name=.*previous",
    "forbid": r"POST /containers/\w+/update",
    "stop": r"POST /containers/\w+/stop",
    "rename-new": r"POST /containers/\w+/rename\?name=ecs-agent$",
    "start": r"POST /containers/\w+/start",
}
MOMENTS = [(step, answered) for step in STEPS for answered in (False, True)]


FRESH, PREVIOUS = "ecs-agent.ecs-authd-new", "ecs-agent.ecs-authd-previous"


def inspect(hand, name):
    return json.loads(hand.docker("inspect", name))[0]


def runs(hand, name):
    return name in hand.names() and inspect(hand, name)["State"]["Running"]


@pytest.fixture(name="proxied")
def make_proxied(hand):
    hand.proxy = EngineProxy(hand.directory / "proxy.sock", hand.engine.socket)
    yield hand
    hand.proxy.close()


def proxied_settings(hand):
    return {"Agent_DockerSocket": hand.proxy.path}


def state(hand):
    """Everything that a verb which may not restart must leave alone."""
    return hand.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"), {
        name: hand.docker("inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", name) for name in hand.names()}


def cut_off(hand, step, answered=False):
    """An apply, and with it its worker, killed at the step."""
    hold = hand.proxy.hold(STEPS[step], answered)
    process = hand.popen("apply", **proxied_settings(hand))
    try:
        assert hold.reached.wait(30), hand.proxy.requests
    finally:
        process.kill()
        process.communicate()
        hold.released.set()


def apply_without_restart(hand):
    command = hand.command("apply", **proxied_settings(hand)) + ["--no-restart"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60,
                          env={**os.environ, "STATE_DIRECTORY": str(hand.directory / "state")}).stderr


def children(process):
    return [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]


def assert_one_agent(hand, like):
    wait_for(hand.is_live, 30, "it runs with the new credentials", lambda: state(hand))
    wait_for(lambda: hand.names() == ["ecs-agent"], 30, "one agent is left", hand.names)
    assert comparable(hand.agent()) == comparable(like)


@pytest.mark.parametrize(("step", "answered"), MOMENTS)
def test_killed_at_each_step(proxied, step, answered):
    """What may not restart leaves it as it is; what may brings it to an end."""
    proxied.start("--restart", "unless-stopped", "--env", "AGENT_STOP_SEC=1")
    old = proxied.agent()
    proxied.login()
    cut_off(proxied, step, answered)
    # The engine goes on with a stop that it was asked for.
    if step == "stop" and answered:
        wait_for(lambda: not runs(proxied, PREVIOUS), 20, "the engine has stopped it")
    before, asked = state(proxied), len(proxied.proxy.changes())
    apply_without_restart(proxied)
    assert state(proxied) == before and len(proxied.proxy.changes()) == asked
    since = time.monotonic()
    proxied.apply(**proxied_settings(proxied))
    if step in ("rename-new", "start"):
        assert time.monotonic() - since < 4, "the cut counts as a failure: the start waits"
    assert_one_agent(proxied, old)


@pytest.mark.parametrize("step", STEPS)
def test_worker_killed(proxied, step):
    """The daemon lives on, and does not have to be restarted for it."""
    proxied.start("--restart", "always")
    old = proxied.agent()
    proxied.login()
    hold = proxied.proxy.hold(STEPS[step])
    with proxied.daemon(**proxied_settings(proxied)) as process:
        assert hold.reached.wait(30), proxied.proxy.requests
        for worker in children(process):
            os.kill(worker, signal.SIGKILL)
        hold.released.set()
        assert_one_agent(proxied, old)


@pytest.mark.parametrize("step", ["stop", "rename-new", "start"])
def test_engine_restarted(proxied, step):
    proxied.start("--restart", "unless-stopped")
    old = proxied.agent()
    proxied.login()
    hold = proxied.proxy.hold(STEPS[step])
    process = proxied.popen("run", **proxied_settings(proxied))
    try:
        assert hold.reached.wait(30), proxied.proxy.requests
        proxied.engine.stop()
        hold.released.set()
        proxied.engine.start()
        assert_one_agent(proxied, old)
    finally:
        if not proxied.engine.process:
            proxied.engine.start()
        end(process)
        process.stderr.close()


def test_undone_when_it_cannot_be_finished(proxied):
    """Cut off after the old one had stopped, and no new one can be started: the old one runs again, as it was."""
    proxied.start("--restart", "always")
    old = proxied.agent()
    proxied.login()
    cut_off(proxied, "rename-new")
    assert not proxied.engine.running_agent()
    proxied.proxy.refuse(rf"POST /containers/(?!{old['Id']})\w+/start", "no such device")
    said = proxied.apply(expected=1, **proxied_settings(proxied))
    assert "no such device" in said and "was put back as it was" in said
    assert proxied.names() == ["ecs-agent"] and proxied.engine.running_agent()["Id"] == old["Id"]
    assert comparable(proxied.agent()) == comparable(old)


def test_tried_until_one_of_both_runs(proxied):
    """Neither can be started for a while."""
    source = proxied.directory / "source"
    source.mkdir()
    proxied.start("--mount", f"type=bind,source={source},target=/mnt/x", "--restart", "always")
    proxied.login()
    hold = proxied.proxy.hold(STEPS["rename-new"])
    with proxied.daemon(**proxied_settings(proxied)):
        assert hold.reached.wait(30), proxied.proxy.requests
        source.rmdir()
        hold.released.set()
        wait_for(lambda: sum("/start" in r for r in proxied.proxy.requests) >= 3, 30, "both are tried, and tried again",
                 lambda: proxied.proxy.changes())
        never(lambda: sum("/start" in r for r in proxied.proxy.requests) > 4, 3, "it is tried without a pause")
        source.mkdir()
        wait_for(lambda: proxied.names() == ["ecs-agent"] and proxied.is_live(), 40, "the agent runs", proxied.names)


def test_a_lost_session(proxied):
    """SIGHUP to everything that the terminal had: what is half done is brought to an end first."""
    proxied.start("--restart", "always", "--env", "AGENT_STOP_SEC=1")
    old = proxied.agent()
    proxied.login()
    hold = proxied.proxy.hold(STEPS["stop"], answered=True)
    process = subprocess.Popen(proxied.command("apply", **proxied_settings(proxied)), stderr=subprocess.PIPE, text=True,
                               start_new_session=True,
                               env={**os.environ, "STATE_DIRECTORY": str(proxied.directory / "state")})
    assert hold.reached.wait(30), proxied.proxy.requests
    os.killpg(process.pid, signal.SIGHUP)
    hold.released.set()
    said = process.communicate(timeout=60)[1]
    assert proxied.is_live(), said
    proxied.apply(**proxied_settings(proxied))
    assert_one_agent(proxied, old)


def test_a_reload_for_the_whole_group(proxied):
    """SIGHUP in the middle of it does not reach the child that does it."""
    proxied.start("--restart", "always", "--env", "AGENT_STOP_SEC=1")
    old = proxied.agent()
    proxied.login()
    hold = proxied.proxy.hold(STEPS["stop"], answered=True)
    process = subprocess.Popen(proxied.command("run", **proxied_settings(proxied)), stderr=subprocess.PIPE, text=True,
                               start_new_session=True,
                               env={**os.environ, "STATE_DIRECTORY": str(proxied.directory / "state")})
    try:
        assert hold.reached.wait(30), proxied.proxy.requests
        os.killpg(process.pid, signal.SIGHUP)
        hold.released.set()
        assert_one_agent(proxied, old)
    finally:
        end(process)
        process.stderr.close()
    assert sum("/create" in r for r in proxied.proxy.requests) == 1


def test_the_end_of_the_daemon(proxied):
    """Its next start goes on with a container that took longer to stop than the daemon was given."""
    proxied.start("--restart", "always", "--env", "AGENT_STOP_SEC=8", "--stop-timeout", "60")
    old = proxied.agent()
    proxied.login()
    cut_off(proxied, "stop", answered=False)
    hold = proxied.proxy.hold(STEPS["stop"], answered=True)
    process = proxied.popen("run", **proxied_settings(proxied))
    try:
        # On its own, the first asked nothing of the engine: the stop is the daemon's.
        wait_for(lambda: any("/stop" in r for r in proxied.proxy.changes()[2:]), 30, "it is stopped")
    finally:
        process.kill()
        process.communicate()
        hold.released.set()
    with proxied.daemon(**proxied_settings(proxied)):
        assert_one_agent(proxied, old)


def test_a_previous_one_that_cannot_be_removed(proxied):
    """Said once, tried again after a while; and the agent that an operator stops meanwhile stays stopped."""
    proxied.start("--restart", "always")
    proxied.login()
    proxied.proxy.refuse(r"^DELETE ", "driver failed to remove root filesystem: device or resource busy")
    process = proxied.popen("run", **proxied_settings(proxied))
    try:
        wait_for(lambda: any(r.startswith("DELETE") for r in proxied.proxy.requests), 30, "the old one is to be removed")
        never(lambda: sum(r.startswith("DELETE") for r in proxied.proxy.requests) > 1, 4, "it is tried again at once")
        proxied.docker("stop", "ecs-agent")
        never(proxied.engine.running_agent, 3, "what an operator stopped is started")
    finally:
        end(process)
        said = process.communicate()[1]
    assert said.count("device or resource busy") == 1, said
    # And goes when it can be removed again.
    proxied.proxy.refusals.clear()
    proxied.docker("start", "ecs-agent")
    proxied.apply(**proxied_settings(proxied))
    wait_for(lambda: proxied.names() == ["ecs-agent"], 10, "one agent is left", proxied.names)


def test_a_stopped_one_is_not_started_after_a_swap(hand):
    hand.start("--restart", "always")
    hand.login()
    hand.apply()
    hand.docker("stop", "ecs-agent")
    with hand.daemon():
        never(hand.engine.running_agent, 3, "what an operator stopped is started")


def half_done(hand, named, fresh, previous):
    """The containers of a swap that an ecs-authd without labels was killed in; gives the one that stays."""
    hand.start("--restart", "always")
    stays = hand.agent()
    hand.docker("create", "--name", FRESH, "--network", "host", "--env-file", str(hand.env_file), "--restart", "always", IMAGE,
                "/agent")
    hand.docker("update", "--restart", "no", "ecs-agent")
    if not named:
        hand.docker("stop", "ecs-agent")
        stays = inspect(hand, FRESH)
    if previous:
        hand.docker("rename", "ecs-agent", PREVIOUS)
    if not fresh:
        hand.docker("rename", FRESH, "ecs-agent")
    (hand.directory / "state").mkdir()
    (hand.directory / "state" / "swap").write_text('{"stage":"renaming","container":"ecs-agent"}')
    (hand.directory / "state" / "swap").chmod(0o600)
    return stays


@pytest.mark.parametrize(("named", "fresh", "previous"), [(True, True, False), (False, True, True), (False, False, True)])
def test_cut_off_in_an_older_version(hand, named, fresh, previous):
    """Its record of a swap is not needed, and is removed."""
    stays = half_done(hand, named, fresh, previous)
    hand.login()
    with hand.daemon():
        assert_one_agent(hand, stays)
        wait_for(lambda: not (hand.directory / "state" / "swap").exists(), 20, "the old record is removed")


def test_a_stop_beside_a_swap_that_was_not_begun(hand):
    """The new container is created, and the operator stops the old one: it stays stopped."""
    hand.start()
    hand.docker("create", "--name", FRESH, IMAGE, "/agent")
    hand.docker("stop", "ecs-agent")
    hand.login()
    with hand.daemon():
        never(hand.engine.running_agent, 3, "what an operator stopped is started")


@pytest.mark.parametrize("step", ["rename-new", "start"])
def test_another_container_with_the_name(proxied, step):
    """An operator recreates the agent by hand while a swap is cut off: this container stays, whether it runs or not."""
    proxied.start("--restart", "always")
    proxied.login()
    cut_off(proxied, step)
    if "ecs-agent" in proxied.names():
        proxied.docker("rm", "-f", "ecs-agent")
    made = proxied.docker("create", "--name", "ecs-agent", "--network", "host", IMAGE, "/agent")
    with proxied.daemon(Restart_UnsavedState="never", **proxied_settings(proxied)):
        never(proxied.engine.running_agent, 3, "a container that was not started is started")
        proxied.docker("start", "ecs-agent")
        wait_for(lambda: FRESH not in proxied.names(), 20, "the new one is removed", proxied.names)
    assert proxied.engine.running_agent()["Id"] == made


def test_the_old_container_runs_on(proxied):
    """Cut off before the stop, and a task has come that a restart would lose: the agent that runs is the old container."""
    proxied.start("--restart", "always")
    old = proxied.agent()
    proxied.login()
    cut_off(proxied, "stop")
    assert runs(proxied, PREVIOUS)
    with proxied.engine.task("arn:aws:ecs:eu-west-1:111122223333:task/demo/1"):
        assert "task" in proxied.apply(expected=3, **proxied_settings(proxied))
        assert runs(proxied, PREVIOUS) and old["State"]["StartedAt"] == inspect(proxied, PREVIOUS)["State"]["StartedAt"]


@pytest.mark.parametrize("options", [("--uts", "host"), ("--network", "container:neighbour"),
                                     ("--network", "container:neighbour", "--pid", "container:neighbour")])
def test_where_a_host_name_is_refused(hand, options):
    """docker inspect shows one where docker create takes none."""
    hand.docker("run", "-d", "--name", "neighbour", "--network", "host", IMAGE, "/agent", "task")
    hand.docker("run", "-d", "--name", "ecs-agent", *(() if "--network" in options else ("--network", "host")), *options,
                "--env-file", str(hand.env_file), IMAGE, "/agent")
    before = hand.agent()
    hand.login()
    hand.apply()
    assert hand.is_live() and hand.agent()["Id"] != before["Id"]
    assert comparable(hand.agent()) == comparable(before)
    hand.docker("rm", "-f", "neighbour")
