#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""torture.py [--short] [PART [CASE]]: does to ecs-authd what a bad day or a bad neighbour would, counts the promises that it
breaks, and prints a table. A CASE is what a violation names to be repeated."""

import argparse
import importlib
import os
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests"))

# A module each, torture_NAME.py, with torture(program, short, case): runs all its cases, or the one of that name, and returns its
# Figures.
PARTS = ["inject", "oom", "secrets", "order", "files", "peers", "two", "endurance", "score", "flags"]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="a sample of each part, for `make check`")
    parser.add_argument("part", nargs="?", choices=PARTS)
    parser.add_argument("case", nargs="?")
    arguments = parser.parse_args()
    program = Path(os.environ.get("ECS_AUTHD", TOP / "build" / "ecs-authd")).resolve()

    rows, violations = [], []
    for part in [arguments.part] if arguments.part else PARTS:
        started = time.monotonic()
        module = importlib.import_module(f"torture_{part}")
        figures = module.torture(program, arguments.short, arguments.case)
        rows.append(f"{figures.row()} ({time.monotonic() - started:.0f} s)")
        print(rows[-1], flush=True)
        violations += figures.violations

    print("\n" + "\n".join(rows))
    for what, repeat in violations:
        print(f"violated: {what}\n  repeat: {repeat}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
