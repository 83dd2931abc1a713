# SPDX-License-Identifier: Apache-2.0
"""Entries of ecs.config that user data, a template or a person wrote: ecs-authd keeps each of them, says so, and gives a login
for the same registry the last word."""

import base64
import json
import os
import subprocess
from pathlib import Path

import pytest

import agent_lookup
import readers
from agent_lookup import Auth

TOP = Path(__file__).resolve().parents[2]
ECS_AUTHD = Path(os.environ.get("ECS_AUTHD", TOP / "build" / "ecs-authd")).resolve()
INPUTS = Path(__file__).parent / "inputs" / "takeover"

HUB = "https://index.docker.io/v1/"
PW = Auth("puller", "s3cr3t")
OTHER = Auth("other", "s3cond")
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJqdGkiOiJ4In0.c2ln"
KEY_FILE = '_json_key:{\n "type": "service_account"\n}'
BY_OTHER_MEANS = "by other means"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def entry(auth=PW):
    return {"auth": b64(f"{auth.username}:{auth.password}")}


def token_entry(token=TOKEN):
    return {"auth": b64("00000000-0000-0000-0000-000000000000:"), "identitytoken": token}


class Host:
    """A credential file, an ecs.config and a state directory."""

    def __init__(self, directory):
        self.directory = directory
        self.credential_file = directory / "config.json"
        self.environment_file = directory / "ecs.config"
        self.state = directory / "state"
        self.settings = {}

    def log_in(self, entries, **more):
        self.credential_file.write_text(json.dumps({"auths": entries, **more}))
        self.credential_file.chmod(0o600)

    def write(self, kind, data, before="ECS_CLUSTER=web\n"):
        data = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
        self.environment_file.write_text(f"{before}ECS_ENGINE_AUTH_TYPE={kind}\nECS_ENGINE_AUTH_DATA={data}\n")
        self.environment_file.chmod(0o600)

    def run(self, verb, *more, **settings):
        settings = {"Credentials.File": self.credential_file, "Agent.EnvironmentFile": self.environment_file,
                    "Agent.DockerSocket": self.directory / "no.sock", "Restart.Method": "none", **self.settings, **settings}
        options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        result = subprocess.run([str(ECS_AUTHD), "--config", os.devnull, *options, verb, *more], check=False, text=True,
                                capture_output=True, timeout=60, env={**os.environ, "STATE_DIRECTORY": str(self.state)})
        for secret in (PW.password, OTHER.password, TOKEN, "my_password", b64("puller:s3cr3t")[:16]):
            assert "--reveal" in more or secret not in result.stdout + result.stderr
        return result

    def apply(self, status=0, **settings):
        result = self.run("apply", "--no-restart", **settings)
        assert result.returncode == status, result.stderr
        return result.stderr

    def values(self):
        return readers.ecs_init(self.environment_file.read_bytes())

    def raw(self):
        return json.loads(self.values().get("ECS_ENGINE_AUTH_DATA", "{}"))

    def pulls(self, image):
        """The same for every reader of ecs.config."""
        found = set()
        for read in readers.READERS.values():
            values = read(self.environment_file.read_bytes())
            kind = values.get("ECS_ENGINE_AUTH_TYPE")
            found.add(agent_lookup.lookup(agent_lookup.parse(kind, values["ECS_ENGINE_AUTH_DATA"]) if kind else {}, image))
        assert len(found) == 1, found
        return found.pop()


def named(said):
    """The names in the sentence about foreign entries."""
    lines = [line for line in said.splitlines() if BY_OTHER_MEANS in line]
    return lines[0].split("ecs-authd: ")[1].split(". ecs-authd keeps")[0].split(", ") if lines else []


@pytest.fixture(name="host")
def make_host(tmp_path):
    return Host(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "config-ecr.json", None])
def test_no_login_of_ours_changes_no_byte(host, name):
    """A credential file with settings only, with a helper for Amazon ECR only, or none at all."""
    before = (INPUTS / "ecs.config").read_bytes()
    host.environment_file.write_bytes(before)
    host.environment_file.chmod(0o600)
    if name:
        host.credential_file.write_bytes((INPUTS / name).read_bytes())
        host.credential_file.chmod(0o600)
    for _ in range(2):
        said = host.apply()
        assert host.environment_file.read_bytes() == before
        assert BY_OTHER_MEANS in said and "a.example.com" in said and HUB in said and "docker login" in said
    shown = host.run("apply", "--no-restart", "--dry-run")
    assert shown.returncode == 0 and "removed" not in shown.stdout
    assert shown.stdout.count(BY_OTHER_MEANS) == 2, shown.stdout


