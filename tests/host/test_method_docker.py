# SPDX-License-Identifier: Apache-2.0
"""Method=docker on a real engine: an agent that somebody started with docker run --env-file."""

import base64
import contextlib
import json
import os
import re
import secrets
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from host_parts import ECS_AUTHD, TOP, credentials_for, end, environment, never, wait_for

IMAGE = "amazon/amazon-ecs-agent:latest"
R = "registry.example.com"


class ByHand:
    """An agent that was started by hand, and ecs-authd beside it on this machine."""

    def __init__(self, engine, directory):
        self.engine = engine
        self.directory = directory
        self.env_file = directory / "agent.env"
        self.env_file.write_text("ECS_CLUSTER=web\nECS_DATADIR=/data\n")
        self.password = None

    def docker(self, *arguments):
        return self.engine.docker(*arguments).strip()

    def start(self, *options):
        return self.docker("run", "-d", "--name", "ecs-agent", "--network", "host", "--env-file", str(self.env_file), *options,
                           IMAGE, "/agent")

    def login(self, password=None):
        self.password = password or secrets.token_hex(8)
        auth = base64.b64encode(f"puller:{self.password}".encode()).decode()
        (self.directory / "config.json").write_text(json.dumps({"auths": {R: {"auth": auth}}}))
        return auth

    def command(self, verb, **settings):
        settings = {"Credentials.File": self.directory / "config.json", "Agent.EnvironmentFile": self.env_file,
                    "Agent.DockerSocket": self.engine.socket, "Restart.Method": "docker", "Restart.MinIntervalSec": "0",
                    "Restart.VerifySec": "6s", "Restart.SettleSec": "0",
                    **{key.replace("_", ".", 1): value for key, value in settings.items()}}
        return [str(ECS_AUTHD), "--config", os.devnull, *(w for k, v in settings.items() for w in ("-o", f"{k}={v}")), verb]

    def popen(self, verb, **settings):
        return subprocess.Popen(self.command(verb, **settings), stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "STATE_DIRECTORY": str(self.directory / "state")})

    @contextlib.contextmanager
    def daemon(self, **settings):
        """ecs-authd beside the agent, as long as the block takes."""
        process = self.popen("run", **settings)
        try:
            yield process
        finally:
            end(process)
            process.stderr.close()

    def apply(self, expected=0, **settings):
        process = self.popen("apply", **settings)
        said = process.communicate(timeout=90)[1]
        assert process.returncode == expected, said
        return said

    def check(self):
        return subprocess.run(self.command("check"), check=False, text=True, capture_output=True,
                              env={**os.environ, "STATE_DIRECTORY": str(self.directory / "state")}).stdout

    def agent(self):
        return self.engine.agent()

    def names(self):
        return sorted(self.docker("ps", "-a", "--format", "{{.Names}}").split())

    def is_live(self):
        agent = self.engine.running_agent()
        return agent and credentials_for(agent, R) == ("puller", self.password)


@pytest.fixture(name="hand")
def make_hand(engine):
    def clean():
        for name in engine.docker("ps", "-aq").split():
            engine.docker("rm", "-fv", name)

    clean()  # an agent that a host of another module has left
    with tempfile.TemporaryDirectory(prefix="ecs-authd-hand-") as directory:
        yield ByHand(engine, Path(directory))
        clean()


def comparable(agent):
    """What somebody chose when the container was started; not its identity, nor what changes by intention."""
    config = {k: v for k, v in agent["Config"].items() if k != "Env"}
    config["Labels"] = {k: v for k, v in (config["Labels"] or {}).items() if k != "ecs-authd.replaces"}
    others = {v for v in agent["Config"]["Env"] if not v.startswith("ECS_ENGINE_AUTH_")}
    mounts = sorted((m["Type"], m.get("Name", m["Source"]), m["Destination"], m["RW"]) for m in agent["Mounts"])
    host = {k: v for k, v in agent["HostConfig"].items() if k != "Binds"}
    return config, others, host, mounts, agent["Image"]


def test_a_new_container_like_the_old_one(hand):
    hand.docker("volume", "create", "named")
    hand.start("--restart", "unless-stopped", "--label", "team=infra", "--volume", "named:/var/named:ro", "--volume", "/data",
               "--volume", f"{hand.directory}:/mnt/host", "--env", "EXTRA=a=b", "--memory", "64m", "--cap-add", "NET_ADMIN",
               "--log-opt", "max-size=1m", "--stop-timeout", "3")
    old = hand.agent()
    witness = Path(next(m["Source"] for m in old["Mounts"] if m["Destination"] == "/data")) / "state.json"
    witness.write_text("saved")

    hand.login()
    said = hand.apply()
    assert "Restarting ecs-agent: container ecs-agent runs with other credentials" in said
    new = hand.agent()
    assert new["Id"] != old["Id"] and hand.is_live()
    assert comparable(new) == comparable(old)
    # The same volume, also the one without a name.
    assert witness.read_text() == "saved"
    assert any(m["Destination"] == "/data" and m["Source"] == str(witness.parent) for m in new["Mounts"])
    wait_for(lambda: hand.names() == ["ecs-agent"], 10, "the old container is removed", hand.names)

    # And once more, from a container that was made so.
    hand.login()
    hand.apply()
    assert hand.is_live() and comparable(hand.agent()) == comparable(old)

    # Logged out: the two variables go.
    (hand.directory / "config.json").write_text('{"auths": {}}')
    hand.apply()
    assert "ECS_ENGINE_AUTH_DATA" not in environment(hand.agent())


