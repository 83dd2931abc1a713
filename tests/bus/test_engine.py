# SPDX-License-Identifier: Apache-2.0
"""The Docker Engine: versions, misbehaviour, and what it tells about agent and tasks."""

import itertools
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from bus_host import LIVE
from standin import docker_engine
from standin.wait import never, wait_for


@pytest.mark.parametrize("version, minimum", [("1.24", "1.12"), ("1.41", "1.12"), ("1.44", "1.24"), ("1.52", "1.44")])
def test_speaks_the_version_of_the_engine(host, version, minimum):
    host.engine.api_version, host.engine.minimum_api_version = version, minimum
    host.run_live()
    paths = [path for path in host.engine.requests if path != "/_ping"]
    assert paths and all(path.startswith(f"/v{version}/") for path in paths), paths


def test_engine_replaced_by_a_newer_one(host):
    host.run_live()
    host.engine.api_version, host.engine.minimum_api_version = "1.52", "1.44"
    host.login()
    host.wait_live()
    assert [path for path in host.engine.requests if path != "/_ping"][-1].startswith("/v1.52/")


def test_engine_hangs(host):
    """It takes the request and never answers: everything else goes on."""
    daemon = host.run_live()
    since, requests = daemon.mark(), len(host.engine.requests)
    host.engine.misbehaves = "hangs"
    host.login()
    host.wait_written(seconds=1)
    wait_for(lambda: len(host.engine.requests) > requests, 5, "the engine is asked", host.seen)

    daemon.hang_up()
    daemon.wait_said("SIGHUP", since, seconds=1)
    wait_for(lambda: host.notify.count("READY=1") == 2, 1, "the reload ends", host.seen)
    host.login()
    host.wait_written(seconds=12)
    daemon.wait_said("Docker Engine.*does not answer", since, seconds=15)
    assert host.restarts() == 0

    host.engine.recover()
    host.look_again()
    host.wait_live()


def test_ends_while_the_engine_hangs(host):
    daemon = host.run_live()
    requests = len(host.engine.requests)
    host.engine.misbehaves = "hangs"
    host.login()
    wait_for(lambda: len(host.engine.requests) > requests, 5, "the engine is asked", host.seen)
    assert daemon.stop(seconds=2) == 0


@pytest.mark.parametrize("how", ["no socket", "nobody listens"])
def test_engine_down(host, how):
    daemon = host.run_live()
    since = daemon.mark()
    host.engine.stop()
    if how == "nobody listens":
        host.engine.leave_socket()
    host.login()
    daemon.wait_said("Docker Engine.*not running", since)
    host.look_again()
    assert host.written() == host.expected
    assert host.restarts() == 0 and not daemon.said(LIVE, since)

    # It tells nobody that it is back: it is asked now and then.
    host.engine.start()
    if how == "nobody listens":
        host.look_again()
    host.wait_live()


def http(status, body):
    return f"HTTP/1.1 {status}\r\nApi-Version: 1.41\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


