# SPDX-License-Identifier: Apache-2.0
"""A small host for one case: an ecs.config that is out of date, a credential file, a helper, no Docker; and ecs-authd on it under
the tracer, which has a system call or an allocation fail."""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from figures import Figures
from standin.credential_file import CredentialFile, encode

TOP = Path(__file__).resolve().parents[2]
BUILD = TOP / "build" / "torture"
PROGRAMS = Path("/usr/local/bin")  # where ecs-authd looks for helpers
SAMPLE = 300                       # of thousands of cases, for each scenario
SECONDS = 20                       # nothing takes as long that has an end

OLD_LINES = """# what others wrote
ECS_CLUSTER=torture
ECS_ENGINE_AUTH_TYPE=dockercfg
ECS_ENGINE_AUTH_DATA={auths}
ECS_LOGLEVEL=info
"""
USER = "torture"
OLD_PASSWORD, PASSWORD, SECRET = "was-good-until-now", "canary-1-of-the-file", "canary-2-of-the-helper"
FILE_REGISTRY, HELPER_REGISTRY, LATER_REGISTRY = "file.example.com", "helper.example.com", "later.example.com"

SCENARIOS = {
    "apply": ["apply", "--no-restart"],
    "plain": ["apply", "--no-restart"],  # without a helper: one job writes, and nobody after it
    "render": ["render", "--reveal"],
    "check": ["check"],
    "status": ["status", "--json"],
    "run": ["run"],
}


def build():
    """The tracer and what is preloaded; the paths of both."""
    BUILD.mkdir(parents=True, exist_ok=True)
    compiler = [os.environ.get("CC", "gcc"), "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-O2"]
    tracer, preload = BUILD / "tracer", BUILD / "preload.so"
    for target, source, more in (tracer, "tracer.c", []), (preload, "preload.c", ["-fPIC", "-shared"]):
        source = TOP / "tests" / "torture" / source
        if not target.exists() or target.stat().st_mtime < source.stat().st_mtime:
            subprocess.run([*compiler, *more, "-o", str(target), str(source)], check=True)
    return tracer, preload


def call_numbers():
    """The system calls by name."""
    text = subprocess.run(["gcc", "-E", "-dM", "-include", "sys/syscall.h", "-x", "c", "/dev/null"],
                          stdout=subprocess.PIPE, text=True, check=True).stdout
    return {name: int(number) for name, number in re.findall(r"#define __NR_(\w+) (\d+)$", text, re.M)}


class Helper:
    """Gives the same secret whenever it is asked. Where it cannot be put there is none."""

    def __init__(self):
        self.name = f"torture-{os.getpid()}"
        self.program = PROGRAMS / f"docker-credential-{self.name}"

    def __enter__(self):
        answer = json.dumps({"ServerURL": HELPER_REGISTRY, "Username": USER, "Secret": SECRET})
        try:
            self.program.write_text(f"#!/bin/sh\nread -r server\necho '{answer}'\n")
            self.program.chmod(0o755)
        except PermissionError:
            self.name = None
        return self

    def __exit__(self, *_):
        if self.name:
            self.program.unlink()


@dataclass
class Ended:
    status: int
    hung: bool
    said: str      # on standard error
    out: str
    hit: str       # the first argument of the call that was chosen; None: it was not made
    calls: list    # (process, number)
    died: list     # (process, signal)

    def crashes(self):
        return [f"process {name} was ended by signal {signal}" for name, signal in self.died if signal not in ("9", "15")]


@dataclass
class Contents:
    """What ecs.config may be, each as bytes: before; with what the file says; and with the helper's secret, too."""
    old: bytes
    written: bytes
    complete: bytes
    later: list = field(default_factory=list)  # with the login that a service sees, without the helper's secret and with it

    def all(self):
        return [self.old, self.written, self.complete, *self.later]


