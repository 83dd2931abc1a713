# SPDX-License-Identifier: Apache-2.0
"""The readers of this suite beside the real programs, above all where they differ from one another."""

import shutil

import pytest

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
