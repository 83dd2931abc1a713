# SPDX-License-Identifier: Apache-2.0
"""For each registry ecs-authd takes the credentials that Docker's CLI takes from the same file."""

import json
import os
import re
import subprocess

import pytest

import agent_lookup
import docker_cli
import readers
from cases import HUB, IMAGE, OTHER, PW, R, THIRD, Case, b64, cli, compact, entry, store
from test_conformance import Place

STORES = {"test": store({R: (OTHER.username, OTHER.password)}),
          "special": store({R: (THIRD.username, THIRD.password)})}

FILES = {
    "an entry": cli({R: entry()}),
    "an entry with a scheme": cli({f"https://{R}": entry()}),
    "an entry with an API path": cli({f"https://{R}/v1/": entry()}),
    "two spellings": cli({f"https://{R}": entry(OTHER), R: entry()}),
    "user name and password": compact({R: {"username": "puller", "password": "s3cr3t"}}),
    "auth before password": compact({R: {"auth": b64(PW), "username": "old", "password": "old"}}),
    "an identity token": compact({R: {"identitytoken": "tok"}}),
    "a registry twice": '{"auths": {"%s": {"auth": "%s"}, "%s": {"auth": "%s"}}}' % (R, b64(OTHER), R, b64(PW)),
    "members in other letters": '{"AUTHS": {"%s": {"Auth": "%s"}}, "CredHelpers": {"%s": ""}}' % (R, b64(PW), R),
    "credsStore": cli({R: {}}, credsStore="test"),
    "credsStore before the entry": cli({R: entry()}, credsStore="test"),
    "credsStore of null": cli({R: entry()}, credsStore=None),
    "credsStore, empty": cli({R: entry()}, credsStore=""),
    "credsStore without entries": cli({}, credsStore="test"),
    "credHelpers": cli({}, credHelpers={R: "special"}),
    "credHelpers before credsStore": cli({R: {}}, credHelpers={R: "special"}, credsStore="test"),
    "credHelpers, by the name of the registry": cli({f"https://{R}": {}}, credHelpers={R: "special"}, credsStore="test"),
    "credHelpers, empty: the file": cli({R: entry()}, credHelpers={R: ""}, credsStore="test"),
    "credHelpers, null: the file": cli({R: entry()}, credHelpers={R: None}, credsStore="test"),
    "credHelpers, empty, and an entry with a scheme": cli({f"https://{R}": entry()}, credHelpers={R: ""}, credsStore="test"),
    "credHelpers, empty, and no entry": cli({}, credHelpers={R: ""}, credsStore="test"),
    "credHelpers of another registry": cli({R: entry()}, credHelpers={"other.example": ""}),
    "credHelpers in other letters": cli({R: entry()}, credHelpers={R.upper(): "special"}),
    "Docker Hub": cli({HUB: entry()}),
    "Docker Hub, after a login in a browser": cli({HUB: entry(), f"{HUB}access-token": entry(OTHER),
                                                   f"{HUB}refresh-token": entry(THIRD)}),
    "settings only": '{"detachKeys": "ctrl-e,e"}',
    "members of other programs": cli({R: entry()}, x=1, author="me"),
}


@pytest.fixture(name="docker", scope="module")
def make_docker(tmp_path_factory):
    if not docker_cli.DOCKER:
        pytest.skip("no docker CLI")
    docker = docker_cli.DockerCli(tmp_path_factory.mktemp("docker"))
    yield docker
    docker.close()


def as_docker_sees(place):
    config = place.directory / "config"
    config.mkdir()
    (config / "config.json").write_text(place.case.files[0])
    return config


@pytest.mark.parametrize("name", FILES)
def test_same_credentials(docker, tmp_path, name):
    if os.geteuid() != 0:
        pytest.skip("a helper of ours can be put in its place by root only")
    place = Place(tmp_path, Case(name, [FILES[name]], helpers=STORES))
    result = place.run("render", "--reveal")
    assert result.returncode == 0, result.stderr.decode()
    found = readers.ecs_init(result.stdout)
    entries = agent_lookup.parse(found.get("ECS_ENGINE_AUTH_TYPE"), found.get("ECS_ENGINE_AUTH_DATA")) if found else {}
    config = as_docker_sees(place)
    for image in (IMAGE, "nginx", "elsewhere.example/x"):
        assert agent_lookup.lookup(entries, image) == docker.pull(config, image, place.helpers), image


def test_docker_merges_auths_that_occur_twice(docker, tmp_path):
    """The reason why such a file is refused: json-c would keep only the last."""
    (tmp_path / "config.json").write_text('{"auths": {"%s": {"auth": "%s"}}, "auths": {"other.example": {"auth": "%s"}}}' % (
        R, b64(PW), b64(OTHER)))
    assert docker.pull(tmp_path, IMAGE, tmp_path) == PW
    assert docker.pull(tmp_path, "other.example/x", tmp_path) == OTHER


@pytest.mark.parametrize("member", ["credStore", "credHelper"])
def test_docker_ignores_a_misspelled_member(docker, tmp_path, member):
    (tmp_path / "config.json").write_text(json.dumps({"auths": {R: {}}, member: "test" if member == "credStore" else {R: "test"}}))
    assert docker.pull(tmp_path, IMAGE, tmp_path) is None


def test_docker_logout_removes_every_spelling(tmp_path):
    """The reason why no message about two spellings advises it."""
    if not docker_cli.DOCKER:
        pytest.skip("no docker CLI")
    (tmp_path / "config.json").write_text(cli({f"https://{R}": entry(OTHER), R: entry()}))
    subprocess.run([docker_cli.DOCKER, "--config", str(tmp_path), "logout", f"https://{R}"], check=True, capture_output=True)
    assert json.loads((tmp_path / "config.json").read_text())["auths"] == {}


# --- the whole choice of a source ---

SPELLINGS = [R, f"https://{R}", f"http://{R}", f"https://{R}/v1/"]
CREDENTIALS = {"absent": None, "empty": {}, "entry": entry()}
SOURCES = {**STORES, "nothing": store({})}


def table_of_choices():
    """Each file has at most one entry for the registry, in some spelling; a helper for it, of some spelling; and a store for all."""
    for kind, spelling in [("absent", R)] + [(kind, spelling) for kind in ("empty", "entry") for spelling in SPELLINGS]:
        auths = {} if kind == "absent" else {spelling: CREDENTIALS[kind]}
        for helpers in ({}, *({key: helper} for key in (R, f"https://{R}") for helper in ("special", "nothing", ""))):
            for default in (None, "test", "nothing"):
                more = {**({"credHelpers": helpers} if helpers else {}), **({"credsStore": default} if default else {})}
                yield cli(auths, **more)


CHOICES = list(table_of_choices())


@pytest.mark.parametrize("text", CHOICES, ids=[re.sub(r"\s+", " ", text) for text in CHOICES])
def test_choice_of_the_source(docker, tmp_path, text):
    if os.geteuid() != 0:
        pytest.skip("a helper of ours can be put in its place by root only")
    place = Place(tmp_path, Case("choice", [text], helpers=SOURCES))
    result = place.run("render", "--reveal")
    found = readers.ecs_init(result.stdout)
    entries = agent_lookup.parse(found.get("ECS_ENGINE_AUTH_TYPE"), found.get("ECS_ENGINE_AUTH_DATA")) if found else {}
    assert agent_lookup.lookup(entries, IMAGE) == docker.pull(as_docker_sees(place), IMAGE, place.helpers), result.stderr.decode()
