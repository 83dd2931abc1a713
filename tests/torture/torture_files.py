# SPDX-License-Identifier: Apache-2.0
"""Each hostile input in each place where ecs-authd reads or writes a file. The verbs end, in bounded time and memory, say what is
wrong, and lose nothing that is not ours; the service takes a change all the same, answers SIGHUP, and ends."""

import stat
from contextlib import ExitStack
from typing import Callable, NamedTuple

from hostile_inputs import INPUTS, NEWLINE, put_good
from measured import end, memory_field, MEMORY_MAX, MB, play, run, within
from standin.ecs_config import credentials, read_environment
from standin.sandbox import Sandbox

VERB_SECONDS = 10
HANG_UP_SECONDS = 1
CHANGE_SECONDS = 5
END_SECONDS = 2

OTHERS = "# written by hand\nECS_CLUSTER=demo\n\n  ECS_LOGLEVEL=info  \n"
OURS = (b"ECS_ENGINE_AUTH_TYPE=", b"ECS_ENGINE_AUTH_DATA=")


class Place(NamedTuple):
    """kind: as in Input.bad, or nothing for what is ecs-authd's own."""
    name: str
    kind: str
    path: Callable


PLACES = [
    Place("credential file", "c", lambda host: host.credentials.path),
    Place("ecs.config", "e", lambda host: host.environment_file),
    Place("settings", "s", lambda host: host.config),
    Place("drop-in", "s", lambda host: host.directory / "etc/ecs-authd.conf.d/10-torture.conf"),
    Place("state directory", "", lambda host: host.directory / "state"),
    Place("leases", "", lambda host: host.directory / "state/leases"),
    Place("digest key", "", lambda host: host.directory / "state/digest.key"),
    Place("lock", "", lambda host: host.directory / "state/environment.lock"),
    Place("restart record", "", lambda host: host.directory / "state/restart"),
    Place("run directory", "", lambda host: host.directory / "run"),
    Place("status.json", "", lambda host: host.directory / "run/status.json"),
    Place("new status.json", "", lambda host: host.directory / "run/status.json.new"),
    Place("metrics", "", lambda host: host.directory / "metrics/ecs-authd.prom"),
    Place("new metrics", "", lambda host: host.directory / "metrics/ecs-authd.prom.new"),
    Place("temporary name", "", lambda host: host.directory / "etc/ecs/.ecs.config.ecs-authd.aaaaaaaa"),
]

# What all the others are in as well: nothing is mounted there.
SHARED = ("settings", "state directory", "run directory")
NAMED_BY_SETTINGS = ("credential file", "ecs.config", "settings")


def makes_sense(place, thing):
    if thing.name == "mounted directory":
        return place.name not in SHARED
    if thing.name == "directory of anybody":  # the settings are below it, too
        return place.name not in ("state directory", "run directory")
    return thing.name != NEWLINE or place.name in NAMED_BY_SETTINGS


# One of each kind of input in each place, and each input in one place.
SHORT_INPUTS = ("fifo", "1 GB sparse")


def other_lines(content):
    return [line for line in content.split(b"\n") if line.strip() and not line.strip().startswith(OURS)]


def description(path):
    """What somebody has there: it may not become anything else."""
    try:
        st = path.lstat()
        target = path.stat()
    except OSError:
        return ("nothing",)
    if not stat.S_ISREG(target.st_mode):
        return (st.st_mode, st.st_ino)
    if target.st_size > MB:
        return (target.st_mode, target.st_ino, target.st_size, target.st_mtime_ns)
    return (target.st_mode & 0o7777, path.read_bytes())


class Host(Sandbox):
    """With a second credential file, which comes after the first."""

    def arguments(self, verb, *more, **settings):
        command = super().arguments(verb, *more, **settings)
        at = command.index(f"Credentials.File={self.credentials.path}") + 1
        return [*command[:at], "-o", f"Credentials.File={self.second()}", *command[at:]]

    def second(self):
        """In a directory of its own, which nobody does anything to."""
        path = self.directory / "second" / "config.json"
        path.parent.mkdir(mode=0o700, exist_ok=True)
        return path


