# SPDX-License-Identifier: Apache-2.0
"""Stands between ecs-authd and a real Docker Engine: notes each request, refuses some, and holds some where a test wants
something to happen at just that moment."""

import contextlib
import json
import re
import socket
import threading


class Hold:
    """A request that is held: before the engine has it, or when the engine has done it and nobody knows yet."""

    def __init__(self, pattern, answered):
        self.pattern = pattern
        self.answered = answered
        self.reached = threading.Event()
        self.released = threading.Event()

    def wait(self):
        self.reached.set()
        self.released.wait(120)


class EngineProxy:
    def __init__(self, path, engine_socket):
        self.path = path
        self.engine_socket = engine_socket
        self.requests = []
        self.holds = []
        self.refusals = {}
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(64)
        threading.Thread(target=self.accept, daemon=True).start()

    def close(self):
        for hold in self.holds:
            hold.released.set()
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def hold(self, pattern, answered=False):
        self.holds.append(Hold(pattern, answered))
        return self.holds[-1]

    def refuse(self, pattern, message):
        self.refusals[pattern] = message

    def changes(self):
        """The requests that change something."""
        return [r for r in self.requests if not r.startswith(("GET ", "HEAD "))]

    def accept(self):
        with contextlib.suppress(OSError):
            while True:
                client = self.listener.accept()[0]
                threading.Thread(target=self.serve, args=(client,), daemon=True).start()

    def find_hold(self, line, answered):
        hold = next((h for h in self.holds if h.answered == answered and re.search(h.pattern, line)), None)
        if hold and not hold.reached.is_set():
            hold.wait()

    def serve(self, client):
        with client, contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as engine:
            head, body = read_request(client)
            line = re.sub(r"/v1\.\d+/", "/", head.split(b"\r\n", 1)[0].decode()).rsplit(" ", 1)[0]
            self.requests.append(line)
            self.find_hold(line, False)
            if client_is_gone(client):
                return  # whoever asked was killed while the request was held
            for pattern, message in self.refusals.items():
                if re.search(pattern, line):
                    text = json.dumps({"message": message}).encode()
                    client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Type: application/json\r\n"
                                   b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(text) + text)
                    return
            engine.connect(str(self.engine_socket))
            engine.sendall(head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1) + b"\r\n\r\n" + body)
            data = engine.recv(65536)
            self.find_hold(line, True)
            while data:
                client.sendall(data)
                data = engine.recv(65536)


def read_request(client):
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            raise OSError("no request")
        data += more
    head, body = data.split(b"\r\n\r\n", 1)
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    while length and len(body) < int(length[1]):
        body += client.recv(65536)
    return head, body


def client_is_gone(client):
    with contextlib.suppress(BlockingIOError):
        return client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    return False
