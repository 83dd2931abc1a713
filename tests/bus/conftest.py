# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bus_host import BusHost  # noqa: E402
from hung_directory import HungDirectory  # noqa: E402


@pytest.fixture(name="host")
def make_host():
    """A host that has booted, with an agent without credentials; the daemon is not started yet."""
    host = BusHost()
    try:
        host.start()
        yield host
        host.check_end()
    finally:
        host.close()


@pytest.fixture(name="sound")
def make_sound(host):
    """A host with nothing to complain about."""
    host.systemd1.environment_files = [host.environment_file]
    host.systemd1.disconnect()
    host.systemd1.connect()
    host.login()
    host.credentials.path.chmod(0o600)
    host.environment_file.chmod(0o600)
    host.agent.mounts = ["/data"]
    assert host.run_verb("apply").returncode == 0
    return host


@pytest.fixture(name="hung")
def make_hung_directory(host):
    try:
        hung = HungDirectory(host.directory / "hung")
    except OSError as e:
        pytest.skip(f"no FUSE here: {e}")
    yield hung
    hung.end()
