# SPDX-License-Identifier: Apache-2.0
"""Two decisions, side by side: nothing about the agent delays a write, and nothing about the files delays a restart."""

import json
import os
import signal
import threading
import time

import pytest
from standin.credential_file import encode
from standin.wait import never, wait_for


def written_within(host, seconds):
    started = time.monotonic()
    host.login()
    host.wait_written(seconds=seconds)
    return time.monotonic() - started


@pytest.fixture(name="frozen_bus")
def make_frozen_bus(host):
    """The bus takes messages and answers none."""
    yield host
    os.kill(host.bus.process.pid, signal.SIGCONT)


def test_a_bus_that_hangs_delays_no_write(frozen_bus):
    """It took 9 s."""
    host = frozen_bus
    host.run_live()
    os.kill(host.bus.process.pid, signal.SIGSTOP)
    for _ in range(3):
        written_within(host, 2)
    os.kill(host.bus.process.pid, signal.SIGCONT)
    host.wait_live(seconds=30)


def test_a_bus_that_hangs_from_the_start_delays_no_write(frozen_bus):
    """It took 89 s."""
    host = frozen_bus
    host.login()
    os.kill(host.bus.process.pid, signal.SIGSTOP)
    daemon = host.run()
    host.wait_written(seconds=2)
    written_within(host, 2)
    daemon.wait_said("No restart while systemd cannot be reached", seconds=30)
    assert daemon.runs()


def test_an_engine_that_hangs_delays_no_write(host):
    host.run_live()
    host.engine.misbehaves = "hangs"
    for _ in range(3):
        written_within(host, 2)
    host.engine.recover()
    host.wait_live(seconds=40)


def test_files_that_change_all_the_time_delay_no_restart(host):
    """It never came."""
    host.run_live()
    over = threading.Event()

    def login_all_the_time():
        while not over.wait(0.1):
            host.login()

    thread = threading.Thread(target=login_all_the_time)
    thread.start()
    try:
        wait_for(lambda: host.restarts() >= 2, 15, "restarts are asked of systemd", host.seen)
    finally:
        over.set()
        thread.join()
    host.wait_live()


def test_a_file_that_cannot_be_written_restarts_nothing(host):
    """The agent was restarted toward it, and lost good credentials."""
    daemon = host.run_live()
    daemon.stop()
    # As when /etc/ecs was made anew: without our lines, and not to be written by us.
    good = host.agent.credentials()
    host.environment_file.unlink()
    host.environment_file.mkdir()
    daemon = host.run()
    daemon.wait_said("cannot read it|cannot replace it")
    daemon.wait_said("cannot be read, for the reason named before|could not be brought up to date")
    host.look_again()
    assert host.restarts() == 0 and host.agent.credentials() == good
    assert host.status()["state"] == "problem"
    host.environment_file.rmdir()
    host.wait_written()


def test_two_services_with_other_files(host):
    """Each takes the other's entries out. Neither goes on without a pause, and each says so."""
    other = host.directory / "other.json"
    other.write_text(json.dumps({"auths": {"other.example.com": {"auth": encode("a", "b")}}}))
    other.chmod(0o600)
    host.login()
    daemon = host.run(Restart_Method="none")
    host.wait_written()
    second = host.run_daemon(Restart_Method="none", Credentials_File=str(other))
    daemon.wait_said("another program changes the credentials that ecs-authd wrote", seconds=20)
    before = host.replacements.count()
    never(lambda: host.replacements.count() > before + 4, 5, "writes without a pause")
    wait_for(lambda: "another program changes the credentials" in host.run_verb("status").stdout.replace("\n", " "), 10,
             "status says so", host.seen)
    second.stop()
    daemon.wait_said("are in order again", seconds=60)
    host.wait_written()
