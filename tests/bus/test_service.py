# SPDX-License-Identifier: Apache-2.0
"""Life as a service: readiness, reload, watchdog, end."""

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest
from bus_host import OTHERS, REGISTRY
from standin.credential_file import CredentialFile
from standin.wait import never, wait_for


def wait_notified(host, assignment, n=1, seconds=5):
    wait_for(lambda: host.notify.count(assignment) >= n, seconds, f"{n} times {assignment}", host.seen)


# --- readiness ---

def test_ready_after_the_first_write(host):
    """What is ordered after the unit, such as the agent, finds the right file."""
    host.login()
    host.run()
    wait_notified(host, "READY=1")
    at_ready = next(written for text, written in host.notify.messages if "READY=1" in text.splitlines())
    assert at_ready == host.expected


def break_credentials(host):
    host.credentials.replace("{")


def no_credentials(host):
    host.credentials.path.unlink()


def hang_engine(host):
    host.engine.misbehaves = "hangs"


def no_bus(host):
    host.systemd1.disconnect()
    host.bus.stop()


def environment_file_in_the_way(host):
    host.environment_file.unlink()
    host.environment_file.mkdir()


def no_environment_directory(host):
    host.environment_file.unlink()
    host.environment_file.parent.rmdir()


@pytest.mark.parametrize("trouble", [break_credentials, no_credentials, hang_engine, no_bus,
                                     environment_file_in_the_way, no_environment_directory])
def test_ready_whatever_is_broken(host, trouble):
    """Nothing that is wrong here may hold up the boot."""
    host.login()
    trouble(host)
    daemon = host.run()
    wait_notified(host, "READY=1")
    assert daemon.runs()


def test_status_for_systemctl(host):
    host.run_live()
    host.wait_status(r"1 registry live in ecs-agent; watching 1 file \(since \d{4}-\d\d-\d\d \d\d:\d\d UTC\)")


# --- reload ---

def test_reload_is_told(host):
    daemon = host.run_live()
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    daemon.hang_up()
    wait_notified(host, "READY=1", 2)
    reloading = next(text for text, _ in host.notify.messages if "RELOADING=1" in text.splitlines())
    # systemd takes the reload for this one only with a time that is not before its SIGHUP.
    told = dict(line.split("=", 1) for line in reloading.splitlines())
    assert int(told["MONOTONIC_USEC"]) >= before
    order = [text.splitlines()[0] for text, _ in host.notify.messages if text.startswith(("RELOADING", "READY"))]
    assert order == ["READY=1", "RELOADING=1", "READY=1"]


def test_status_after_a_reload(host):
    """READY=1 of a reload comes when the new settings are in use and the status shows it."""
    host.config.write_text(f"[Credentials]\nFile={host.credentials.path}\n")
    daemon = host.run_live(Credentials_File=None)
    for n in range(2, 8):
        missing = n % 2 == 0
        host.config.write_text(f"[Credentials]\nFile={host.credentials.path}{'.missing' if missing else ''}\n")
        daemon.hang_up()
        wait_notified(host, "READY=1", n)
        assert (host.status()["state"] == "problem") == missing, host.seen()


def test_status_after_the_start(host):
    host.login()
    for n in range(1, 5):
        daemon = host.run()
        wait_notified(host, "READY=1", n)
        assert host.status()["registry_count"] == 1
        daemon.stop()


def test_reload_restarts_nothing(host):
    daemon = host.run_live()
    daemon.hang_up()
    daemon.wait_said("SIGHUP")
    host.look_again()
    assert host.restarts() == 0


def test_reload_takes_new_settings(host):
    daemon = host.run_live()
    assert "ECS_ENGINE_AUTH_TYPE=dockercfg\n" in host.environment_file.read_text()
    host.config.write_text("[Agent]\nAuthType=docker\n")
    daemon.hang_up()
    wait_for(lambda: "ECS_ENGINE_AUTH_TYPE=docker\n" in host.environment_file.read_text(), 5, "the new type", host.seen)
    assert host.written() == host.expected
    # The same credentials in another form are no reason for a restart.
    host.look_again()
    assert host.restarts() == 0


