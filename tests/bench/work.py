# SPDX-License-Identifier: Apache-2.0
"""What a change costs: instructions (callgrind: the same on any machine), system calls and processes."""

import collections
import os
import re
import subprocess
import tempfile
from pathlib import Path

from contestants import Ours, credentials, wait_until

SIZES = (1, 10, 100, 500, 1000)

# No line can have as many. How the work grows is seen all the same, up to the refusal.
LARGE = (2000, 8000, 16000, 60000)

AGE = 300


def count_instructions(directory, build, n):
    """Of one pass (sync_run), in which one of n entries changes."""
    directory.mkdir(mode=0o700)
    paths = [directory / name for name in ("config.json", "ecs.config")]
    variables = os.environ | {"STATE_DIRECTORY": str(directory), "RUNTIME_DIRECTORY": str(directory)}
    for path in paths:
        path.touch(mode=0o600)
    for turn, command in enumerate(([], ["valgrind", "-q", "--tool=callgrind", "--toggle-collect=sync_run",
                                         f"--callgrind-out-file={directory}/out"])):
        paths[0].write_text(credentials(n, turn, "\t" if n <= max(SIZES) else None))
        subprocess.run([*command, build / "pass", *paths], check=False, env=variables, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
    return int(re.search(r"^(?:summary|totals): (\d+)", (directory / "out").read_text(), re.M).group(1))


def count_calls(directory, build, program, n, before=0):
    """System calls, processes and threads of the service for one change of one of n entries, after so many others."""
    ours = Ours(directory, build, program)
    ours.put(credentials(n, 0))
    ours.start()
    for turn in range(before):
        ours.change(credentials(n, turn + 2))
    trace = directory / "trace"
    try:
        tracer = subprocess.Popen(["strace", "-f", "-p", str(ours.process.pid), "-o", trace], stderr=subprocess.PIPE, text=True)
        wait_until(lambda: "attached" in tracer.stderr.readline(), "strace")
        ours.change(credentials(n, 1))
        tracer.terminate()
        tracer.wait()
    finally:
        ours.stop()
    calls = collections.Counter(re.findall(r"^\d+ +(\w+)\(", trace.read_text(), re.M))
    threads = sum("CLONE_THREAD" in line for line in trace.read_text().splitlines())
    forks = calls["clone"] + calls["clone3"] + calls["fork"] + calls["vfork"] - threads
    return {"calls": sum(calls.values()), "processes": forks, "threads": threads, "fsync": calls["fsync"]}


def measure(directory, build, program, sizes=SIZES, large=LARGE):
    directory.mkdir(mode=0o700)
    instructions = {n: count_instructions(directory / f"pass-{n}", build, n) for n in (*sizes, *large)}
    calls = {n: count_calls(directory / f"calls-{n}", build, program, n) for n in sizes}
    return instructions, calls, count_calls(directory / "aged", build, program, 10, AGE)


