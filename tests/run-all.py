#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""`make check`: runs every suite, goes on after a failure, and ends with one line that counts them all. The last two wait most
of their time, so they run beside each other."""

import os
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
    ("build with gcc", MAKE + ["-s", "CC=gcc", "all", "unit-tests"]),
    ("build with clang", MAKE + ["-s", "CC=clang", f"BUILD={BUILD}/clang", "all", "unit-tests"]),
    ("lint", MAKE + ["-s", "-k", "lint"]),
    ("unit", MAKE + ["unit-check"]),
    ("coverage", MAKE + ["coverage"]),
    ("conformance", MAKE + ["conformance-check"]),
    ("fuzz", MAKE + ["fuzz-check"]),
    ("recipes", MAKE + ["recipes-check"]),
    ("torture", MAKE + ["torture-check"]),
]
SIDE_BY_SIDE = [
    ("bus", MAKE + ["bus-check"]),
    ("host", MAKE + ["host-check"]),
]


def run(name, command, log=None):
    """Runs one suite; returns (passed, failed, skipped) and the reasons of what was skipped. log: a file for its output, which is
    shown when it is over; else it is shown as it comes."""
    if not log:
        print(f"\n=== {name}", flush=True)
    results = RESULTS / name.replace(" ", "-")
    results.mkdir(parents=True)
    environment = dict(os.environ, RESULTS=str(results), PYTEST_ADDOPTS=f"--junitxml={results}/pytest.xml -rs")
    started = time.monotonic()
    with open(log or os.devnull, "wb") as out:
        status = subprocess.run(command, cwd=TOP, env=environment, check=False, stdout=out if log else None,
                                stderr=subprocess.STDOUT if log else None).returncode
    if log:
        print(f"\n=== {name}\n{Path(log).read_text(errors='replace')}", flush=True)
    counts, reasons = count(results)
    if sum(counts) == 0:
        counts = (1, 0, 0) if status == 0 else (0, 1, 0)
    elif status != 0 and counts[1] == 0:
        counts = (counts[0], 1, counts[2])  # the suite itself broke
    print(f"--- {name}: {counts[0]} passed, {counts[1]} failed, {counts[2]} skipped "
          f"({time.monotonic() - started:.0f} s)", flush=True)
    return counts, reasons


def count(results):
    passed = failed = skipped = 0
    reasons = []
    for path in sorted(results.glob("*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            skip = case.find("skipped")
            if case.find("failure") is not None or case.find("error") is not None:
                failed += 1
            elif skip is not None:
                skipped += 1
                reasons.append(f"{case.get('name')}: {skip.get('message') or 'no reason given'}")
            else:
                passed += 1
    return (passed, failed, skipped), reasons


def main():
    shutil.rmtree(RESULTS, ignore_errors=True)
    totals = [0, 0, 0]
    skipped = []
    outcomes = [(name, run(name, command)) for name, command in SUITES]
    with ThreadPoolExecutor() as pool:
        print(f"\n=== {' and '.join(name for name, _ in SIDE_BY_SIDE)}, side by side", flush=True)
        jobs = [(name, pool.submit(run, name, command, RESULTS / f"{name}.log")) for name, command in SIDE_BY_SIDE]
        outcomes += [(name, job.result()) for name, job in jobs]
    for name, (counts, reasons) in outcomes:
        totals = [total + n for total, n in zip(totals, counts)]
        skipped += [f"{name}: {reason}" for reason in reasons]

    print()
    for reason in skipped:
        print(f"skipped: {reason}")
    print(f"{totals[0]} passed, {totals[1]} failed, {totals[2]} skipped")
    return 1 if totals[1] else 0


if __name__ == "__main__":
    sys.exit(main())