def test_reload_looks_at_another_file(host):
    other = CredentialFile(host.directory / "other" / "auth.json")
    host.config.write_text(f"[Credentials]\nFile={host.credentials.path}\n")
    daemon = host.run_live(Credentials_File=None)
    host.config.write_text(f"[Credentials]\nFile={other.path}\n")
    daemon.hang_up()
    daemon.wait_said(str(other.path))

    host.expected = {REGISTRY: ("other", "pw-other")}
    other.login(REGISTRY, *host.expected[REGISTRY])
    host.wait_live()
    host.credentials.login(REGISTRY, "first", "pw-first")
    host.look_again()
    assert host.written() == host.expected


def test_reload_to_another_unit(host):
    host.config.write_text("[Restart]\nUnit=amazon-ecs.service\n")
    host.login()
    daemon = host.run()
    daemon.wait_said("no unit amazon-ecs.service")
    host.config.write_text("[Restart]\nUnit=ecs.service\n")
    daemon.hang_up()
    host.wait_live()


@pytest.mark.parametrize("text, line", [
    ("[Agent]\nAuthType=docker\nAuthTipe=docker\n", 3),
    ("[Agent]\nAuthType=docker\n\n[Restart]\nSettleSec=soon\n", 5),
    ("AuthType=docker\n", 1),
    ("[Agents]\nAuthType=docker\n", 2),
])
def test_reload_with_bad_settings_keeps_the_old_ones(host, text, line):
    daemon = host.run_live()
    host.config.write_text(text)
    daemon.hang_up()
    daemon.wait_said(rf"{host.config}:{line}: ")
    wait_notified(host, "READY=1", 2)
    host.login()
    host.wait_live()
    assert host.environment_file.read_text() == OTHERS + host.our_lines()


# --- watchdog ---

@pytest.mark.parametrize("engine", ["answers", "hangs"])
def test_watchdog(host, engine):
    host.variables["WATCHDOG_USEC"] = "400000"
    if engine == "hangs":
        hang_engine(host)
    host.login()
    daemon = host.run()
    started = time.monotonic()
    wait_notified(host, "WATCHDOG=1", 6)
    # One at the start, and five in time.
    assert time.monotonic() - started < 5 * 0.4
    daemon.process.send_signal(signal.SIGSTOP)
    n = host.notify.count("WATCHDOG=1")
    daemon.process.send_signal(signal.SIGCONT)
    wait_notified(host, "WATCHDOG=1", n + 2)


def test_no_watchdog_without_one(host):
    host.run_live()
    assert host.notify.count("WATCHDOG=1") == 0


# --- end ---

@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_ends_when_asked(host, signum):
    daemon = host.run_live()
    daemon.process.send_signal(signum)
    assert daemon.process.wait(2) == 0
    wait_notified(host, "STOPPING=1")


def job_that_writes(daemon):
    """The pid of the child that waits for the lock of the environment file, if there is one. Other children live long."""
    for child in Path(f"/proc/{daemon.pid}/task/{daemon.pid}/children").read_text().split():
        try:
            if any(os.readlink(fd).endswith("/environment.lock") for fd in Path(f"/proc/{child}/fd").iterdir()):
                return int(child)
        except FileNotFoundError:
            continue
    return None


@pytest.fixture(name="lock")
def take_lock(host):
    """Another ecs-authd is writing ecs.config."""
    (host.directory / "state").mkdir(exist_ok=True)
    with open(host.directory / "state/environment.lock", "w", encoding="utf-8") as file:
        os.fchmod(file.fileno(), 0o600)  # a lock that other users could hold is ignored
        yield lambda how: fcntl.flock(file, how)


def test_status_of_the_agent_while_a_write_hangs(host, lock):
    daemon = host.run_live()
    host.wait_idle()
    lock(fcntl.LOCK_EX)
    host.login()
    wait_for(lambda: job_that_writes(daemon), 10, "a job writes", host.seen)
    host.agent.restart()
    wait_for(lambda: host.status()["agent"]["id"] == host.agent.container_id(), 5, "the status has the new container",
             host.seen)
    assert job_that_writes(daemon)
    lock(fcntl.LOCK_UN)
    host.wait_live(seconds=30)


