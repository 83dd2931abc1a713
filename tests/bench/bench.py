#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""bench.py BUILD: measures ecs-authd beside what people would use instead, and prints tables; --page PAGE puts them in
there, between two marks, with the pictures beside it."""

import argparse
import datetime
import os
import platform
import re
import tempfile
from pathlib import Path

import fleet
import latency
import live
import looks
import picture
import rest
import start
import work

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"


def table(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def describe_latency(times):
    rows = []
    for n, t in times.items():
        ours, limit, peer = (t[name][1] for name in ("ecs-authd", "limit", "peer"))
        spread = f"{t['ecs-authd'][0]:.2f}–{t['ecs-authd'][2]:.2f}"
        rows.append([n, f"{ours:.2f} ({spread})", f"{limit:.2f}", f"{peer:.1f}", f"{ours / limit:.1f}",
                     f"{ours - limit:.2f}", f"{peer / ours:.1f}"])
    return table(["registries", "ecs-authd, ms (quartiles)", "limit, ms", "inotifywait and jq, ms", "× limit", "above it, ms",
                  "faster than the script, ×"], rows)


def describe_work(instructions, calls, aged):
    names = ("calls", "processes", "threads", "fsync")
    rows = [[n, f"{count / 1e6:.1f}", f"{count / n / 1000:.1f}" if n > 1 else "",
             *([calls[n][name] for name in names] if n in calls else [""] * 4)] for n, count in instructions.items()]
    rows.append([f"10, after {work.AGE} changes", "", "", *(aged[name] for name in names)])
    return table(["registries", "instructions, million", "for each, thousand", "system calls", "processes", "threads", "fsync"],
                 rows)


def describe_rest(processes, noise, seconds):
    head = ["process", "memory of its own, KiB", "threads", "descriptors", f"wake-ups in {seconds} s"]
    rows = [[name, p["own KiB"], p["threads"], p["descriptors"], p["wake-ups"]] for name, p in processes.items()]
    return (table(head, rows) + f"\n\n{noise[0]:.0f} writes a second beside the credential file, by others: "
            f"{100 * noise[1]:.1f} % of a core.")


def describe_looks(requests, events):
    return (f"Requests to the Docker Engine from a login to live, where tasks are waited for: {requests}. {events[0]:.0f} events "
            f"a second of Docker's meanwhile: {100 * events[1]:.1f} % of a core.")


def describe_start(times):
    return table(["registries", "first start, ms", "later ones, ms"],
                 [[n, f"{first:.1f}", f"{later:.1f}"] for n, (first, later) in times.items()])


def describe_live(parts, by_hand, path_unit):
    ours = parts["all"] - live.SETTLE_SECONDS - parts["restart job"] - parts["the agent's start"]
    rows = [[name, f"{1000 * s:.0f}"] for name, s in parts.items()]
    rows += [["of all that, neither SettleSec= nor the agent", f"{1000 * ours:.0f}"],
             ["by hand, with a script, without SettleSec=", f"{1000 * by_hand:.0f}"]]
    units = [[n, f"{t['ecs-authd']:.1f}", f"{t['path unit']:.1f}", f"{t['path unit'] / t['ecs-authd']:.1f}"]
             for n, t in path_unit.items()]
    return (table(["from the write to live", "ms"], rows) + "\n\n" +
            table(["registries", "ecs-authd, ms", "a .path unit with jq, ms", "faster, ×"], units))


def describe_fleet(plays):
    rows = [[f"{hosts:,}", jitter, f"{most:,}", f"{half:.0f}", f"{nearly:.0f}", f"{every:.0f}"]
            for hosts, of in plays.items() for jitter, (most, half, nearly, every, _) in of.items()]
    return table(["hosts", "JitterSec=, s", "restarts in the busiest second", "half live, s", "99 % live, s", "all live, s"], rows)


def draw_latency(times):
    names = {"ecs-authd": "ecs-authd", "limit": "limit", "peer": "inotifywait, jq"}
    return picture.draw({title: [(n, t[name][1]) for n, t in times.items()] for name, title in names.items()},
                        "registries", "ms from rename to rename", x_marks=list(times))


def draw_fleet(plays):
    series = {}
    for jitter, (_, _, _, every, parts) in plays[10_000].items():
        if jitter in (60, 300, 900):
            series[f"JitterSec={jitter}"] = [((i + 0.5) * every / len(parts), n * len(parts) / every) for i, n in enumerate(parts)]
    return picture.draw(series, "seconds after the change", "restarts a second, 10,000 hosts", log=False)


def describe_machine():
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return (f"{cpu.group(1) if cpu else platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, "
            f"{datetime.date.today()}")


def measure(build, options):
    program = build / "ecs-authd"
    helpers = build / "bench"
    with tempfile.TemporaryDirectory(prefix="ecs-authd-bench-", dir="/var/tmp") as name:
        directory = Path(name)
        times = latency.measure(directory / "latency", helpers, program, options.rounds)
        yield "From a login to the file", describe_latency(times), ("latency.svg", draw_latency(times))
        yield "Work for a change", describe_work(*work.measure(directory / "work", helpers, program)), None
        yield "From exec to READY=1", describe_start(start.measure(directory / "start", helpers, program, options.rounds)), None
        processes, noise = rest.measure(directory / "rest", helpers, program, options.rest)
        yield "At rest", describe_rest(processes, noise, options.rest) + "\n\n" + describe_looks(*looks.measure(program)), None
        lives = live.measure(helpers, 5)
        if lives:
            yield "From a login to live", describe_live(*lives), None
        plays = fleet.measure(helpers)
        yield "A fleet", describe_fleet(plays), ("fleet.svg", draw_fleet(plays))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("build", type=Path)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--rest", type=int, default=300, help="seconds")
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()

    text = [describe_machine() + "; `make bench`."]
    print(text[0], flush=True)
    for title, tables, drawn in measure(options.build.resolve(), options):
        print(f"\n{title}\n\n{tables}", flush=True)
        text += [f"### {title}", tables]
        if drawn and options.page:
            (options.page.parent / drawn[0]).write_text(drawn[1])
            text.append(f"![{title}]({drawn[0]})")
    if options.page:
        before, _, rest_of_it = options.page.read_text().partition(BEGIN)
        after = rest_of_it.partition(END)[2]
        options.page.write_text(before + BEGIN + "\n" + "\n\n".join(text) + "\n" + END + after)


if __name__ == "__main__":
    main()
