# SPDX-License-Identifier: Apache-2.0
"""Who is measured beside whom: ecs-authd, the least that anybody could do (limit.c), and what people write (peer)."""

import base64
import json
import os
import signal
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).parent
LIMIT_SECONDS = 60


def wait_until(condition, what):
    end = time.monotonic() + LIMIT_SECONDS
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"bench: waited {LIMIT_SECONDS} s for {what}")
        time.sleep(0.002)


def credentials(n, turn, indent="\t"):
    """A credential file with n registries, as docker login writes it; turn: another password of the first one."""
    def entry(i):
        return base64.b64encode(f"user:password-{turn if i == 0 else 0:06d}".encode()).decode()
    return json.dumps({"auths": {f"{i:06d}.example.com": {"auth": entry(i)} for i in range(n)}}, indent=indent)


def children(pid):
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


class Contestant:
    """A program in a directory of its own, that makes an environment file of a credential file."""

    name = None

    def __init__(self, directory, build):
        self.directory = Path(directory) / self.name
        self.build = Path(build)
        self.directory.mkdir(mode=0o700, parents=True)
        self.credentials = self.directory / "config.json"
        self.environment = self.directory / "ecs" / "ecs.config"
        self.environment.parent.mkdir(mode=0o700)
        self.environment.touch(mode=0o600)
        self.process = None

    def command(self):
        raise NotImplementedError

    def put(self, text, path=None):
        path = path or self.credentials
        path.touch(mode=0o600)
        path.write_text(text)
        return path

    def start(self):
        with open(self.directory / "log", "w") as log:
            self.process = subprocess.Popen(self.command(), env=os.environ | self.variables(), stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, start_new_session=True)
        self.await_rest()

    def variables(self):
        return {}

    def await_rest(self):
        """Until it sleeps, and all that it has started."""
        def sleeps(pid):
            return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "S"
        time.sleep(0.05)
        wait_until(lambda: all(sleeps(p) for p in [self.process.pid, *children(self.process.pid)]), self.name)

    def change(self, text):
        """Microseconds from the rename of the credential file to that of the environment file."""
        new = self.put(text, self.directory / "new.json")
        out = subprocess.run([self.build / "stopwatch", new, self.credentials, self.environment], check=True,
                             capture_output=True, text=True).stdout
        self.await_rest()
        return float(out)

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        self.process.wait()


class Ours(Contestant):
    name = "ecs-authd"

    def __init__(self, directory, build, program, *options):
        super().__init__(directory, build)
        self.program, self.options = program, options

    def command(self):
        return [self.program, "run", "-o", f"Credentials.File={self.credentials}", "-o",
                f"Agent.EnvironmentFile={self.environment}", "-o", "Restart.Method=none", *self.options]

    def variables(self):
        state, run = self.directory / "state", self.directory / "run"
        for d in (state, run):
            d.mkdir(exist_ok=True)
        return {"STATE_DIRECTORY": str(state), "RUNTIME_DIRECTORY": str(run)}

    def start(self):
        super().start()
        wait_until(lambda: b"ECS_ENGINE" in self.environment.read_bytes(), "the first write")
        self.await_rest()

    def await_rest(self):
        """Until only the child that watches is left."""
        wait_until(lambda: len(children(self.process.pid)) == 1, "the end of the jobs")


class Limit(Contestant):
    name = "limit"

    def __init__(self, directory, build, ours):
        super().__init__(directory, build)
        self.bytes = ours.environment

    def command(self):
        return [self.build / "limit", self.credentials, self.environment, self.bytes]


class Peer(Contestant):
    name = "peer"

    def command(self):
        return [HERE / "peer", self.credentials, self.environment]
