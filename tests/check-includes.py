#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Data goes one way: a room includes only rooms that stand below it, and no file of a room includes, by whatever detour,
itself. CONTRIBUTING.md shows the list of rooms as it stands here."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent

# From the top. Rooms of one line stand side by side: neither includes the other.
ROOMS = """
daemon/main
daemon/manager/
daemon/check/   daemon/watch/
daemon/report/   daemon/service/
daemon/process/
daemon/proxy/
common/settings/
common/proxy/
common/decision/
common/agent/
common/ecsconfig/
common/credentials/
common/base/
"""

FLOOR = {room: number for number, line in enumerate(ROOMS.split("\n")) for room in line.split()}


def room_of(path):
    """A folder below daemon/ or common/, or a file that stands there by itself."""
    return f"{path.parts[0]}/{path.stem}" if len(path.parts) <= 2 else f"{path.parts[0]}/{path.parts[1]}/"


def includes(path, top):
    for name in re.findall(r'^#include "([^"]+)"', (top / path).read_text(), re.M):
        for folder in ("common", "daemon"):
            if (top / folder / name).exists():
                yield Path(folder, name)
                break
        else:
            yield Path(name)  # of no room: a mistake


def check_file(path, top):
    own = room_of(path)
    if own not in FLOOR:
        yield f"{path}: {own} is not in the list of rooms"
        return
    for header in includes(path, top):
        room = room_of(header)
        if room != own and FLOOR.get(room, -1) <= FLOOR[own]:
            yield f"{path}: includes {header}, which does not stand below it"


def check_circles(headers, top):
    """Within a room, too, there is an above and a below."""
    below = {h: {i for i in includes(h, top) if i in headers} for h in headers}
    while True:
        leaves = {h for h, under in below.items() if not under}
        if not leaves:
            break
        below = {h: under - leaves for h, under in below.items() if h not in leaves}
    return [f"{h}: includes itself, by way of {', '.join(map(str, sorted(under)))}" for h, under in sorted(below.items())]


def check(top=TOP):
    files = sorted(p.relative_to(top) for folder in ("common", "daemon") for p in (top / folder).rglob("*.[ch]"))
    mistakes = [mistake for path in files for mistake in check_file(path, top)]
    return mistakes + check_circles({p for p in files if p.suffix == ".h"}, top)


def main():
    mistakes = check()
    print("\n".join(mistakes), end="\n" if mistakes else "")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
