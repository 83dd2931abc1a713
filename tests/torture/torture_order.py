# SPDX-License-Identifier: Apache-2.0
"""In which order a write reaches the disk, from a trace: the new file is whole and synced before it gets its name, and its
directory is synced after that. Of ecs.config, and of each file of the state directory."""

import re
import shutil
import subprocess
from pathlib import Path

from figures import Figures
from traced_host import Helper, Host, Tools, serve

CALLS = "openat,write,fsync,fdatasync,fchmod,fchown,fsetxattr,rename,renameat,renameat2,linkat,unlinkat"
LINE = re.compile(r"^\d+ +(?P<call>\w+)\((?P<arguments>.*)\) += (?P<result>\S+)")
UNFINISHED = re.compile(r"^(\d+) +(.*) <unfinished \.\.\.>$")
RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
NAMES = re.compile(r'<([^<>]*)>, "([^"]*)"')  # with -y: the directory, and the name in it
OPEN = re.compile(r"^\d+<([^<>]*)>")          # what a descriptor is open for


def whole_lines(text):
    """A call that another process came into is written in two lines."""
    begun = {}
    for line in text.splitlines():
        if match := UNFINISHED.match(line):
            begun[match[1]] = f"{match[1]} {match[2]}"
        elif match := RESUMED.match(line):
            yield begun.pop(match[1], "") + match[2]
        else:
            yield line


def steps(text):
    """(call, path, other path) of each call that succeeded."""
    for line in whole_lines(text):
        match = LINE.match(line)
        if not match or match["result"].startswith("-"):
            continue
        call, arguments = match["call"], match["arguments"]
        if call.startswith("rename") or call == "linkat":
            names = NAMES.findall(arguments) or [("", name) for name in re.findall(r'"([^"]*)"', arguments)]
            (a, b), (c, d) = names[:2]
            yield call, f"{a}/{b}", f"{c}/{d}"
        elif call == "openat" and "O_CREAT" in arguments and (names := NAMES.search(arguments)):
            yield "create", f"{names[1]}/{names[2]}", None
        elif call not in ("openat", "unlinkat") and (opened := OPEN.match(arguments)):
            yield call, opened[1], None


def wrong(history, at):
    """What is out of order about the rename at that place."""
    call, source, target = history[at]
    before, after = history[:at], history[at + 1:]
    again = next((i for i, step in enumerate(after) if step[:2] == ("create", source)), len(after))  # for the next write
    writes = [i for i, step in enumerate(before) if step[:2] == ("write", source)]
    syncs = [i for i, step in enumerate(before) if step[0] in ("fsync", "fdatasync") and step[1] == source]
    directory = target.rpartition("/")[0]
    if not writes:
        return f"{call} of {source}, which was not written"
    if not syncs or syncs[-1] < writes[-1]:
        return f"{target}: its content was not synced before {call}"
    synced = next((i for i, step in enumerate(after) if step[:2] == ("fsync", directory)), None)
    if synced is None:
        return f"{target}: its directory was not synced after {call}"
    if any(step[0] in ("write", "fchmod", "fchown") and step[1] in (source, target) for step in after[:again]):
        return f"{target}: it was changed after {call}"
    # Owner, mode and attributes came after the content: they are synced with the name at the latest.
    late = any(step[0] in ("fchmod", "fchown", "fsetxattr") and step[1] == source for step in before[syncs[-1]:])
    if late and not any(step[0] == "fsync" and step[1] in (source, target) for step in after[:synced]):
        return f"{target}: its owner and mode were not synced before its directory"
    return None


def traced_pid(strace):
    children = Path(f"/proc/{strace}/task/{strace}/children").read_text().split()
    return int(children[0]) if children else None


def look(tools, scenario):
    """(what was written, what was wrong about it)."""
    with Host(tools, scenario) as host:
        trace, err = host.directory / "strace", host.directory / "err"
        verb = ["run"] if scenario == "run" else ["apply", "--no-restart"]
        command = ["strace", "-f", "-y", "-s", "0", "-o", str(trace), "-e", f"trace={CALLS}", *host.command(*verb)]
        with open(err, "wb") as out:
            process = subprocess.Popen(command, env=host.environment(), stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        if scenario == "run":
            serve(host, process, lambda: traced_pid(process.pid))
        process.wait(60)
        text = trace.read_text(errors="replace")
        places = (str(host.environment_file.parent), str(host.directory / "state"))
        history = list(steps(text))
    renames = [i for i, step in enumerate(history) if step[2] and step[2].startswith(places)]
    return [(history[i][2].rpartition("/")[2], wrong(history, i)) for i in renames]


def torture(program, _short, case):
    if not shutil.which("strace"):
        return Figures("order", skipped="strace is not here")
    figures = Figures("order")
    with Helper() as helper:
        tools = Tools(program, helper)
        for scenario in [case] if case else ["plain", "apply", "run"]:
            seen = look(tools, scenario)
            repeat = f"ECS_AUTHD={program} tests/torture/torture.py order {scenario}"
            names = {name for name, _ in seen}
            for name in {"ecs.config", "digest.key", *(["leases"] if helper.name and scenario != "plain" else [])} - names:
                figures.case(f"{scenario}: {name} was not seen to be written", repeat=repeat)
            for name, problem in seen:
                figures.case(problem and f"{scenario}: {problem}", repeat=repeat)
    return figures
