#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make check`: runs every suite, goes on after a failure, and ends with one line that counts them all. The last wait most
of their time, so they run beside each other."""

import os
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILD = Path(os.environ.get("BUILD", "build"))
RESULTS = TOP / BUILD / "results"
JOBS = f"-j{os.cpu_count() or 1}"
MAKE = ["make", "--no-print-directory", JOBS]
PYTEST = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider"]

# A suite that writes no JUnit files counts as one test: its exit status.
SUITES = [
    ("build with gcc", MAKE + ["-s", "CC=gcc", "all", "unit-tests", "bench-programs"]),
    ("build with clang", MAKE + ["-s", "CC=clang", f"BUILD={BUILD}/clang", "all", "unit-tests", "bench-programs"]),
    ("format", MAKE + ["-s", "format-check"]),
    ("tidy", MAKE + ["-s", "-k", "tidy"]),
    ("cppcheck", MAKE + ["-s", "cppcheck"]),
    ("includes", MAKE + ["-s", "includes"]),
    ("fixes", MAKE + ["-s", "fixes"]),
    ("unit", MAKE + ["unit-check"]),
    ("coverage", MAKE + ["coverage"]),
    ("fuzz", MAKE + ["fuzz-check"]),
    ("torture", MAKE + ["torture-check"]),
]
# Each version of these finds other things, and lays the sources out in another way: those of Debian 12 count.
PINNED = {"format": ("clang-format", "14"), "tidy": ("clang-tidy", "14"), "cppcheck": ("cppcheck", "2.10")}
SIDE_BY_SIDE = [
    [("bus", MAKE + ["bus-check"])],
    [("host", MAKE + ["host-check"]), ("packages", MAKE + ["packages-check"]), ("conformance", MAKE + ["conformance-check"]),
     ("recipes", MAKE + ["recipes-check"])],
]


def run(name, command, log=None):
    """Runs one suite; returns (passed, failed, skipped) and what is to be named at the end: what failed, and why something was
    skipped. log: a file for its output, which is shown when it is over; else it is shown as it comes."""
    if not log:
        print(f"\n=== {name}", flush=True)
    reason = why_not(name)
    if reason:
        print(f"--- {name}: skipped: {reason}", flush=True)
        return (0, 0, 1), [f"skipped: {name}: {reason}"]
    results = RESULTS / name.replace(" ", "-")
    results.mkdir(parents=True)
    environment = dict(os.environ, RESULTS=str(results), PYTEST_ADDOPTS=f"--junitxml={results}/pytest.xml -rs")
    started = time.monotonic()
    with open(log or os.devnull, "wb") as out:
        status = subprocess.run(command, cwd=TOP, env=environment, check=False, stdout=out if log else None,
                                stderr=subprocess.STDOUT if log else None).returncode
    if log:
        print(f"\n=== {name}\n{Path(log).read_text(errors='replace')}", flush=True)
    counts, named = count(name, results)
    if sum(counts) == 0 and status == 0:
        counts = (1, 0, 0)
    elif status != 0 and counts[1] == 0:
        counts = (counts[0], 1, counts[2])  # the suite itself broke
        named.append(f"failed: {name}: exit status {status}")
    print(f"--- {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped "
          f"({time.monotonic() - started:.0f} s)", flush=True)
    return counts, named


def why_not(name):
    """Why a suite cannot run here; None where it can."""
    if name not in PINNED:
        return None
    tool, wanted = PINNED[name]
    found = re.search(r"\d+(\.\d+)+", subprocess.run([tool, "--version"], check=False, capture_output=True, text=True).stdout)
    if not found:
        return f"there is no {tool}"
    return None if f"{found.group()}.".startswith(f"{wanted}.") else f"{tool} {found.group()} is here, and {wanted} is what counts"


def count(name, results):
    passed = failed = skipped = 0
    named = []
    for path in sorted(results.glob("*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
                named.append(f"failed: {name}: {case.get('name')}")
            elif skip is not None:
                skipped += 1
                named.append(f"skipped: {name}: {case.get('name')}: {skip.get('message') or 'no reason given'}")
            else:
                passed += 1
    return (passed, failed, skipped), named


def main():
    shutil.rmtree(RESULTS, ignore_errors=True)
    outcomes = [run(name, command) for name, command in SUITES]
    with ThreadPoolExecutor() as pool:
        print(f"\n=== side by side: {' | '.join(', '.join(name for name, _ in row) for row in SIDE_BY_SIDE)}", flush=True)
        jobs = [pool.submit(lambda row: [run(name, command, RESULTS / f"{name}.log") for name, command in row], row)
                for row in SIDE_BY_SIDE]
        outcomes += [outcome for job in jobs for outcome in job.result()]
    totals = [sum(column) for column in zip(*(counts for counts, _ in outcomes))]

    print()
    for line in [line for _, named in outcomes for line in named]:
        print(line)
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
