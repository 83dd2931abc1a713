# SPDX-License-Identifier: Apache-2.0
"""ecs-authd proxy on a real engine and a real registry: the agent's requests go through it, pulls with the current credentials."""

import json
import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from host_parts import ECS_AUTHD, end, run, wait_for

IMAGE = "amazon/amazon-ecs-agent:latest"


class Proxy:
    """The proxy with the socket that systemd would hand over, and a client that speaks as the agent does."""

    def __init__(self, directory, engine, registry):
        self.directory, self.engine, self.registry = directory, engine, registry
        self.file, self.socket = directory / "config.json", directory / "proxy.sock"
        self.process = None

    def start(self):
        with open(self.directory / "log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                ["systemd-socket-activate", "-l", str(self.socket), "-E", f"RUNTIME_DIRECTORY={self.directory}", "-E", f"HOME={self.directory}",
                 str(ECS_AUTHD), "--config", os.devnull, "-o", f"Credentials.File={self.file}", "-o", f"Agent.DockerSocket={self.engine.socket}",
                 "proxy"], stderr=log, stdin=subprocess.DEVNULL)
        wait_for(self.socket.exists, 10, "the socket is there")

    def log(self):
        return (self.directory / "log").read_text()

    def login(self, entries):
        self.write({"auths": entries})

    def write(self, content):
        new = self.directory / "new.json"
        new.write_text(json.dumps(content))
        new.chmod(0o600)
        new.rename(self.file)

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(str(self.socket))
        return s

    def ask(self, head, body=b""):
        """One request; the whole answer."""
        with self.connect() as s:
            s.sendall(head.replace("\n", "\r\n").encode() + body)
            answer = b""
            while data := s.recv(65536):
                answer += data
            return answer.decode(errors="replace")

    def pull(self, name):
        """The call of the agent that pulls; without credentials, its header has an empty AuthConfig."""
        host, _, path = name.partition("/")
        return self.ask(f"POST /images/create?fromImage={host.replace(':', '%3A')}%2F{path}&tag=1 HTTP/1.1\nHost: docker\n"
                        "User-Agent: Go-http-client/1.1\nContent-Length: 0\nX-Registry-Auth: e30=\n\n")


@pytest.fixture(name="proxy")
def make_proxy(tmp_path, engine, registry):
    p = Proxy(tmp_path, engine, registry)
    p.start()
    yield p
    end(p.process)


@pytest.fixture(name="image")
def push_image(tmp_path, engine, registry):
    """A private image; gives its name, and removes it from the engine."""
    name = f"{registry.name}/team/app"
    config = tmp_path / "pusher"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"auths": {registry.name: {"auth": registry.entry()}}}))
    engine.docker("tag", IMAGE, f"{name}:1")
    run("docker", "--config", str(config), "-H", f"unix://{engine.socket}", "push", "-q", f"{name}:1")
    engine.docker("rmi", f"{name}:1")
    yield name
    subprocess.run(["docker", "-H", f"unix://{engine.socket}", "rmi", f"{name}:1"], check=False, capture_output=True)


def test_a_pull_has_the_current_credentials(proxy, registry, image):
    proxy.login({registry.name: {"auth": registry.entry()}})
    assert "Downloaded newer image" in proxy.pull(image)
    assert f"Pull of {image}: with credentials" in proxy.log()
    proxy.engine.docker("rmi", f"{image}:1")
    registry.new_password()
    assert "unauthorized" in proxy.pull(image)
    proxy.login({registry.name: {"auth": registry.entry()}})
    assert "Downloaded newer image" in proxy.pull(image)
    assert registry.password not in proxy.log()


def test_the_key_with_the_longest_path(proxy, registry, image):
    wrong = {"auth": "d3Jvbmc6d3Jvbmc="}
    proxy.login({registry.name: wrong, f"{registry.name}/team": {"auth": registry.entry()}, f"{registry.name}/tea": wrong,
                 f"{registry.name}/team/app2": wrong})
    assert "Downloaded newer image" in proxy.pull(image)


def test_another_port_gets_no_credentials(proxy, registry, image):
    """Neither does a host that only begins with the name."""
    proxy.login({"127.0.0.1": {"auth": registry.entry()}, f"{registry.name}9": {"auth": registry.entry()}})
    assert "no basic auth credentials" in proxy.pull(image)
    assert f"Pull of {image}: without credentials: no login covers it" in proxy.log()


def test_a_broken_file(proxy, image):
    proxy.file.write_text("{")
    proxy.file.chmod(0o600)
    assert "no basic auth credentials" in proxy.pull(image)
    assert "not valid JSON" in proxy.log() and f"Pull of {image}: without credentials, because a source" in proxy.log()


