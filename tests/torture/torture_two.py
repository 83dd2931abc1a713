# SPDX-License-Identifier: Apache-2.0
"""Two of us on the same files, while the credential file changes all the time: two services, or a service and many an apply; on a
disk that is slow to sync, and with an ordinary user who holds locks. ecs.config is whole whenever somebody reads it, and right in
the end."""

import os
import random
import shutil
import subprocess
import threading
import time
from contextlib import ExitStack

from hostile_inputs import NOBODY, put_good
from measured import CannotHere, end, MB, play, run, within
from standin.credential_file import CredentialFile, encode
from standin.daemon import Daemon
from standin.ecs_config import credentials, read_environment
from standin.sandbox import Sandbox

OTHERS = "# written by hand\nECS_CLUSTER=demo\n\n  ECS_LOGLEVEL=info  \n"
REGISTRY = "registry.example.com"
SLOW_SYNC_USEC = 300_000
SECONDS, SHORT_SECONDS = 7, 3


class Reader:
    """Reads ecs.config all the time; what is wrong with it at any moment."""

    def __init__(self, path):
        self.path = path
        self.wrong = None
        self.reads = 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.follow)
        self.thread.start()

    def follow(self):
        while not self.wrong and not self.over.wait(0.0005):
            try:
                text = self.path.read_text()
            except OSError as e:
                self.wrong = f"ecs.config cannot be read: {e}"
                return
            self.reads += 1
            ours = [line for line in text.splitlines() if line.startswith("ECS_ENGINE_AUTH_")]
            if text.replace("\n".join(ours), "").rstrip() != OTHERS.rstrip():
                self.wrong = f"ecs.config is not whole: {text!r}"
            elif len(ours) not in (0, 2) or credentials(dict(line.split("=", 1) for line in ours)) is None:
                self.wrong = f"our lines in ecs.config are not whole: {text!r}"

    def stop(self):
        self.over.set()
        self.thread.join()


class Case:
    def __init__(self, program, seconds, second="service", slow=False, locks=False, one_state=True):
        self.host = Sandbox(program)
        self.host.settings["Restart.Method"] = "none"
        self.seconds, self.second, self.slow, self.locks, self.one_state = seconds, second, slow, locks, one_state
        self.problems = []
        self.ended = []
        self.changes = self.applies = 0

    def command(self, verb, *more):
        command = self.host.arguments(verb, *more)
        if not self.slow:
            return command
        if not shutil.which("strace"):
            raise CannotHere
        return ["strace", "-D", "-f", "-qq", "-o", "/dev/null", "-e", "trace=fsync",
                "-e", f"inject=fsync:delay_enter={SLOW_SYNC_USEC}", *command]

    def service(self, number):
        environment = self.host.environment()
        if number and not self.one_state:
            environment["STATE_DIRECTORY"] += "-other"
        daemon = Daemon(self.command("run"), environment, self.host.directory / f"log{number}")
        self.host.daemons.append(daemon)
        return daemon

    def play(self):
        host = self.host
        with ExitStack() as stack:
            stack.callback(host.close)
            host.environment_file.write_text(OTHERS)
            host.environment_file.chmod(0o644)
            host.credentials.login(REGISTRY, "user", "0")
            if self.locks:
                self.hold_locks(stack)
            reader = Reader(host.environment_file)
            stack.callback(reader.stop)
            services = [self.service(n) for n in range(2 if self.second == "service" else 1)]
            over = threading.Event()
            appliers = [threading.Thread(target=self.apply, args=(over,)) for _ in range(3 if self.second == "apply" else 0)]
            for thread in appliers:
                thread.start()
            self.change()
            over.set()
            for thread in appliers:
                thread.join()
            self.judge(services, reader)
        self.reads = reader.reads
        return self.problems

    def hold_locks(self, stack):
        """As an ordinary user can: on what he may read. A new ecs.config is locked, too."""
        if os.geteuid() != 0:
            raise CannotHere
        self.host.directory.chmod(0o755)
        for path in (self.host.environment_file.parent, self.host.environment_file):
            holder = subprocess.Popen(["sh", "-c", 'while :; do flock -F -x -n "$1" sleep 0.05; done', "sh", path], user=NOBODY,
                                      group=NOBODY, extra_groups=[], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            stack.callback(holder.wait)
            stack.callback(holder.kill)

    def change(self):
        chance = random.Random(1)
        until = time.monotonic() + self.seconds
        while time.monotonic() < until:
            self.changes += 1
            put_good(self.host.credentials.path,
                     CredentialFile.text({REGISTRY: {"auth": encode("user", str(self.changes))}}).encode())
            time.sleep(chance.choice((0, 0, 0.001, 0.005, 0.02, 0.1)))

    def apply(self, over):
        while not over.is_set():
            self.ended.append(run(self.command("apply", "--no-restart"), self.host.environment(), 30))
            self.applies += 1

    def judge(self, services, reader):
        expected = {REGISTRY: ("user", str(self.changes))}
        if not within(lambda: credentials(read_environment(self.host.environment_file)) == expected, 10):
            self.problems.append(f"the last change is not in ecs.config after 10 s: {self.host.environment_file.read_text()!r}")
        for ended in self.ended:
            self.problems += ended.problems("apply", 30, (0,))
        for daemon in services:
            self.ended.append(end(daemon, 5))
            self.problems += self.ended[-1].problems("the service", 5, (0,))
        reader.stop()
        if reader.wrong:
            self.problems.append(reader.wrong)
        left = [path.name for path in self.host.environment_file.parent.iterdir() if path != self.host.environment_file]
        if left:
            self.problems.append(f"left beside ecs.config: {left}")


CASES = {
    "two services": {},
    "two services, no common lock": {"one_state": False},
    "two services, slow disk": {"slow": True},
    "two services, slow disk, no common lock": {"slow": True, "one_state": False},
    "two services, locks of others": {"locks": True},
    "service and apply": {"second": "apply"},
    "service and apply, slow disk": {"second": "apply", "slow": True},
    "service and apply, slow disk, locks of others": {"second": "apply", "slow": True, "locks": True},
}
SHORT = ("two services", "two services, slow disk, no common lock", "service and apply, slow disk, locks of others")


def torture(program, short, chosen):
    played = []

    def case(options):
        one = Case(program, SHORT_SECONDS if short else SECONDS, **options)
        played.append(one)
        return one.play()

    cases = {name: lambda options=options: case(options) for name, options in CASES.items()}
    figures = play("two", cases, SHORT if short else None, chosen)
    figures.measured["changes"] = sum(one.changes for one in played)
    figures.measured["applies"] = sum(one.applies for one in played)
    figures.measured["reads"] = sum(getattr(one, "reads", 0) for one in played)
    figures.measured["memory at most"] = f"{max((e.memory for one in played for e in one.ended), default=0) // MB} MB"
    return figures
