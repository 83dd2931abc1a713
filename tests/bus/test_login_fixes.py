# SPDX-License-Identifier: Apache-2.0
"""The fixes that messages about credentials name, with Docker's own CLI and a real registry. tests/fixes.py lists the messages."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from minting_helper import MintingHelper
from standin.credential_file import encode

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))

import host_parts  # noqa: E402

pytestmark = pytest.mark.skipif(not all(map(shutil.which, ("docker", "docker-registry", "htpasswd"))),
                                reason="needs docker, docker-registry and htpasswd")

# A store as docker-credential-pass is one, with its secrets in files.
STORE = """#!/bin/sh
cd "$(dirname "$0")" || exit 1
file=$(basename "$0")-kept
read -r line
case $1 in
store) while [ -n "$line" ]; do all=$all$line; read -r line || { all=$all$line; line=; }; done; echo "$all" > "$file" ;;
get) cat "$file" 2>/dev/null || { echo credentials not found in native keychain; exit 1; } ;;
esac
"""


@pytest.fixture(scope="module", name="registry")
def make_registry(tmp_path_factory):
    r = host_parts.Registry(tmp_path_factory.mktemp("registry") / "r")
    try:
        r.start()
        yield r
    finally:
        r.stop()


def docker(host, registry, command):
    """A command of Docker's CLI as it is printed, for the person who knows the password."""
    words = command.split()
    assert words[0] == "docker", command
    who = ["--username", registry.user, "--password-stdin"] if "login" in words else []
    return subprocess.run(["docker", "--config", host.credentials.path.parent, *words[1:], *who], check=True, text=True,
                          input=registry.password, capture_output=True)


def texts(host, *more, **settings):
    """Of check, without what is ok."""
    result = host.run_verb("check", "--json", *more, **settings)
    return "\n".join(f"{f['text']} -> {f['cure']}" for f in json.loads(result.stdout)["findings"] if f["verdict"] != "ok")


def put(host, registry, content):
    host.credentials.replace(content if isinstance(content, str) else json.dumps(content).replace("REGISTRY", registry.name))


@pytest.mark.parametrize("content, said", [
    ("", "not valid JSON .*Run '(docker login)', or restore the file"),
    ({"auths": {"REGISTRY": {}}}, r"holds no credentials.*Run '(docker login \S+)'"),
    ({}, "no registry has credentials.* -> (docker login REGISTRY)"),
    (None, r"there is no such file\. Run '(docker login)'"),
], ids=["an empty file", "an empty entry", "no registry", "no file"])
def test_docker_login(sound, registry, content, said):
    sound.credentials.path.unlink()
    if content is not None:
        put(sound, registry, content)
    command = re.search(said, texts(sound)).group(1).replace(" REGISTRY", "")
    docker(sound, registry, command if registry.name in command else f"{command} {registry.name}")
    assert not re.search(said, texts(sound))
    assert registry.name in json.loads(sound.credentials.path.read_text())["auths"]


def test_refused_credentials(sound, registry):
    put(sound, registry, {"auths": {"REGISTRY": {"auth": encode(registry.user, "another")}}})
    command = re.search(r"refuses these credentials: status 401 -> (docker login \S+)", texts(sound, "--login")).group(1)
    docker(sound, registry, command)
    assert "refuses" not in texts(sound, "--login")


def test_refused_credentials_of_a_path(sound, registry):
    """Docker's CLI writes no key with a path."""
    put(sound, registry, {"auths": {"REGISTRY/team": {"auth": encode(registry.user, "another")}}})
    assert re.search(rf"refuses these credentials: status 401 -> correct the entry of {registry.name}/team in {sound.credentials.path}\n",
                     texts(sound, "--login"))
    put(sound, registry, {"auths": {"REGISTRY/team": {"auth": registry.entry()}}})
    assert "refuses" not in texts(sound, "--login")


# --- helpers ---

@pytest.fixture(name="helper")
def make_helper(host):
    if os.geteuid() != 0:
        pytest.skip("only root may put a helper where the service looks")
    helper = MintingHelper(host.directory)
    host.variables["MINT"] = str(helper.directory)
    host.settings["Credentials.HelperEnvironment"] = f"MINT={helper.directory}"
    yield helper
    helper.remove()


def test_docker_login_to_a_store(sound, registry, helper):
    """The store has nothing for the registry yet."""
    helper.program.write_text(STORE)
    put(sound, registry, {"credHelpers": {"REGISTRY": helper.name}})
    command = re.search(r"none are used. Run '(docker login) \S+'", texts(sound)).group(1)
    docker(sound, registry, f"{command} {registry.name}")
    try:
        assert "none are used" not in texts(sound)
    finally:
        helper.program.with_name(helper.program.name + "-kept").unlink()


def test_a_helper_by_hand(sound, registry, helper):
    """It shows why."""
    put(sound, registry, {"credHelpers": {"REGISTRY": helper.name}})
    helper.does("fail", registry.name)
    command = re.search(r"By hand \(this prints the secret\): (echo \S+ \| docker-credential-\S+ get)", texts(sound)).group(1)
    shown = subprocess.run(["sh", "-c", command], check=False, text=True, capture_output=True,
                           env={**os.environ, "MINT": str(helper.directory)})
    assert shown.returncode == 1 and "no luck" in shown.stderr
    helper.stops("fail", registry.name)
    assert "By hand" not in texts(sound)


def test_a_store_by_hand(sound, registry, helper):
    put(sound, registry, {"credsStore": helper.name})
    helper.program.write_text("#!/bin/sh\necho no list today >&2\nexit 1\n")
    command = re.search(r"By hand: (docker-credential-\S+ list)", texts(sound)).group(1)
    shown = subprocess.run(["sh", "-c", command], check=False, text=True, capture_output=True)
    assert shown.returncode == 1 and "no list today" in shown.stderr
    helper.program.write_text("#!/bin/sh\necho '{}'\n")
    assert "By hand" not in texts(sound)


def test_a_lifetime_that_is_too_short(host, registry, helper):
    put(host, registry, {"credHelpers": {"REGISTRY": helper.name}})
    daemon = host.run(Credentials_HelperLifetime="9s")
    daemon.wait_said("have it give tokens that last longer, or raise HelperLifetime= if that is what ends them")
    daemon.stop()
    shutil.rmtree(host.directory / "state")
    daemon = host.run(Credentials_HelperLifetime="1h")
    daemon.wait_said("Container .* runs with")
    assert not daemon.said("so short a time")


def test_too_many_registries_of_helpers(sound, registry, helper):
    put(sound, registry, {"credHelpers": {f"r{n}.example": helper.name for n in range(6600)}})
    assert re.search("Take registries out of it, or set Exclude=", texts(sound))
    assert "Take registries out" not in texts(sound, Credentials_Exclude="r*.example")
    put(sound, registry, {"credHelpers": {f"r{n}.example": helper.name for n in range(3)}})
    assert "Take registries out" not in texts(sound)
