# SPDX-License-Identifier: Apache-2.0
"""Credential files that cannot be used change nothing."""

import fcntl
import os
import signal
import time
from pathlib import Path

import pytest
from standin.wait import wait_for


@pytest.mark.parametrize("text, where", [
    pytest.param('{"auths": {\n  "registry.example.com": {"auth": "abc"},,\n}}', r":2:\d+: ", id="not JSON"),
    pytest.param('{"auths": {"registry.example.com"', r":1:\d+: ", id="cut short"),
    pytest.param("", r":1:1: ", id="empty"),
    pytest.param('["auths"]', r":1:1: ", id="another JSON"),
    pytest.param('{"auths": []}', r":1:2: ", id="auths is no object"),
    pytest.param('{"auths": {}, "auths": {}}', r':1:15: "auths" occurs a second time', id="auths twice"),
    pytest.param('{"auths": {},\n "credStore": "pass"}', r':2:2: the member "credStore"', id="a misspelled member"),
    pytest.param('{"apiVersion": "v1", "kind": "Secret", "data": {}}', ":1:22: .*a Kubernetes Secret", id="a Kubernetes Secret"),
    pytest.param('{"some": "settings"}', ":1:2: not a Docker credential file", id="another file"),
    pytest.param('{"auths": {"registry.example.com": {"auth": "%%%"}}}', ": .*registry.example.com", id="no base64"),
])
def test_a_broken_file_changes_nothing(host, text, where):
    daemon = host.run_live()
    since, before = daemon.mark(), host.environment_file.read_bytes()
    host.credentials.replace(text)
    daemon.wait_said(f"^{host.credentials.path}{where}", since)
    host.look_again()
    assert host.environment_file.read_bytes() == before
    assert host.restarts() == 0

    host.credentials.path.unlink()
    host.login()
    host.wait_live()


@pytest.mark.parametrize("put, why", [
    (Path.mkdir, "Is a directory"),
    (os.mkfifo, "Operation not supported"),
    (lambda path: path.symlink_to(path.name), "Too many levels of symbolic links"),
])
def test_another_kind_of_file_changes_nothing(host, put, why):
    daemon = host.run_live()
    since, before, path = daemon.mark(), host.environment_file.read_bytes(), host.credentials.path
    path.unlink()
    put(path)
    daemon.wait_said(f"^{path}: cannot be read: {why}.*last good credentials stay in use", since)
    host.look_again()
    assert host.environment_file.read_bytes() == before
    if path.is_dir():
        path.rmdir()
    else:
        path.unlink()
    host.login()
    host.wait_live()


def test_a_file_that_another_process_leases(host):
    """The message names the credential file, and does not blame ecs.config."""
    host.run_live()
    path = host.credentials.path
    before = host.environment_file.read_bytes()
    with open(path, "r+", encoding="utf-8") as leased:
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        said = host.run_verb("apply", "--no-restart").stderr
        fcntl.fcntl(leased, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    assert f"{path}: cannot be read: Resource temporarily unavailable" in said
    assert "another program has it open for writing" not in said
    assert host.environment_file.read_bytes() == before


def test_a_missing_file_changes_nothing(host):
    """Neither at the start nor later."""
    daemon = host.run_live()
    before = host.environment_file.read_bytes()
    daemon.stop()
    host.credentials.path.unlink()
    daemon = host.run()
    daemon.wait_said(f"^{host.credentials.path}: there is no such file.*last good credentials stay in use")
    host.wait_live()
    assert host.environment_file.read_bytes() == before
    assert host.restarts() == 0


def test_a_complaint_is_made_once(host):
    daemon = host.run_live()
    host.credentials.replace("{")
    daemon.wait_said(f"^{host.credentials.path}:1:")
    for _ in range(3):
        host.credentials.replace("{")
        host.look_again()
    assert sum(1 for line in daemon.lines() if line.text.startswith(f"{host.credentials.path}:1:")) == 1


def test_a_file_that_is_broken_and_mended_all_the_time(host):
    """The journal has a line now and then, and the last state."""
    host.login()
    daemon = host.run(Restart_Method="none")
    host.wait_written()
    good, since, end = host.credentials.path.read_text(), daemon.mark(), time.monotonic() + 5
    while time.monotonic() < end:
        for text in (good[:-9], good):
            host.credentials.replace(text)
            time.sleep(0.005)
    host.credentials.replace(good[:-9])
    wait_for(lambda: "not valid JSON" in daemon.lines()[-1].text, 10, "the last state is named", daemon.tail)
    assert len(daemon.lines()) - since <= 60  # of some hundred changes