def test_variables_of_the_file(hand):
    """As docker run --env-file reads them."""
    hand.start("--env", "GONE=stays")
    with open(hand.env_file, "a", encoding="utf-8") as f:
        f.write("  # a comment\n  ECS_LOGLEVEL=\"debug\" \nECS_CLUSTER=other\nNAME_ONLY\n")
    hand.login()
    hand.apply()
    env = environment(hand.agent())
    assert env["ECS_LOGLEVEL"] == '"debug" ' and env["ECS_CLUSTER"] == "other" and env["GONE"] == "stays"
    assert "NAME_ONLY" not in env


def test_a_network_of_its_own(hand):
    """There its introspection cannot be reached from here, and never could be: it is done, and said to be silent."""
    api = tuple(map(int, hand.docker("version", "--format", "{{.Server.APIVersion}}").split(".")))
    mac = ("--mac-address", "02:00:00:00:00:05") if api >= (1, 44) else ()
    priority = ("--gw-priority", "7") if api >= (1, 48) else ()
    hand.docker("network", "create", "own")
    hand.docker("network", "create", "second")
    try:
        hand.docker("create", "--name", "ecs-agent", "--network", "own", "--network-alias", "agent", "--hostname", "agent-1",
                    *mac, "--env-file", str(hand.env_file), IMAGE, "/agent")
        hand.docker("network", "connect", "--alias", "too", *priority, "second", "ecs-agent")
        hand.docker("start", "ecs-agent")
        before = hand.agent()
        hand.login()
        assert "has not registered with ECS" in hand.apply()
        after = hand.engine.running_agent()
        assert after["Id"] != before["Id"] and comparable(after) == comparable(before)
        for name, alias in (("own", "agent"), ("second", "too")):
            assert alias in after["NetworkSettings"]["Networks"][name]["Aliases"]
        own, second = (after["NetworkSettings"]["Networks"][name] for name in ("own", "second"))
        assert not mac or own["MacAddress"] == mac[1]
        assert not priority or second["GwPriority"] == int(priority[1])
        assert hand.names() == ["ecs-agent"]
    finally:
        hand.docker("rm", "-f", *hand.names())
        hand.docker("network", "rm", "own", "second")


@pytest.mark.parametrize("spelling", ["name", "full ID", "short ID", "name with a blank"])
def test_a_network_in_each_spelling(hand, spelling):
    """docker run takes the name of a network, its ID or the beginning of that. Address and alias stay."""
    name = "my net" if "blank" in spelling else "own"
    identity = hand.docker("network", "create", "--subnet", "10.213.7.0/24", name)
    hand.docker("network", "create", "second net")
    network = {"full ID": identity, "short ID": identity[:12]}.get(spelling, name)
    try:
        hand.docker("create", "--name", "ecs-agent", "--network", network, "--network-alias", "agent", "--ip", "10.213.7.77",
                    "--env-file", str(hand.env_file), IMAGE, "/agent")
        hand.docker("network", "connect", "--alias", "too", "second net", "ecs-agent")
        hand.docker("start", "ecs-agent")
        before = hand.agent()
        hand.login()
        hand.apply()
        after = hand.engine.running_agent()
        assert after and after["Id"] != before["Id"]
        own, second = (after["NetworkSettings"]["Networks"][n] for n in (name, "second net"))
        assert own["IPAddress"] == "10.213.7.77" and "agent" in own["Aliases"] and "too" in second["Aliases"]
        assert hand.names() == ["ecs-agent"]
    finally:
        hand.docker("rm", "-f", *hand.names())
        hand.docker("network", "rm", name, "second net")


@pytest.mark.parametrize("target", ["/data/", "/data//", "/var//lib/./data"])
def test_a_volume_whose_path_is_spelled_otherwise(hand, target):
    """Docker cleans the path, and refuses a second mount of it."""
    hand.start("-v", f"named:{target}")
    before = hand.agent()
    hand.login()
    assert "runs with the credentials of 1 registry" in hand.apply()
    after = hand.engine.running_agent()
    assert after["Id"] != before["Id"] and after["Mounts"][0]["Name"] == "named"
    hand.docker("rm", "-f", "ecs-agent")
    hand.docker("volume", "rm", "named")