@pytest.mark.parametrize("answer", [
    pytest.param(b"\x15\x03\x01\x00\x02\x02\x46\r\n\r\n", id="no HTTP"),
    pytest.param(b"", id="nothing"),
    pytest.param(http("200 OK", "<html>hello</html>"), id="no JSON"),
    pytest.param(http("200 OK", '{"Id": 5, "State": []}'), id="another JSON"),
    pytest.param(http("200 OK", "[" * 10000), id="deep JSON"),
    pytest.param(http("500 Internal Server Error", '{"message": "driver failed"}'), id="an error"),
    pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{", id="cut short"),
])
def test_engine_answers_garbage(host, answer):
    daemon = host.run_live()
    since = daemon.mark()
    host.engine.misbehaves = answer
    host.login()
    daemon.wait_said("Docker Engine cannot be asked", since)
    host.look_again()
    assert host.written() == host.expected
    assert host.restarts() == 0 and not daemon.said(LIVE, since)

    host.engine.recover()
    host.look_again()
    host.wait_live()


@pytest.mark.parametrize("how", ["absent", "stopped"])
def test_no_agent_to_restart(host, how):
    """The unit is active, its container is not (yet) there: nothing to restart, the next one has the credentials."""
    daemon = host.run_live()
    if how == "absent":
        host.engine.remove("ecs-agent")
    else:
        host.agent.stop()
    host.login()
    host.wait_status("Waiting for container ecs-agent: ecs.service is active")
    host.look_again()
    assert host.written() == host.expected and host.restarts() == 0

    host.agent.restart()
    host.look_again()
    host.wait_live()
    assert host.restarts() == 0


def unsaved(host, how):
    """The agent as it runs does not keep its state."""
    if how == "no ECS_DATADIR":
        host.agent.datadir = None
    elif how == "no mount":
        host.agent.mounts = ["/elsewhere"]
    elif how == "ECS_CHECKPOINT=false":
        with open(host.environment_file, "a", encoding="utf-8") as f:
            f.write("ECS_CHECKPOINT=false\n")


@pytest.mark.parametrize("how", ["no ECS_DATADIR", "no mount", "ECS_CHECKPOINT=false"])
def test_tasks_would_be_lost(host, how):
    unsaved(host, how)
    host.agent.restart()
    daemon = host.run_live()
    since = daemon.mark()
    host.engine.run_task("one")
    host.engine.run_task("two")
    host.login()
    line = daemon.wait_said("held.*which a restart would lose", since)
    assert re.search(r"\b2 task", line.text) and how.split()[-1].split("=")[0] in line.text
    assert host.written() == host.expected
    host.look_again()
    assert host.restarts() == 0

    host.engine.remove("one")
    host.look_again()
    assert host.restarts() == 0

    # Docker tells nobody about it here: it is asked now and then.
    host.engine.remove("two")
    if how != "no mount":
        host.look_again()
    host.wait_live(seconds=20)
    assert host.restarts() == 1


def test_a_task_that_has_ended_holds_nothing(host):
    unsaved(host, "no ECS_DATADIR")
    host.agent.restart()
    host.run_live()
    host.engine.run_task("one")
    host.engine.stop_container("one")
    host.login()
    host.wait_live()


def test_tasks_are_kept_with_the_state(host):
    host.run_live()
    host.engine.run_task("one")
    host.login()
    host.wait_live(seconds=20)
    assert host.restarts() == 1


def test_unsaved_state_force(host):
    unsaved(host, "no ECS_DATADIR")
    host.agent.restart()
    host.run_live(Restart_UnsavedState="force")
    host.engine.run_task("one")
    host.login()
    host.wait_live()


def test_unsaved_state_never(host):
    unsaved(host, "no ECS_DATADIR")
    host.agent.restart()
    host.login()
    daemon = host.run(Restart_UnsavedState="never")
    daemon.wait_said("held by UnsavedState=never")
    host.look_again()
    assert host.written() == host.expected and host.restarts() == 0


# --- its events ---

def test_events_need_no_process(host):
    host.run_live()
    host.wait_idle()
    assert any("/events" in path for path in host.engine.requests)
    assert set(host.children().values()) == {"ecs-authd-watch"}


def test_engine_whose_backlog_is_full(host):
    """A blocking connect() would wait there for ever, and the loop with it."""
    host.variables["WATCHDOG_USEC"] = "400000"
    host.run_live()
    host.engine.stop()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(host.engine.socket))
        server.listen(0)
        clients = fill_backlog(host.engine.socket)
        # The daemon connects again one second after the end, and two seconds later.
        n = host.notify.count("WATCHDOG=1")
        wait_for(lambda: host.notify.count("WATCHDOG=1") > n + 4 / 0.2, 12, "the loop runs for 4 s", host.seen)
        host.login()
        host.wait_written(seconds=1)
        for client in clients:
            client.close()
    host.engine.start()
    host.look_again()
    host.wait_live()


def test_engine_of_two_versions(host, monkeypatch):
    """A proxy before two engines: no observation follows from the last one."""
    versions = itertools.cycle(["1.41", "1.42"])
    answer = docker_engine.Handler.answer

    def answer_in_turn(self, engine):
        engine.api_version = next(versions) if self.path == "/_ping" else "1.99"
        answer(self, engine)

    host.run_live()
    host.wait_idle()
    monkeypatch.setattr(docker_engine.Handler, "answer", answer_in_turn)
    before = len(host.engine.requests)
    host.engine.tell("start", "ecs-agent")
    wait_for(lambda: len(host.engine.requests) > before, 10, "the event is seen", host.seen)
    never(lambda: len(host.engine.requests) > before + 20, 3, "an observation after each observation")


def test_stream_that_never_begins(host, monkeypatch):
    """The engine accepts the request and says nothing: the end of the agent is seen anyway."""
    ended = threading.Event()
    monkeypatch.setattr(docker_engine.Handler, "stream_events", lambda self, engine: ended.wait(60))
    try:
        host.run_live()
        host.wait_idle()
        host.agent.stop()
        wait_for(lambda: "does not run" in host.notify.text(), 30, "the status says that the agent is down", host.seen)
    finally:
        ended.set()


def fill_backlog(path):
    clients = []
    while True:
        client = socket.socket(socket.AF_UNIX)
        client.setblocking(False)
        clients.append(client)
        try:
            client.connect(str(path))
        except BlockingIOError:
            return clients


def test_engine_floods(host):
    """More events than a reader can take: they cost a few observations a second, and no core."""
    host.engine.floods = True
    daemon = host.run_live()
    begin, cpu, n = time.monotonic(), cpu_seconds(host), observations(host)
    wait_for(lambda: observations(host) >= n + 5, 10, "the agent is observed again", host.seen)
    took = time.monotonic() - begin
    assert took > 5 * 0.3 - 0.3
    assert cpu_seconds(host) - cpu < took / 4
    host.login()
    host.wait_written(seconds=1)
    assert daemon.stop(seconds=2) == 0


def observations(host):
    return host.engine.requests.count("/_ping")


def cpu_seconds(host):
    """Of the processes that stay."""
    pids = [host.daemon.pid] + [pid for pid, name in host.children().items() if name != "ecs-authd-job"]
    stats = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(stat[11]) + int(stat[12]) for stat in stats) / os.sysconf("SC_CLK_TCK")