def test_login_to_another_registry_is_added(host):
    host.environment_file.write_bytes((INPUTS / "ecs.config").read_bytes())
    host.credential_file.write_bytes((INPUTS / "config-other-registry.json").read_bytes())
    for path in (host.environment_file, host.credential_file):
        path.chmod(0o600)
    said = host.apply()
    assert host.pulls("a.example.com/x") == Auth("u", "p")
    assert host.pulls("ubuntu") == Auth("my_name", "my_password")
    assert host.pulls("b.example.com/x") == OTHER
    assert named(said) == ["a.example.com", HUB]

    # And taken out again, alone.
    host.log_in({})
    host.apply()
    assert host.pulls("a.example.com/x") == Auth("u", "p") and host.pulls("ubuntu") == Auth("my_name", "my_password")
    assert host.pulls("b.example.com/x") is None


def test_type_that_the_whole_line_needs(host):
    """An entry in "docker" form beside a login that only "dockercfg" can carry, and the other way round."""
    host.write("docker", {"a.example.com": {"username": "u", "password": "p"}})
    host.log_in({"gcr.io": {"auth": b64(KEY_FILE)}})
    host.apply()
    assert host.values()["ECS_ENGINE_AUTH_TYPE"] == "dockercfg"
    assert host.pulls("a.example.com/x") == Auth("u", "p")
    assert host.pulls("gcr.io/x").username == "_json_key"

    host.write("dockercfg", {"a.example.com": entry()})
    host.log_in({"b.example.com": token_entry()})
    host.apply()
    assert host.values()["ECS_ENGINE_AUTH_TYPE"] == "docker"
    assert host.pulls("a.example.com/x") == PW and host.pulls("b.example.com/x").token == TOKEN


def test_members_and_spelling_stay(host):
    """What only the agent, or only its author, understands of an entry."""
    foreign = {"https://a.example.com": {"username": "u", "password": "p", "registrytoken": "t", "email": "a@b.example"},
               "docker.io": {"username": "x", "password": "y"}, "c.example.com/team": {"username": "m", "password": "n"},
               "d.example.com": {}, "A.Example.com": {"username": "k", "password": "l"}}
    host.write("docker", foreign)
    host.log_in({"b.example.com": entry(OTHER)})
    host.apply()
    kept = host.raw()
    assert kept.pop("b.example.com")
    assert kept == foreign or list(kept) == list(foreign)
    assert kept == foreign


def test_login_replaces_the_entry_of_its_registry(host):
    for spelling in ("a.example.com", "https://a.example.com", "https://a.example.com/v2/"):
        host.write("dockercfg", {spelling: entry(Auth("old", "older")), "b.example.com": entry(OTHER)})
        host.log_in({"a.example.com": entry()})
        said = host.apply()
        assert host.pulls("a.example.com/x") == PW and host.pulls("b.example.com/x") == OTHER
        assert list(host.raw()) == ["b.example.com", "a.example.com"]
        assert named(said) == ["b.example.com"]

        # The login is withdrawn: nothing of it is left, and nothing of before it.
        host.log_in({})
        host.apply()
        assert host.pulls("a.example.com/x") is None and host.pulls("b.example.com/x") == OTHER


def test_equal_entry_is_ours(host):
    """Version 0.2.0 left no record, and neither does a person who copied an entry."""
    host.write("dockercfg", {"a.example.com": entry(), "b.example.com": entry(OTHER)})
    host.log_in({"a.example.com": entry()})
    said = host.apply()
    assert named(said) == ["b.example.com"]
    host.log_in({})
    host.apply()
    assert list(host.raw()) == ["b.example.com"]


def test_equal_entries_are_not_written_again(host):
    """Another program's spacing and order mean the same, and stay."""
    host.write("docker", '{ "b.example.com": {"password":"s3cond", "username":"other"}, '
                         '"a.example.com":{"username":"puller","password":"s3cr3t"} }')
    before = host.environment_file.read_bytes()
    host.log_in({"a.example.com": entry()})
    host.apply()
    assert host.environment_file.read_bytes() == before


