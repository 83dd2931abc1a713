# SPDX-License-Identifier: Apache-2.0
"""Recipes of packaging/recipes in a real unit: its drop-ins, and a helper within its sandbox."""

import base64
import http.server
import json
import threading

import pytest

from host_parts import TOP, entry_of, wait_for

RECIPES = TOP / "packaging" / "recipes"
UNIT = "/etc/systemd/system/ecs-authd.service.d"


@pytest.fixture(scope="module")
def host(make_host):
    h = make_host(("curl", "jq", "openssl"))
    h.write("/etc/ecs/ecs.config", "ECS_CLUSTER=stand-in\n", 0o600)
    h.boot()
    h.shell(f"install -d -m 700 /etc/ecs-authd && install -d {UNIT} && useradd --create-home --uid 1000 alice")
    yield h
    h.power_off()


def install(host, name, target):
    host.put(target, (RECIPES / name).read_text())


def credential_file(registry, password):
    return json.dumps({"auths": {registry: {"auth": entry_of("robot", password)}}})


def wait_entry(host, registry, password):
    wait_for(lambda: entry_of("robot", password) in host.read("/etc/ecs/ecs.config"), 20, f"{password} is written", host.tail)


def encrypt(host, text, name="docker"):
    host.run("systemd-creds", "encrypt", f"--name={name}", "-", "/etc/ecs-authd/docker.cred", input=text)


def test_systemd_credentials(host):
    encrypt(host, credential_file("registry.example", "first"))
    install(host, "systemd-credentials.service.conf", f"{UNIT}/credentials.conf")
    install(host, "systemd-credentials.conf", "/etc/ecs-authd.conf.d/50-systemd-credentials.conf")
    host.run("systemctl", "daemon-reload")
    host.restart_daemon()
    wait_entry(host, "registry.example", "first")
    assert "registry.example" in host.run("ecs-authd", "render")
    assert host.run("stat", "--format=%a", "/run/credentials/ecs-authd.service/docker").strip() == "400"


def test_new_systemd_credential_needs_a_restart(host):
    encrypt(host, credential_file("registry.example", "second"))
    host.run("systemctl", "reload", "ecs-authd")
    assert entry_of("robot", "first") in host.read("/etc/ecs/ecs.config")
    host.restart_daemon()
    wait_entry(host, "registry.example", "second")


def test_systemd_credential_that_cannot_be_decrypted(host):
    """The unit does not start; the lines stay as they are."""
    encrypt(host, credential_file("registry.example", "third"), name="other")
    host.run("systemctl", "restart", "ecs-authd", check=False)
    assert "CREDENTIALS" in host.run("systemctl", "status", "ecs-authd", check=False)
    assert entry_of("robot", "second") in host.read("/etc/ecs/ecs.config")
    encrypt(host, credential_file("registry.example", "third"))
    host.restart_daemon()
    wait_entry(host, "registry.example", "third")
    host.shell(f"rm {UNIT}/credentials.conf /etc/ecs-authd.conf.d/50-systemd-credentials.conf")


def podman_login(host, path, password):
    """As podman does it: as the user, for nobody else, by rename."""
    host.run("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "sh", "-c",
             'umask 077; mkdir -p "${1%/*}" && cat > "$1.new" && mv "$1.new" "$1"', "sh", path,
             input=credential_file("registry.example", password))


def test_rootless_podman(host):
    install(host, "podman.service.conf", f"{UNIT}/podman.conf")
    install(host, "podman.conf", "/etc/ecs-authd.conf.d/50-podman.conf")
    host.run("systemctl", "daemon-reload")
    host.restart_daemon()
    podman_login(host, "/run/user/1000/containers/auth.json", "fourth")
    wait_entry(host, "registry.example", "fourth")
    podman_login(host, "/run/user/1000/containers/auth.json", "fifth")
    wait_entry(host, "registry.example", "fifth")
    assert host.run("stat", "--format=%U %a", "/run/user/1000/containers/auth.json").strip() == "alice 600"


def test_rootless_podman_in_the_home_directory(host):
    host.put("/etc/ecs-authd.conf.d/50-podman.conf", "[Credentials]\nFile=/home/alice/.config/containers/auth.json\n")
    host.shell(f"rm {UNIT}/podman.conf")
    install(host, "home.service.conf", f"{UNIT}/home.conf")
    host.run("systemctl", "daemon-reload")
    host.restart_daemon()
    podman_login(host, "/home/alice/.config/containers/auth.json", "sixth")
    wait_entry(host, "registry.example", "sixth")


class GitHub(http.server.BaseHTTPRequestHandler):
    """As much of api.github.com as the helper asks for."""

    def do_POST(self):  # pylint: disable=invalid-name
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        parts = self.headers["Authorization"].removeprefix("Bearer ").split(".")
        good = len(parts) == 3 and json.loads(asked) == {"permissions": {"packages": "read"}}
        body = json.dumps({"token": "ghs_first"} if good else {"message": "Bad credentials"}).encode()
        self.send_response(201 if good else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):  # pylint: disable=arguments-differ
        pass


def test_helper_in_the_sandbox_of_the_unit(host):
    """The real curl, openssl and jq; only GitHub is none."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host.put("/usr/local/bin/docker-credential-github-app", (RECIPES / "docker-credential-github-app").read_text())
    host.run("chmod", "755", "/usr/local/bin/docker-credential-github-app")
    host.shell("openssl genrsa -out /etc/ecs-authd/github-app.pem 2048 && chmod 600 /etc/ecs-authd/github-app.pem")
    install(host, "github-app.conf", "/etc/ecs-authd.conf.d/50-github-app.conf")
    host.put("/etc/ecs-authd.conf.d/60-github-app.conf", "[Credentials]\nFile=\nFile=/root/.docker/config.json\n"
             f"HelperEnvironment=GITHUB_API_URL=http://127.0.0.1:{server.server_port}\n")
    host.shell("mkdir -p /root/.docker")
    host.put("/root/.docker/config.json", '{"credHelpers": {"ghcr.io": "github-app"}}')
    host.run("systemctl", "reload", "ecs-authd")
    wait_for(lambda: base64.b64encode(b"x-access-token:ghs_first").decode() in host.read("/etc/ecs/ecs.config"), 20,
             "the token is written", host.tail)
    server.shutdown()
