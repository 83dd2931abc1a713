# SPDX-License-Identifier: Apache-2.0
import socket
import threading


class NotifySocket:
    """The service manager's end of sd_notify(3). Each message is kept with what snapshot() gave when it came."""

    def __init__(self, path, snapshot=lambda: None):
        self.path = path
        self.messages = []  # (text, snapshot)
        self.snapshot = snapshot
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.thread = threading.Thread(target=self.receive, daemon=True)
        self.thread.start()

    def receive(self):
        while True:
            data = self.socket.recv(65536)
            if data == b"close":
                return
            self.messages.append((data.decode(), self.snapshot()))

    def count(self, assignment):
        """How often a message had this line; "KEY=" stands for any value."""
        return sum(1 for text, _ in list(self.messages) if any(
            line == assignment or (assignment.endswith("=") and line.startswith(assignment))
            for line in text.splitlines()))

    def text(self):
        return "\n".join(text for text, _ in list(self.messages))

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
            s.sendto(b"close", str(self.path))
        self.thread.join()
        self.socket.close()
