# SPDX-License-Identifier: Apache-2.0
"""Where a password must not turn up."""

import base64
import os
import re
from pathlib import Path

import pytest
from bus_host import REGISTRY
from standin.credential_file import encode

LARGEST_MAPPING = 1 << 30  # a sanitizer reserves terabytes


def spellings(host):
    """Every password that was logged in with, as bytes that may turn up: plain, and in base64 at any offset."""
    found = []
    for password in host.passwords:
        found += [password.encode(), encode("puller", password).encode()]
        for offset in range(3):
            text = base64.b64encode(b"x" * offset + password.encode())
            found.append(text[(4 if offset else 0):-4])
    return found


def assert_none(data, needles, where):
    for needle in needles:
        assert needle not in data, f"{needle!r} is in {where}"


@pytest.fixture(name="busy")
def make_busy(host):
    """A host where much has happened: logins, a broken file, a failed job, a reload, a bus that was away."""
    host.passwords = []

    def login(*args):
        host.passwords.append(host.login(*args))

    login()
    daemon = host.run(Restart_VerifySec="1s")
    host.wait_live()
    login("second.example.com")
    host.wait_live()
    login()
    host.credentials.path.write_text(host.credentials.path.read_text()[:-9])
    daemon.wait_said("not valid JSON")
    host.credentials.path.unlink()
    host.expected = {}
    login()
    daemon.hang_up()
    host.wait_live()
    host.systemd1.job_result = "timeout"
    login()
    daemon.wait_said("timeout", JOB_RESULT="timeout")
    host.wait_idle()
    return host


def test_nowhere(busy):
    needles = spellings(busy)
    daemon = busy.daemon
    assert encode("puller", busy.expected[REGISTRY][1]).encode() in busy.environment_file.read_bytes()

    assert_none(daemon.log.read_bytes(), needles, "the log")
    assert_none(busy.notify.text().encode(), needles, "what the service manager is told")
    for name in ("cmdline", "environ", "comm", "status"):
        path = Path(f"/proc/{daemon.pid}/{name}")
        if os.access(path, os.R_OK):
            assert_none(path.read_bytes(), needles, path.name)
    assert re.search(r"^Max core file size +0 +0 ", Path(f"/proc/{daemon.pid}/limits").read_text(), re.M)


def test_no_file_but_those_for_root_alone(busy):
    state = busy.directory / "state"
    kept = {state / "last-good.env", state / "rejected.env"}
    assert state.stat().st_mode & 0o777 == 0o700
    for path in filter(Path.exists, kept):
        assert path.stat().st_mode & 0o777 == 0o600
    allowed = {busy.environment_file, busy.credentials.path, *kept}
    needles = spellings(busy)
    for path in busy.directory.rglob("*"):
        if path.is_file() and path not in allowed:
            assert_none(path.read_bytes(), needles, path)
    assert list(busy.environment_file.parent.iterdir()) == [busy.environment_file]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may read the memory of the daemon: it is not dumpable")
def test_not_in_the_memory_of_the_loop(busy):
    needles = spellings(busy)
    # What is known to be there, to see that the search finds what there is.
    witness = str(busy.credentials.path).encode()
    seen = False
    for start, end, name in writable_mappings(busy.daemon.pid):
        data = read_memory(busy.daemon.pid, start, end)
        seen = seen or witness in data
        assert_none(data, needles, f"the memory of the daemon: {name or 'anonymous'}")
    assert seen


def writable_mappings(pid):
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        addresses, mode, _, _, _, *name = line.split(None, 5)
        start, end = (int(x, 16) for x in addresses.split("-"))
        if "rw" in mode and end - start <= LARGEST_MAPPING:
            yield start, end, "".join(name)


def read_memory(pid, start, end):
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        memory.seek(start)
        try:
            return memory.read(end - start) or b""
        except OSError:
            return b""  # a guard page
