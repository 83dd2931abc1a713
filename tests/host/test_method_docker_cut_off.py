# SPDX-License-Identifier: Apache-2.0
"""Method=docker on a real engine, cut off at each step of a swap: there is one agent in the end, and it runs."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from engine_proxy import EngineProxy
from host_parts import end, never, wait_for
from test_method_docker import IMAGE, ByHand, comparable, make_hand  # noqa: F401

# Each request of a swap that changes something, in order.
STEPS = {
    "create": r"POST /containers/create",
    "forbid": r"POST /containers/\w+/update",
    "stop": r"POST /containers/\w+/stop",
    "rename-old": r"POST /containers/\w+/rename\?name=.*previous",
    "rename-new": r"POST /containers/\w+/rename\?name=ecs-agent$",
    "start": r"POST /containers/\w+/start",
}
MOMENTS = [(step, answered) for step in STEPS for answered in (False, True)]


@pytest.fixture(name="proxied")
def make_proxied(hand):
    hand.proxy = EngineProxy(hand.directory / "proxy.sock", hand.engine.socket)
    yield hand
    hand.proxy.close()


def proxied_settings(hand):
    return {"Agent_DockerSocket": hand.proxy.path}


def record(hand):
    return hand.directory / "state" / "swap"


def state(hand):
    """Everything that a verb which may not restart must leave alone."""
    return hand.docker("ps", "-a", "--no-trunc", "--format", "{{.ID}} {{.Names}} {{.State}}"), hand.agent() and {
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
    wait_for(lambda: not record(hand).exists(), 5, "nothing is left to be done")


@pytest.mark.parametrize(("step", "answered"), MOMENTS)
def test_killed_at_each_step(proxied, step, answered):
    """What may not restart leaves it as it is; what may brings it to an end."""
    proxied.start("--restart", "unless-stopped", "--env", "AGENT_STOP_SEC=1")
    old = proxied.agent()
    proxied.login()
    cut_off(proxied, step, answered)
    # The engine goes on with a stop that it was asked for.
    if step == "stop" and answered:
        wait_for(lambda: not proxied.engine.running_agent(), 20, "the engine has stopped it")
    before, asked = state(proxied), len(proxied.proxy.changes())
    apply_without_restart(proxied)
    assert state(proxied) == before and len(proxied.proxy.changes()) == asked
    proxied.apply(**proxied_settings(proxied))
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
    cut_off(proxied, "rename-old")
    assert not proxied.engine.running_agent()
    proxied.proxy.refuse(rf"POST /containers/(?!{old['Id']})\w+/start", "no such device")
    said = proxied.apply(expected=1, **proxied_settings(proxied))
    assert "no such device" in said and "was put back as it was" in said
    assert proxied.names() == ["ecs-agent"] and proxied.engine.running_agent()["Id"] == old["Id"]
    assert comparable(proxied.agent()) == comparable(old) and not record(proxied).exists()


def test_tried_until_one_of_both_runs(proxied):
    """Neither can be started for a while."""
    source = proxied.directory / "source"
    source.mkdir()
    proxied.start("--mount", f"type=bind,source={source},target=/mnt/x", "--restart", "always")
    proxied.login()
    hold = proxied.proxy.hold(STEPS["rename-old"])
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
    assert not record(proxied).exists()


def test_a_stopped_one_is_not_started_after_a_swap(hand):
    hand.start("--restart", "always")
    hand.login()
    hand.apply()
    hand.docker("stop", "ecs-agent")
    with hand.daemon():
        never(hand.engine.running_agent, 3, "what an operator stopped is started")


def test_a_record_that_cannot_be_written(hand):
    """Then nothing begins."""
    hand.start("--restart", "always")
    before = hand.agent()
    hand.login()
    record(hand).mkdir(parents=True)
    (record(hand) / "in-the-way").touch()
    said = hand.apply(expected=1)
    assert str(record(hand)) in said
    after = hand.engine.running_agent()
    assert after["Id"] == before["Id"] and comparable(after) == comparable(before) and hand.names() == ["ecs-agent"]


def test_the_record_has_no_secret(proxied):
    proxied.start("--env", "SECRET=shibboleth")
    auth = proxied.login()
    cut_off(proxied, "start")
    text = record(proxied).read_text()
    assert record(proxied).stat().st_mode & 0o777 == 0o600
    assert auth not in text and proxied.password not in text and "shibboleth" not in text
    proxied.apply()


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
