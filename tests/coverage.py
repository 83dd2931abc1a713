#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How much of common/ the unit tests reach: lines, and branches that were taken, of each file and of all. `make coverage` builds
them and starts it. Fails below a floor: raise it when the figure has risen, as a ratchet."""

import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD = TOP / os.environ.get("BUILD", "build") / "coverage"
# Percent of the branches. What is missing is mostly calls of the kernel that do not fail, and what runs in a helper's reaper,
# which ends by _exit(2) and writes no counts.
FLOOR = 75.0


def run(test):
    """Most of them wait: they run beside each other."""
    with tempfile.TemporaryDirectory() as state:
        done = subprocess.run([str(test)], cwd=TOP, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                              env={**os.environ, "STATE_DIRECTORY": state, "CMOCKA_MESSAGE_OUTPUT": "stdout"})
    if done.returncode != 0:
        print(f"{test.name} failed: {done.stderr.decode(errors='replace')}", file=sys.stderr)
    return done.returncode == 0


def counts():
    """{file: (lines reached, lines, branches taken, branches)}"""
    files = sorted(str(path.relative_to(BUILD)) for path in BUILD.glob("common/*/*.gcda"))
    text = subprocess.run(["gcov", "-b", "-n", "-r", "-s", str(TOP), *files], cwd=BUILD, stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=True).stdout
    found = {}
    for name, block in re.findall(r"^File '(common/\S+\.c)'\n((?:(?!File ).+\n)+)", text, re.M):
        numbers = []
        for what in ("Lines executed", "Taken at least once"):
            match = re.search(rf"^{what}:([\d.]+)% of (\d+)", block, re.M)
            share, n = (float(match[1]), int(match[2])) if match else (0, 0)
            numbers += [round(share * n / 100), n]
        found[name] = tuple(numbers)
    return found


def share_of(part, n):
    return 100 * part / n if n else 100


def main():
    for path in BUILD.rglob("*.gcda"):
        path.unlink()
    tests = [path for path in sorted((BUILD / "tests").glob("*/test-*")) if not path.suffix]
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        # `make unit-check` is for failures; one of a machine that is busy with this is tried again.
        if not all(list(pool.map(lambda test: run(test) or run(test), tests))):
            return 1
    found = counts()
    found["common/"] = tuple(sum(column) for column in zip(*found.values()))
    print(f"{'':<42}{'lines':>9}{'branches':>11}")
    for name, (lines, n_lines, taken, n_branches) in found.items():
        print(f"{name:<42}{share_of(lines, n_lines):>7.1f} %{share_of(taken, n_branches):>9.1f} %  of {n_branches}")
    if share_of(*found["common/"][2:]) < FLOOR:
        print(f"fewer branches than the floor of {FLOOR} %", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
