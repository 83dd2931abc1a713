# SPDX-License-Identifier: Apache-2.0
import shutil
import tempfile
from pathlib import Path

import pytest

import real_host


@pytest.fixture(scope="session")
def workplace():
    missing = real_host.missing_parts()
    if missing:
        pytest.skip(f"the host level needs {', '.join(missing)}")
    directory = Path(tempfile.mkdtemp(prefix="ecs-authd-host-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def engine(workplace):
    e = real_host.Engine(workplace / "engine")
    try:
        e.start()
        e.import_agent()
        yield e
    finally:
        e.stop()


@pytest.fixture(scope="session")
def registry(workplace):
    r = real_host.Registry(workplace / "registry")
    try:
        r.start()
        yield r
    finally:
        r.stop()


@pytest.fixture(scope="module")
def make_host(workplace, engine):
    """Gives hosts that have not booted yet; each ends with the module."""
    hosts = []

    def make(extra=(), unit="ecs.service"):
        engine.control.reset()
        host = real_host.Host(Path(tempfile.mkdtemp(dir=workplace)), engine, extra, unit)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.remove()
    engine.control.reset()