class Case:
    """One input in one place; play() tells which promises were broken."""

    def __init__(self, program, place, thing):
        self.place, self.thing = place, thing
        self.host = Host(program)
        self.kind = place.kind
        self.bad = bool(place.kind) and place.kind in thing.bad
        if place.name == "drop-in" and thing.name == "nothing":
            self.bad = False
        self.problems = []
        self.peak = 0

    def play(self):
        with ExitStack() as stack:
            stack.callback(self.host.close)
            self.prepare()
            self.input = stack.enter_context(ExitStack())  # undone before the host is closed
            self.path = self.place.path(self.host)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.good = self.path.read_bytes() if self.path.is_file() else None
            if self.place.name == "drop-in":
                self.good = b"[Restart]\nSettleSec=0\n"
            if self.kind == "s":
                self.serve(put_now=False)
            else:
                self.put()
            self.verbs()
            if self.kind != "s":
                self.serve(put_now=True)
        return self.problems

    def prepare(self):
        """A host on which ecs-authd has run before."""
        host = self.host
        if self.thing.name == NEWLINE:
            self.rename(self.place.path(host).with_name("new\nline"))
        host.environment_file.write_text(OTHERS)
        host.environment_file.chmod(0o600)
        host.config.write_text("[Restart]\nMinIntervalSec=1min\n")
        host.config.chmod(0o644)
        (host.directory / "metrics").mkdir()
        (host.directory / "run").mkdir()
        host.settings.update({"Restart.Method": "none", "Status.MetricsFile": host.directory / "metrics/ecs-authd.prom"})
        host.credentials.login("first.example.com", "user", "password")
        put_good(host.second(), b'{"auths": {}}')
        self.note("first pass", run(host.arguments("apply", "--no-restart"), host.environment(), VERB_SECONDS), (0,))

    def rename(self, path):
        host = self.host
        if self.place.name == "credential file":
            host.credentials.path = host.settings["Credentials.File"] = path
        elif self.place.name == "ecs.config":
            host.environment_file = host.settings["Agent.EnvironmentFile"] = path
        else:
            host.config = path

    def put(self):
        self.thing.put(self.path, self.good, self.input)

    def note(self, what, ended, allowed, seconds=VERB_SECONDS):
        self.problems += ended.problems(what, seconds, allowed)
        self.peak = max(self.peak, ended.memory)

    # --- the verbs ---

    def verbs(self):
        host = self.host
        before, lines = description(host.environment_file), self.config_lines()
        if self.kind != "c":
            host.credentials.login("first.example.com", "user", "another password")
        for verb, *more in (("apply", "--no-restart"), ("render",), ("check",), ("status",)):
            ended = run(host.arguments(verb, *more), host.environment(), VERB_SECONDS)
            self.note(verb, ended, self.allowed(verb))
            if self.bad and verb in self.verbs_that_need_it() and not self.says_what(ended.text):
                self.problems.append(f"{verb}: does not say what is wrong with {self.path}: {ended.text!r}")

        if self.bad and self.kind in "ce" and self.thing.name not in ("growing", "being written") and \
                description(host.environment_file) != before:
            self.problems.append("ecs.config was changed")
        if lines is not None and self.thing.name != "growing" and self.config_lines() != lines:
            self.problems.append("ecs.config has lost lines that are not ours")

    def config_lines(self):
        try:
            small = self.host.environment_file.is_file() and self.host.environment_file.stat().st_size < MB
            return other_lines(self.host.environment_file.read_bytes()) if small else None
        except OSError:
            return None

    def verbs_that_need_it(self):
        return ("apply",) if self.kind == "e" else ("apply", "render")

    def says_what(self, text):
        """Also of a path that a link leads to, and of the other file that an apply could not write."""
        return self.path.name in text

    def allowed(self, verb):
        if verb == "status":
            return (0, 1, 3)
        if self.bad and self.kind == "s":
            return (78,)
        if self.bad and self.kind == "e":
            return (1, 3) if verb in self.verbs_that_need_it() else (0, 1, 3)
        return (0, 1, 3, 78) if self.kind == "s" else (0, 1, 3)

    # --- the service ---

    def serve(self, put_now):
        """put_now: the input is there already; else it comes now, and a reload after it."""
        host = self.host
        daemon = host.run_daemon()
        if not within(lambda: daemon.said("^Watching ") or not daemon.runs(), CHANGE_SECONDS) or not daemon.runs():
            self.problems.append(f"the service does not start: {daemon.tail()[-500:]}")
        else:
            if not put_now:
                self.put()
            self.live(daemon)
        loop = memory_field(daemon.pid, "VmHWM")
        self.note("the service", end(daemon, END_SECONDS), (0,), END_SECONDS)
        if loop > MEMORY_MAX:
            self.problems.append(f"the loop used {loop // MB} MB of memory")
        if "Sanitizer" in daemon.tail():
            self.problems.append(daemon.tail())

    def live(self, daemon):
        daemon.hang_up()
        if not within(lambda: daemon.said("as asked .SIGHUP"), HANG_UP_SECONDS):
            self.problems.append(f"the service: SIGHUP is not answered within {HANG_UP_SECONDS} s")
        self.change(self.host.second(), "second.example.com")
        if self.kind == "e":
            self.heal()  # only now can it be written
        self.expect("second.example.com", "while it is there" if self.kind != "e" else "when it is gone")
        if self.kind == "c":
            self.heal()
            self.change(self.path, "third.example.com")
            self.expect("third.example.com", "when it is gone")

    def heal(self):
        self.input.close()

    def change(self, path, registry):
        put_good(path, b'{"auths": {"%s": {"auth": "dXNlcjpwYXNzd29yZA=="}}}' % registry.encode())

    def expect(self, registry, when):
        if not within(lambda: registry in (credentials(read_environment(self.host.environment_file)) or {}), CHANGE_SECONDS):
            self.problems.append(f"the service: a change does not get into ecs.config within {CHANGE_SECONDS} s {when}: "
                                 f"{self.host.daemons[-1].tail()[-300:]}")


def sample():
    names = {f"{thing} as {place.name}" for place in PLACES for thing in SHORT_INPUTS}
    return names | {f"{thing.name} as {PLACES[i % 4].name}" for i, thing in enumerate(INPUTS)}


def torture(program, short, chosen):
    peaks = [0]

    def case(place, thing):
        one = Case(program, place, thing)
        problems = one.play()
        peaks.append(one.peak)
        return problems

    cases = {f"{thing.name} as {place.name}": lambda place=place, thing=thing: case(place, thing)
             for place in PLACES for thing in INPUTS if makes_sense(place, thing)}
    figures = play("files", cases, sample() if short else None, chosen)
    figures.measured["inputs"] = len(INPUTS)
    figures.measured["places"] = len(PLACES)
    figures.measured["memory at most"] = f"{max(peaks) // MB} MB"
    return figures
