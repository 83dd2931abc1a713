# SPDX-License-Identifier: Apache-2.0
"""Each fix that a message about a credential file prints, applied to the file that the message is about: the message is
gone, and no registry has lost its credentials. With Docker's own CLI and a registry to log in to."""

import base64
import json
import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

import pytest

import agent_lookup
import docker_cli
import readers
from agent_lookup import Auth
from cases import OTHER, PW, Case, b64, cli, compact, entry
from test_conformance import Place

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "host"))
from host_parts import Registry, run  # noqa: E402

OTHERS = {"other.example/x": OTHER}
KEEPING_STORE = """#!/bin/sh
f=@DIRECTORY@/kept
case $1 in
store) cat > $f ;;
get) cat $f 2>/dev/null || { echo 'credentials not found in native keychain'; exit 1; } ;;
esac
"""


class Try:
    """A credential file, and the tools to correct it."""

    def __init__(self, place, registry):
        self.place = place
        self.registry = registry
        self.config = place.directory / "config"
        self.config.mkdir()
        self.path = self.config / "config.json"
        place.files = [self.path]

    def write(self, text):
        self.path.write_text(text)
        self.path.chmod(0o600)

    def edit(self, change):
        content = json.loads(self.path.read_text())
        self.write(json.dumps(change(content) or content))

    def remove(self, key):
        self.edit(lambda content: content["auths"].pop(key) and None)

    def rename(self, old, new):
        self.edit(lambda content: {new if name == old else name: value for name, value in content.items()})

    def replace(self, old, new):
        text = self.path.read_text()
        assert old in text
        self.write(text.replace(old, new))

    def login(self):
        docker_cli.login(self.config, self.registry.name, self.registry.user, self.registry.password, self.place.helpers)

    def move(self):
        """To another name, so that config.json is free."""
        self.path.rename(self.config / "elsewhere")
        return self.config / "elsewhere"

    def apply(self):
        return self.place.run("apply", "--no-restart")

    def pulls_with(self, image):
        found = readers.ecs_init(self.place.environment_file.read_bytes())
        entries = agent_lookup.parse(found.get("ECS_ENGINE_AUTH_TYPE"), found.get("ECS_ENGINE_AUTH_DATA", "{}"))
        return agent_lookup.lookup(entries, image)


@dataclass
class Fix:
    message: str  # a part of the message
    advice: str  # a part of its fix
    file: Callable  # (registry) → the text
    apply: Callable  # (Try)
    login: bool = True  # the registry's credentials are written then
    images: dict = field(default_factory=lambda: dict(OTHERS))
    helpers: dict = field(default_factory=dict)


def fill(text):
    return lambda r: text.replace("@R@", r.name).replace("@AUTH@", r.entry()).replace("@OTHER@", b64(OTHER))


def decoded(t):
    t.write(base64.b64decode(json.loads(t.path.read_text())["data"][".dockerconfigjson"]).decode())


def google(t):
    key = t.move()
    registry = t.registry
    with open(registry.directory / "htpasswd", "a", encoding="utf-8") as file:
        file.write(run("htpasswd", "-Bbn", "_json_key", key.read_text()))
    docker_cli.login(t.config, registry.name, "_json_key", key.read_text())


def other_file(t):
    t.move()
    t.write(cli({"other.example": entry(OTHER)}))


BROKEN = {"auth": "%%%"}
GOOD = {"other.example": entry(OTHER)}
KEY = '{"type":"service_account","private_key":"x"}'