def test_entry_that_changed_after_us_is_foreign(host):
    host.log_in({"a.example.com": entry(), "b.example.com": entry(OTHER)})
    host.apply()
    values = host.raw()
    values["b.example.com"] = entry(Auth("somebody", "else"))
    host.write("dockercfg", values)
    host.log_in({"a.example.com": entry()})
    said = host.apply()
    assert host.pulls("b.example.com/x") == Auth("somebody", "else")
    assert named(said) == ["b.example.com"]


def test_reinstalled(host):
    """The state directory is gone (apt purge), the lines are still there."""
    host.log_in({"a.example.com": entry(), "b.example.com": entry(OTHER)})
    host.apply()
    subprocess.run(["rm", "-r", str(host.state)], check=True)
    host.apply()
    host.log_in({"a.example.com": entry()})
    host.apply()
    assert list(host.raw()) == ["a.example.com"]


def test_two_environment_files_share_a_state_directory(host, tmp_path):
    other = tmp_path / "other.config"
    host.log_in({"a.example.com": entry()})
    host.apply()
    host.apply(**{"Agent.EnvironmentFile": other})
    host.log_in({})
    host.apply()
    assert host.raw() == {}
    host.apply(**{"Agent.EnvironmentFile": other})
    assert b"a.example.com" not in other.read_bytes()


def test_record_holds_no_secret(host):
    host.log_in({"a.example.com": entry(), "b.example.com": token_entry()})
    host.apply()
    for path in host.state.iterdir():
        data = path.read_bytes()
        assert path.stat().st_mode & 0o077 == 0
        assert not any(secret.encode() in data for secret in (PW.password, TOKEN, b64("puller:s3cr3t")))


@pytest.mark.parametrize("kind, data, why", [
    ("dockercfg", '{"a.example.com":{"auth":"x"', "not valid JSON"),
    ("dockerconfig", '{"a.example.com":{"auth":"eDp5"}}', "ECS_ENGINE_AUTH_TYPE"),
    ("docker", '{"a.example.com":{"username":"u","password":"p"},"credsStore":"x"}', "credsStore"),
    ("", '{"a.example.com":{"auth":"eDp5"}}', "ECS_ENGINE_AUTH_TYPE"),
    ("dockercfg", '{"auths":{"a.example.com":{"auth":"eDp5"}}}', 'the outer "auths"'),
])
def test_content_that_the_agent_ignores(host, kind, data, why):
    host.write(kind, data)
    before = host.environment_file.read_bytes()
    host.log_in({})
    said = host.apply()
    assert host.environment_file.read_bytes() == before
    assert "the agent ignores" in said and why in said
    rendered = host.run("render")
    assert rendered.returncode == 0 and "eDp5" not in rendered.stdout

    # Nothing of it is kept once there is something to write.
    host.log_in({"b.example.com": entry()})
    assert "the agent ignored" in host.apply()
    assert host.raw() == {"b.example.com": entry()}
    assert "the agent ignore" not in host.apply()


def test_fix_of_content_that_the_agent_ignores(host):
    """Delete the line, as the message says."""
    host.write("dockercfg", '{"a.example.com"')
    host.log_in({})
    assert "the agent ignores" in host.apply()
    lines = host.environment_file.read_text().splitlines(keepends=True)
    host.environment_file.write_text("".join(line for line in lines if not line.startswith("ECS_ENGINE_AUTH_")))
    assert "the agent ignores" not in host.apply()


def test_blank_before_the_equals_sign(host):
    """To ecs-init that is another key."""
    host.environment_file.write_text('ECS_ENGINE_AUTH_TYPE = dockercfg\nECS_ENGINE_AUTH_DATA = {"a.example.com":{"auth":"eDp5"}}\n')
    before = host.environment_file.read_bytes()
    host.log_in({})
    assert "the agent ignores the credentials in it: there is a blank before the '='" in host.apply()
    assert host.environment_file.read_bytes() == before
    host.environment_file.write_text(before.decode().replace(" = ", "="))  # corrected, as the message says
    assert named(host.apply()) == ["a.example.com"]
    host.environment_file.write_bytes(before)
    host.log_in({"b.example.com": entry()})
    assert "the agent ignored" in host.apply()
    assert host.raw() == {"b.example.com": entry()}


@pytest.mark.parametrize("fix", ["docker login", "delete the entry"])
def test_fix_of_a_foreign_entry(host, fix):
    """Both options that the message names."""
    host.write("dockercfg", {"a.example.com": entry(OTHER)})
    host.log_in({})
    assert BY_OTHER_MEANS in host.apply()
    if fix == "docker login":
        host.log_in({"a.example.com": entry()})
        assert BY_OTHER_MEANS not in host.apply()
        assert host.pulls("a.example.com/x") == PW
    else:
        host.write("dockercfg", {})
        assert BY_OTHER_MEANS not in host.apply()


