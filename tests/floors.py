#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Data goes one way: each file includes only what stands on a floor below its own (CONTRIBUTING.md)."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

FLOORS = [  # from the top
    ["main"],
    ["manager"],
    ["check"],
    ["systemd", "upstart", "docker", "watch", "follower", "status", "facts", "instance"],
    ["statusfile", "metrics", "method"],
    ["service", "worker", "bus"],
    ["child"],
    ["decide"],
    ["sync", "observe", "recreate"],
    ["gather", "rollback"],
    ["config"],
    ["authdata", "credfile"],
    ["engine", "registrylogin"],
    ["helper", "envfile", "http"],
    ["credentials", "registry", "digest", "log"],
    ["json", "problem", "secret"],
    ["macro"],
]
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}



def main():
    mistakes = []
    for path in sorted([*TOP.glob("common/**/*.[ch]"), *TOP.glob("daemon/**/*.[ch]")]):
        own = path.stem
        if own not in FLOOR:
            mistakes.append(f"{path.relative_to(TOP)}: on no floor")
            continue
        for name in re.findall(r'^#include "([\w-]+)\.h"', path.read_text(), re.M):
            if (path.parent / f"{name}.h").exists():
                continue  # within one room
            if FLOOR.get(name, -1) <= FLOOR[own]:
                mistakes.append(f"{path.relative_to(TOP)}: includes {name}.h, which is not below it")
    print("\n".join(mistakes), end="\n" if mistakes else "")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
