# SPDX-License-Identifier: Apache-2.0
"""Docker's CLI itself, with an engine that only records which credentials a pull sends."""

import base64
import http.server
import json
import os
import shutil
import socketserver
import subprocess
import threading

from agent_lookup import Auth

DOCKER = shutil.which("docker")


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.answer(b"OK")

    def do_GET(self):
        self.answer(b"{}")

    def do_POST(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/images/create" in self.path:
            self.server.auth = self.headers.get("X-Registry-Auth", "")
        self.answer(b'{"status":"done"}\n')

    def answer(self, body):
        self.send_response(200)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_):
        pass


class DockerCli:
    def __init__(self, directory):
        self.socket = directory / "engine.sock"
        self.server = socketserver.ThreadingUnixStreamServer(str(self.socket), _Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def pull(self, config, image, helpers):
        """The credentials that 'docker pull' sends; None: none. config: the directory of config.json."""
        self.server.auth = None
        result = subprocess.run([DOCKER, "--config", str(config), "-H", f"unix://{self.socket}", "pull", "-q", image],
                                env={"PATH": f"{helpers}:/usr/bin:/bin", "HOME": str(config)}, check=False, text=True,
                                capture_output=True, timeout=60)
        assert self.server.auth is not None, result.stderr
        sent = json.loads(base64.urlsafe_b64decode(self.server.auth + "==") or b"{}")
        auth = Auth(sent.get("username", ""), sent.get("password", ""), sent.get("identitytoken", ""))
        return auth if auth != Auth() else None


def login(config, registry, user, password, helpers="/usr/bin"):
    """docker login, without an engine."""
    result = subprocess.run([DOCKER, "--config", str(config), "login", "-u", user, "--password-stdin", *([registry] if registry else [])],
                            input=password, env={"PATH": f"{helpers}:/usr/bin:/bin", "HOME": str(config),
                                                 "DOCKER_HOST": f"unix://{config}/none.sock"},
                            check=False, text=True, capture_output=True, timeout=60)
    assert result.returncode == 0, result.stderr
