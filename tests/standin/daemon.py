# SPDX-License-Identifier: Apache-2.0
"""ecs-authd as a child process, and its log."""

import re
import signal
import subprocess
from typing import NamedTuple

from .wait import wait_for


class LogLine(NamedTuple):
    text: str
    fields: dict

    @classmethod
    def parse(cls, line):
        """With ECS_AUTHD_LOG=fields the fields stand at the end: text ECS_AUTHD_KEY=value ECS_AUTHD_KEY=value"""
        text, *rest = re.split(r" ECS_AUTHD_([A-Z_]+)=", line)
        return cls(text, dict(zip(rest[::2], rest[1::2])))


class Daemon:
    def __init__(self, command, environment, log):
        self.log = log
        with open(log, "a", encoding="utf-8") as stderr:
            # A session of its own: Ctrl-C in a terminal is for us, and we end it.
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.DEVNULL, stderr=stderr, start_new_session=True)
        self.pid = self.process.pid

    def lines(self):
        text = self.log.read_text(errors="replace")
        return [LogLine.parse(line) for line in text[:text.rfind("\n") + 1].splitlines()]

    def mark(self):
        """A place in the log, for since=."""
        return len(self.lines())

    def said(self, text, since=0, **fields):
        """The first line since then with that text (a regular expression) and those fields."""
        return next((line for line in self.lines()[since:]
                     if re.search(text, line.text) and fields.items() <= line.fields.items()), None)

    def wait_said(self, text, since=0, seconds=10, **fields):
        what = f"the daemon says: {text} {fields or ''}"
        # What it says last counts too, but after its end there is nothing to wait for.
        wait_for(lambda: not self.runs() or self.said(text, since, **fields), seconds, what, self.tail)
        line = self.said(text, since, **fields)
        if not line:
            raise AssertionError(f"not before its end: {what}\n{self.tail()}")
        return line

    def tail(self):
        state = "it runs" if self.runs() else f"it ended with {self.process.returncode}"
        return "\n".join(["The daemon's log:", *self.log.read_text(errors="replace").splitlines()[-40:], state])

    def runs(self):
        return self.process.poll() is None

    def hang_up(self):
        self.process.send_signal(signal.SIGHUP)

    def stop(self, seconds=10):
        """Asks it to end; returns its exit status."""
        if self.runs():
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"not ended within {seconds} s of SIGTERM\n{self.tail()}") from None