def test_each_field_belongs_to_a_group(hand):
    """Each field that this engine shows is carried, changed, left out or refused on purpose: create-body-fields."""
    lines = [line.split() for line in (TOP / "tests/unit/agent/create-body-fields").read_text().splitlines() if line[0] != "#"]
    known = {object_: {field for o, field, *_ in lines if o == object_} for object_, *_ in lines}
    hand.docker("network", "create", "own")
    try:
        hand.docker("run", "-d", "--name", "ecs-agent", "--network", "own", IMAGE, "/agent")
        agent = hand.agent()
        shown = {"Config": agent["Config"], "HostConfig": agent["HostConfig"], "Endpoint": agent["NetworkSettings"]["Networks"]["own"]}
        assert {name: set(value) - known[name] for name, value in shown.items()} == {"Config": set(), "HostConfig": set(), "Endpoint": set()}
    finally:
        hand.docker("rm", "-f", "ecs-agent")
        hand.docker("network", "rm", "own")


def test_a_tag_that_has_moved(hand):
    hand.start()
    old = hand.agent()
    other = subprocess.run(["docker", "-H", f"unix://{hand.engine.socket}", "import", "-", "other:1"], check=True,
                           capture_output=True, input=b"\0" * 10240).stdout.decode().strip()
    hand.docker("tag", IMAGE, "keep:1")
    hand.docker("tag", other, IMAGE)
    try:
        hand.login()
        hand.apply()
        assert hand.agent()["Image"] == old["Image"]
    finally:
        hand.docker("tag", "keep:1", IMAGE)


def test_an_engine_that_refuses_changes_nothing(hand):
    """A mount that is not there any more: it shows when the new container is started, after the old one has stopped."""
    source = hand.directory / "source"
    source.mkdir()
    hand.start("--mount", f"type=bind,source={source},target=/mnt/x", "--restart", "always")
    old = hand.agent()
    source.rmdir()
    hand.login()
    said = hand.apply(expected=1)
    assert "The restart of ecs-agent was refused: The Docker Engine at" in said
    source.mkdir()
    wait_for(hand.engine.running_agent, 20, "the old container runs", hand.names)
    assert hand.agent()["Id"] == old["Id"] and comparable(hand.agent()) == comparable(old)
    assert hand.names() == ["ecs-agent"]


def test_a_stopped_one_is_not_started(hand):
    hand.start()
    hand.docker("stop", "ecs-agent")
    hand.login()
    assert "ecs-agent is stopped; left alone" in hand.apply()
    assert not hand.engine.running_agent()
    command = re.search("container ecs-agent does not run\n +-> docker (.*)", hand.check()).group(1)
    hand.docker(*command.split())
    assert "does not run" not in hand.check()


def test_one_that_removes_itself(hand):
    hand.start("--rm")
    old = hand.agent()
    hand.login()
    assert "it was started with --rm and would be gone before the new one runs; start it without" in hand.apply(expected=1)
    assert hand.engine.running_agent()["Id"] == old["Id"]
    hand.docker("rm", "-f", "ecs-agent")
    hand.start()
    assert "--rm" not in hand.apply() and hand.is_live()


def test_state_is_kept_with_the_options_that_check_names(hand):
    hand.env_file.write_text("ECS_CLUSTER=web\n")
    hand.start()
    variable, volume = re.search("ECS_DATADIR is not set.*\n +-> set (\\S+) in its environment, with --volume (\\S+), and recreate its container",
                                 hand.check()).groups()
    hand.env_file.write_text(f"ECS_CLUSTER=web\n{variable}\n")
    hand.docker("rm", "-f", "ecs-agent")
    hand.start("--volume", volume.replace("/var/lib/ecs/data", str(hand.directory)))  # this machine's own is not the test's
    assert "the agent keeps its state" in hand.check()


def test_killed_at_any_moment(hand):
    """The next run mends what is left, and there is one agent, with the newest credentials."""
    hand.start("--restart", "unless-stopped", "--stop-timeout", "1")
    first = comparable(hand.agent())
    interrupted = 0
    for milliseconds in range(20, 800, 40):
        hand.login()
        process = hand.popen("apply", Restart_UnsavedState="force")
        try:
            process.wait(milliseconds / 1000)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stderr.close()
        interrupted += hand.names() != ["ecs-agent"]
        hand.apply(Restart_UnsavedState="force")
        assert hand.is_live()
        wait_for(lambda: hand.names() == ["ecs-agent"], 10, "one agent is left", hand.names)
        assert comparable(hand.agent()) == first
    assert interrupted >= 2


def test_killed_while_the_old_one_ends(hand):
    """The engine goes on with the stop, whoever asked for it: the next run waits for its end before it starts it again."""
    hand.start("--restart", "always", "--env", "AGENT_STOP_SEC=3")
    old = hand.agent()
    hand.login()
    process = hand.popen("apply")
    wait_for(lambda: "ecs-agent.ecs-authd-previous" in hand.names(), 20, "it is about to be stopped", hand.names)
    time.sleep(0.3)  # the request that follows is on its way
    process.kill()
    process.wait()
    process.stderr.close()
    hand.apply()
    never(lambda: not hand.engine.running_agent(), 4, "the agent ends")
    assert hand.is_live() and comparable(hand.agent()) == comparable(old)
    assert hand.agent()["HostConfig"]["RestartPolicy"]["Name"] == "always"


def test_no_secret_is_said(hand):
    hand.start()
    auth = hand.login()
    said = hand.apply()
    assert hand.password not in said and auth not in said
