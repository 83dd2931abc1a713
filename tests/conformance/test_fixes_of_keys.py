# SPDX-License-Identifier: Apache-2.0
"""Each message about a key, or about a type that cannot carry an entry, names a fix. Docker's own CLI, or the edit that the
message describes, applies it; then the message is gone, and the agent pulls with the login."""

import json
import os
import shutil
import subprocess

import pytest

import agent_lookup
import readers
from cases import ACR_TOKEN, GCR_BASE64, GCR_KEY, HUB, OTHER, PW, R, TOKEN, Auth, Case, cli, entry, given, store
from test_conformance import Place


class Host(Place):
    """A place whose credential file is the CLI's."""

    def __init__(self, directory, text, **more):
        super().__init__(directory, Case("", [], **more))
        (directory / ".docker").mkdir()
        self.file = directory / ".docker" / "config.json"
        self.file.write_text(text)
        self.files = [self.file]
        self.engine = readers.RealDocker(directory)

    def docker(self, *words, password=None):
        subprocess.run(["docker", "-H", f"unix://{self.engine.socket}", *words], check=True, capture_output=True, text=True,
                       input=password, env={"PATH": os.environ["PATH"], "HOME": str(self.directory)})

    def login(self, auth, *registry):
        self.docker("login", "-u", auth.username, "--password-stdin", *registry, password=auth.password)

    def edit(self, old, new):
        text = json.dumps(json.loads(self.file.read_text()))
        assert old in text
        self.file.write_text(text.replace(old, new))

    def said(self):
        return self.run("apply", "--no-restart").stderr.decode()

    def pulls(self, image):
        found = readers.systemd(self.environment_file.read_bytes())
        return agent_lookup.lookup(agent_lookup.parse(found["ECS_ENGINE_AUTH_TYPE"], found["ECS_ENGINE_AUTH_DATA"]), image)


@pytest.fixture(name="host")
def make_host(tmp_path):
    if not shutil.which("docker"):
        pytest.skip("no docker CLI")
    hosts = []

    def make(text, **more):
        hosts.append(Host(tmp_path, text, **more))
        return hosts[-1]

    yield make
    for one in hosts:
        one.engine.close()


@pytest.mark.parametrize("name, key, image", [("docker_io_myorg", "docker.io/myorg", "myorg/app"),
                                              ("https___index_docker_io_v1_user", f"{HUB}user", "user/app")])
def test_a_path_of_docker_hub(host, name, key, image):
    h = host(given(f"unmatchable-keys/{name}.json"))
    assert f"Run 'docker logout {key}', and then 'docker login'" in h.said()
    h.docker("logout", key)
    h.login(PW)
    assert "no image can use" not in h.said()
    assert h.pulls(image) == PW


def test_capital_letters(host):
    """Docker's CLI keeps the letters of docker login, and image names may have capitals in their host."""
    h = host(cli({}))
    h.login(PW, "Registry.Example.com")
    assert "run 'docker logout Registry.Example.com' and 'docker login registry.example.com'" in h.said()
    assert h.pulls("Registry.Example.com/app") == PW and h.pulls("registry.example.com/app") is None
    h.docker("logout", "Registry.Example.com")
    h.login(PW, "registry.example.com")
    assert "capital letters" not in h.said()
    assert h.pulls("registry.example.com/app") == PW


def test_a_host_without_a_dot(host):
    h = host(given("unmatchable-keys/myserver.json"))
    assert "Run 'docker logout myserver' and 'docker login myserver:443'" in h.said()
    h.docker("logout", "myserver")
    h.login(PW, "myserver:443")
    assert "no image can use" not in h.said()
    assert h.pulls("myserver:443/app") == PW


def test_a_pattern(host):
    h = host(given("unmatchable-keys/__r_example_com.json"))
    assert "Delete this entry, and run 'docker login' for each registry, such as 'docker login name.r.example.com'" in h.said()
    h.file.write_text(cli({}))
    h.login(PW, "name.r.example.com")
    assert "no image can use" not in h.said()
    assert h.pulls("name.r.example.com/app") == PW


def test_a_pattern_of_a_helper(host):
    if os.geteuid() != 0:
        pytest.skip("a helper of ours can be put in its place by root only")
    h = host(given("unmatchable-keys/helper-glob.json"), helpers={"somehelper": store({"name.example.com": ("puller", "s3cr3t")})})
    assert 'Replace the line by one for each registry, such as "name.example.com": "somehelper"' in h.said()
    h.edit('"*.example.com": "somehelper"', '"name.example.com": "somehelper"')
    assert "the pattern" not in h.said()
    assert h.pulls("name.example.com/app") == PW


