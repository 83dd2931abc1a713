# SPDX-License-Identifier: Apache-2.0
"""The three programs that read ecs.config, each as it does it; and Docker's CLI itself. systemd itself reads in tests/host."""

import http.server
import json
import socketserver
import subprocess
import threading

DOCKER_LINE_MAX = 65535  # bufio.Scanner's buffer, less the newline


class Refused(Exception):
    """The reader takes nothing of the file."""


def ecs_init(data):
    """amazon-ecs-agent, ecs-init/docker/docker.go, getEnvVars: trim all, split into lines, trim each, split at the first
    "=". No comments, no quotes, no escapes; the last assignment of a key counts."""
    pairs = (line.strip().partition("=") for line in data.decode(errors="surrogateescape").strip().split("\n"))
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def docker_env_file(data):
    """docker/cli, cli/compose and opts/file.go: "#" begins a comment, leading blanks are dropped, and nothing else is
    changed; a name without "=" is taken from the CLI's own environment."""
    found = {}
    for line in data.decode(errors="surrogateescape").split("\n"):
        if len(line.encode(errors="surrogateescape")) > DOCKER_LINE_MAX:
            raise Refused("token too long")
        line = line.removesuffix("\r").lstrip(" \t\r\v\f")
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.partition("=")
        if not key or any(c in key for c in " \t\r\v\f"):
            raise Refused(f"bad name: {key!r}")
        if equals:
            found[key] = value
    return found


def systemd(data):
    """systemd, src/basic/env-file.c, as a machine of its states."""
    found = {}
    key, value, state = "", "", "before key"
    kept = 0  # what stands before the blanks at the end of an unquoted value

    def assign():
        found[key.rstrip(" \t")] = value[:kept]

    for c in data.decode(errors="surrogateescape") + "\n":
        newline = c in "\n\r"
        if state == "before key":
            if c in "#;":
                state = "comment"
            elif c not in " \t\n\r":
                key, value, kept, state = c, "", 0, "key"
        elif state == "key":
            if newline:
                state = "before key"
            elif c == "=":
                state = "before value"
            else:
                key += c
        elif state in ("before value", "value"):
            if newline:
                assign()
                state = "before key"
            elif c == "\\":
                state = "escape"
            elif state == "before value" and c in "'\"":
                state = "single" if c == "'" else "double"
            elif state == "before value" and c in " \t":
                pass
            else:
                value += c
                if c not in " \t":
                    kept = len(value)
                state = "value"
        elif state == "escape":
            state = "value"
            if not newline:
                value += c
                kept = len(value)
        elif state == "single":
            if c == "'":
                state = "before value"
            else:
                value += c
                kept = len(value)
        elif state == "double":
            if c == '"':
                state = "before value"
            elif c == "\\":
                state = "double escape"
            else:
                value += c
                kept = len(value)
        elif state == "double escape":
            state = "double"
            if c in '"\\`$':
                value += c
            elif not newline:
                value += "\\" + c
            kept = len(value)
        elif state == "comment":
            state = "comment escape" if c == "\\" else "before key" if newline else state
        elif state == "comment escape":
            state = "comment"
    if state in ("single", "double", "double escape"):
        assign()
    return found


class _Handler(http.server.BaseHTTPRequestHandler):
    """As much of the engine as "docker create" asks for."""

    def do_HEAD(self):
        self.answer(200, None)

    def do_GET(self):
        self.answer(200, None)

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if "/containers/create" in self.path:
            self.server.environment = json.loads(body)["Env"]
        self.answer(201, {"Id": "0" * 64, "Warnings": []})

    def answer(self, status, body):
        data = json.dumps(body).encode() if body else b"OK"
        self.send_response(status)
        self.send_header("Api-Version", "1.41")
        self.send_header("Content-Type", "application/json" if body else "text/plain")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *_):
        pass


class RealDocker:
    """The real CLI reads the file; what it makes of it is in the request that it sends to an engine."""

    def __init__(self, directory):
        self.socket = directory / "docker.sock"
        self.file = directory / "env"
        self.server = socketserver.ThreadingUnixStreamServer(str(self.socket), _Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def __call__(self, data):
        self.file.write_bytes(data)
        self.server.environment = None
        result = subprocess.run(["docker", "-H", f"unix://{self.socket}", "create", "--env-file", str(self.file), "image"],
                                env={"PATH": "/usr/bin:/bin", "HOME": str(self.file.parent)}, check=False, text=True,
                                capture_output=True)
        if self.server.environment is None:
            raise Refused(result.stderr)
        return dict(variable.split("=", 1) for variable in self.server.environment)


READERS = {"ecs-init": ecs_init, "systemd": systemd, "docker --env-file": docker_env_file}