def test_login_that_no_type_carries_beside_a_foreign_entry(host):
    """The foreign entry stays; the message names the login that is not written, the reason, and two ways out."""
    foreign = {"a.example.com": {"identitytoken": TOKEN, "username": "u", "password": ""}}
    host.write("docker", foreign)
    before = host.environment_file.read_bytes()
    host.log_in({"gcr.io": {"auth": b64(KEY_FILE)}})
    said = host.apply(1)
    assert host.environment_file.read_bytes() == before
    assert "gcr.io" in said and "a.example.com" in said and "delete" in said

    # Each way out of the two.
    host.log_in({"gcr.io": {"auth": b64(KEY_FILE)}, "a.example.com": entry()})
    host.apply()
    assert host.pulls("gcr.io/x").username == "_json_key" and host.pulls("a.example.com/x") == PW

    host.write("docker", {})
    host.log_in({"gcr.io": {"auth": b64(KEY_FILE)}})
    host.apply()
    assert host.pulls("gcr.io/x").username == "_json_key"


def test_auth_type_that_cannot_carry_a_foreign_entry(host):
    host.write("docker", {"a.example.com": {"identitytoken": TOKEN, "username": "u", "password": ""}})
    before = host.environment_file.read_bytes()
    host.log_in({"b.example.com": entry()})
    said = host.apply(1, **{"Agent.AuthType": "dockercfg"})
    assert host.environment_file.read_bytes() == before
    assert "AuthType=" in said and "a.example.com" in said
    host.apply(**{"Agent.AuthType": "auto"})
    assert host.pulls("b.example.com/x") == PW and host.pulls("a.example.com/x").token == TOKEN
    host.write("docker", {})  # the other fix: delete the entry
    host.apply(**{"Agent.AuthType": "dockercfg"})
    assert host.pulls("b.example.com/x") == PW


def test_logout_of_a_registry_that_also_has_an_empty_entry(host):
    """"auths" names the registry without credentials: what another program wrote stays, and stays foreign."""
    host.write("dockercfg", {"a.example.com": entry(OTHER)})
    host.log_in({"a.example.com": {}})
    said = host.run("apply", "--no-restart").stderr
    assert host.pulls("a.example.com/x") == OTHER and BY_OTHER_MEANS in said
    host.log_in({})
    host.apply()
    assert host.pulls("a.example.com/x") == OTHER


def test_record_that_cannot_be_kept(host):
    """The write comes first; the consequence is said, and it is on the safe side."""
    host.state.write_text("")  # a file where the directory should be
    host.log_in({"a.example.com": entry()})
    said = host.run("apply", "--no-restart").stderr
    assert host.pulls("a.example.com/x") == PW
    assert "written" in said and "docker logout" in said
    host.log_in({})
    host.run("apply", "--no-restart")
    assert host.pulls("a.example.com/x") == PW


def test_entries_that_no_line_of_ours_could_carry(host):
    """With nothing to write beside them they are no problem."""
    host.write("docker", {"a.example.com": {"identitytoken": TOKEN}, "b.example.com": {"username": "u", "password": 'a"b'}})
    before = host.environment_file.read_bytes()
    host.log_in({})
    host.apply()
    assert host.environment_file.read_bytes() == before
    host.log_in({"c.example.com": entry()})
    said = host.apply(1)
    assert host.environment_file.read_bytes() == before
    assert "entry of b.example.com" in said and "Delete that entry, or run docker login" in said
    host.log_in({"c.example.com": entry(), "b.example.com": entry(OTHER)})
    host.apply()
    assert host.pulls("b.example.com/x") == OTHER and host.pulls("a.example.com/x").token == TOKEN
    host.environment_file.write_bytes(before)
    host.write("docker", {"a.example.com": {"identitytoken": TOKEN}})  # b.example.com is deleted
    host.log_in({"c.example.com": entry()})
    host.apply()
    assert host.pulls("c.example.com/x") == PW and host.pulls("a.example.com/x").token == TOKEN


def test_fix_of_a_record_that_cannot_be_kept(host):
    host.state.mkdir()
    host.state.chmod(0o777)
    host.log_in({"a.example.com": entry()})
    assert f"chmod 700 {host.state}" in host.apply()
    subprocess.run(["chmod", "700", str(host.state)], check=True)
    assert "chmod" not in host.apply()
    host.log_in({})
    host.apply()
    assert host.raw() == {}


