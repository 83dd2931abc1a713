# SPDX-License-Identifier: Apache-2.0
"""Docker, its events, introspection, the bus and credential helpers, each of them bad in every way. A change of the credential
file gets into ecs.config all the same, SIGHUP is answered, SIGTERM ends it, and no process that a helper has begun is left."""

import itertools
import os
import signal
import threading
import time
from contextlib import ExitStack

from bad_peers import BUS, EVENTS, Helper, HELPERS, HTTP, PROGRAMS, processes_with, Server, spoil_events
from hostile_inputs import put_good
from measured import CannotHere, end, memory_field, MEMORY_MAX, MB, play, within
from standin.ecs_config import credentials, read_environment
from standin.sandbox import Sandbox

CHANGE_SECONDS = 2
HANG_UP_SECONDS = 1
END_SECONDS = 1.5
RESTART_SECONDS = 10
SUFFER_SECONDS, SHORT_SUFFER_SECONDS = 3, 1  # how long the peer may do its harm

# Of each peer, in the short form.
SHORT = ("silent", "floods", "garbage", "hangs", "floods events", "silent after the login", "child of another session")

numbers = itertools.count()


class Case:
    def __init__(self, program, peer, way, seconds):
        self.host = Sandbox(program)
        self.seconds = seconds
        self.host.settings["Restart.SettleSec"] = "0"
        self.peer, self.way = peer, way
        self.problems = []
        self.entries = {}
        self.helper = None
        self.peak = 0

    def play(self):
        with ExitStack() as stack:
            stack.callback(self.host.close)
            self.host.start()
            getattr(self, f"spoil_{self.peer}")(stack)
            daemon = self.host.run_daemon()
            self.suffer(daemon)
            loop = memory_field(daemon.pid, "VmHWM")
            ended = end(daemon, 10 * END_SECONDS)
            self.judge_end(ended, loop)
        return self.problems

    # --- what is wrong with whom ---

    def spoil_engine(self, stack):
        self.host.engine.stop()
        stack.callback(Server(HTTP[self.way], self.host.engine.socket).close)

    def spoil_events(self, stack):
        over = threading.Event()
        stack.callback(over.set)
        spoil_events(self.host.engine, EVENTS[self.way], over)

    def spoil_introspection(self, stack):
        server = Server(HTTP[self.way])
        stack.callback(server.close)
        self.host.settings["Agent.IntrospectionURL"] = server.url

    def spoil_bus(self, stack):
        path = self.host.directory / "bad-bus.sock"
        stack.callback(Server(BUS[self.way], path).close)
        self.host.variables["DBUS_SYSTEM_BUS_ADDRESS"] = f"unix:path={path}"

    def spoil_helper(self, stack):
        if os.geteuid() != 0 or not os.access(PROGRAMS, os.W_OK):
            raise CannotHere
        self.helper = Helper(next(numbers), HELPERS[self.way], self.host.directory)
        stack.callback(self.helper.close)
        self.host.settings["Credentials.HelperTimeoutSec"] = "4s"
        self.host.settings["Credentials.HelperEnvironment"] = self.mark()

    def mark(self):
        return f"TORTURE={self.host.directory}"

    # --- what holds all the same ---

    def change(self, when):
        """A login, which has to be there soon."""
        registry = f"r{len(self.entries)}.example.com"
        self.entries[registry] = '{"auth": "dXNlcjpwYXNzd29yZA=="}'
        entries = ", ".join(f'"{name}": {entry}' for name, entry in self.entries.items())
        helpers = f', "credHelpers": {{"bad.example.com": "{self.helper.name}"}}' if self.helper else ""
        self.host.credentials.path.parent.mkdir(parents=True, exist_ok=True)
        put_good(self.host.credentials.path, f'{{"auths": {{{entries}}}{helpers}}}'.encode())
        if not within(lambda: registry in (credentials(read_environment(self.host.environment_file)) or {}), CHANGE_SECONDS):
            self.problems.append(f"a change does not get into ecs.config within {CHANGE_SECONDS} s ({when}): "
                                 f"{self.host.daemons[-1].tail()[-300:]}")

    def hang_up(self, daemon):
        since = daemon.mark()
        daemon.hang_up()
        if not within(lambda: daemon.said("as asked .SIGHUP", since), HANG_UP_SECONDS):
            self.problems.append(f"SIGHUP is not answered within {HANG_UP_SECONDS} s: {daemon.tail()[-300:]}")

    def suffer(self, daemon):
        if not within(lambda: daemon.said("^Watching "), 5):
            self.problems.append(f"it does not start: {daemon.tail()[-500:]}")
            return
        self.change("at first")
        self.expect_asked()
        self.hang_up(daemon)
        self.change("after SIGHUP")
        until = time.monotonic() + self.seconds
        while not self.problems and time.monotonic() < until:
            time.sleep(0.5)
            self.change("later")
        if self.peer == "events":
            self.expect_restart()
        if self.helper:
            self.helper.asked.unlink(missing_ok=True)
        self.hang_up(daemon)
        self.expect_asked()  # it is at it when the end comes

    def expect_restart(self):
        """Events only say when to look: those that are too many, or wrong, keep the credentials from no agent."""
        if not within(lambda: (self.host.agent.credentials() or {}).keys() == self.entries.keys(), RESTART_SECONDS):
            self.problems.append(f"the agent is not restarted with other credentials within {RESTART_SECONDS} s: "
                                 f"{self.host.daemons[-1].tail()[-300:]}")

    def expect_asked(self):
        if self.helper and not within(self.helper.asked.exists, 5):
            self.problems.append(f"the helper is not asked: {self.host.daemons[-1].tail()[-300:]}")

    def judge_end(self, ended, loop):
        self.peak = ended.memory
        self.problems += ended.problems("the service", 10 * END_SECONDS, (0,))
        if ended.status is not None and ended.seconds > END_SECONDS:
            self.problems.append(f"it ends {ended.seconds:.1f} s after SIGTERM, and not within {END_SECONDS} s")
        if loop > MEMORY_MAX:
            self.problems.append(f"the loop used {loop // MB} MB of memory")
        left = []

        def nobody():
            left[:] = processes_with(self.mark())
            return not left
        if self.helper and not within(nobody, 1, 0.1):
            self.problems.append(f"processes of a helper are left: {left[:5]}")
            for line in left:
                os.kill(int(line.split()[0]), signal.SIGKILL)


def torture(program, short, chosen):
    peaks = [0]

    def case(peer, way):
        one = Case(program, peer, way, SHORT_SUFFER_SECONDS if short else SUFFER_SECONDS)
        problems = one.play()
        peaks.append(one.peak)
        return problems

    ways = {"engine": HTTP, "events": EVENTS, "introspection": HTTP, "bus": BUS, "helper": HELPERS}
    cases = {f"{peer} {way}": lambda peer=peer, way=way: case(peer, way) for peer, some in ways.items() for way in some}
    sample = {f"{peer} {way}" for peer in ways for way in SHORT} if short else None
    figures = play("peers", cases, sample, chosen)
    figures.measured["memory at most"] = f"{max(peaks) // MB} MB"
    return figures