FIXES = {
    "not JSON": Fix("not valid JSON", "Correct it in an editor", fill('{"auths": {"@R@": {"auth": "@AUTH@"}, "other.example": {"auth": "@OTHER@"}},}'),
                    lambda t: t.replace("}},}", "}}}")),
    "empty": Fix("not valid JSON (it is empty)", "Run 'docker login'", fill(""), Try.login, images={}),
    "no object": Fix("no JSON object", "Name the right file", fill("[]"), other_file, login=False),
    "auths is a list": Fix('"auths" is not an object', "Correct it in an editor", fill('{"auths": []}'),
                           lambda t: t.edit(lambda c: c.update(auths={t.registry.name: {"auth": t.registry.entry()}})), images={}),
    "auths twice": Fix('"auths" occurs a second time', "Merge the two in an editor",
                       fill('{"auths": {"@R@": {"auth": "@AUTH@"}}, "auths": {"other.example": {"auth": "@OTHER@"}}}'),
                       lambda t: t.replace('}}, "auths": {', '}, ')),
    "auths twice, by a login": Fix('"auths" occurs a second time', "or run 'docker login'",
                                   fill('{"auths": {"@R@": {}}, "auths": {"other.example": {"auth": "@OTHER@"}}}'), Try.login),
    "a misspelled member": Fix('"credHelper" is not known to Docker; "credHelpers" is', "Rename or remove it",
                               fill('{"auths": {"other.example": {"auth": "@OTHER@"}}, "credHelper": {"@R@": "test"}}'),
                               lambda t: t.rename("credHelper", "credHelpers"),
                               helpers={"test": "#!/bin/sh\necho '{\"Username\":\"puller\",\"Secret\":\"@PASSWORD@\"}'\n"}),
    "a misspelled member, removed": Fix('"credsStore" is', "Rename or remove it",
                                        fill('{"auths": {"other.example": {"auth": "@OTHER@"}, "@R@": {"auth": "@AUTH@"}}, "credStore": "x"}'),
                                        lambda t: t.edit(lambda c: c.pop("credStore") and None)),
    "a Kubernetes Secret": Fix("a Kubernetes Secret", "The value of .dockerconfigjson in a Secret, decoded from base64, is one",
                               lambda r: json.dumps({"apiVersion": "v1", "kind": "Secret", "data": {".dockerconfigjson": base64.b64encode(
                                   compact({r.name: {"auth": r.entry()}, **GOOD}).encode()).decode()}}), decoded),
    "the data of a Secret": Fix("the data of a Kubernetes Secret", "decoded from base64, is one",
                                lambda r: json.dumps({".dockerconfigjson": base64.b64encode(
                                    compact({r.name: {"auth": r.entry()}, **GOOD}).encode()).decode()}),
                                lambda t: t.write(base64.b64decode(json.loads(t.path.read_text())[".dockerconfigjson"]).decode())),
    "a key file of Google": Fix("a key file of Google Cloud", "docker login -u _json_key --password-stdin REGISTRY < FILE",
                                fill(KEY), google, login=False, images={"@R@/x": Auth("_json_key", KEY)}),
    "one entry": Fix("one entry without its registry", 'Write {"auths": {"REGISTRY": ENTRY}}', fill('{"auth": "@AUTH@"}'),
                     lambda t: t.edit(lambda c: {"auths": {t.registry.name: c}}), images={}),
    "one entry in plain": Fix("one entry without its registry", 'Write {"auths": {"REGISTRY": ENTRY}}',
                              lambda r: json.dumps({"username": r.user, "password": r.password}),
                              lambda t: t.edit(lambda c: {"auths": {t.registry.name: c}}), images={}),
    "an answer of a helper": Fix("the answer of a credential helper", 'Name the helper in "credHelpers"',
                                 fill('{"ServerURL": "@R@", "Username": "puller", "Secret": "x"}'),
                                 lambda t: t.write(json.dumps({"credHelpers": {t.registry.name: "test"}})), images={},
                                 helpers={"test": "#!/bin/sh\necho '{\"Username\":\"puller\",\"Secret\":\"@PASSWORD@\"}'\n"}),
    "daemon.json": Fix("Docker's daemon.json", "Name ~/.docker/config.json instead", fill('{"registry-mirrors": []}'), other_file,
                       login=False),
    "~/.dockercfg with headers": Fix("'HttpHeaders' is not an entry", 'Put the entries into "auths"',
                                     fill('{"@R@": {"auth": "@AUTH@"}, "other.example": {"auth": "@OTHER@"}, "HttpHeaders": {"x": "y"}}'),
                                     lambda t: t.edit(lambda c: {"HttpHeaders": c.pop("HttpHeaders"), "auths": c})),
    "a file of another program": Fix("'mine' is not a setting of Docker's CLI", 'add "auths": {}', fill('{"mine": 1}'),
                                     lambda t: (t.edit(lambda c: c.update(auths={})), t.login()), images={}),
    "a file of another program, another one": Fix("'mine' is not a setting", "Name the right file in [Credentials] File=",
                                                  fill('{"mine": 1}'), other_file, login=False),
    "a refused key": Fix("is not the name of a registry", "Remove the entry in an editor",
                         lambda r: cli({"x y": entry(), r.name: {"auth": r.entry()}, **GOOD}), lambda t: t.remove("x y")),
    "two spellings": Fix("are one registry with different credentials", "Remove the entry of http://",
                         lambda r: cli({f"http://{r.name}": entry(), r.name: {"auth": r.entry()}, **GOOD}),
                         lambda t: t.remove(f"http://{t.registry.name}")),
    "a broken twin": Fix('"auth" that is not base64', "Correct or remove it in an editor first",
                         lambda r: cli({f"https://{r.name}": BROKEN, r.name: {"auth": r.entry()}, **GOOD}),
                         lambda t: t.remove(f"https://{t.registry.name}")),
    "a broken entry": Fix('"auth" that is not base64', "Correct or remove it in an editor first",
                          lambda r: cli({r.name: BROKEN, **GOOD}), lambda t: (t.remove(t.registry.name), t.login())),
    "a broken entry, corrected": Fix('"auth" that is not base64', "Correct or remove it in an editor first",
                                     lambda r: cli({r.name: BROKEN, **GOOD}), lambda t: t.replace("%%%", t.registry.entry())),
    "an entry of another type": Fix("is not an object", "Correct or remove it in an editor first",
                                    lambda r: cli({r.name: "x", **GOOD}), lambda t: (t.remove(t.registry.name), t.login())),
    "a number as a password": Fix('"password" that is not a string', "it must be in double quotes",
                                  lambda r: cli({"number.example": {"username": "puller", "password": 12345}, **GOOD}),
                                  lambda t: t.replace("12345", '"12345"'), login=False,
                                  images={"number.example/x": Auth("puller", "12345"), **OTHERS}),
    "a number in credHelpers": Fix('a value in "credHelpers" that is not a string', "Correct or remove it in an editor first",
                                   lambda r: cli(GOOD, credHelpers={r.name: 7}),
                                   lambda t: (t.edit(lambda c: c.pop("credHelpers") and None), t.login())),
    "an empty entry": Fix("holds no credentials", "Run 'docker login 127.0.0.1:", lambda r: cli({r.name: {}, **GOOD}), Try.login),
    "an empty entry with a scheme": Fix("holds no credentials", "Run 'docker login 127.0.0.1:",
                                        lambda r: cli({f"https://{r.name}/v2/": {}, **GOOD}), Try.login),
    "an empty entry of a path": Fix("holds no credentials", "Write its credentials into the file in an editor, or remove the entry",
                                    lambda r: cli({f"{r.name}/team": {}, r.name: {"auth": r.entry()}, **GOOD}),
                                    lambda t: t.edit(lambda c: c["auths"].update({f"{t.registry.name}/team": {"auth": t.registry.entry()}}))),
    "an empty entry of a path, removed": Fix("holds no credentials", "or remove the entry",
                                             lambda r: cli({f"{r.name}/team": {}, r.name: {"auth": r.entry()}, **GOOD}),
                                             lambda t: t.remove(f"{t.registry.name}/team")),
    "the newline of echo": Fix("ends with a newline", "Run 'docker login 127.0.0.1:",
                               lambda r: cli({r.name: entry(Auth(r.user, r.password + "\n")), **GOOD}), Try.login),
    "a store without the login": Fix("it has no credentials for it; none are used", "Run 'docker login 127.0.0.1:",
                                     lambda r: cli({r.name: {}}, credHelpers={r.name: "test"}), Try.login, images={},
                                     helpers={"test": KEEPING_STORE}),
}