def test_fix_of_a_foreign_key_that_no_image_can_use(host):
    def found():
        findings = json.loads(host.run("check", "--json").stdout)["findings"]
        return [f for f in findings if f["id"] == "registry-images" and f["verdict"] == "warning"]

    host.write("dockercfg", {"docker.io/team": entry(OTHER), "a.example.com": entry()})
    host.log_in({})
    finding, = found()
    assert finding["cure"].startswith(f"take it out of {host.environment_file}")
    host.write("dockercfg", {"a.example.com": entry()})
    assert not found()


@pytest.mark.parametrize("logged_in", [True, False])
def test_tokens_of_docker(host, logged_in):
    """The tokens that a browser login leaves in config.json are of no use to the agent. Version 0.2.0 wrote them, or a person copied
    them: they are no reason to write, and leave with the next write."""
    token = "index.docker.io/v1/access-token"
    host.write("dockercfg", {HUB: entry(), token: entry(OTHER), "a.example.com": entry()})
    before = host.environment_file.read_bytes()
    if logged_in:
        host.log_in({HUB: entry()})
    host.apply()
    assert host.environment_file.read_bytes() == before
    host.log_in({HUB: entry(), "b.example.com": entry()})
    host.apply()
    assert set(host.raw()) == {HUB, "a.example.com", "b.example.com"}


def test_entry_that_the_type_makes_useless(host):
    """auths of config.json, pasted under the wrong type, beside an entry of the right one: it does not become a login."""
    foreign = {"a.example.com": entry(OTHER), "c.example.com": {"username": "u", "password": "p"}}
    host.write("docker", foreign)
    host.log_in({"b.example.com": entry()})
    host.apply()
    assert host.pulls("b.example.com/x") == PW and host.pulls("c.example.com/x") == Auth("u", "p")
    assert host.pulls("a.example.com/x") in (None, Auth())
    assert host.raw()["a.example.com"] == entry(OTHER)

    host.write("dockercfg", {"a.example.com": {"username": "u", "password": "p"}, "c.example.com": entry(OTHER)})
    host.log_in({"b.example.com": token_entry()})
    host.apply()  # only the other type carries the login: it comes first
    assert host.pulls("b.example.com/x").token == TOKEN and host.pulls("c.example.com/x") == OTHER


def test_password_in_a_key(host):
    """A key of ecs.config may contain a user name and a password; neither is shown."""
    host.write("dockercfg", {"https://me:CANARYpw@a.example.com": entry(OTHER), "https://me:CANARY/2@c.example.com": entry(OTHER)})
    host.log_in({"b.example.com": entry()})
    for verb in (("apply", "--no-restart"), ("apply", "--dry-run"), ("check",), ("check", "--json"), ("render",)):
        result = host.run(*verb)
        assert "CANARY" not in result.stdout + result.stderr, verb
    assert "https://me:CANARYpw@a.example.com" in host.raw()


def test_members_that_nobody_knows_are_masked(host):
    host.write("docker", {"a.example.com": {"username": "u", "password": "CANARY1", "passwort": "CANARY2", "x": {"password": "CANARY3"}}})
    host.log_in({"b.example.com": entry()})
    shown = host.run("render")
    assert shown.returncode == 0 and "CANARY" not in shown.stdout and '"username":"u"' in shown.stdout


def test_useless_entries_of_version_0_2_0(host):
    """They equal a login: with the login they leave."""
    useless = {key: entry() for key in ("docker.io/org", "myserver", "*.example.com")}
    host.write("dockercfg", {**useless, "a.example.com": entry()})
    host.log_in({**useless, "a.example.com": entry()})
    host.run("apply", "--no-restart")
    assert set(host.raw()) == {"a.example.com"}
    host.log_in({})
    host.apply()
    assert host.raw() == {}


def test_foreign_entry_that_no_image_can_use_is_named(host):
    host.write("dockercfg", {"myserver": entry(OTHER)})
    host.log_in({})
    assert named(host.apply()) == ["myserver"]


def test_twin_of_our_entry(host):
    host.log_in({"a.example.com": entry()})
    host.apply()
    host.write("dockercfg", {"a.example.com": entry(), "https://a.example.com": entry(OTHER)})
    host.log_in({})
    host.apply()
    assert host.raw() == {"https://a.example.com": entry(OTHER)}


