# SPDX-License-Identifier: Apache-2.0
"""Whatever others answer, a job of the daemon takes little memory: measured in the program that people run, since
sanitizers take more."""

import os
import re
import threading
from pathlib import Path

import pytest
from bus_host import LIVE, TOP, name_of
from minting_helper import PROGRAMS
from standin.wait import wait_for

PLAIN = Path(os.environ.get("ECS_AUTHD_PLAIN", TOP / "build" / "ecs-authd"))
MB = 1024 * 1024

MUCH = {
    "objects": b"[" + b",".join([b"{}"] * (8 * MB // 3 - 10)) + b"]",
    "arrays": b"[" + b",".join([b"[]"] * (8 * MB // 3 - 10)) + b"]",
    "members": b'{"Tasks":[' + b",".join([b'{"Arn":1}'] * (8 * MB // 10 - 10)) + b"]}",
    "depth": b"[" * (8 * MB - 10),
}


class Peaks(threading.Thread):
    """The largest resident size of each job of a daemon, in bytes."""

    def __init__(self, daemon):
        super().__init__(daemon=True)
        self.pid = daemon.pid
        self.peaks = {}
        self.ended = threading.Event()

    def run(self):
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        while not self.ended.wait(0.001):
            try:
                pids = children.read_text().split()
            except (FileNotFoundError, ProcessLookupError):  # the daemon has ended
                return
            for child in pids:
                if name_of(child) == "ecs-authd-job" and (peak := self.peak(child)):
                    self.peaks[child] = max(peak, self.peaks.get(child, 0))

    @staticmethod
    def peak(pid):
        try:
            match = re.search(r"^VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.M)
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return int(match.group(1)) * 1024 if match else 0

    def most(self):
        return max(self.peaks.values(), default=0)


@pytest.fixture(name="plain")
def make_plain(host):
    if not PLAIN.exists():
        pytest.skip("make all")
    host.program = PLAIN.resolve()
    return host


def watch(host):
    peaks = Peaks(host.daemon)
    peaks.start()
    return peaks


def look_until_measured(host, peaks):
    """A job has been seen with the 8 MB in it."""
    def measured():
        host.look_again()
        return peaks.most() > 8 * MB

    wait_for(measured, 30, "a job is measured", host.seen)
    peaks.ended.set()
    peaks.join()


@pytest.mark.parametrize("what", MUCH)
def test_engine_sends_much(plain, what):
    daemon = plain.run_live()
    since = daemon.mark()
    head = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Length: %d\r\n\r\n"
    plain.engine.misbehaves = head % len(MUCH[what]) + MUCH[what]
    peaks = watch(plain)
    plain.login()
    daemon.wait_said("Docker Engine cannot be asked .*its answer is", since)
    look_until_measured(plain, peaks)
    assert peaks.most() < 64 * MB, peaks.peaks
    assert plain.written() == plain.expected and plain.restarts() == 0 and not daemon.said(LIVE, since)

    plain.engine.recover()
    plain.look_again()
    plain.wait_live()


@pytest.mark.parametrize("what", MUCH)
def test_introspection_sends_much(plain, what):
    """The agent keeps no state, and does not tell which tasks it would lose."""
    plain.agent.datadir = None
    plain.agent.restart()
    daemon = plain.run_live()
    since = daemon.mark()
    plain.agent.pages["/v1/tasks"] = MUCH[what]
    peaks = watch(plain)
    plain.login()
    daemon.wait_said("does not tell at .* which tasks it would lose .its answer is", since)
    look_until_measured(plain, peaks)
    assert peaks.most() < 64 * MB, peaks.peaks
    assert plain.restarts() == 0

    plain.agent.pages.clear()
    plain.look_again()
    plain.wait_live(seconds=20)


def data_limit(text):
    soft, hard = re.search(r"^Max data size\s+(\S+)\s+(\S+)", text, re.M).groups()
    return soft, hard


def test_a_job_has_a_limit_and_what_it_runs_has_none(plain):
    plain.run_live()
    own = data_limit(Path(f"/proc/{plain.daemon.pid}/limits").read_text())
    requests = len(plain.engine.requests)
    plain.engine.misbehaves = "hangs"
    plain.login()
    wait_for(lambda: len(plain.engine.requests) > requests, 10, "the engine is asked", plain.seen)
    children = Path(f"/proc/{plain.daemon.pid}/task/{plain.daemon.pid}/children").read_text().split()
    jobs = [data_limit(Path(f"/proc/{child}/limits").read_text()) for child in children
            if name_of(child) == "ecs-authd-job"]
    assert ("268435456", own[1]) in jobs
    assert own[0] == own[1]
    plain.engine.recover()

    found = plain.directory / "limits"
    helper = PROGRAMS / f"docker-credential-limit-{os.getpid()}"
    helper.write_text('#!/bin/sh\ncat /proc/self/limits > "$FOUND"\nprintf \'{"Username":"u","Secret":"s"}\'\n')
    try:
        helper.chmod(0o755)
        plain.credentials.path.write_text(f'{{"credHelpers":{{"r.example.com":"limit-{os.getpid()}"}}}}')
        apply = plain.run_verb("apply", "--no-restart", Credentials_HelperEnvironment=f"FOUND={found}")
    finally:
        helper.unlink()
    assert apply.returncode == 0, apply.stderr
    assert data_limit(found.read_text()) == own