def test_a_write_in_hand_is_finished_first(host, lock):
    daemon = host.run_live()
    lock(fcntl.LOCK_EX)
    host.login()
    wait_for(lambda: job_that_writes(daemon), 10, "a job writes", host.seen)
    daemon.process.terminate()
    wait_notified(host, "STOPPING=1")
    assert host.written() != host.expected
    lock(fcntl.LOCK_UN)
    assert daemon.process.wait(5) == 0
    assert host.written() == host.expected


def test_a_job_that_is_killed_is_looked_after(host, lock):
    """It may have written all the same: nothing is told of that before somebody has looked."""
    daemon = host.run_live()
    since = daemon.mark()
    lock(fcntl.LOCK_EX)
    host.login()
    os.kill(wait_for(lambda: job_that_writes(daemon), 10, "a job writes", host.seen), signal.SIGKILL)
    lock(fcntl.LOCK_UN)
    daemon.wait_said("did not end well: it crashed; it was looked at again", since, seconds=20)
    host.wait_written()
    assert not daemon.said("nothing was written", since)
    host.wait_live()


def test_a_kill_between_write_and_restart_heals(host):
    host.login()
    daemon = host.run(Restart_SettleSec="1h")
    host.wait_written()
    host.wait_status("waiting for them to settle")
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()
    assert host.restarts() == 0
    host.run()
    host.wait_live()
    assert host.restarts() == 1


def test_a_kill_during_the_job_heals(host):
    daemon = host.run_live()
    host.systemd1.job_seconds = 0.5
    host.login()
    host.wait_restarts(1)
    os.kill(daemon.pid, signal.SIGKILL)
    daemon.process.wait()
    host.run()
    host.wait_live()
    assert host.restarts() == 1


# --- what the journal has ---


@pytest.mark.parametrize("method", ["systemd", "none"])
def test_a_burst_of_logins_is_a_few_lines(host, method):
    """A line for each before."""
    daemon = host.run(Restart_Method=method, Restart_SettleSec="2s")
    for n in range(100):
        host.login(f"r{n}.example.com")
        host.wait_written()
    daemon.wait_said("^Wrote the credentials of 100 registries")
    lines = [line for line in daemon.lines() if line.text.startswith("Wrote")]
    assert sum(int(line.fields["WRITES"]) for line in lines) == 100 and len(lines) < 20


def test_what_is_folded_is_told_before_the_end(host):
    daemon = host.run(Restart_SettleSec="1h")
    for n in range(5):
        host.login(f"r{n}.example.com")
        host.wait_written()
    host.wait_idle()
    daemon.stop()
    lines = [line for line in daemon.lines() if line.text.startswith("Wrote")]
    assert sum(int(line.fields["WRITES"]) for line in lines) == 5 and "of 5 registries" in lines[-1].text


def test_a_burst_while_a_restart_is_held(host):
    """Each login is another thing to wait for: a line about that for each before."""
    host.agent.datadir = None
    host.agent.restart()
    daemon = host.run_live(Restart_SettleSec="20ms")
    host.engine.run_task("one")
    host.login()
    daemon.wait_said("Restart held")
    never(host.restarts, 4, "a restart")  # longer than changes put one off: 150 times SettleSec=
    since = daemon.mark()
    for n in range(50):
        host.login(f"r{n}.example.com")
        host.wait_written()
    daemon.wait_said("^Wrote the credentials of 51 registries", since)
    assert len(daemon.lines()[since:]) < 15


def test_a_reload_to_another_file_while_lines_are_folded(host):
    """The change of the one was told as one of the other."""
    other = host.directory / "etc/ecs/other.config"
    other.write_text(OTHERS)
    host.config.write_text(f"[Agent]\nEnvironmentFile={host.environment_file}\n")
    daemon = host.run(Restart_Method="none", Agent_EnvironmentFile=None)
    for n in range(3):
        host.login(f"r{n}.example.com")
        host.wait_written()
    host.wait_idle()
    host.config.write_text(f"[Agent]\nEnvironmentFile={other}\n")
    daemon.hang_up()
    daemon.wait_said("^Wrote the credentials of 3 registries", FILE=str(other))
    told = [(line.fields["FILE"], line.fields["WRITES"]) for line in daemon.lines() if line.text.startswith("Wrote")]
    assert told == [(str(host.environment_file), "1"), (str(host.environment_file), "2"), (str(other), "1")]