@pytest.mark.parametrize("damage", [lambda path: path.write_text("garbage"), lambda path: path.chmod(0o644)])
def test_damaged_record(host, damage):
    """It is replaced at once; what it contained is lost, and said so."""
    host.log_in({"a.example.com": entry(), "b.example.com": entry(OTHER)})
    host.apply()
    damage(host.state / "written")
    assert "it is replaced" in host.apply()
    assert "it is replaced" not in host.apply()
    host.log_in({"a.example.com": entry()})
    host.apply()
    assert set(host.raw()) == {"a.example.com"}


def test_nul_in_a_password(host):
    """No form that ecs-authd writes can carry it: the entry stays as it is."""
    host.environment_file.write_text('ECS_ENGINE_AUTH_TYPE=docker\nECS_ENGINE_AUTH_DATA={"a.example.com":'
                                     '{"username":"u","password":"p\\u0000q"}}\n')
    before = host.environment_file.read_bytes()
    host.log_in({"b.example.com": entry()})
    assert "a.example.com" in host.apply(1)
    assert host.environment_file.read_bytes() == before


@pytest.mark.parametrize("kind, data", [("dockercfg", {"a.example.com": {"username": "u", "password": "p"}}),
                                        ("docker", {"a.example.com": entry(OTHER)})])
def test_entries_of_the_other_type(host, kind, data):
    """One word in ECS_ENGINE_AUTH_TYPE is wrong: the entry stays, unused as before, and either fix makes it a login."""
    host.write(kind, data)
    host.log_in({"b.example.com": entry()})
    said = host.apply()
    other = {"docker": "dockercfg", "dockercfg": "docker"}[kind]
    assert f"entries of a.example.com: their form needs ECS_ENGINE_AUTH_TYPE={other}" in said
    assert host.pulls("b.example.com/x") == PW and host.raw()["a.example.com"] == data["a.example.com"]

    host.write(other, data)
    assert "their form needs" not in host.apply()
    assert host.pulls("a.example.com/x") and host.pulls("b.example.com/x") == PW

    host.write(kind, data)
    host.log_in({"a.example.com": entry(), "b.example.com": entry()})
    host.apply()
    assert "their form needs" not in host.apply()
    assert host.pulls("a.example.com/x") == PW


def test_two_lines(host):
    """The last one counts for every reader: that the others go is said first."""
    host.write("dockercfg", {"a.example.com": entry(OTHER)})
    first = host.environment_file.read_text()
    host.environment_file.write_text(first + 'ECS_ENGINE_AUTH_DATA={"c.example.com":' + json.dumps(entry(OTHER)) + "}\n")
    before = host.environment_file.read_bytes()
    host.log_in({})
    assert "ECS_ENGINE_AUTH_DATA is in 2 lines, and the last one counts" in host.apply()
    assert host.environment_file.read_bytes() == before
    host.write("dockercfg", {"a.example.com": entry(OTHER), "c.example.com": entry(OTHER)})
    host.log_in({"b.example.com": entry()})
    assert "the last one counts" not in host.apply()
    assert set(host.raw()) == {"a.example.com", "b.example.com", "c.example.com"}


@pytest.mark.parametrize("key, covers", [("docker.io", "no image"), ("https://r.example.com/v1/", None), ("index.docker.io", "no image")])
def test_a_foreign_key_is_judged_as_it_is_spelled(host, key, covers):
    host.write("dockercfg", {key: entry()})
    host.log_in({})
    findings = json.loads(host.run("check", "--json").stdout)["findings"]
    assert [f["subject"] for f in findings if f["id"] == "registry"] == [key]
    found = [f["text"] for f in findings if f["id"] == "registry-images"]
    assert not covers or covers in found[0], found
    assert named(host.apply()) == [key]


def test_a_useless_entry_blocks_no_login(host):
    host.write("dockercfg", {"d.example.com": {"username": "u", "password": "p"}, "e.example.com": entry(OTHER)})
    host.log_in({"t.example.com": token_entry()})
    host.apply()
    assert host.pulls("t.example.com/x").token == TOKEN and host.pulls("e.example.com/x") == OTHER
    assert host.raw()["d.example.com"] == {"username": "u", "password": "p"}


def test_email_stays_with_the_other_type(host):
    host.write("dockercfg", {"a.example.com": {**entry(OTHER), "email": "a@b.example"}})
    host.log_in({"t.example.com": token_entry()})
    host.apply()
    assert host.raw()["a.example.com"]["email"] == "a@b.example"
