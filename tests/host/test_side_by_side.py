# SPDX-License-Identifier: Apache-2.0
"""Files and agent are decided on side by side: a bus or an engine that hangs never delays a write. Told in order.

The version before asked both before it looked at the files again: a login waited up to 12 s for them."""

import contextlib
import os
import signal
import time

import pytest

from host_parts import config_json, wait_for, wait_live


@contextlib.contextmanager
def hung_bus(host, _):
    pid = int(host.property("dbus.service", "MainPID"))
    assert pid > 0  # 0 would be our own process group
    host.shell(f"kill -STOP {pid}")
    try:
        yield
    finally:
        host.shell(f"kill -CONT {pid}")


@contextlib.contextmanager
def hung_engine(_, engine):
    os.kill(engine.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(engine.process.pid, signal.SIGCONT)


@pytest.mark.parametrize("hang", [hung_bus, hung_engine])
def test_a_login_is_in_the_file_within_a_second(host, engine, registry, hang):
    pid, since = int(host.property("ecs-authd", "MainPID")), host.cursor()
    assert pid > 0, host.tail()
    with hang(host, engine):
        host.shell(f"kill -HUP {pid}")
        host.wait_said("looking again, as asked", since)
        took = []
        for _ in range(4):  # within one of its questions, and between two
            registry.new_password()
            written = time.monotonic()
            # Not docker login: it asks the engine.
            host.put("/root/.docker/config.json", config_json(registry, registry.entry()))
            path = host.root / "etc/ecs/ecs.config"
            wait_for(lambda: registry.entry() in path.read_text(), 20, "the login is in the file", lambda: "")
            took.append(time.monotonic() - written)
        assert max(took) < 1, took
        print("login to file:", [round(t, 3) for t in took])
        # The restart has to wait, and that is said.
        host.wait_said("cannot be reached over D-Bus" if hang is hung_bus else "Docker Engine cannot be asked", since, seconds=30)
        assert host.restarts(since) == 0
    wait_live(host, engine, registry, since)
    assert host.restarts(since) == 1
