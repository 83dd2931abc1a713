# SPDX-License-Identifier: Apache-2.0
"""A service that does not end: a hundred thousand changes of the credential file, none of which is lost, and days in which
nothing changes, of which nothing is seen. Its memory and its open files stay what they were.

What is simulated: an hour is a RefreshSec= of 100 ms, with what happens in an hour of a quiet host. Nobody's clock is changed, so
what is said again only after minutes, and leases, are not in it."""

import os
import tempfile
import time
from contextlib import ExitStack

from hostile_inputs import put_good
from measured import end, memory_field, play, within
from standin.credential_file import CredentialFile, encode
from standin.sandbox import Sandbox

CHANGES, SHORT_CHANGES = 100_000, 2_000
SECONDS, SHORT_SECONDS = 360, 6
BURST, BURST_MAX = 15, 200  # more where the machine is slow, so that all are made in that time
HOURS, SHORT_HOURS = 400, 24
LOST_SECONDS = 5
# What of each may come and go: a job under way has some files open, and the allocator some pages.
MEMORY_SLACK, FILES_SLACK = 512 * 1024, 8
LINES_SLACK = 20
REGISTRY = "registry.example.com"
ECR = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"


def memory_directory():
    """Where a sync costs nothing, so that there is time for more changes."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def make_host(program):
    before, tempfile.tempdir = tempfile.tempdir, memory_directory()
    try:
        return Sandbox(program)
    finally:
        tempfile.tempdir = before


class Growth:
    """The memory and the open files of the loop, from a tenth of the way on."""

    def __init__(self, pid):
        self.pid = pid
        self.seen = []

    def look(self):
        self.seen.append((memory_field(self.pid, "VmRSS"), len(os.listdir(f"/proc/{self.pid}/fd"))))

    def problems(self):
        if not self.seen:
            return
        later = self.seen[len(self.seen) // 10:]
        for what, i, slack in (("bytes of memory", 0, MEMORY_SLACK), ("open files", 1, FILES_SLACK)):
            first, most = later[0][i], max(look[i] for look in later)
            if most > first + slack:
                yield f"the loop has {most} {what}, and had {first} after a tenth of the way"

    def grown(self):
        """KiB of memory, from a tenth of the way to the end."""
        return 0 if not self.seen else (self.seen[-1][0] - self.seen[len(self.seen) // 10][0]) // 1024


def count_lines(path):
    with open(path, "rb") as f:
        return sum(1 for _ in f)


class Changes:
    """One that is waited for, then some in a row, of which the last one has to be there."""

    def __init__(self, program, changes, seconds):
        self.program, self.changes, self.seconds = program, changes, seconds
        self.host = None
        self.made = self.waited = self.lost = 0
        self.growth = None

    def play(self):
        self.host = make_host(self.program)
        with ExitStack() as stack:
            stack.callback(self.host.close)
            self.host.settings["Restart.Method"] = "none"
            self.host.environment_file.write_text("ECS_CLUSTER=demo\n")
            self.host.credentials.login(REGISTRY, "user", "0")
            daemon = self.host.run_daemon()
            if not within(lambda: daemon.said("is up to date"), 5):
                return [f"it does not start: {daemon.tail()[-500:]}"]
            self.growth = Growth(daemon.pid)
            self.run(daemon)
            ended = end(daemon, 5)
            return [*self.problems(count_lines(daemon.log)), *ended.problems("the service", 5, (0,))]

    def run(self, daemon):
        until = time.monotonic() + self.seconds
        while self.made < self.changes and time.monotonic() < until and daemon.runs() and self.lost < 10:
            passed = 1 - (until - time.monotonic()) / self.seconds
            behind = self.changes * passed / 0.95 - self.made
            for _ in range(1 if self.waited % 2 == 0 else max(BURST, min(BURST_MAX, int(behind)))):
                self.change()
            self.waited += 1
            # A registry that ends in the number, so that no other one has it in its text.
            expected = f'"r{self.made}.example"'.encode()
            if not within(lambda: expected in self.host.environment_file.read_bytes(), LOST_SECONDS, 0.0003):
                self.lost += 1
            if self.waited % 20 == 1:
                self.growth.look()

    def change(self):
        self.made += 1
        auth = {"auth": encode("user", f"password {self.made}")}
        put_good(self.host.credentials.path, CredentialFile.text({REGISTRY: auth, f"r{self.made}.example": auth}).encode())

    def problems(self, lines):
        if self.lost:
            yield f"{self.lost} of {self.waited} changes did not get into ecs.config within {LOST_SECONDS} s"
        yield from self.growth.problems()
        if lines > self.made + LINES_SLACK:
            yield f"{lines} lines in the journal for {self.made} changes"


class Days:
    """A quiet host: tasks come and go, ECR is logged in to, the same login is made again, and the file is looked at each hour."""

    def __init__(self, program, hours):
        self.program, self.hours = program, hours
        self.host = None
        self.growth = None

    def play(self):
        host = self.host = make_host(self.program)
        with ExitStack() as stack:
            stack.callback(host.close)
            host.start()
            host.settings.update({"Credentials.RefreshSec": "100ms", "Restart.SettleSec": "0"})
            host.credentials.login(REGISTRY, "user", "password")
            daemon = host.run_daemon()
            host.credentials.login(ECR, "AWS", "token")
            if not within(lambda: daemon.said("runs with the credentials") and daemon.said("is left out"), 15):
                return [f"the agent does not run with the credentials: {daemon.tail()[-500:]}"]
            self.growth = Growth(daemon.pid)
            problems = self.watch(daemon)
            return [*problems, *self.growth.problems(), *end(daemon, 5).problems("the service", 5, (0,))]

    def watch(self, daemon):
        host = self.host
        before = (host.environment_file.stat().st_ino, len(host.systemd1.restarts()), count_lines(daemon.log))
        for hour in range(self.hours):
            looks = host.engine.inspections()
            host.engine.tell("start", f"task{hour}")
            if hour % 12 == 0:
                host.credentials.login(ECR, "AWS", f"token {hour}")
            if hour % 8 == 0:
                host.credentials.login(REGISTRY, "user", "password")
            if not within(lambda: host.engine.inspections() > looks, 5):
                return [f"hour {hour}: nothing is looked at within 5 s of a RefreshSec= of 100 ms"]
            self.growth.look()
            time.sleep(0.1)
        after = (host.environment_file.stat().st_ino, len(host.systemd1.restarts()), count_lines(daemon.log))
        return [f"{what} in {self.hours} hours without a change: {now - then}" for what, then, now in
                zip(("other files", "restarts", "lines in the journal"), before, after) if now != then]


def torture(program, short, chosen):
    changes = Changes(program, *(SHORT_CHANGES, SHORT_SECONDS) if short else (CHANGES, SECONDS))
    days = Days(program, SHORT_HOURS if short else HOURS)
    figures = play("endurance", {"changes": changes.play, "days": days.play}, None, chosen, at_a_time=1)
    if changes.growth:
        figures.measured.update({"changes": changes.made, "waited for": changes.waited, "lost": changes.lost,
                                 "loop grew by": f"{changes.growth.grown()} KiB"})
    if days.growth:
        figures.measured.update({"simulated days": f"{days.hours / 24:.1f}", "in them by": f"{days.growth.grown()} KiB"})
    return figures