@pytest.fixture(name="registry", scope="module")
def make_registry(tmp_path_factory):
    if not docker_cli.DOCKER or not shutil.which("docker-registry") or not shutil.which("htpasswd"):
        pytest.skip("no docker CLI, docker-registry or htpasswd")
    registry = Registry(tmp_path_factory.mktemp("registry") / "r")
    registry.start()
    yield registry
    registry.stop()


def make_try(fix, tmp_path, registry):
    helpers = {name: script.replace("@PASSWORD@", registry.password).replace("@DIRECTORY@", str(tmp_path))
               for name, script in fix.helpers.items()}
    if helpers and os.geteuid() != 0:
        pytest.skip("a helper of ours can be put in its place by root only")
    return Try(Place(tmp_path, Case("", [], helpers=helpers)), registry)


@pytest.mark.parametrize("name", FIXES)
def test_fix(registry, tmp_path, name):
    fix = FIXES[name]
    t = make_try(fix, tmp_path, registry)
    t.write(fix.file(registry))
    lines = [line for line in t.apply().stderr.decode().splitlines() if fix.message in line]
    assert len(lines) == 1 and fix.advice in lines[0], t.apply().stderr.decode()

    fix.apply(t)
    assert t.apply().returncode == 0, t.apply().stderr.decode()
    assert fix.message not in t.apply().stderr.decode()
    if fix.login:
        assert t.pulls_with(f"{registry.name}/x") == Auth(registry.user, registry.password)
    for image, auth in fix.images.items():
        assert t.pulls_with(image.replace("@R@", registry.name)) == auth


@pytest.mark.parametrize("broken", [BROKEN, {"auth": 12345}, {"username": "x", "password": 12345}],
                         ids=["no base64", "a number as auth", "a number as a password"])
def test_docker_login_deletes_the_others(registry, tmp_path, broken):
    """The reason for "in an editor first"."""
    good = {f"r{n}.example": entry(PW) for n in range(20)}
    lost = []
    for _ in range(20):  # the CLI reads in the order of a Go map: the broken entry may be the last
        (tmp_path / "config.json").write_text(cli({"broken.example": broken, **good}))
        docker_cli.login(tmp_path, registry.name, registry.user, registry.password)
        after = json.loads((tmp_path / "config.json").read_text())["auths"]
        assert after[registry.name] == {"auth": registry.entry()}
        lost = [key for key in good if after[key] != good[key]]
        if lost:
            break
    assert lost


def test_docker_login_replaces_what_is_not_json(registry, tmp_path):
    """The reason for "Correct it in an editor"."""
    (tmp_path / "config.json").write_text(cli({"b.example": entry(PW)})[:-1])
    docker_cli.login(tmp_path, registry.name, registry.user, registry.password)
    assert list(json.loads((tmp_path / "config.json").read_text())["auths"]) == [registry.name]
