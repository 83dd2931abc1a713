# SPDX-License-Identifier: Apache-2.0
"""Runs the program in each case of a part: how each run ended, how long it took, and the most memory that was used.

The most memory is what the kernel knows of a process that has ended (getrusage(2)): of that process, and of each of its
children that it has waited for. A process begins with what this runner has: less than that is not seen."""

import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from figures import Figures

MB = 1024 * 1024
MEMORY_MAX = 64 * MB


class CannotHere(Exception):
    """What a case needs is not to be had on this machine."""


class Ended(NamedTuple):
    status: int  # negative: the signal; None: it had to be killed
    seconds: float
    memory: int
    text: str = ""

    def problems(self, what, seconds, allowed):
        """The promises of one run that were broken."""
        tail = f": {self.text.strip()[-300:]!r}" if self.text else ""
        if self.status is None:
            yield f"{what}: not ended within {seconds} s{tail}"
        elif self.status not in allowed:
            yield f"{what}: ended with {self.status}{tail}"
        if "Sanitizer" in self.text or "runtime error:" in self.text:
            yield f"{what}: {self.text[-2000:]}"
        if self.memory > max(MEMORY_MAX, memory_of_ours()):
            yield f"{what}: used {self.memory // MB} MB of memory"


def memory_field(pid, name):
    """A field of /proc/PID/status in bytes; 0: it has ended."""
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8") as f:
            return next((int(line.split()[1]) * 1024 for line in f if line.startswith(f"{name}:")), 0)
    except (FileNotFoundError, ProcessLookupError):
        return 0


def memory_of_ours():
    return memory_field("self", "VmHWM")


def wait_end(process, seconds):
    """Waits for a subprocess.Popen, and kills it when its time is over."""
    started = time.monotonic()
    status, killed = None, False
    while status is None:
        pid, word, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            status = os.waitstatus_to_exitcode(word)
        elif time.monotonic() > started + seconds and not killed:
            process.kill()
            killed = True
        else:
            time.sleep(0.002)
    process.returncode = status
    return Ended(None if killed else status, time.monotonic() - started, usage.ru_maxrss * 1024)


def run(command, environment, seconds):
    """A verb, from its start to its end."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                   start_new_session=True)
        ended = wait_end(process, seconds)
        out.seek(0)
        return ended._replace(text=out.read(MB).decode(errors="replace"))


def end(daemon, seconds):
    """SIGTERM to the service, and its end."""
    if daemon.runs():
        daemon.process.send_signal(signal.SIGTERM)
        return wait_end(daemon.process, seconds)
    return Ended(daemon.process.returncode, 0, 0, daemon.tail())


def within(condition, seconds, pause=0.01):
    """True as soon as it is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def repeat_command(part, name):
    return f"tests/torture/torture.py {part} {shlex.quote(name)}"


def play(part, cases, sample, chosen, at_a_time=2):
    """Runs each of cases {name: function}, or those in sample if there is one, or the chosen one; a function returns a list of
    the promises that were broken. Returns the Figures, and the names of what could not be done here."""
    figures, left_out = Figures(part), []
    if chosen and chosen not in cases:
        sys.exit(f"{part} has no case {chosen!r}; it has: {', '.join(cases)}")
    names = [chosen] if chosen else [name for name in cases if not sample or name in sample]

    def attempt(name):
        try:
            return list(cases[name]())
        except (CannotHere, PermissionError):
            return None
        except Exception as e:  # pylint: disable=broad-except  # the others are still to be tried
            return [f"the case itself broke: {e!r}"]

    with ThreadPoolExecutor(at_a_time) as pool:
        for name, problems in zip(names, pool.map(attempt, names)):
            if problems is None:
                left_out.append(name)
            else:
                figures.case(*(f"{part} {name}: {problem}" for problem in problems), repeat=repeat_command(part, name))
    if left_out and not figures.tried:
        figures.skipped = f"cannot be done here: {', '.join(left_out)}"
    elif left_out:
        figures.measured["not here"] = len(left_out)
    return figures