class Host:
    def __init__(self, tools, scenario):
        self.tools, self.scenario = tools, scenario
        memory = Path("/dev/shm")
        self.directory = Path(tempfile.mkdtemp(prefix="ecs-authd-", dir=memory if os.access(memory, os.W_OK) else None))
        self.environment_file = self.directory / "etc" / "ecs" / "ecs.config"
        self.environment_file.parent.mkdir(parents=True)
        auths = {name: {"auth": encode(USER, OLD_PASSWORD)} for name in (FILE_REGISTRY, HELPER_REGISTRY)}
        self.environment_file.write_text(OLD_LINES.format(auths=json.dumps(auths, separators=(",", ":"))))
        self.environment_file.chmod(0o600)
        self.config = self.directory / "etc" / "ecs-authd.conf"
        self.config.write_text("")
        self.credentials = CredentialFile(self.directory / "root" / "config.json")
        helpers = {HELPER_REGISTRY: tools.helper.name} if tools.helper.name and scenario != "plain" else {}
        self.put_credentials({FILE_REGISTRY: PASSWORD}, helpers)
        for name in "state", "run":
            (self.directory / name).mkdir(mode=0o700)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.directory, ignore_errors=True)

    def put_credentials(self, logins, helpers):
        self.logins, self.helpers = logins, helpers
        auths = {name: {"auth": encode(USER, password)} for name, password in logins.items()}
        self.credentials.replace(json.dumps({"auths": auths, "credHelpers": helpers}))

    def login_later(self):
        self.put_credentials({**self.logins, LATER_REGISTRY: PASSWORD}, self.helpers)

    def content(self):
        try:
            return self.environment_file.read_bytes()
        except FileNotFoundError:
            return None

    def leftovers(self):
        return [path for path in self.environment_file.parent.iterdir() if path != self.environment_file]

    def command(self, *verb):
        settings = {"Credentials.File": self.credentials.path, "Agent.EnvironmentFile": self.environment_file,
                    "Agent.DockerSocket": self.directory / "docker.sock", "Agent.IntrospectionURL": "http://127.0.0.1:1",
                    "Restart.Method": "none"}
        options = [word for key, value in settings.items() for word in ("-o", f"{key}={value}")]
        return [str(self.tools.program), "--config", str(self.config), *options, *verb]

    def environment(self, **more):
        # HOME: without it getpwuid(3) is asked, which a failed allocation ends (glibc 2.36).
        return {"PATH": os.environ["PATH"], "HOME": "/root", "STATE_DIRECTORY": str(self.directory / "state"),
                "RUNTIME_DIRECTORY": str(self.directory / "run"), **more}

    def apply(self):
        """As anybody would, without anything that fails."""
        return subprocess.run(self.command("apply", "--no-restart"), env=self.environment(), check=False, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)

    def put_status(self):
        """Of a service that seems to run."""
        status = {"schema": 1, "ecs_authd": "torture", "pid": os.getpid(), "state": "live", "sentence": "All is well"}
        (self.directory / "run" / "status.json").write_text(json.dumps({**self.tools.status, **status}))

    def traced(self, what="watch", verb=None, during=None, **environment):
        """Runs the verb of the scenario to its end, or another one. during(host, process, pid_of): while it runs."""
        if self.scenario == "status":
            self.put_status()
        log, out, err = (self.directory / name for name in ("trace", "out", "err"))
        command = [str(self.tools.tracer), str(log), what, *self.command(*(verb or SCENARIOS[self.scenario]))]
        with open(out, "wb") as o, open(err, "wb") as e:
            process = subprocess.Popen(command, env=self.environment(TORTURE_PRELOAD=str(self.tools.preload), **environment),
                                       stdin=subprocess.DEVNULL, stdout=o, stderr=e, start_new_session=True)
        hung = False

        def pid_of():
            match = re.search(r"^main (\d+)", log.read_text() if log.exists() else "")
            return int(match[1]) if match else None

        try:
            if during:
                during(self, process, pid_of)
            process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            hung = True
        if hung or process.poll() is None:
            process.kill()  # what it traces ends with it
            process.wait()
        # The last line may be cut off: everything can have been killed.
        text = log.read_text() if log.exists() else ""
        lines = [line.split() for line in text[:text.rfind("\n") + 1].splitlines()]
        hit = [line[1] for line in lines if line[0] == "hit"]
        return Ended(process.returncode, hung, err.read_text(errors="replace"), out.read_text(errors="replace"),
                     hit[0] if hit else None, [tuple(line[1:3]) for line in lines if line[0] == "call" and len(line) > 2],
                     [tuple(line[1:3]) for line in lines if line[0] == "died" and len(line) > 2])


def serve(host, process, pid_of):
    """A service from its start over one login to SIGTERM. What has failed may well keep it from either change: it is not waited
    for long."""
    for moment in range(2):
        expected = host.tools.contents["run"].all()[2 + 2 * moment]
        deadline = time.monotonic() + 0.7
        while process.poll() is None and host.content() != expected and time.monotonic() < deadline:
            time.sleep(0.005)
        if moment == 0:
            host.login_later()
    pid = pid_of()
    if pid and process.poll() is None:
        os.kill(pid, 15)


class Tools:
    """What all cases of a part share."""

    def __init__(self, program, helper):
        self.program, self.helper, self.measured = program, helper, Counter()
        self.tracer, self.preload = build()
        self.numbers = call_numbers()
        self.names = {str(number): name for name, number in self.numbers.items()}
        self.status = {"registries": [], "sources": [], "environment_file": "/etc/ecs/ecs.config", "agent": {}}
        with_helper, without = self.expected("apply"), self.expected("plain")
        self.contents = {scenario: without if scenario == "plain" else with_helper for scenario in SCENARIOS}

    def expected(self, scenario):
        with Host(self, scenario) as host:
            old, helpers, contents = host.content(), host.helpers, []
            for logins in {FILE_REGISTRY: PASSWORD}, {FILE_REGISTRY: PASSWORD, LATER_REGISTRY: PASSWORD}:
                host.environment_file.write_bytes(old)
                for asked in {name: "there-is-none" for name in helpers}, helpers:
                    host.put_credentials(logins, asked)
                    ended = host.apply()
                    contents.append(host.content())
            assert ended.returncode == 0, ended.stderr
            return Contents(old, *contents[:2], contents[2:])


def sample(cases, short, of_short=16):
    """The same ones at each run, of all kinds. All of them take an hour or two: TORTURE_EVERY=1."""
    if os.environ.get("TORTURE_EVERY"):
        return cases
    return sorted(cases, key=lambda case: zlib.crc32(case.encode()))[:of_short if short else SAMPLE]


def play(part, cases, run, program):
    """Runs the cases, two at a time. run(case): what was broken, or None where the case did not come about."""
    figures = Figures(part)
    missed = 0

    def attempt(case):
        try:
            return case, run(case)
        except Exception as error:  # pylint: disable=broad-except # a case that broke must not end the others
            return case, [f"the case itself broke: {error!r}"]

    with ThreadPoolExecutor(2) as pool:
        for case, problems in pool.map(attempt, cases):
            if problems is None:
                missed += 1
            else:
                figures.case(*(f"{case}: {problem}" for problem in problems),
                             repeat=f"ECS_AUTHD={program} tests/torture/torture.py {part} {case}")
    if missed:
        figures.measured["did not come about"] = missed
    return figures
