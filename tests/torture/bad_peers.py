# SPDX-License-Identifier: Apache-2.0
"""What answers ecs-authd and does not mean well: servers that are silent, drip, flood or lie, and credential helpers likewise."""

import os
import socket
import threading
from pathlib import Path

from standin import docker_engine

HEAD = b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n"
OPEN_END = HEAD + b"Connection: close\r\n\r\n"


def with_length(body):
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


# --- what a server does with a connection: (connection, over: Event) ---

def is_silent(connection, over):
    over.wait()


def drips(text):
    def behave(connection, over):
        for byte in text * 100:
            if over.wait(0.5):
                return
            connection.sendall(bytes([byte]))
    return behave


def floods(head, block):
    def behave(connection, over):
        connection.sendall(head)
        data = block * (65536 // len(block))
        while not over.is_set():
            connection.sendall(data)
    return behave


def says(text, then_waits=False):
    def behave(connection, over):
        connection.sendall(text() if callable(text) else text)
        if then_waits:
            over.wait()
    return behave


def says_long(first, block, last, size=8 * 1024 * 1024 - 1024):
    """A whole answer of that size, which this process never holds: its own memory is what it can measure from."""
    def behave(connection, over):
        count = size // len(block)
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % (len(first) + count * len(block) + len(last)) + first)
        while count > 0 and not over.is_set():
            n = min(count, 65536 // len(block))
            connection.sendall(block * n)
            count -= n
        connection.sendall(last)
    return behave


HTTP = {
    "silent": is_silent,
    "closes": says(b""),
    "drips": drips(OPEN_END),
    "drips a body": lambda connection, over: (connection.sendall(OPEN_END), drips(b"[ ")(connection, over)),
    "floods": floods(OPEN_END, b"[1234567,"),
    "floods headers": floods(HEAD, b"X-Header: value\r\n"),
    "one endless header": floods(HEAD + b"X-Header: ", b"x"),
    "garbage": says(lambda: os.urandom(65536)),
    "breaks off": says(HEAD + b"Content-Length: 100000\r\n\r\n[{", then_waits=True),
    "brackets": says(with_length(b"[" * 100_000)),
    "8 MB of objects": says_long(b"[", b"{},", b"{}]"),
    "8 MB of one string": says_long(b'["', b"x" * 64, b'"]'),
    "other types": says(with_length(b'{"Id": [], "State": "x", "Config": 1, "Tasks": {}, "ContainerInstanceArn": 7}')),
    "error 500": says(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
}

EVENTS = {
    "silent": is_silent,
    "closes": says(b""),
    "drips": drips(b'{"Type":"container"}\n'),
    "floods events": floods(OPEN_END, b'{"Type":"container","Action":"start","Actor":{"Attributes":{"name":"x"}}}\n'),
    "floods one line": floods(OPEN_END, b"x"),
    "garbage": says(lambda: os.urandom(65536)),
    "brackets": says(OPEN_END + b"[" * 100_000 + b"\n", then_waits=True),
}


def authenticates(and_then):
    """D-Bus up to the first message: the server's half of the SASL conversation."""
    def behave(connection, over):
        connection.settimeout(5)
        said = b""
        while b"BEGIN" not in said:
            data = connection.recv(4096)
            if not data:
                return
            said += data
            if b"AUTH" in data:
                connection.sendall(b"OK 0123456789abcdef0123456789abcdef\r\n")
            if b"NEGOTIATE_UNIX_FD" in data:
                connection.sendall(b"AGREE_UNIX_FD\r\n")
        connection.settimeout(None)
        and_then(connection, over)
    return behave


# The head of a message with a body of 100 MB.
LONG_MESSAGE = b"l\2\1\1" + (100 * 1024 * 1024).to_bytes(4, "little") + b"\1\0\0\0\0\0\0\0"

BUS = {
    "silent": is_silent,
    "closes": says(b""),
    "drips": drips(b"OK 0123456789abcdef0123456789abcdef\r\n"),
    "floods": floods(b"", b"x"),
    "garbage": says(lambda: os.urandom(65536)),
    "silent after the login": authenticates(is_silent),
    "closes after the login": authenticates(says(b"")),
    "floods after the login": authenticates(floods(b"", b"l\4\1\1")),
    "a long message": authenticates(floods(LONG_MESSAGE, b"\0")),
    "garbage after the login": authenticates(says(lambda: os.urandom(65536), then_waits=True)),
}


class Server:
    """Does that to everybody who connects. Listens on the path of a Unix socket, or on a port of localhost."""

    def __init__(self, behave, path=None):
        self.behave = behave
        self.over = threading.Event()
        self.connections = []
        if path:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.bind(str(path))
        else:
            self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.listen(64)
        self.url = None if path else f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        serve(connection, self.behave, self.over)

    def close(self):
        self.over.set()
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.connections:
            connection.close()


def serve(connection, behave, over):
    try:
        behave(connection, over)
        connection.shutdown(socket.SHUT_WR)
        over.wait(1)  # a reset would take back what was said
        connection.close()
    except OSError:
        pass  # the other end has gone


def spoil_events(engine, behave, over):
    """The stand-in for Docker, good but for its stream of events."""
    class Handler(docker_engine.Handler):
        def stream_events(self, _engine):
            self.close_connection = True
            serve(self.connection, behave, over)

    engine.server.RequestHandlerClass = Handler


# --- credential helpers ---

ANSWER = """printf '{"Username":"user","Secret":"secret"}'"""

HELPERS = {
    "hangs": "exec sleep 1000",
    "does not end": "trap '' HUP TERM INT; while :; do sleep 1; done",
    "drips": "while :; do printf '{'; sleep 0.5; done",
    "floods": "exec cat /dev/zero",
    "100 MB": "head -c 100000000 /dev/zero | tr '\\0' x",
    "100 MB of errors": "head -c 100000000 /dev/zero | tr '\\0' e >&2; exit 1",
    "floods errors": "exec cat /dev/zero >&2",
    "fails": "echo oh dear >&2; exit 1",
    "kills itself": "kill -SEGV $$",
    "closes its output": "exec >&- 2>&-; sleep 1000",
    "does not read": "exec <&-; sleep 1; " + ANSWER,
    "brackets": "head -c 100000 /dev/zero | tr '\\0' '['",
    "other types": """printf '{"Username":[],"Secret":{}}'""",
    "garbage": "head -c 100000 /dev/urandom",
    "200 kB of objects": """printf '['; head -c 200000 /dev/zero | sed 's/\\x0\\x0\\x0/{},/g'; printf '{}]'""",
    "child that holds the pipes": "sleep 1000 & " + ANSWER,
    "child of another session": "setsid sleep 1000 & setsid sh -c \"trap '' HUP TERM; sleep 1000\" & " + ANSWER,
    "more and more children": "while :; do setsid sleep 1000 & sleep 0.02; done",
}

PROGRAMS = Path("/usr/local/bin")  # root owns what it leads to; PATH of helpers


class Helper:
    """A program that does that, and first says that it was asked."""

    def __init__(self, number, what, directory):
        self.name = f"torture-{os.getpid()}-{number}"
        self.asked = directory / "asked"
        self.program = PROGRAMS / f"docker-credential-{self.name}"
        self.program.write_text(f"#!/bin/sh\n: > {self.asked}\n{what}\n")
        self.program.chmod(0o755)

    def close(self):
        self.program.unlink()


def processes_with(variable):
    """The processes in whose environment it stands."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append(f"{path.name} {(path / 'cmdline').read_bytes().replace(bytes(1), b' ').decode(errors='replace')}")
        except OSError:
            pass  # it has ended
    return found
