# SPDX-License-Identifier: Apache-2.0
"""What the program that is installed was built with, what its unit may do, and what the drop-ins of packaging/recipes add."""

import json
import re
import socketserver
import subprocess
import threading

import pytest
from hardening import CHECKS, CannotTell
from host_parts import ECS_AUTHD, TOP, entry_of, run, wait_for

RECIPES = TOP / "packaging" / "recipes"
UNIT = "/etc/systemd/system/ecs-authd.service.d"
ELSEWHERE = "192.0.2.1"  # of a network for documentation: no host's own


@pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)
def test_built_with(check):
    try:
        assert check(ECS_AUTHD)
    except CannotTell:
        pytest.skip("the program does not show it")


# --- the unit ---


@pytest.fixture(scope="module")
def host(make_host):
    h = make_host()
    h.write("/etc/ecs/ecs.config", "ECS_CLUSTER=web\n", 0o600)
    h.write("/root/.docker/config.json", credential_file("first"), 0o600)
    h.boot()
    h.shell(f"install -d {UNIT} && useradd --create-home --uid 1000 alice")
    yield h
    h.power_off()


def credential_file(password):
    return json.dumps({"auths": {"registry.example": {"auth": entry_of("robot", password)}}})


def written(host, password):
    return entry_of("robot", password) in host.read("/etc/ecs/ecs.config")


def wait_written(host, password):
    wait_for(lambda: written(host, password), 20, f"{password} is written", host.tail)


@pytest.fixture
def drop_in(host):
    """Gives the unit a drop-in, by its name in packaging/recipes, until the test ends."""
    def add(name):
        host.put(f"{UNIT}/{name}", (RECIPES / name).read_text())
        host.run("systemctl", "daemon-reload")
        host.restart_daemon()

    yield add
    host.shell(f"rm -f {UNIT}/*.conf")
    host.run("systemctl", "daemon-reload")
    host.restart_daemon()


def test_exposure(host):
    verdict = host.run("systemd-analyze", "security", "--no-pager", "ecs-authd.service").splitlines()[-1]
    exposure = float(verdict.split("ecs-authd.service:")[1].split()[0])
    assert exposure <= 1.5, verdict


