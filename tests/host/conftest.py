# SPDX-License-Identifier: Apache-2.0
import os
import shutil
import tempfile
from pathlib import Path

import pytest

import host_parts


@pytest.fixture(scope="session")
def workplace():
    missing = host_parts.missing_parts()
    if missing:
        pytest.skip(f"the host level needs {', '.join(missing)}")
    host_parts.take_own_network()
    directory = Path(tempfile.mkdtemp(prefix="ecs-authd-host-"))
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def engine(workplace):
    e = host_parts.Engine(workplace / "engine")
    try:
        e.start()
        e.import_agent()
        yield e
    finally:
        e.stop()


@pytest.fixture(scope="session")
def registry(workplace):
    r = host_parts.Registry(workplace / "registry")
    try:
        r.start()
        yield r
    finally:
        r.stop()


@pytest.fixture(scope="session")
def package(workplace):
    """The Debian package, built once."""
    missing = [program for program in ("dpkg-buildpackage", "dh") if not shutil.which(program)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    return Path(host_parts.run(host_parts.TOP / "packaging/build-deb", host_parts.version(), workplace / "package", cwd=host_parts.TOP,
                               env=dict(os.environ, DEB_BUILD_OPTIONS="nocheck")).splitlines()[-1])


@pytest.fixture(scope="module")
def make_host(workplace, engine):
    """Gives hosts that have not booted yet; each ends with the module."""
    hosts = []

    def make(extra=(), unit="ecs.service", installed=True):
        engine.control.reset()
        host = host_parts.Host(Path(tempfile.mkdtemp(dir=workplace)), engine, extra, unit, installed)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.remove()
    engine.control.reset()


@pytest.fixture(scope="module")
def host(make_host, registry, engine):
    """The usual one, with the agent live; modules that need another make their own."""
    h = make_host()
    host_parts.boot_logged_in(h, registry)
    host_parts.wait_live(h, engine, registry)
    yield h
    h.power_off()
