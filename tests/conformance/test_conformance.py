# SPDX-License-Identifier: Apache-2.0
"""Each credential file, through ecs-authd, through each reader of ecs.config, to what the agent pulls an image with."""

import os
import subprocess
from pathlib import Path

import pytest

import base64

import agent_lookup
import readers
from cases import CASES

TOP = Path(__file__).resolve().parents[2]
ECS_AUTHD = Path(os.environ.get("ECS_AUTHD", TOP / "build" / "ecs-authd")).resolve()

# Not ours, and as people write it. The last line has no newline.
OTHERS = b"# made by cloud-init\nECS_CLUSTER=web\n\nECS_AVAILABLE_LOGGING_DRIVERS=[\"json-file\",\"awslogs\"]"

# A file that cannot be used leaves these where they are.
FORMER = b'\nECS_ENGINE_AUTH_TYPE=dockercfg\nECS_ENGINE_AUTH_DATA={"registry.example.com":{"auth":"Zm9ybWVyOnB3"}}\n'


class Place:
    """Where one case is tried."""

    def __init__(self, directory, case):
        self.case = case
        self.directory = directory
        self.environment_file = directory / "ecs.config"
        self.before = OTHERS + (FORMER if case.refused else b"")
        self.environment_file.write_bytes(self.before)
        self.helpers = directory / "bin"
        self.helpers.mkdir()
        for name, script in case.helpers.items():
            (self.helpers / f"docker-credential-{name}").write_text(script)
            (self.helpers / f"docker-credential-{name}").chmod(0o755)
        self.files = []
        for number, text in enumerate(case.files):
            self.files.append(directory / f"credentials{number}")
            self.files[-1].write_text(text, newline="")

    def run(self, verb, *more):
        settings = {"Agent.EnvironmentFile": self.environment_file, **self.case.settings}
        options = [f"Credentials.File={path}" for path in self.files] + [f"{k}={v}" for k, v in settings.items()]
        command = [str(ECS_AUTHD), "--config", os.devnull, *(w for o in options for w in ("-o", o)), verb, *more]
        if self.case.helpers:
            # Helpers are found in fixed places: for this command one of them is ours.
            command = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /usr/local/bin && exec "$@"', str(self.helpers),
                       *command]
        return subprocess.run(command, check=False, capture_output=True, timeout=60,
                              env={**os.environ, "STATE_DIRECTORY": str(self.directory / "state")})


@pytest.fixture(name="place", params=CASES, ids=lambda case: case.name)
def make_place(request, tmp_path):
    if request.param.helpers and os.geteuid() != 0:
        pytest.skip("a helper of ours can be put in its place by root only")
    return Place(tmp_path, request.param)


def check(case, data):
    """All three readers, and the agent behind each."""
    for name, read in readers.READERS.items():
        found = read(data)
        kind = found.get("ECS_ENGINE_AUTH_TYPE")
        assert kind == case.kind, name
        entries = agent_lookup.parse(kind, found.get("ECS_ENGINE_AUTH_DATA")) if kind else {}
        for image, auth in case.images.items():
            assert agent_lookup.lookup(entries, image) == auth, f"{image}, as {name} reads it"


def test_written(place):
    result = place.run("apply", "--no-restart")
    said = result.stderr.decode()
    assert place.case.says in said
    assert not place.case.never or place.case.never not in said
    data = place.environment_file.read_bytes()
    if place.case.refused:
        assert result.returncode == 1, said
        assert data == place.before
        return

    assert result.returncode == int(place.case.problem), said
    assert not place.case.never or place.case.never.encode() not in data
    check(place.case, data)
    # Two lines and no more, and all that is not ours as it was.
    assert data == OTHERS if not place.case.kind else data.startswith(OTHERS + b"\nECS_ENGINE_AUTH_TYPE=")
    assert data.count(b"\n") == OTHERS.count(b"\n") + (3 if place.case.kind else 0)

    # The same again is the same.
    assert place.run("apply", "--no-restart").returncode == int(place.case.problem)
    assert place.environment_file.read_bytes() == data


def test_rendered(place):
    """ecs-authd render --reveal > agent.env"""
    result = place.run("render", "--reveal")
    if place.case.refused:
        assert result.returncode == 1 and not result.stdout
    else:
        check(place.case, result.stdout)

    # And nothing of it without --reveal.
    shown = place.run("render").stdout.decode()
    for auth in filter(None, place.case.images.values()):
        for secret in filter(None, (auth.password.strip(), auth.token)):
            assert secret not in shown and base64.b64encode(secret.encode()).decode()[:20] not in shown


def test_there_are_enough():
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