def test_systemd_takes_every_line_of_the_unit(host):
    host.run("mkdir", "-p", "/usr/share/man")
    result = subprocess.run(host.command("systemd-analyze", "verify", "--man=no", "ecs-authd.service"), check=False,
                            capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_is_left_open_is_explained(host):
    """Each setting that systemd-analyze names stands in the unit's own comment, with the reason."""
    unit = host.run("systemctl", "cat", "ecs-authd")
    comment = unit[unit.index("why it is open"):]
    for line in host.run("systemd-analyze", "security", "--no-pager", "ecs-authd.service").splitlines():
        if line.startswith(("✗", "-")):
            name = re.split(r"[=~/]", line.split()[1])[0]
            assert f"{name}=" in comment or name == "RestrictAddressFamilies" and "AF_UNIX:" in comment, line


def test_processes_have_no_capability(host):
    status = host.shell("cat /proc/$(systemctl show -P MainPID ecs-authd)/status")
    assert re.search(r"^CapEff:\s+0+$", status, re.M) and re.search(r"^CapBnd:\s+0+$", status, re.M)


# --- files of others ---


def put_environment_file(host, owner, mode):
    """As configuration management does it: with its owner from the start."""
    host.shell(f"cd /etc/ecs && echo ECS_CLUSTER=web > new && chown {owner} new && chmod {mode} new && mv new ecs.config")


@pytest.mark.parametrize("owner, mode", [("1234:5678", "600"), ("1234:5678", "644"), ("0:1000", "640")])
def test_environment_file_of_another_owner(host, drop_in, owner, mode):
    """It keeps its owner: without the drop-in nothing is written, and the error says what to do; with it, it is."""
    since = host.cursor()
    put_environment_file(host, owner, mode)
    said = host.wait_said("It has another owner or group than this process", since)["MESSAGE"]
    assert "chown" in said and "ecs-authd(8), PRIVILEGES" in said
    assert host.read("/etc/ecs/ecs.config") == "ECS_CLUSTER=web\n"

    drop_in("another-owner.service.conf")
    wait_written(host, "first")
    assert host.run("stat", "--format=%u:%g %a", "/etc/ecs/ecs.config").strip() == f"{owner} {mode}"
    assert host.shell("ls -A /etc/ecs").split() == ["ecs.config"]

    since = host.cursor()
    put_environment_file(host, "0:0", 600)
    host.wait_said("they are back", since)


def test_environment_file_that_is_given_to_root(host):
    """The other cure that the error names."""
    since = host.cursor()
    put_environment_file(host, "1234:5678", 600)
    host.wait_said("It has another owner or group than this process", since)
    host.run("chown", "root:root", "/etc/ecs/ecs.config")
    wait_written(host, "first")


def test_directory_of_another_owner(host, drop_in):
    """Both fixes that the error names, the drop-in first."""
    for fix in (lambda: drop_in("another-owner.service.conf"), lambda: host.run("chown", "root:root", "/etc/ecs")):
        since = host.cursor()
        host.shell("chown 1234:1234 /etc/ecs; sed -i /ECS_ENGINE_AUTH/d /etc/ecs/ecs.config")
        said = host.wait_said("Its directory has another owner than this process", since)["MESSAGE"]
        assert "make it root:root (chown)" in said and "ecs-authd(8), PRIVILEGES" in said
        fix()
        wait_written(host, "first")
        host.shell(f"chown root:root /etc/ecs; rm -f {UNIT}/*.conf; systemctl daemon-reload")
        host.restart_daemon()


@pytest.mark.parametrize("directory, says", [("/home/alice/.docker", "there is no such file"),
                                             ("/srv/alice", "cannot be read: Permission denied")])
def test_credential_file_of_another_user(host, drop_in, directory, says):
    """docker login by a user who is in the group of the Docker socket."""
    password = f"of {directory}"
    host.shell(f"install -d -o alice -g alice -m 700 {directory}")
    host.put(f"{directory}/config.json", credential_file(password))
    host.shell(f"chown alice:alice {directory}/config.json; chmod 600 {directory}/config.json")
    before = host.read("/etc/ecs/ecs.config")
    host.put("/etc/ecs-authd.conf.d/50-alice.conf", f"[Credentials]\nFile={directory}/config.json\n")
    since = host.cursor()
    host.run("systemctl", "reload", "ecs-authd")
    said = host.wait_said(f"{directory}/config.json: {says}", since)["MESSAGE"]
    assert "ecs-authd(8), PRIVILEGES" in said
    assert host.read("/etc/ecs/ecs.config") == before

    drop_in("home.service.conf")
    wait_written(host, password)
    host.run("rm", "/etc/ecs-authd.conf.d/50-alice.conf")


# --- helpers ---


@pytest.fixture
def elsewhere():
    """An address that is not localhost, where a server gives what helpers ask for; its port."""
    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True

    class Handler(socketserver.StreamRequestHandler):
        def handle(self):
            self.wfile.write(json.dumps({"Username": "robot", "Secret": "from elsewhere"}).encode())

    run("ip", "address", "add", f"{ELSEWHERE}/32", "dev", "lo")
    try:
        with Server((ELSEWHERE, 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield server.server_address[1]
            server.shutdown()
    finally:
        run("ip", "address", "del", f"{ELSEWHERE}/32", "dev", "lo")


def test_helper_that_needs_the_network(host, drop_in, elsewhere):
    host.put("/usr/local/bin/docker-credential-far", f"#!/bin/bash\ncat < /dev/tcp/{ELSEWHERE}/{elsewhere}\n")
    host.run("chmod", "755", "/usr/local/bin/docker-credential-far")
    host.put("/etc/ecs-authd.conf.d/50-far.conf", "[Credentials]\nHelperTimeoutSec=1s\n")
    host.run("systemctl", "reload", "ecs-authd")
    since = host.cursor()
    host.put("/root/.docker/config.json", '{"credHelpers": {"far.example": "far"}}')
    said = host.wait_said("far.example from docker-credential-far: it did not answer", since)["MESSAGE"]
    assert "It has no network here but this host: ecs-authd(8), PRIVILEGES" in said
    assert not written(host, "from elsewhere")

    drop_in("network.service.conf")
    wait_written(host, "from elsewhere")


def test_helper_that_fails_with_the_network(host, drop_in):
    """It is told that it has none only where that is so."""
    host.put("/usr/local/bin/docker-credential-sad", "#!/bin/sh\necho sad >&2\nexit 1\n")
    host.run("chmod", "755", "/usr/local/bin/docker-credential-sad")
    drop_in("network.service.conf")
    since = host.cursor()
    host.put("/root/.docker/config.json", '{"credHelpers": {"sad.example": "sad"}}')
    assert "network" not in host.wait_said("sad.example from docker-credential-sad: it failed", since)["MESSAGE"]


def test_helper_that_limits_itself(host):
    """A limit can be lowered, @resources or not."""
    host.put("/usr/local/bin/docker-credential-small", '#!/bin/sh\nulimit -v 100000 && ulimit -n 50 || exit 1\n'
             'printf \'{"Username":"robot","Secret":"small %s"}\' "$(ulimit -v)"\n')
    host.run("chmod", "755", "/usr/local/bin/docker-credential-small")
    host.put("/root/.docker/config.json", '{"credHelpers": {"small.example": "small"}}')
    wait_written(host, "small 100000")


def test_helper_that_takes_all_memory(host):
    """It is killed; the daemon, and what it has, stay."""
    if "memory" not in host.read("/sys/fs/cgroup/cgroup.controllers").split():
        pytest.skip("this host has no memory controller")
    host.put("/usr/local/bin/docker-credential-fat", "#!/bin/sh\nexec tail /dev/zero\n")
    host.run("chmod", "755", "/usr/local/bin/docker-credential-fat")
    pid, since = host.property("ecs-authd", "MainPID"), host.cursor()
    host.put("/root/.docker/config.json", '{"credHelpers": {"fat.example": "fat"}}')
    host.wait_said("fat.example from docker-credential-fat: it failed", since, 60)
    assert host.property("ecs-authd", "MainPID") == pid
    assert host.property("ecs-authd", "ActiveState") == "active"
