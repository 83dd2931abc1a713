# SPDX-License-Identifier: Apache-2.0
"""The readers of this suite beside the real programs, above all where they differ from one another."""

import json
import shutil

import pytest

import agent_lookup
import cases
import readers
from reader_lines import LINES

def outcome(read, data):
    try:
        return read(data)
    except readers.Refused:
        return "refused"


@pytest.fixture(name="real_docker", scope="module")
def make_real_docker(tmp_path_factory):
    if not shutil.which("docker"):
        pytest.skip("no docker CLI")
    docker = readers.RealDocker(tmp_path_factory.mktemp("docker"))
    yield docker
    docker.close()


@pytest.mark.parametrize("name", LINES)
def test_docker(real_docker, name):
    assert outcome(readers.docker_env_file, LINES[name]) == outcome(real_docker, LINES[name])


def test_they_differ():
    """Otherwise there would be nothing to be careful about."""
    differing = [name for name, data in LINES.items()
                 if len({str(outcome(read, data)) for read in readers.READERS.values()}) > 1]
    assert {"backslash", "double quotes", "blanks after", "65,536 bytes"} <= set(differing)


def test_escapes_would_lose_every_login_behind_systemd():
    """A JSON key file as a password, in each of the types: why auth-data.c escapes nothing, and writes the token of Azure
    as a password in dockercfg instead."""
    escaped = json.dumps({"gcr.io": {"username": cases.GCR_KEY.username, "password": cases.GCR_KEY.password},
                          "x.azurecr.io": {"identitytoken": cases.ACR_TOKEN}}, separators=(",", ":"))
    encoded = json.dumps({"gcr.io": {"auth": cases.b64(cases.GCR_KEY)},
                          "x.azurecr.io": {"auth": cases.b64(cases.Auth(cases.ACR_USER, cases.ACR_TOKEN))}}, separators=(",", ":"))
    found = {}
    for name, read in readers.READERS.items():
        for kind, data in (("docker", escaped), ("dockercfg", encoded)):
            value = read(f"K={data}\n".encode())["K"]
            found[name, kind] = len(agent_lookup.parse(kind, value))
    assert found.pop(("systemd", "docker")) == 0
    assert set(found.values()) == {2}