def test_other_requests(proxy):
    """A list, a stream with an upgrade (docker attach), and a body in pieces."""
    assert "HTTP/1.1 200 OK" in proxy.ask("GET /containers/json HTTP/1.1\nHost: docker\n\n")
    docker = ["docker", "-H", f"unix://{proxy.socket}"]
    subprocess.run([*docker, "run", "-d", "--name", "through", "--network", "host", IMAGE, "/agent", "task"], check=True, capture_output=True)
    try:
        with subprocess.Popen([*docker, "attach", "--sig-proxy=false", "through"], stdin=subprocess.DEVNULL) as attached:
            wait_for(lambda: "through" in subprocess.run([*docker, "ps"], capture_output=True, text=True, check=True).stdout, 10, "it runs")
            subprocess.run([*docker, "kill", "through"], check=True, capture_output=True)
            assert attached.wait(30) == 137
        image = subprocess.run([*docker, "save", IMAGE], check=True, capture_output=True).stdout
        assert b"Loaded image" in subprocess.run([*docker, "load"], input=image, check=True, capture_output=True).stdout
    finally:
        subprocess.run([*docker, "rm", "-f", "through"], check=True, capture_output=True)


def test_hostile_clients_block_nobody(proxy):
    slow = [proxy.connect() for _ in range(20)]
    for n, s in enumerate(slow):
        s.sendall([b"", b"GET", b"\0\xff" * 100, b"GET / HTTP/1.1\r\nX: " + b"a" * 100000][n % 4])
    assert "HTTP/1.1 200 OK" in proxy.ask("GET /_ping HTTP/1.1\nHost: docker\n\n")
    for s in slow:
        s.close()


def test_a_request_outlives_the_listener(proxy):
    """KillMode=process of the unit: an upgrade ends the listener alone."""
    with proxy.connect() as s:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert b"200 OK" in s.recv(4096)
        end(proxy.process)
        proxy.engine.docker("run", "-d", "--name", "after", "--network", "host", IMAGE, "/agent", "task")
        try:
            data = b""
            while b'"start"' not in data:
                data += s.recv(65536)
        finally:
            proxy.engine.docker("rm", "-f", "after")


def test_events_since_the_last_connection(proxy):
    """The end of a task between two connections is not missed."""
    proxy.engine.docker("run", "-d", "--name", "task", "--network", "host", IMAGE, "/agent", "task")
    with proxy.connect() as s:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        assert b"200 OK" in s.recv(4096)
    proxy.engine.docker("rm", "-f", "task")
    with proxy.connect() as s:
        s.sendall(b"GET /events HTTP/1.1\r\nHost: docker\r\n\r\n")
        data = b""
        while b'"die"' not in data:
            data += s.recv(65536)


def test_docker_is_down(proxy, engine):
    engine.stop()
    try:
        with pytest.raises(OSError):
            assert proxy.ask("GET /_ping HTTP/1.1\nHost: docker\n\n") == ""
            raise ConnectionError("closed")
    finally:
        engine.start()
    assert "HTTP/1.1 200 OK" in proxy.ask("GET /_ping HTTP/1.1\nHost: docker\n\n")


HELPER = """#!/bin/sh
read -r server
[ "$server" = %s ] || { echo credentials not found in native keychain; exit 1; }
[ ! -e %s/fail ] || { echo locked >&2; exit 1; }
printf '{"Username":"%s","Secret":"%s"}'
"""


def test_a_helper(proxy, registry, image):
    """It is asked at the moment of the pull, by the name of the registry. Its failure costs its own pull, and no other request."""
    program = Path(f"/usr/local/bin/docker-credential-proxy-{os.getpid()}")
    program.write_text(HELPER % (registry.name, proxy.directory, registry.user, registry.password))
    program.chmod(0o755)
    name = program.name.removeprefix("docker-credential-")
    try:
        for text in ({"credHelpers": {registry.name: name}}, {"credsStore": name}):
            proxy.write(text)
            assert "Downloaded newer image" in proxy.pull(image)
            proxy.engine.docker("rmi", f"{image}:1")
        (proxy.directory / "fail").touch()
        assert "no basic auth credentials" in proxy.pull(image)
        said = re.search(r"By hand \(this prints the secret\): (.*)", proxy.log()).group(1)
        assert "locked" in subprocess.run(["sh", "-c", said], capture_output=True, text=True, check=False).stderr
        (proxy.directory / "fail").unlink()
        assert "Downloaded newer image" in proxy.pull(image)
        assert registry.password not in proxy.log()
    finally:
        program.unlink()


def test_without_a_socket(proxy):
    result = subprocess.run([ECS_AUTHD, "--config", os.devnull, "proxy"], capture_output=True, text=True, check=False, timeout=10)
    assert result.returncode == 1 and "systemd-socket-activate -l PATH" in result.stderr
    assert "HTTP/1.1 200 OK" in proxy.ask("GET /_ping HTTP/1.1\nHost: docker\n\n")