def test_a_spelling_in_credhelpers(host):
    if os.geteuid() != 0:
        pytest.skip("a helper of ours can be put in its place by root only")
    h = host(cli({}, credHelpers={f"https://{R}": "somehelper"}), helpers={"somehelper": store({R: ("puller", "s3cr3t")})})
    assert f"Replace the key by '{R}'" in h.said()
    h.edit(f'"https://{R}"', f'"{R}"')
    assert "credHelpers" not in h.said()
    assert h.pulls(f"{R}/app") == PW


@pytest.mark.parametrize("key", [f"{R}/Team", "a_b.example.com"])
def test_no_image_name_begins_with_it(host, key):
    h = host(cli({R: entry(OTHER), key: entry()}))
    assert "Delete this entry, and run 'docker login' with the host as in the image names" in h.said()
    h.file.write_text(cli({R: entry(OTHER)}))
    h.login(PW, R)
    assert "no image can use" not in h.said()
    assert h.pulls(f"{R}/team/app") == PW


def test_chance(host):
    h = host(cli({f"{R}/a": entry(), f"{R}/b": entry(OTHER)}))
    assert f"Run 'docker login {R}'" in h.said()
    rest = Auth("rest", "p")
    h.login(rest, R)
    assert "chance decides" not in h.said()
    assert [h.pulls(f"{R}/{path}/app") for path in "abc"] == [PW, OTHER, rest]


def test_another_name_of_docker_hub(host):
    h = host(given("unmatchable-keys/registry_hub_docker_com.json"))
    assert "run 'docker logout registry.hub.docker.com' and 'docker login'" in h.said()
    h.docker("logout", "registry.hub.docker.com")
    h.login(PW)
    assert "Docker Hub uses it" not in h.said()
    assert h.pulls("org/app") == PW


def test_a_key_file_beside_a_token(host):
    h = host(cli({"gcr.io": entry(GCR_KEY), "t.example": {"identitytoken": TOKEN.token}}))
    said = h.said()
    assert "AuthType=docker, needed for t.example" in said
    assert "base64 -w0 KEY.json | docker login -u _json_key_base64 --password-stdin gcr.io" in said
    key = subprocess.run(["base64", "-w0"], check=True, capture_output=True, text=True, input=GCR_KEY.password).stdout
    h.login(Auth("_json_key_base64", key), "gcr.io")
    assert "cannot be written" not in h.said()
    assert h.pulls("gcr.io/p/app") == GCR_BASE64
    assert h.pulls("t.example/app") == TOKEN


def test_a_quote_beside_a_token(host):
    h = host(cli({R: entry(Auth("u", '"')), "t.example": {"identitytoken": TOKEN.token}}))
    assert f"Log in to {R} with another password, or move this one to AWS Secrets Manager" in h.said()
    h.docker("logout", R)
    assert "cannot be written" not in h.said()
    assert h.pulls("t.example/app") == TOKEN
    h.login(PW, R)
    assert "cannot be written" not in h.said()
    assert h.pulls(f"{R}/app") == PW


@pytest.mark.parametrize("kind, auths", [("docker", {R: entry(Auth("u", '"'))}), ("dockercfg", {R: {"identitytoken": "t"}}),
                                         ("docker", {"gcr.io": entry(GCR_KEY), "x.azurecr.io": {"identitytoken": ACR_TOKEN}})])
def test_another_type(host, kind, auths):
    h = host(cli(auths), settings={"Agent.AuthType": kind})
    assert "Set [Agent] AuthType=auto, which carries all of these credentials" in h.said()
    h.case.settings["Agent.AuthType"] = "auto"
    assert "cannot be written" not in h.said()
    assert all(h.pulls(f"{registry}/app") for registry in auths)


@pytest.mark.parametrize("more, advice", [({"identitytoken": "t"}, "with a user name and a password"),
                                          (entry(Auth("", "")) | {"username": "a:b", "password": "p", "auth": ""},
                                           "with a user name that has no colon")])
def test_dockercfg_that_must_be(host, more, advice):
    """AuthType=auto would not carry the quote beside it either."""
    h = host(cli({R: more, "q.example": entry(Auth("u", '"'))}), settings={"Agent.AuthType": "dockercfg"})
    assert f"Log in to {R} {advice}" in h.said()
    h.login(PW, R)
    assert "cannot be written" not in h.said()
    assert h.pulls(f"{R}/app") == PW


def test_docker_login_to_a_path_is_one_to_its_host(host):
    """So the manual names an editor for the entries of paths."""
    h = host(cli({R: entry(OTHER)}))
    h.login(PW, f"{R}/team")
    assert list(json.loads(h.file.read_text())["auths"]) == [R]
    h.said()
    assert h.pulls(f"{R}/rest/app") == PW
